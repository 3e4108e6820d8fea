package sim

// Report is a run as numbers for machines to read; seconds everywhere.
type Report struct {
	StepSeconds  float64       `json:"step_seconds"` // of a stopped run: until that was noticed
	Ranks        int           `json:"ranks"`
	Stages       []ReportStage `json:"stages"`
	CriticalPath *ReportPath   `json:"critical_path,omitempty"`
	WaitedFor    []ReportWait  `json:"waited_for,omitempty"`
	Imbalance    float64       `json:"expert_imbalance,omitempty"`
	Stopped      *ReportStop   `json:"stopped,omitempty"`
	Disturbances []ReportCost  `json:"disturbances,omitempty"`
	Undisturbed  float64       `json:"undisturbed_step_seconds,omitempty"`
}

// ReportStage is where the time of a stage's ranks goes, on average.
type ReportStage struct {
	Stage         int     `json:"stage"`
	Compute       float64 `json:"compute_seconds"`
	Communication float64 `json:"communication_seconds"`
	Bubble        float64 `json:"bubble_seconds"`
	Stall         float64 `json:"stall_seconds"`
}

// ReportPath is the critical path, added up.
type ReportPath struct {
	Instructions int            `json:"instructions"`
	Parts        []ReportShare  `json:"parts"`
	Ranks        []ReportShare  `json:"ranks"`
	Excess       []ReportExcess `json:"longer_than_undisturbed,omitempty"`
}

// ReportShare is a part of the critical path.
type ReportShare struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
	Share   float64 `json:"share"`
}

// ReportExcess is what one rank and cause add to the critical path.
type ReportExcess struct {
	Rank    int     `json:"rank"`
	Node    int     `json:"node"`
	Cause   string  `json:"cause"`
	Seconds float64 `json:"seconds"`
}

// ReportWait is what others waited for one rank, summed over them.
type ReportWait struct {
	Rank    int     `json:"rank"`
	Node    int     `json:"node"`
	Stage   int     `json:"stage"`
	Cause   string  `json:"cause"`
	Seconds float64 `json:"seconds"`
	Times   int     `json:"times"`
}

// ReportStop is why a step never ended.
type ReportStop struct {
	Rank       int     `json:"rank"`
	Node       int     `json:"node"`
	Cause      string  `json:"cause"`
	At         float64 `json:"at_seconds"`
	Detected   float64 `json:"detected_seconds"`
	DetectedBy int     `json:"detected_by_rank"`
	Blocked    int     `json:"blocked_ranks"`
}

// ReportCost is what one disturbance costs alone.
type ReportCost struct {
	Name    string      `json:"name"`
	Seconds float64     `json:"extra_seconds"`
	Stopped *ReportStop `json:"stopped,omitempty"`
}

// reported is how many ranks of a list a Report holds.
const reported = 16

// Report adds the run up.
func (run *Run) Report() *Report {
	out := &Report{StepSeconds: run.Wall.Seconds(), Ranks: run.Program.Ranks, Imbalance: run.Imbalance, Stopped: run.Stopped.report()}
	for _, s := range run.Stages() {
		out.Stages = append(out.Stages, ReportStage{s.Stage, s.Compute, s.Communication, s.Bubble, s.Stall})
	}
	for _, c := range run.Culprits[:min(reported, len(run.Culprits))] {
		out.WaitedFor = append(out.WaitedFor, ReportWait{c.Rank, c.Node, run.Program.Stage(c.Rank), c.Cause.String(), c.Total.Seconds(), c.Times})
	}
	if p := run.CriticalPath(); p != nil {
		out.CriticalPath = p.report(run.Wall)
	}
	return out
}

func (p *Path) report(wall Time) *ReportPath {
	shares := func(list []Share) (out []ReportShare) {
		for _, s := range list[:min(reported, len(list))] {
			out = append(out, ReportShare{s.Name, s.Time.Seconds(), s.Time.Seconds() / max(1e-12, wall.Seconds())})
		}
		return out
	}
	out := &ReportPath{Instructions: len(p.Segments), Parts: shares(p.Parts), Ranks: shares(p.Ranks)}
	for _, x := range p.Excess[:min(reported, len(p.Excess))] {
		out.Excess = append(out.Excess, ReportExcess{x.Rank, x.Node, x.Cause.String(), x.Time.Seconds()})
	}
	return out
}

func (s *Stop) report() *ReportStop {
	if s == nil {
		return nil
	}
	return &ReportStop{s.Rank, s.Node, s.Cause, s.At.Seconds(), s.Detected.Seconds(), s.DetectedBy, s.Blocked}
}

// Report is the disturbed run's, with what each disturbance costs.
func (c *Comparison) Report() *Report {
	out := c.Disturbed.Report()
	out.Undisturbed = c.Plain.Wall.Seconds()
	for _, x := range c.Costs {
		out.Disturbances = append(out.Disturbances, ReportCost{x.Name, x.Extra.Seconds(), x.Stopped.report()})
	}
	return out
}
