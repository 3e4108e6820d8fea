package audit

import (
	"fmt"
	"strings"
)

// paused is the least goodput that is taken for usual where none is said.
const paused = 0.8

// tight is how far the ends of an interval may lie apart to be placed in a band.
const tight = 4

// ofSpeed are the quantities that a predicted speed can confirm.
var ofSpeed = map[variable]bool{
	vDevices: true, vTokens: true, vSteps: true, vBatch: true, vStepTime: true, vMFU: true, vGoodput: true, vDuration: true, vDeviceTime: true,
	vRate: true, vTokenRate: true, vMeanRate: true, vSpeed: true, vMeanSpeed: true,
}

// placed is where a claimed speed lies against the predicted one.
type placed struct {
	by     set // the statements that it follows from
	inside bool
	text   string
}

// judge gives each statement its verdict.
func (r *Report) judge(u *subject, givens []given, all, refused set, s *state, other *Hardware) {
	speed := r.place(s)
	if speed.text != "" {
		r.Predicted.Placed, r.Predicted.Inside = speed.text, &speed.inside
	}
	for i := range u.claim.Statements {
		said := &u.claim.Statements[i]
		j := Judgement{ID: said.ID, Text: said.Text, Quote: said.Quote, Source: said.Source, Reasons: []string{}}
		if j.Text == "" {
			j.Text, j.Quote = said.Quote, ""
		}
		if refused.has(i) {
			j.Verdict = Inconsistent
			for k, c := range r.Contradictions {
				for _, id := range c.Statements {
					if id == said.ID {
						j.Reasons = append(j.Reasons, fmt.Sprintf("contradiction %d, with %s: %s", k+1, strings.Join(without(c.Statements, id), ", "), c.Text))
					}
				}
			}
		} else {
			r.weigh(&j, u, i, givens, all&^refused, speed, other)
		}
		r.Statements = append(r.Statements, j)
	}
}

// without is a list less one member; empty, it is what physics says.
func without(list []string, id string) []string {
	var out []string
	for _, x := range list {
		if x != id {
			out = append(out, x)
		}
	}
	if len(out) == 0 {
		return []string{"what is known without the claim"}
	}
	return out
}

// weigh looks for something independent that confirms each part of a statement
// that nothing contradicts.
func (r *Report) weigh(j *Judgement, u *subject, i int, givens []given, on set, speed placed, other *Hardware) {
	said := &u.claim.Statements[i]
	open, confirmed := []string{}, 0
	alone := make([]given, 0, len(givens))
	for _, g := range givens {
		if g.fact || !g.need.has(i) {
			alone = append(alone, g)
		}
	}
	rest, _ := solve(alone, on)
	full, _ := solve(givens, on)
	fits, memory := r.memory()
	for _, q := range said.quantities() {
		in, _, _ := q.kind.parse(q.text)
		known := rest.get(q.of)
		switch {
		case q.of == vRelative:
			j.Reasons = append(j.Reasons, u.relative(said, other))
			open = append(open, q.field)
		case q.of != vDevices && known.Bounded() && (in.Contains(known) || agree(in, known)):
			confirmed++
			j.Reasons = append(j.Reasons, fmt.Sprintf("%s: %s follows without this statement, said is %s", q.field, q.show(known), q.text))
		case speed.by.has(i) && ofSpeed[q.of] && speed.inside:
			confirmed++
			j.Reasons = append(j.Reasons, q.field+": "+speed.text)
		case q.of == vDevices && fits:
			confirmed++
			j.Reasons = append(j.Reasons, "devices: "+memory)
		default:
			open = append(open, q.field)
			if speed.by.has(i) && ofSpeed[q.of] && speed.text != "" {
				j.Reasons = append(j.Reasons, q.field+": "+speed.text)
			} else if known != Anything && !(q.of == vDevices && known.Lo <= 1) {
				j.Reasons = append(j.Reasons, fmt.Sprintf("%s: said %s; possible without this statement: %s; nothing contradicts it", q.field, q.text, q.show(known)))
			} else {
				j.Reasons = append(j.Reasons, fmt.Sprintf("%s: said %s; nothing else bounds it", q.field, q.text))
			}
			if q.of == vShare {
				if b := full.get(vTokens); b != Anything {
					j.Reasons = append(j.Reasons, "it allows training on "+show(vTokens, b)+" tokens")
				}
			}
		}
	}
	if said.Method == "full-parameter" {
		if fits {
			confirmed++
			j.Reasons = append(j.Reasons, "full-parameter: "+memory)
		} else {
			open = append(open, "method")
			if memory != "" {
				j.Reasons = append(j.Reasons, "full-parameter: "+memory)
			}
		}
	}
	if said.DType != "" && u.hardware != nil {
		if p, formats := u.peak(); p.Hi > 0 {
			confirmed++
			j.Reasons = append(j.Reasons, fmt.Sprintf("dtype: %s is native to %s", formats, u.hardware.Title))
		} else {
			open = append(open, "dtype")
			j.Reasons = append(j.Reasons, fmt.Sprintf("dtype: %s to %s; it may be emulated", formats, u.hardware.Title))
		}
	}
	if u.ambiguous && said.Devices != "" {
		j.Reasons = append(j.Reasons, fmt.Sprintf("one card (%s) is %d devices, and the statement does not say which is counted; both readings are audited", u.hardware.Title, u.hardware.PerCard))
	}
	j.Verdict = Consistent
	if len(open) > 0 || confirmed == 0 {
		j.Verdict, j.DecidedBy = Undetermined, decidedBy(said, open)
	}
	if len(j.Reasons) == 0 {
		j.Reasons = append(j.Reasons, "nothing in it can be computed")
	}
}

