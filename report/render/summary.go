package render

import (
	"encoding/json"
	"io"
	"math"
	"time"
)

// Summary is a run in numbers. Fields that a record does not tell are absent
// from the JSON, as are numbers that are not finite.
type Summary struct {
	Run string `json:"run"`
	// State is "complete", "failed", or "open" for a run without an end: it is
	// going on or was interrupted.
	State string `json:"state"`
	// Started and Last are the first and the last moment on record, milliseconds
	// since the epoch.
	Started int64  `json:"started,omitempty"`
	Last    int64  `json:"last,omitempty"`
	Weights string `json:"weights,omitempty"`
	Ranks   int64  `json:"ranks,omitempty"`
	// Parameters are all of the model, Active those that a token meets.
	Parameters int64 `json:"parameters,omitempty"`
	Active     int64 `json:"active,omitempty"`

	Steps           int64    `json:"steps"`
	Skipped         int64    `json:"skipped_steps"`
	Examples        int64    `json:"examples"`
	Tokens          int64    `json:"tokens"`
	Supervised      int64    `json:"supervised"`
	StepSeconds     float64  `json:"step_seconds"`
	TokensPerSecond *float64 `json:"tokens_per_second,omitempty"`
	// MFU is by convention, of Peak operations per second.
	MFU       map[string]float64 `json:"mfu"`
	FLOPs     map[string]float64 `json:"flops"`
	Peak      float64            `json:"peak,omitempty"`
	PeakBasis string             `json:"peak_basis,omitempty"`
	Memory    int64              `json:"memory_bytes,omitempty"`
	Energy    *float64           `json:"energy_joules,omitempty"`

	Stages []StageSummary `json:"stages"`

	// Seconds is where the time from Started to Last went, Useful the share in
	// steps that stand and in generating for them.
	Seconds map[string]float64 `json:"seconds"`
	Useful  *float64           `json:"useful,omitempty"`
	// Again are steps that were taken again.
	Faults          int64 `json:"faults"`
	Recoveries      int64 `json:"recoveries"`
	Again           int64 `json:"steps_taken_again"`
	Pauses          int64 `json:"pauses"`
	Checkpoints     int64 `json:"checkpoints"`
	CheckpointBytes int64 `json:"checkpoint_bytes"`

	Verification Verification `json:"verification"`
}

// StageSummary is a stage in numbers.
type StageSummary struct {
	Name    string  `json:"name"`
	Method  string  `json:"method"`
	Steps   int64   `json:"steps"`
	Planned int64   `json:"planned_steps"`
	Tokens  int64   `json:"tokens"`
	Seconds float64 `json:"step_seconds"`
	// LossFirst and LossLast are of the language model, or of the first loss on
	// record, in the first and the last step.
	LossFirst *float64  `json:"loss_first,omitempty"`
	LossLast  *float64  `json:"loss_last,omitempty"`
	Measures  []Measure `json:"measures"`
}

// Measure is an evaluation before and after.
type Measure struct {
	Name string `json:"name"`
	// First is the first value at FirstStep steps of the stage, Last the last.
	First     *float64 `json:"first,omitempty"`
	FirstStep int64    `json:"first_step"`
	Last      *float64 `json:"last,omitempty"`
	LastStep  int64    `json:"last_step"`
}

// Verification is what is known of a run's verification: "pass", "fail",
// "incomplete" or "none".
type Verification struct {
	Result string  `json:"result"`
	Text   string  `json:"text"`
	Checks []Check `json:"checks"`
}

// finite is a pointer to x, nil when JSON has no such number.
func finite(x float64) *float64 {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return nil
	}
	return &x
}

