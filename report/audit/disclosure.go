package audit

// A Topic is what somebody needs who wants to verify a training run.
type Topic struct {
	Topic string `json:"topic"`
	State string `json:"state"` // disclosed, derivable or missing
	Text  string `json:"text"`
}

// topics are asked of every claim: what would be needed, and which quantities
// stand for it, when said or when they follow from what is.
var topics = []struct {
	name, need string
	by         []variable
}{
	{"benchmark", "the same training on other hardware, with its configuration", nil},
	{"timeline", "when each phase began and ended", []variable{vDuration}},
	{"utilisation", "MFU with its convention, peak and format, step by step", []variable{vMFU, vRate, vTokenRate, vMeanRate}},
	{"software", "framework, versions, operators, numerical formats", nil},
	{"interconnect", "topology, bandwidth and latency between devices, as measured", nil},
	{"data", "what was trained on, in what order: digests, counts, licences", nil},
	{"reproducibility", "recipe, seeds, code, weights: whatever lets others run it again", nil},
	{"evaluation", "results before and after, with settings", nil},
	{"incidents", "faults, lost work, recoveries", []variable{vIncidents}},
	{"cost", "device-hours, price, energy", []variable{vCost, vDeviceTime}},
}

func topicNames() []string {
	var names []string
	for _, t := range topics {
		names = append(names, t.name)
	}
	return names
}

// disclosure holds the claim against every topic. s is what follows from it.
func disclosure(c *Claim, s *state) []Topic {
	var out []Topic
	for _, t := range topics {
		topic := Topic{t.name, "missing", "not said; needed: " + t.need}
		for _, v := range t.by {
			if i := s.get(v); i.Bounded() && i.Hi <= 2*i.Lo && topic.State == "missing" {
				topic.State, topic.Text = "derivable", info[v].name+" follows: "+show(v, i)+"; not said itself"
			}
		}
		for i := range c.Statements {
			said := &c.Statements[i]
			for _, q := range said.quantities() {
				for _, v := range t.by {
					if q.of == v {
						topic.State, topic.Text = "disclosed", q.field+": "+q.text+" ("+said.ID+")"
					}
				}
			}
			if text, ok := said.Discloses[t.name]; ok {
				topic.State, topic.Text = "disclosed", text+" ("+said.ID+")"
			}
		}
		out = append(out, topic)
	}
	return out
}