// agree reports whether two intervals meet, the known one being narrow enough
// that it could have missed.
func agree(in, known Interval) bool {
	return known.Hi <= 1.05*known.Lo && !in.Intersect(known).Empty()
}

// memory says whether the claim's state fits under every reading.
func (r *Report) memory() (fits bool, text string) {
	fits = len(r.Predicted.Runs) > 0
	for _, p := range r.Predicted.Runs {
		if text != "" {
			text += "; "
		}
		if p.Fits {
			text += fmt.Sprintf("on %d devices a layout with optimizer state fits (%.0f %% of the fullest)", p.Devices, 100*float64(p.Memory)/float64(p.Capacity))
		} else {
			fits = false
			text += fmt.Sprintf("on %d devices the planner finds no layout that fits (%s), which is no proof that there is none", p.Devices, p.Why)
		}
	}
	return fits, text
}

// place holds the claimed speed of a device against the predicted band: in tokens,
// or in operations where those are known better, because what a token costs depends
// on the length of rows and on who counts.
func (r *Report) place(s *state) placed {
	of, slack := vTokenRate, 1.0
	band := func(p *Prediction) Interval { return p.PerDevice }
	if rate, tokens := s.get(vRate), s.get(vTokenRate); rate.Bounded() && (!tokens.Bounded() || rate.Hi/rate.Lo < tokens.Hi/tokens.Lo) {
		of, band = vRate, func(p *Prediction) Interval { return p.Achieved }
	}
	i := s.get(of)
	if !i.Bounded() || i.Hi > tight*i.Lo {
		of, slack = vMeanRate, paused
		band = func(p *Prediction) Interval { return p.PerDevice }
		i = s.get(of)
	}
	if !i.Bounded() || i.Hi > tight*i.Lo || len(r.Predicted.Runs) == 0 {
		return placed{}
	}
	out := placed{by: s.ends[of][0].need | s.ends[of][1].need}
	for _, p := range r.Predicted.Runs {
		predicted := band(p)
		if !p.Fits || !predicted.Bounded() {
			continue
		}
		while := ""
		if slack < 1 {
			while = fmt.Sprintf(", for a goodput of %.0f to 100 %%", 100*slack)
		}
		word := "outside"
		if !(Interval{i.Lo, i.Hi / slack}).Intersect(predicted).Empty() {
			word, out.inside = "inside", true
		}
		if out.text != "" {
			out.text += "; "
		}
		out.text += fmt.Sprintf("the claim comes to %s for each device, %s the predicted %s%s (%s)", show(of, i), word, show(of, predicted), while, p.Reading)
	}
	return out
}