// JSON writes the summaries of runs as one array.
func JSON(w io.Writer, runs ...*Run) error {
	all := []*Summary{}
	for _, r := range runs {
		all = append(all, r.Summary())
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(all)
}

// Summary adds a run up.
func (r *Run) Summary() *Summary { return r.summary(r.goodputOf(r.Spans())) }

func (r *Run) summary(g Goodput) *Summary {
	s := &Summary{
		Run: r.Name, State: "open", Ranks: r.Ranks, Parameters: r.Total, Active: r.Active, Steps: int64(len(r.Steps)), Again: int64(len(r.Again)),
		MFU: map[string]float64{}, FLOPs: map[string]float64{}, Peak: r.Peak, PeakBasis: r.PeakBasis, Seconds: map[string]float64{}, Recoveries: g.Recoveries,
		Verification: Verification{Result: "none", Text: noVerdict, Checks: []Check{}},
	}
	if v := r.Verdict; v != nil {
		s.Verification = Verification{v.Result, v.Text, append([]Check{}, v.Checks...)}
	}
	s.addSteps(r)
	s.addEvents(r)
	s.Started, s.Last = r.ends()
	for kind, d := range g.By {
		s.Seconds[kind] = d.Seconds()
	}
	if g.Wall > 0 {
		s.Useful = finite(g.Useful())
	}
	s.Stages = r.stageSummaries()
	return s
}

// addSteps adds the steps that stand.
func (s *Summary) addSteps(r *Run) {
	var wall time.Duration
	energy, measured := 0.0, false
	for i := range r.Steps {
		st := &r.Steps[i]
		s.Examples, s.Tokens, s.Supervised = s.Examples+st.Examples, s.Tokens+st.Tokens, s.Supervised+st.Supervised
		wall += st.Wall
		s.Memory = max(s.Memory, st.Memory)
		if st.Skipped {
			s.Skipped++
		}
		if st.Energy != nil {
			energy += *st.Energy
			measured = true
		}
	}
	if measured {
		s.Energy = finite(energy)
	}
	s.StepSeconds = wall.Seconds()
	if wall > 0 {
		s.TokensPerSecond = finite(float64(s.Tokens) / wall.Seconds())
	}
	for c, by := range r.Conventions {
		if f := finite(r.flops(c)); f != nil && *f > 0 {
			s.FLOPs[by.Name] = *f
		}
		if m := finite(r.mean(c)); m != nil {
			s.MFU[by.Name] = *m
		}
	}
}

func (s *Summary) addEvents(r *Run) {
	for i := range r.Events {
		switch e := &r.Events[i]; e.Kind {
		case Fault:
			s.Faults++
		case Pause:
			s.Pauses++
		case Checkpoint:
			s.Checkpoints++
			s.CheckpointBytes += e.Bytes
		case End:
			s.State, s.Weights = e.Status, e.Weights
			if s.State == "" {
				s.State = "complete"
			}
		}
	}
}

// ends are the first and the last moment on record, 0 without times.
func (r *Run) ends() (first, last int64) {
	see := func(at int64) {
		if at > 0 {
			if first == 0 || at < first {
				first = at
			}
			last = max(last, at)
		}
	}
	see(r.Started)
	for i := range r.Events {
		see(r.Events[i].Time)
	}
	if n := len(r.Steps); n > 0 { // their times do not go back
		see(r.Steps[0].Time)
		see(r.Steps[n-1].Time)
	}
	if n := len(r.Again); n > 0 {
		see(r.Again[n-1].Time)
	}
	return first, last
}

// flops are the operations of all steps under convention c, NaN where one step
// does not tell them.
func (r *Run) flops(c int) float64 {
	var sum float64
	for i := range r.Steps {
		if s := &r.Steps[i]; c < len(s.FLOPs) {
			sum += s.FLOPs[c]
		} else {
			return math.NaN()
		}
	}
	return sum
}

// stageSummaries are the stages with what was taken and measured of each.
func (r *Run) stageSummaries() []StageSummary {
	out := make([]StageSummary, len(r.Stages))
	for i := range out {
		st := &r.Stages[i]
		out[i] = StageSummary{Name: r.stageName(i), Method: st.Method, Planned: st.Steps, Measures: []Measure{}}
	}
	of := func(stage int) *StageSummary {
		if stage < 0 || stage >= len(out) {
			return &StageSummary{}
		}
		return &out[stage]
	}
	for i := range r.Steps {
		s := &r.Steps[i]
		o := of(s.Stage)
		loss := s.Loss()
		if o.Steps == 0 {
			o.LossFirst = finite(loss)
		}
		o.LossLast = finite(loss)
		o.Steps++
		o.Tokens += s.Tokens
		o.Seconds += s.Wall.Seconds()
	}
	for i := range r.Events {
		e := &r.Events[i]
		if e.Kind != Evaluation {
			continue
		}
		o := of(e.Stage)
		for _, v := range e.Values {
			o.measured(v, e.Steps)
		}
	}
	return out
}

func (o *StageSummary) measured(v Value, step int64) {
	for i := range o.Measures {
		if m := &o.Measures[i]; m.Name == v.Name {
			m.Last, m.LastStep = finite(v.Value), step
			return
		}
	}
	if len(o.Measures) == mostNames {
		return
	}
	o.Measures = append(o.Measures, Measure{v.Name, finite(v.Value), step, finite(v.Value), step})
}

// objectives are the names of the losses of stages that minimise something else than
// the language model's, "lm": a function of answers, and the divergence from teachers.
var objectives = []string{"loss", "divergence"}

// objective is what the step minimises in place of the language model's loss, NaN if
// nothing.
func (s *Step) objective() float64 {
	for _, name := range objectives {
		if v := find(s.Losses, name); !math.IsNaN(v) {
			return v
		}
	}
	return math.NaN()
}

// Loss is what the step's stage minimises: its objective, or the language-model loss;
// or the first loss on record, NaN without any.
func (s *Step) Loss() float64 {
	for _, v := range []float64{s.objective(), find(s.Losses, "lm")} {
		if !math.IsNaN(v) {
			return v
		}
	}
	if len(s.Losses) == 0 {
		return math.NaN()
	}
	return s.Losses[0].Value
}
