package execution

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Summary is a finished run in numbers. Its JSON names are stable.
type Summary struct {
	Run             string             `json:"run"`
	Steps           int64              `json:"steps"`
	Tokens          int64              `json:"tokens"`
	LossFirst       float64            `json:"loss_first"`
	LossLast        float64            `json:"loss_last"`
	TokensPerSecond float64            `json:"tokens_per_second"`
	MFU             float64            `json:"mfu"`
	WallSeconds     float64            `json:"wall_seconds"`
	WeightsDigest   string             `json:"weights_digest"`
	Stages          []StageSummary     `json:"stages"`
	Eval            map[string]float64 `json:"eval"`

	measuredAt map[int]int64 // step of each stage's last measurement

	busy  float64 // seconds inside steps
	flops float64 // model operations in them
}

// StageSummary is a stage of a Summary.
type StageSummary struct {
	Name      string             `json:"name"`
	Steps     int64              `json:"steps"`
	LossFirst float64            `json:"loss_first"`
	LossLast  float64            `json:"loss_last"`
	Tokens    int64              `json:"tokens"`
	Seconds   float64            `json:"seconds"`
	Metrics   map[string]float64 `json:"metrics"`
	// Losses are those of all steps, for a plot.
	Losses []float64 `json:"-"`
}

// add takes an event into account.
func (s *Summary) add(e Event) {
	switch e := e.(type) {
	case StageBegan:
		for len(s.Stages) <= e.Stage {
			s.Stages = append(s.Stages, StageSummary{Metrics: map[string]float64{}})
		}
		s.Stages[e.Stage].Name = e.Name
	case Stepped:
		s.step(e)
	case Measured:
		s.measured(e)
	}
}

func (s *Summary) step(e Stepped) {
	st, r := &s.Stages[e.Stage], &e.Result
	if s.Steps == 0 {
		s.LossFirst = r.LM
	}
	if st.Steps == 0 {
		st.LossFirst = r.LM
	}
	if !r.Skipped {
		s.LossLast, st.LossLast = r.LM, r.LM
		st.Losses = append(st.Losses, r.LM)
	}
	s.Steps++
	st.Steps++
	s.Tokens += r.Counts.Tokens
	st.Tokens += r.Counts.Tokens
	s.busy += r.Time.Total.Seconds()
	st.Seconds += r.Time.Total.Seconds()
	s.flops += r.FLOPs
}

// measured keeps the first and the last value of each metric of a stage; the
// last of all is the run's.
func (s *Summary) measured(e Measured) {
	if s.measuredAt == nil {
		s.measuredAt = map[int]int64{}
	}
	s.measuredAt[e.Stage] = e.Step
	st := &s.Stages[e.Stage]
	put := func(name string, v float64) {
		if _, ok := st.Metrics[name+"_before"]; !ok && e.Step == 0 {
			st.Metrics[name+"_before"] = v
		}
		st.Metrics[name] = v
		if s.Eval == nil {
			s.Eval = map[string]float64{}
		}
		s.Eval[st.Name+"/"+name] = v
	}
	if e.Loss != nil {
		put("held_out_loss", e.Loss.Mean)
	}
	for name, a := range e.Suites {
		put(name, a.Value())
	}
}

// settle derives the rates. peak is the machine's measured FLOP/s; MFU counts
// model operations only, over the time spent in steps.
func (s *Summary) settle(peak float64) {
	if s.busy > 0 {
		s.TokensPerSecond = float64(s.Tokens) / s.busy
		s.MFU = s.flops / s.busy / peak
	}
}

// recall rebuilds the summary of the steps that a resumed run already took.
func (x *runner) recall() error {
	if err := x.log.Sync(); err != nil {
		return err
	}
	f, err := os.Open(filepath.Join(x.opts.Dir, logName))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	defer f.Close()
	if err := ReadLog(f, func(e Event) error { x.summary.add(e); return nil }); err != nil {
		return fmt.Errorf("%s: %w", f.Name(), err)
	}
	x.summary.WallSeconds = x.summary.busy
	return nil
}
