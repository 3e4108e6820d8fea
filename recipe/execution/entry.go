package execution

import (
	"math"

	"github.com/temper-ml/temper/posttrain/preference"
	"github.com/temper-ml/temper/recipe"
	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/train"
)

// convention names how a step's operations are counted: forward and backward,
// by what is really attended, without recomputation and optimizer.
const convention = "temper"

// nonFinite is a fault, and the reason why a step changed nothing.
const nonFinite = "non-finite"

// StepEntry is what the record says of a step, without what depends on the
// machine: Time, MFU and Memory. Whoever takes the step again has the same entry.
func StepEntry(stage int, r *train.Result) *record.Step {
	e := &record.Step{
		Stage: stage, Step: r.Step, Examples: r.Counts.Segments, Tokens: r.Counts.Tokens, Supervised: r.Counts.Supervised,
		Batch: record.Digest(r.Digests.Batch.String()), Losses: map[string]float64{}, GradNorm: r.GradNorm, LR: r.LR,
		Bias: record.Digest(r.Digests.Bias.String()), Parameters: record.Digest(r.Digests.Parameters.String()),
		Optimizer: record.Digest(r.Digests.Optimizer.String()), FLOPs: r.FLOPs, Convention: convention,
	}
	if r.Skipped {
		e.Skipped = nonFinite
	}
	for name, v := range map[string]float64{"lm": r.LM, "mtp": r.MTP, "balance": r.Balance, "indexer": r.Indexer} {
		if v != 0 { // 0: no such part, or the step ended before it was known
			e.Losses[name] = v
		}
	}
	for name, v := range r.Terms {
		if !r.Skipped {
			e.Losses[name] = v
		}
	}
	if table := Routed(r.Load); len(table) > 0 {
		e.Load = record.NewLoad(table)
	}
	return e
}

// Routed are the blocks of a load table that have experts.
func Routed(load [][]int64) [][]int64 {
	var table [][]int64
	for _, counts := range load {
		if len(counts) > 0 {
			table = append(table, counts)
		}
	}
	return table
}

// MeasuredStepEntry is StepEntry with what this machine had to do with the step;
// peak is the FLOP/s of its devices.
func MeasuredStepEntry(stage int, r *train.Result, peak float64) *record.Step {
	e := StepEntry(stage, r)
	e.Time = splitOf(&r.Time)
	if wall := r.Time.Total.Seconds(); wall > 0 && peak > 0 {
		if mfu := e.FLOPs / float64(peak*wall); !math.IsInf(mfu, 0) {
			e.MFU = mfu
		}
	}
	e.Memory = peakMemory()
	return e
}

// splitOf is a step's time as the record divides it.
func splitOf(t *train.Times) record.Split {
	s := record.Split{Wall: int64(t.Total), Data: int64(t.Data), Model: int64(t.Model), Optimizer: int64(t.Optimizer)}
	s.Other = s.Wall - s.Data - s.Model - s.Optimizer // adding gradients, digests, and what is between
	return s
}

// EvaluationEntry is what the record says of a measurement.
func EvaluationEntry(m *Measured) *record.Evaluation {
	e := &record.Evaluation{Stage: m.Stage, Step: m.Step, Took: int64(m.Took)}
	if m.Loss != nil {
		e.HeldOut = &record.HeldOut{Loss: m.Loss.Mean, Tokens: m.Loss.Tokens}
	}
	if len(m.Suites) > 0 || m.Pairs != nil {
		e.Suites = map[string]record.Score{}
	}
	if p := m.Pairs; p != nil {
		e.HeldOut = &record.HeldOut{Loss: p.Loss, Tokens: p.Tokens}
		kind := "preference/reward"
		if p.Answers {
			kind = "preference/judgement"
		}
		e.Suites[recipe.PreferenceSuite] = record.Score{Kind: kind, Right: p.Right, Total: p.Pairs}
	}
	for name, a := range m.Suites {
		e.Suites[name] = score(a)
	}
	for name, m := range m.Metrics {
		if e.Metrics == nil {
			e.Metrics = map[string]record.Metric{}
		}
		x := record.Metric{Value: m.Value, Count: m.Count}
		if m.Interval != nil {
			x.Interval = m.Interval[:]
		}
		e.Metrics[name] = x
	}
	return e
}

func score(a Counted) record.Score {
	return record.Score{Kind: a.Kind, Right: int64(a.Right), Total: int64(a.Total)}
}

// Table adds up tokens routed, by block and expert.
type Table [][]int64

// Add adds a table of the same shape.
func (t *Table) Add(table [][]int64) {
	if *t == nil && len(table) > 0 {
		*t = make(Table, len(table))
		for i := range table {
			(*t)[i] = make([]int64, len(table[i]))
		}
	}
	for i, counts := range table {
		for j, n := range counts {
			(*t)[i][j] += n
		}
	}
}

// since is what happened in a stage's steps since it was last recorded.
type since struct {
	from   int64
	counts Table
	split  record.Split
}

// add takes a step.
func (s *since) add(e *record.Step, table [][]int64) {
	s.counts.Add(table)
	s.split.Wall += e.Time.Wall
	s.split.Data += e.Time.Data
	s.split.Model += e.Time.Model
	s.split.Optimizer += e.Time.Optimizer
	s.split.Other += e.Time.Other
}

// entries are the sums up to step to; the next begin there.
func (s *since) entries(stage int, to int64) []record.Body {
	if to <= s.from {
		return nil
	}
	var out []record.Body
	if s.counts != nil {
		out = append(out, &record.Routing{Stage: stage, From: s.from, To: to, Counts: s.counts})
	}
	out = append(out, &record.Times{Stage: stage, From: s.from, To: to, Ranks: []record.RankTime{{Rank: 0, Split: s.split}}})
	*s = since{from: to}
	return out
}

// minimised is the loss of a step that its stage minimises.
func minimised(losses map[string]float64) float64 {
	for _, name := range []string{preference.LossTerm, train.DivergenceTerm} {
		if v, ok := losses[name]; ok {
			return v
		}
	}
	return losses["lm"]
}