// relative says what peaks allow of a comparison between two kinds of device.
func (u *subject) relative(s *Statement, other *Hardware) string {
	if u.hardware == nil || other == nil || other.Name != s.Against {
		return "relative_performance: said " + s.Relative + "; compare with " + s.Against + " to see what peaks allow"
	}
	peak, reference, format := u.comparable(other)
	if reference == 0 {
		return fmt.Sprintf("relative_performance: said %s; %s and %s have no format in common that is known", s.Relative, u.hardware.Title, other.Title)
	}
	text := fmt.Sprintf("relative_performance: said %s; by peak in %s a device is %s of one %s, by memory bandwidth %s",
		s.Relative, format, one(vRelative, peak/reference), other.Title, one(vRelative, u.hardware.Bandwidth.Lo/other.Bandwidth.Hi))
	if n := float64(u.hardware.PerCard); n > 1 {
		text += fmt.Sprintf("; by card %s and %s", one(vRelative, n*peak/reference), one(vRelative, n*u.hardware.Bandwidth.Lo/other.Bandwidth.Hi))
	}
	text += ": model, batch, lengths, format and software decide where between"
	if s.In == "inference" {
		text += "; and inference says little about training"
	}
	return text
}

// comparable returns the lowest peak of a device and the highest of another in a
// format that both have: the one that was said, or a usual one.
func (u *subject) comparable(other *Hardware) (peak, reference float64, format string) {
	formats := []string{"bf16", "fp16", "fp32"}
	if u.dtype != "" {
		formats = append([]string{strings.TrimPrefix(u.dtype, "mx")}, formats...)
	}
	for _, f := range formats {
		a, b := u.hardware.Peak[f], other.Peak[f]
		if a.Hi > 0 && b.Hi > 0 {
			return a.Lo, b.Hi, f
		}
	}
	return 0, 0, ""
}

// decidedBy names what would settle a statement.
func decidedBy(s *Statement, open []string) string {
	needs := map[string]string{
		"parameters": "the model's configuration file", "active_parameters": "the model's configuration file",
		"devices":                          "the inventory and layout of the run, with whether cards or dies are counted",
		"tokens":                           "duration and achieved rate, or the log of steps",
		"steps":                            "the log of steps",
		"batch_tokens":                     "the log of steps",
		"step_time":                        "the log of steps, with batch and layout",
		"mfu":                              "step time, batch, row length and the convention of counting",
		"achieved":                         "step time, batch, row length and the convention of counting",
		"tokens_per_second":                "the log of steps",
		"tokens_per_second_per_device":     "the log of steps, with the number of devices",
		"device_hours_per_trillion_tokens": "tokens trained on, and the timeline",
		"duration_per_trillion_tokens":     "tokens trained on, and the timeline",
		"goodput":                          "the timeline with incidents",
		"duration":                         "tokens trained on, and the timeline",
		"device_hours":                     "tokens trained on, and the timeline",
		"cost":                             "device-hours and the price of one",
		"price":                            "the bill",
		"incidents":                        "the log of faults and recoveries",
		"share_of_pretraining":             "tokens trained on and generated in post-training, or device-hours of both",
		"pretraining_tokens":               "the report of the pre-training",
		"state_per_parameter":              "optimizer and formats",
		"relative_performance":             "model, batch, lengths, format, engine and unit (card or die) of both measurements",
		"dtype":                            "the software stack, with the format of each product",
		"method":                           "digests of all tensors before and after",
	}
	var out []string
	for _, f := range open {
		if n := needs[f]; n != "" && !strings.Contains(strings.Join(out, "; "), n) {
			out = append(out, n)
		}
	}
	if len(out) == 0 {
		return "a signed record of the run"
	}
	return strings.Join(out, "; ")
}
