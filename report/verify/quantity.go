package verify

import (
	"maps"
	"slices"
	"strconv"

	"github.com/temper-ml/temper/report/record"
)

// quantity is one thing that is on record and was computed again; the texts are
// equal exactly if the values are, bit for bit.
type quantity struct{ name, recorded, computed string }

// lossOrder is the order in which a step has the parts of its loss.
var lossOrder = []string{"lm", "mtp", "balance", "indexer"}

// quantities lists what a step computes in the order in which it does: the
// first that differs is nearest to the cause. Times, utilization, memory,
// energy, and load by rank are the machine's own.
func quantities(said, got *record.Step) []quantity {
	qs := []quantity{
		{"examples", integer(said.Examples), integer(got.Examples)},
		{"tokens", integer(said.Tokens), integer(got.Tokens)},
		{"supervised", integer(said.Supervised), integer(got.Supervised)},
		{"batch", string(said.Batch), string(got.Batch)},
	}
	names := slices.Clone(lossOrder)
	for _, losses := range []map[string]float64{said.Losses, got.Losses} {
		for _, name := range slices.Sorted(maps.Keys(losses)) {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	for _, name := range names {
		qs = append(qs, quantity{"losses." + name, entryOf(said.Losses, name), entryOf(got.Losses, name)})
	}
	a, b := loadOf(said), loadOf(got)
	qs = append(
		qs, quantity{"load.table", string(a.Table), string(b.Table)}, quantity{"load.max", float(a.Max), float(b.Max)},
		quantity{"load.block", integer(int64(a.Block)), integer(int64(b.Block))}, quantity{"load.mean", float(a.Mean), float(b.Mean)},
		quantity{"grad_norm", float(said.GradNorm), float(got.GradNorm)}, quantity{"lr", float(said.LR), float(got.LR)},
		quantity{"skipped", strconv.Quote(said.Skipped), strconv.Quote(got.Skipped)},
	)
	qs = append(qs, digestsOf("bias", said.Bias, got.Bias, "parameters", said.Parameters, got.Parameters, "optimizer", said.Optimizer, got.Optimizer)...)
	return append(qs, quantity{"flops", float(said.FLOPs), float(got.FLOPs)})
}

// answers lists what a round comes to. Where nothing is said of what its steps learn
// that is not compared.
func answers(said, got *record.Rollout) []quantity {
	qs := digestsOf("rollout.policy", said.Policy, got.Policy)
	for _, f := range []struct {
		name      string
		said, got int64
	}{
		{"first", said.First, got.First},
		{"prompts", said.Prompts, got.Prompts},
		{"generations", said.Generations, got.Generations},
		{"tokens", said.Tokens, got.Tokens},
		{"longest", said.Longest, got.Longest},
		{"truncated", said.Truncated, got.Truncated},
		{"failed", said.Failed, got.Failed},
		{"trained", said.Trained, got.Trained},
	} {
		if f.name != "trained" || f.got != 0 {
			qs = append(qs, quantity{"rollout." + f.name, integer(f.said), integer(f.got)})
		}
	}
	qs = append(qs, quantity{"rollout.reward", float(said.Reward), float(got.Reward)})
	names := slices.Sorted(maps.Keys(said.Rules))
	for _, name := range slices.Sorted(maps.Keys(got.Rules)) {
		if _, ok := said.Rules[name]; !ok {
			names = append(names, name)
		}
	}
	for _, name := range names {
		qs = append(qs, quantity{"rollout.rules." + name, entryOf(said.Rules, name), entryOf(got.Rules, name)})
	}
	return append(qs, digestsOf("rollout.batch", said.Batch, got.Batch)...)
}

// scores lists what an evaluation computes.
func scores(said, got *record.Evaluation) []quantity {
	var qs []quantity
	if said.HeldOut != nil || got.HeldOut != nil {
		var a, b record.HeldOut
		if said.HeldOut != nil {
			a = *said.HeldOut
		}
		if got.HeldOut != nil {
			b = *got.HeldOut
		}
		qs = append(qs, quantity{"evaluation.held_out.tokens", integer(a.Tokens), integer(b.Tokens)}, quantity{"evaluation.held_out.loss", float(a.Loss), float(b.Loss)})
	}
	names := slices.Sorted(maps.Keys(said.Suites))
	for _, name := range slices.Sorted(maps.Keys(got.Suites)) {
		if _, ok := said.Suites[name]; !ok {
			names = append(names, name)
		}
	}
	for _, name := range names {
		a, b := said.Suites[name], got.Suites[name]
		qs = append(qs, quantity{"evaluation.suites." + name, a.Kind + " " + integer(a.Right) + "/" + integer(a.Total), b.Kind + " " + integer(b.Right) + "/" + integer(b.Total)})
	}
	names = slices.Sorted(maps.Keys(said.Metrics))
	for _, name := range slices.Sorted(maps.Keys(got.Metrics)) {
		if _, ok := said.Metrics[name]; !ok {
			names = append(names, name)
		}
	}
	for _, name := range names {
		qs = append(qs, quantity{"evaluation.metrics." + name, metricOf(said.Metrics, name), metricOf(got.Metrics, name)})
	}
	return qs
}

// metricOf is a metric as text, its interval included.
func metricOf(ms map[string]record.Metric, name string) string {
	m, ok := ms[name]
	if !ok {
		return "none"
	}
	text := float(m.Value) + " over " + integer(m.Count)
	for _, end := range m.Interval {
		text += " | " + float(end)
	}
	return text
}

// digestsOf pairs digests on record with those computed; one that is not on
// record says nothing, one that is must be computed.
func digestsOf(triples ...any) []quantity {
	var qs []quantity
	for i := 0; i < len(triples); i += 3 {
		said, got := triples[i+1].(record.Digest), triples[i+2].(record.Digest)
		if said == "" {
			got = ""
		}
		qs = append(qs, quantity{triples[i].(string), string(said), string(got)})
	}
	return qs
}

func integer(n int64) string { return strconv.FormatInt(n, 10) }

// float is the shortest text that gives the same bits; all NaNs are one, as on record.
func float(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

func entryOf(losses map[string]float64, name string) string {
	v, ok := losses[name]
	if !ok {
		return "none"
	}
	return float(v)
}

func loadOf(s *record.Step) *record.Load {
	if s.Load == nil {
		return &record.Load{}
	}
	return s.Load
}
