package verify

import (
	"strings"

	"github.com/temper-ml/temper/report/record"
)

// evaluation compares the counts of an evaluation with those before it in its
// stage: the same questions are asked each time.
func (a *arithmetic) evaluation(e *record.Entry, b *record.Evaluation) {
	if h := b.HeldOut; h != nil {
		pairs := a.stage.entry != nil && a.stage.entry.Method == "dpo" // some of their losses fall below 0
		if !finite(h.Loss) || h.Loss < 0 && !pairs || h.Tokens < 1 {
			a.evaluations.fail(e.Index, "entry %d: a loss of %v over %d tokens", e.Index, h.Loss, h.Tokens)
		}
	}
	for name, m := range b.Metrics {
		if bad := unsound(m); bad != "" {
			a.evaluations.fail(e.Index, "entry %d: %.40q %s", e.Index, name, bad)
		}
	}
	if s := a.stage.entry; s != nil && s.Round > 0 && (b.HeldOut != nil || answered(b)) != (s.HeldOut > 0) {
		a.evaluations.fail(e.Index, "entry %d: held-out questions answered: %v; the stage has %d of them", e.Index, answered(b), s.HeldOut)
	} else if s != nil && s.Round == 0 && (b.HeldOut != nil) != (s.HeldOut > 0) {
		a.evaluations.fail(e.Index, "entry %d: a loss on held-out rows given: %v; the stage has %d such rows", e.Index, b.HeldOut != nil, a.stage.entry.HeldOut)
	}
	all := a.log.Evaluations
	if len(all) < 2 || all[len(all)-2].Stage != b.Stage {
		return
	}
	before := &all[len(all)-2]
	if b.HeldOut != nil && before.HeldOut != nil && b.HeldOut.Tokens != before.HeldOut.Tokens {
		a.evaluations.fail(e.Index, "entry %d: held-out loss of %d tokens, entry %d of the same stage has %d", e.Index, b.HeldOut.Tokens, before.Index, before.HeldOut.Tokens)
	}
	if len(b.Suites) != len(before.Suites) {
		a.evaluations.fail(e.Index, "entry %d: %d suites, entry %d of the same stage has %d", e.Index, len(b.Suites), before.Index, len(before.Suites))
	}
	for name, s := range b.Suites {
		if t := before.Suites[name]; s.Kind != t.Kind {
			a.evaluations.fail(e.Index, "entry %d: suite %.40q is of kind %.40q, entry %d of the same stage has %.40q", e.Index, name, s.Kind, before.Index, t.Kind)
		} else if s.Total != t.Total {
			a.evaluations.fail(e.Index, "entry %d: suite %.40q has %d questions, entry %d of the same stage has %d", e.Index, name, s.Total, before.Index, t.Total)
		}
	}
	if len(b.Metrics) != len(before.Metrics) {
		a.evaluations.fail(e.Index, "entry %d: %d metrics, entry %d of the same stage has %d", e.Index, len(b.Metrics), before.Index, len(before.Metrics))
	}
	for name, m := range b.Metrics {
		if n := before.Metrics[name].Count; m.Count != n {
			a.evaluations.fail(e.Index, "entry %d: %.40q is a mean over %d, entry %d of the same stage has one over %d", e.Index, name, m.Count, before.Index, n)
		}
	}
}

// heldOut is how the names of metrics begin that are of held-out questions.
const heldOut = "held_out/"

// answered reports whether an evaluation has what came of held-out questions.
func answered(b *record.Evaluation) bool {
	for name := range b.Metrics {
		if strings.HasPrefix(name, heldOut) {
			return true
		}
	}
	return false
}

// unsound says what no mean over anything can be.
func unsound(m record.Metric) string {
	switch i := m.Interval; {
	case !finite(m.Value) || m.Count < 1:
		return "is " + float(m.Value) + ", a mean over " + integer(m.Count)
	case len(i) == 2 && !(i[0] <= m.Value && m.Value <= i[1]):
		return "is " + float(m.Value) + ", outside its interval from " + float(i[0]) + " to " + float(i[1])
	}
	return ""
}

// settleEvaluations refuses a run that left out what its recipe asks for: a
// measurement before the first step, every so many steps, and after the last.
func (a *arithmetic) settleEvaluations() {
	have := map[Position]bool{}
	for i := range a.log.Evaluations {
		have[a.log.Evaluations[i].Position()] = true
	}
	var due int64
	for i := range a.log.Stages {
		s := &a.log.Stages[i]
		if a.text == nil || i >= len(a.text.Stages) || s.HeldOut == 0 && len(a.text.Stages[i].Eval.Suites) == 0 {
			continue
		}
		every, taken := a.text.Stages[i].Eval.Every, a.log.Taken(i)
		for _, p := range dueAt(every, taken, s.Steps) {
			due++
			if !have[Position{i, p}] && (a.log.End != nil || p < taken) {
				a.evaluations.fail(s.Index, "stage %d has no evaluation after %d steps; the recipe asks for one", i, p)
			}
		}
	}
	a.evaluations.saw("%d evaluations, at all %d places where the recipe asks for one, of the same rows and questions throughout a stage", len(have), due)
}

// dueAt lists the numbers of steps after which a stage of which so many are
// taken is measured.
func dueAt(every, taken, steps int64) []int64 {
	due := []int64{0}
	if every > 0 {
		for p := every; p <= taken && p < steps; p += every {
			due = append(due, p)
		}
	}
	if taken == steps && steps > 0 {
		due = append(due, steps)
	}
	return due
}
