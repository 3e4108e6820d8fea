package campaign

import (
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/temper-ml/temper/cluster/campaign/goodput"
	"github.com/temper-ml/temper/cluster/costmodel"
)

// DaysResult is what days of one training step, again and again, come to.
type DaysResult struct {
	Days        float64 `json:"days"` // of wall time
	StepSeconds float64 `json:"step_seconds"`
	Steps       float64 `json:"steps"` // that are done in that time, mean
	Tokens      float64 `json:"tokens"`
	PerDay      float64 `json:"tokens_per_day"`
	DeviceHours float64 `json:"device_hours"` // spares included

	Policy        string         `json:"policy"`
	Goodput       float64        `json:"goodput"`
	GoodputError  float64        `json:"goodput_standard_error"`
	ETTR          float64        `json:"ettr"`
	Interruptions Parts          `json:"interruptions"` // by cause
	EachDay       float64        `json:"interruptions_per_day"`
	Losses        Parts          `json:"losses_seconds"`
	Spares        int            `json:"spare_nodes"`
	Interval      float64        `json:"checkpoint_interval_seconds"`
	Checkpoint    Checkpoint     `json:"checkpoint"`
	Policies      []PolicyResult `json:"policies"`

	// Finish is when so much training is done as the days would hold if nothing
	// happened: seconds after the start, by failures and by how far off the
	// predicted step time may be; FinishFailures is by failures alone.
	Finish         Finish  `json:"finish"`
	FinishFailures Finish  `json:"finish_failures"`
	Spread         float64 `json:"step_spread"`
	Trials         int     `json:"trials"`
}

// Days plays days of wall time of the step, under the named policy (restart when
// empty), with the failures, storage and state of the model and cluster.
func Days(m *costmodel.Model, step *costmodel.Step, days float64, policy string) (*DaysResult, error) {
	if m == nil || step == nil || !(step.Seconds > 0) {
		return nil, fmt.Errorf("campaign: no model or no step to repeat")
	}
	if !(days > 0 && days <= 36500) {
		return nil, fmt.Errorf("campaign: days is %v, must lie in (0, 36500]: nearest legal value %v", days, min(max(days, 1), 36500))
	}
	p, err := PolicyOf(fallbackText(policy, "restart"), m.Cluster)
	if err != nil {
		return nil, err
	}
	one := StepOf(step)
	s := &Setting{Model: m.Arch, Cluster: m.Cluster, Devices: step.Devices, Muon: m.Workload.Optimizer == "muon", Policy: p}
	s.Policy = s.shrinking(p, one.Replica)
	r := s.Run(days * 86400)
	out := &DaysResult{Days: days, StepSeconds: step.Seconds, Policy: p.Name, Spread: one.sigma(), Trials: r.Trials}
	whole, err := r.Play() // of the same training
	if err != nil {
		return nil, err
	}
	if out.Checkpoint, err = s.intervals(r, whole); err != nil {
		return nil, err
	}
	if out.Policies, err = s.Policies(r.Work, one.Replica); err != nil {
		return nil, err
	}
	out.FinishFailures = Finish(whole.Finish)
	out.Finish = s.stretched(whole.Walls, out.Spread)
	r.Work, r.Horizon = 0, days*86400
	in, err := r.Play()
	if err != nil {
		return nil, err
	}
	out.fill(s, m, in)
	return out, nil
}

// fill reads what happened in the days.
func (d *DaysResult) fill(s *Setting, m *costmodel.Model, in *goodput.Result) {
	d.Steps = in.Useful / d.StepSeconds
	d.Tokens = d.Steps * m.Workload.Tokens()
	d.PerDay = d.Tokens / in.Wall * 86400
	d.DeviceHours = s.deviceHours(in.Wall, in.Spares)
	d.Goodput, d.GoodputError, d.ETTR, d.EachDay = in.Goodput, in.GoodputError, in.ETTR, in.PerDay
	d.Interruptions, d.Losses = parts(in.Interruptions), parts(in.Losses)
	d.Spares, d.Interval = in.Spares, in.Interval
}

// stretched spreads wall times by how far off the step may be.
func (s *Setting) stretched(walls []float64, sigma float64) Finish {
	draws := s.draws("training", len(walls))
	out := make([]float64, len(walls))
	for i, w := range walls {
		out[i] = w * math.Exp(sigma*draws[i])
	}
	return Finish(goodput.QuantilesOf(out))
}

// Explain writes the days for a person: what gets done, what failures take, and
// which way to recover is best.
func (d *DaysResult) Explain(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%g days: %s steps, %s tokens (%s a day), goodput %.1f %% (+- %.2f, %d trials), %s device-hours\n",
		d.Days, count(d.Steps), count(d.Tokens), count(d.PerDay), 100*d.Goodput, 100*d.GoodputError, d.Trials, count(d.DeviceHours))
	fmt.Fprintf(&b, "What they would hold undisturbed is done after %s, one time in ten within %s, nine in ten within %s (failures alone: %s to %s; the step's time may be off by %.0f %%)\n",
		span(d.Finish.P50), span(d.Finish.P10), span(d.Finish.P90), span(d.FinishFailures.P10), span(d.FinishFailures.P90), 100*d.Spread)
	explainFailures(&b, d.Policy, d.Days*86400, d.ETTR, d.Interruptions, d.Losses, &d.Checkpoint)
	explainPolicies(&b, d.Policies, d.Policy)
	_, err := io.WriteString(w, b.String())
	return err
}
