package execution

import (
	"fmt"

	"github.com/temper-ml/temper/report/record"
)

// Summary is a finished run in numbers, all of them from its record. Its JSON
// names are stable.
type Summary struct {
	Run             string  `json:"run"`
	Steps           int64   `json:"steps"`
	Tokens          int64   `json:"tokens"`
	LossFirst       float64 `json:"loss_first"`
	LossLast        float64 `json:"loss_last"`
	TokensPerSecond float64 `json:"tokens_per_second"`
	MFU             float64 `json:"mfu"`
	WallSeconds     float64 `json:"wall_seconds"`
	// WeightsDigest is that of the final parameters, as the record has it.
	WeightsDigest string `json:"weights_digest"`
	// Signer is the verifier key of the record.
	Signer string             `json:"signer"`
	Stages []StageSummary     `json:"stages"`
	Eval   map[string]float64 `json:"eval"`
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
	// Rollouts are the rounds of a stage that learns from the model's own answers.
	Rollouts *RolloutSummary `json:"rollouts,omitempty"`
	// Losses are those of all steps, for a plot.
	Losses []float64 `json:"-"`
}

// RolloutSummary are all rounds of a stage. Seconds are those that the run waited for
// them, which are in no step.
type RolloutSummary struct {
	Rounds      int64   `json:"rounds"`
	Prompts     int64   `json:"prompts"`
	Generations int64   `json:"generations"`
	Tokens      int64   `json:"tokens"`
	Seconds     float64 `json:"seconds"`
	// Judged says that rules judged the answers, which have rewards then.
	Judged      bool    `json:"judged"`
	RewardFirst float64 `json:"reward_first"`
	RewardLast  float64 `json:"reward_last"`
	// Rewards are those of all rounds, for a plot.
	Rewards []float64 `json:"-"`
}

// add takes the next round.
func (s *RolloutSummary) add(r *record.Rollout) {
	if s.Rounds == 0 {
		s.RewardFirst = r.Reward
	}
	s.Judged = s.Judged || len(r.Rules) > 0
	s.RewardLast = r.Reward
	s.Rewards = append(s.Rewards, r.Reward)
	s.Rounds++
	s.Prompts += r.Prompts
	s.Generations += r.Generations
	s.Tokens += r.Tokens
	s.Seconds += float64(r.Took) / 1e9
}

// Summarize sums up the run in a directory, finished or not.
func Summarize(dir string) (*Summary, error) {
	m, s, err := read(dir)
	if err != nil {
		return nil, err
	}
	return s.summary(dir, m.Signer), nil
}

// summary sums up what stands. Rates are over the time spent in steps.
func (s *standing) summary(dir, signer string) *Summary {
	sum := &Summary{Run: dir, Signer: signer, WallSeconds: float64(s.wall) / 1e3}
	for i := range s.stages {
		sum.Stages = append(sum.Stages, StageSummary{Name: s.stages[i].Name, Metrics: map[string]float64{}})
	}
	busy, flops := 0.0, 0.0
	for i := range s.steps {
		t := &s.steps[i]
		sum.step(t)
		busy += float64(t.wall) / 1e9
		flops += t.flops
	}
	for _, r := range s.rollouts {
		st := &sum.Stages[r.Stage]
		if st.Rollouts == nil {
			st.Rollouts = &RolloutSummary{}
		}
		st.Rollouts.add(r)
	}
	for _, e := range s.evaluations {
		sum.measured(e)
	}
	if s.end != nil {
		sum.WeightsDigest = string(s.end.Weights)
	}
	if busy > 0 {
		sum.TokensPerSecond = float64(sum.Tokens) / busy
		if s.peak > 0 {
			sum.MFU = flops / busy / s.peak
		}
	}
	return sum
}

func (s *Summary) step(t *takenStep) {
	st := &s.Stages[t.stage]
	if s.Steps == 0 {
		s.LossFirst = t.loss
	}
	if st.Steps == 0 {
		st.LossFirst = t.loss
	}
	if !t.skipped {
		s.LossLast, st.LossLast = t.loss, t.loss
		st.Losses = append(st.Losses, t.loss)
	}
	s.Steps++
	st.Steps++
	s.Tokens += t.tokens
	st.Tokens += t.tokens
	st.Seconds += float64(t.wall) / 1e9
}

// measured keeps the first and the last value of each metric of a stage; the
// last of all is the run's.
func (s *Summary) measured(e *record.Evaluation) {
	if e.Stage >= len(s.Stages) {
		return
	}
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
	if e.HeldOut != nil {
		put("held_out_loss", e.HeldOut.Loss)
	}
	for name, a := range e.Suites {
		if a.Total > 0 {
			put(name, float64(a.Right)/float64(a.Total))
		}
	}
	for name, m := range e.Metrics {
		put(name, m.Value)
	}
}

// totals are those of the steps that stand.
func (s *standing) totals(e *record.End) {
	e.Steps = int64(len(s.steps))
	for i := range s.steps {
		e.Examples += s.steps[i].examples
		e.Tokens += s.steps[i].tokens
		e.Supervised += s.steps[i].supervised
	}
}

// missing refuses to continue at a position that the record does not reach.
func (s *standing) missing(at position, path string) error {
	if n := s.next(); len(s.steps) == 0 && at.step > 0 || len(s.steps) > 0 && n.before(at) {
		return fmt.Errorf("run: %s is of %d steps of stage %d, but the record ends after %d of stage %d: its last entries are lost, and no step may be missing from it; remove newer checkpoints to continue from an older one",
			path, at.step, at.stage, n.step, n.stage)
	}
	return nil
}
