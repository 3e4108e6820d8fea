package attest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/temper-ml/temper/report/record"
)

// measure is one quantity that was evaluated in a stage, at its first evaluation
// and at its last; only the last where there was one.
type measure struct {
	stage, of, kind       string
	before, after         *float64
	beforeStep, afterStep int64
	n                     int64  // what it is a mean over
	unit                  string // of n
}

// Kinds of measures.
const (
	lossKind  = "loss, nats per supervised token"
	exactKind = "exact answers, fraction"
	meanKind  = "mean"
)

// measures lists what was evaluated, in the order of stages.
func (f *facts) measures() []measure {
	var ms []measure
	for i := range f.stages {
		s := &f.stages[i]
		if s.after == nil {
			continue
		}
		before := s.before
		if before.Step == s.after.Step {
			before = nil
		}
		ms = append(ms, s.measures(before)...)
	}
	return ms
}

// heldOut is how the names of metrics begin that are of what the stage holds out itself.
const heldOut = "held_out/"

// measures of a stage: what the last evaluation has, and what of that the first
// one had.
func (s *stage) measures(before *record.Evaluation) []measure {
	var ms []measure
	blank := measure{stage: s.Name, afterStep: s.after.Step}
	if before != nil {
		blank.beforeStep = before.Step
	}
	if h := s.after.HeldOut; h != nil {
		m := blank
		m.of, m.kind, m.after, m.n, m.unit = "held-out rows", lossKind, &h.Loss, h.Tokens, "tokens"
		if before != nil && before.HeldOut != nil {
			m.before = &before.HeldOut.Loss
		}
		ms = append(ms, m)
	}
	for _, name := range slices.Sorted(maps.Keys(s.after.Suites)) {
		m, score := blank, s.after.Suites[name]
		m.of, m.kind, m.after, m.n, m.unit = "suite "+name, kindOf(score), fraction(score), score.Total, "questions"
		if before != nil {
			if score, ok := before.Suites[name]; ok {
				m.before = fraction(score)
			}
		}
		ms = append(ms, m)
	}
	for _, name := range slices.Sorted(maps.Keys(s.after.Metrics)) {
		m, metric := blank, s.after.Metrics[name]
		m.of, m.kind, m.after, m.n, m.unit = "suite "+name, meanKind, &metric.Value, metric.Count, "values"
		if of, ok := strings.CutPrefix(name, heldOut); ok {
			m.of, m.kind = "held-out rows", meanKind+" "+of
		}
		if before != nil {
			if metric, ok := before.Metrics[name]; ok {
				m.before = &metric.Value
			}
		}
		ms = append(ms, m)
	}
	return ms
}

// kindOf says what a suite counts.
func kindOf(s record.Score) string {
	if s.Kind == "" {
		return exactKind
	}
	return s.Kind + ", fraction"
}

// fraction is the part of right answers, nil of no questions.
func fraction(s record.Score) *float64 {
	if s.Total == 0 {
		return nil
	}
	return new(float64(s.Right) / float64(s.Total))
}

// number is the shortest text of a value to six digits.
func number(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }

// config is what documents tell of a config.json.
type config struct {
	Type          string   `json:"model_type"`
	Architectures []string `json:"architectures"`
	Layers        int64    `json:"num_hidden_layers"`
	Hidden        int64    `json:"hidden_size"`
	Experts       int64    `json:"n_routed_experts"`
	Routed        int64    `json:"num_experts_per_tok"`
	Vocabulary    int64    `json:"vocab_size"`
	Positions     int64    `json:"max_position_embeddings"`
}

// config reads the architecture; what cannot be read is not told.
func (f *facts) config() config {
	var c config
	if err := json.Unmarshal([]byte(f.manifest.Architecture), &c); err != nil {
		return config{}
	}
	return c
}

// architecture returns the family and the class of the model, empty if unknown.
func (f *facts) architecture() (family, class string) {
	c := f.config()
	if len(c.Architectures) > 0 {
		class = c.Architectures[0]
	}
	return c.Type, class
}

// scheduleText says how the learning rate goes.
func scheduleText(s *stage) string {
	lr := &s.LR
	if lr.Kind == "" {
		return ""
	}
	text := lr.Kind + ", peak " + number(lr.Peak)
	if lr.Warmup > 0 {
		text += fmt.Sprintf(", warm-up %d steps", lr.Warmup)
	}
	if lr.Decay > 0 {
		text += fmt.Sprintf(", falls in the last %d steps", lr.Decay)
	}
	if lr.Kind != "constant" {
		text += ", final " + number(lr.Final)
	}
	return text
}

// limits says, in sentences, what is not known.
func (f *facts) limits() []string {
	list := []string{}
	if len(f.measures()) == 0 {
		list = append(list, "The run evaluated nothing: the record does not say how good the model is.")
	} else {
		list = append(list, "Nothing is known of the model's quality but the evaluations listed, on the data of the run's own choice.")
	}
	list = append(
		list, "Nothing was measured about false, harmful or biased output; the record does not say what the data contains, only which bytes it was.",
		"The record does not name a licence, neither of the model nor of its data.",
	)
	if f.energyText() == "unknown" {
		list = append(list, "The energy that training took is unknown: the machine did not tell it for every step.")
	}
	if f.faults+f.recoveries > 0 {
		list = append(list, fmt.Sprintf("Faults that the run saw: %d; recoveries: %d. Steps that were taken again stand in the record twice.", f.faults, f.recoveries))
	}
	return append(
		list, "Signatures fix what the signer said; that the numbers are right is for arithmetic and replay to show (`temper verify`).",
	)
}
