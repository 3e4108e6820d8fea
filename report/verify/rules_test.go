package verify_test

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/runlog"
	"github.com/temper-ml/temper/report/verify"
	"github.com/temper-ml/temper/report/verify/verifytest"
)

// nth returns the n-th entry of a kind; of a negative n, counted from the end.
func nth[B record.Body](es []*record.Entry, n int) (int, B) {
	var is []int
	for i, e := range es {
		if _, ok := e.Body.(B); ok {
			is = append(is, i)
		}
	}
	if n < 0 {
		n += len(is)
	}
	return is[n], es[is[n]].Body.(B)
}

// change changes the n-th body of a kind.
func change[B record.Body](n int, do func(B)) forgery {
	return func(_ *record.Manifest, es []*record.Entry) []*record.Entry {
		_, b := nth[B](es, n)
		do(b)
		return es
	}
}

// after puts bodies after the n-th entry of a kind.
func after[B record.Body](n int, bodies ...record.Body) forgery {
	return func(_ *record.Manifest, es []*record.Entry) []*record.Entry {
		i, _ := nth[B](es, n)
		var more []*record.Entry
		for _, b := range bodies {
			more = append(more, record.NewEntry(1, es[i].Time, b))
		}
		return slices.Insert(es, i+1, more...)
	}
}

// drop removes the n-th entry of a kind.
func drop[B record.Body](n int) forgery {
	return func(_ *record.Manifest, es []*record.Entry) []*record.Entry {
		i, _ := nth[B](es, n)
		return slices.Delete(es, i, i+1)
	}
}

type forgery func(*record.Manifest, []*record.Entry) []*record.Entry

func manifestOf(do func(*record.Manifest)) forgery {
	return func(m *record.Manifest, es []*record.Entry) []*record.Entry { do(m); return es }
}

// Every rule refuses what breaks it, in a record that is signed and otherwise right.
func TestEveryRule(t *testing.T) {
	o := verifytest.Default()
	o.Stages[0].Steps, o.Stages[1].Steps, o.Period = 20, 14, 1
	run := makeRun(t, o)
	step := change[*record.Step]
	other := record.SHA256([]byte("other"))
	for _, c := range []struct {
		check, says string
		forge       forgery
	}{
		{"recipe", "manifest: run", manifestOf(func(m *record.Manifest) { m.Run = "another" })},
		{"recipe", "manifest: seed: 9", manifestOf(func(m *record.Manifest) { m.Seed = 9 })},
		{"recipe", "digests of the model loaded: true", manifestOf(func(m *record.Manifest) { m.Model["a"] = other })},
		{"totals", "the model has no digest of", manifestOf(func(m *record.Manifest) { m.Model["a"] = other })},
		{"recipe", "stage 1, the recipe has 1", manifestOf(func(m *record.Manifest) { m.Recipe = m.Recipe[:strings.Index(m.Recipe, "  - name: tune")] })},
		{"recipe", "order", manifestOf(func(m *record.Manifest) { m.Order = other })},
		{"flops", "has no architecture", manifestOf(func(m *record.Manifest) { m.Architecture = "" })},
		{"clock", "the manifest says that the run was started at", manifestOf(func(m *record.Manifest) { m.Started += 1e6 })},
		{"utilization", "without a measured peak", manifestOf(func(m *record.Manifest) { m.Devices = []record.Device{} })},
		{"totals", "parameters, ", change(0, func(b *record.Begin) { b.Active-- })},
		{"states", "parameters are", change(0, func(b *record.Resume) { b.Parameters = other })},
		{"states", "weights are", change(0, func(b *record.End) { b.Weights = other })},
		{"states", "recovery from content", change(0, func(b *record.Recovery) { b.Checkpoint = other })},
		{"states", "was skipped, but its bias changed", step(10, func(b *record.Step) { b.Bias = other })},
		{"states", "left the optimizer as it was", func(_ *record.Manifest, es []*record.Entry) []*record.Entry {
			_, before := nth[*record.Step](es, 3)
			_, b := nth[*record.Step](es, 4)
			b.Optimizer = before.Optimizer
			return es
		}},
		{"counts", "examples of", step(2, func(b *record.Step) { b.Examples = 1 })},
		{"counts", "nothing predicts the first token", step(2, func(b *record.Step) { b.Supervised = b.Tokens })},
		{"counts", "tokens in 4 rows of at most 64", step(2, func(b *record.Step) { b.Tokens = 257 })},
		{"counts", "epochs of", step(2, func(b *record.Step) { b.Tokens = b.Examples + b.Supervised })},
		{"counts", "does not say its batch", change(0, func(b *record.Stage) { b.Batch, b.Micro, b.Accumulation = 0, 0, 0 })},
		{"learning rate", "the recipe's schedule gives", step(-1, func(b *record.Step) { b.LR = 0 })},
		{"losses", "the recipe stops instead", manifestOf(func(m *record.Manifest) { m.Recipe = strings.ReplaceAll(m.Recipe, "skip", "stop") })},
		{"losses", "losses.mtp is +Inf", step(1, func(b *record.Step) { b.Losses["mtp"] = math.Inf(1) })},
		{"losses", "gradient's norm is NaN", step(1, func(b *record.Step) { b.GradNorm = math.NaN() })},
		{"flops", "-1 operations", step(1, func(b *record.Step) { b.FLOPs = -1 })},
		{"flops", "operations; ", step(1, func(b *record.Step) { b.FLOPs /= 1.5; b.MFU /= 1.5 })},
		{"device", "took no time", step(1, func(b *record.Step) { b.Time = record.Split{} })},
		{"device", "the largest host has", step(1, func(b *record.Step) { b.Memory = 1 << 40 })},
		{"device", "of the measured peak", step(1, func(b *record.Step) { b.Time = record.Split{Wall: 1e5, Other: 1e5}; b.MFU = b.FLOPs / (5e10 * 1e-4) })},
		{"device", "peak", change(0, func(b *record.Resume) {
			b.Devices = []record.Device{{Ranks: []int{0}, Peak: map[string]float64{"f32": math.NaN()}}}
		})},
		{"load", "load given false", step(1, func(b *record.Step) { b.Load = nil })},
		{"load", "mean 0.9", step(1, func(b *record.Step) { l := *b.Load; l.Max, l.Mean = 0.2, 0.9; b.Load = &l })},
		{"load", "block 99", step(1, func(b *record.Step) { l := *b.Load; l.Block = 99; b.Load = &l })},
		{"load", "those from 0 on are next", change(0, func(b *record.Routing) { b.From = 4 })},
		{"load", "routing of 1 blocks", change(0, func(b *record.Routing) { b.Counts = b.Counts[:1] })},
		{"load", "2 experts, want 8", change(0, func(b *record.Routing) { b.Counts[0] = b.Counts[0][:2] })},
		{"load", "expert 0 has", change(0, func(b *record.Routing) { b.Counts[0][0] = 1 << 40 })},
		{"load", "tokens routed", change(0, func(b *record.Routing) { b.Counts[0][0]--; b.Counts[0][1]-- })},
		{"load", "tokens routed", change(0, func(b *record.Routing) { b.Counts[len(b.Counts)-1][0]-- })},
		{"clock", "those from 0 on are next", change(0, func(b *record.Times) { b.From = 4 })},
		{"clock", "those from 10 on are next", change(1, func(b *record.Times) { b.From = 0 })},
		{"clock", "rank 5 of 1", change(0, func(b *record.Times) { b.Ranks[0].Rank = 5 })},
		{"evaluations", "a loss of NaN", change(0, func(b *record.Evaluation) { b.HeldOut.Loss = math.NaN() })},
		{"evaluations", "given: false", change(0, func(b *record.Evaluation) { b.HeldOut = nil })},
		{"evaluations", "of the same stage has 77", change(1, func(b *record.Evaluation) { b.HeldOut.Tokens = 78 })},
		{"evaluations", "1 suites", change(1, func(b *record.Evaluation) { b.Suites = map[string]record.Score{"a": {Total: 1}} })},
		{"evaluations", "2 questions", func(_ *record.Manifest, es []*record.Entry) []*record.Entry {
			_, a := nth[*record.Evaluation](es, 0)
			_, b := nth[*record.Evaluation](es, 1)
			a.Suites, b.Suites = map[string]record.Score{"a": {Total: 1}}, map[string]record.Score{"a": {Total: 2}}
			return es
		}},
		{"evaluations", "is of kind \"choice/sum\"", func(_ *record.Manifest, es []*record.Entry) []*record.Entry {
			_, a := nth[*record.Evaluation](es, 0)
			_, b := nth[*record.Evaluation](es, 1)
			a.Suites, b.Suites = map[string]record.Score{"a": {Total: 1}}, map[string]record.Score{"a": {Kind: "choice/sum", Total: 1}}
			return es
		}},
		{"evaluations", "1 metrics", change(1, func(b *record.Evaluation) { b.Metrics = map[string]record.Metric{"a/sum": {Value: 1, Count: 1}} })},
		{"evaluations", "is NaN, a mean over 3", change(0, func(b *record.Evaluation) {
			b.Metrics = map[string]record.Metric{"a/loss": {Value: math.NaN(), Count: 3}}
		})},
		{"evaluations", "outside its interval", change(0, func(b *record.Evaluation) {
			b.Metrics = map[string]record.Metric{"a/sum": {Value: 0.5, Count: 3, Interval: []float64{0.6, 0.7}}}
		})},
		{"evaluations", "a mean over 2", func(_ *record.Manifest, es []*record.Entry) []*record.Entry {
			_, a := nth[*record.Evaluation](es, 0)
			_, b := nth[*record.Evaluation](es, 1)
			a.Metrics, b.Metrics = map[string]record.Metric{"a/sum": {Count: 1}}, map[string]record.Metric{"a/sum": {Count: 2}}
			return es
		}},
		{"totals", "the steps that stand add up to 20 (and 4 more)", func(_ *record.Manifest, es []*record.Entry) []*record.Entry {
			i, _ := nth[*record.Stage](es, -1)
			for ; es[i].Body.(*record.Stage).Stage == 1 && es[i].Body.(*record.Stage).From > 0; i-- {
				for es[i-1].Kind != "stage" {
					i--
				}
			}
			return append(es[:i:i], es[len(es)-1])
		}},
		{"sequence", "after the end of the run", after[*record.End](0, &record.Note{Text: "x"})},
		{"sequence", "a run has one begin", after[*record.Begin](0, &record.Begin{})},
		{"sequence", "begin", drop[*record.Begin](0)},
		{"sequence", "resume without a pause", drop[*record.Pause](0)},
		{"sequence", "while the run is paused", drop[*record.Resume](0)},
		{"sequence", "step before the first stage", drop[*record.Stage](0)},
		{"sequence", "stage 0 is continued as another", change(1, func(b *record.Stage) { b.Sequence = 65 })},
		{"sequence", "stage 0 is continued as another", change(1, func(b *record.Stage) { b.Teachers = map[string]record.Digest{"a": record.SHA256(nil)} })},
		{"sequence", "stage 2 follows stage 0", func(_ *record.Manifest, es []*record.Entry) []*record.Entry {
			j := slices.IndexFunc(es, func(e *record.Entry) bool { s, ok := e.Body.(*record.Stage); return ok && s.Stage == 1 })
			es[j].Body.(*record.Stage).Stage = 2
			return es
		}},
		{"sequence", "of 20 steps of stage 0 are taken", func(_ *record.Manifest, es []*record.Entry) []*record.Entry {
			i, _ := nth[*record.Step](es, 3)
			j := slices.IndexFunc(es, func(e *record.Entry) bool { s, ok := e.Body.(*record.Stage); return ok && s.Stage == 1 })
			return slices.Insert(es, i+1, record.NewEntry(1, es[i].Time, es[j].Body))
		}},
		{"sequence", "step 0 of stage 0, want step 1", change(1, func(b *record.Step) { b.Step = 0 })},
		{"sequence", "which has 4", func(_ *record.Manifest, es []*record.Entry) []*record.Entry {
			_, b := nth[*record.Stage](es, 0)
			b.Steps, b.LR.Warmup, b.LR.Decay = 4, 0, 0
			return es
		}},
		{"sequence", "recovery to stage 0, step 19", change(0, func(b *record.Recovery) { b.Step = 19 })},
		{"sequence", "again: 2 steps, 3 stand after", change(0, func(b *record.Recovery) { b.Again = 2 })},
		{"sequence", "while the run is at stage 0, step 10", change(0, func(b *record.Checkpoint) { b.Step = 9 })},
		{"sequence", "while the run is at stage 0, step 8", change(1, func(b *record.Evaluation) { b.Step = 9 })},
		{"sequence", "steps 0 to 9 of stage 0", change(0, func(b *record.Routing) { b.To = 9 })},
		{"sequence", "rank 3 of 1", change(0, func(b *record.Fault) { b.Rank = 3 })},
		{"sequence", "said to be complete at stage", func(_ *record.Manifest, es []*record.Entry) []*record.Entry {
			i, _ := nth[*record.Step](es, 3)
			return append(es[:i:i], es[len(es)-1])
		}},
		{"files", "its biases after the last step have digest", step(9, func(b *record.Step) { b.Bias = other })},
		{"files", "its parameters after the last step have digest", step(9, func(b *record.Step) { b.Parameters = other })},
		{"files", "its content is", change(-1, func(b *record.Checkpoint) { b.Content = other })},
		{"files", "its parameters have digest", change(-1, func(b *record.Checkpoint) { b.Parameters = other })},
		{"files", "was named before", func(_ *record.Manifest, es []*record.Entry) []*record.Entry {
			i, b := nth[*record.Checkpoint](es, 0)
			return slices.Insert(es, i+1, record.NewEntry(1, es[i].Time, b))
		}},
		{"files", "checkpoint", change(-1, func(b *record.Checkpoint) { b.Path = "tokenizer.json" })},
		{"model", "no checkpoint of the end", drop[*record.Checkpoint](-1)},
		{"model", "the record names no model", change(0, func(b *record.End) { b.Export = nil })},
	} {
		dir := filepath.Join(t.TempDir(), "run")
		if err := link(dir, run.Dir); err != nil {
			t.Fatal(err)
		}
		if err := verifytest.Forge(dir, run.Key, c.forge); err != nil {
			t.Errorf("%s: %s: %v", c.check, c.says, err)
			continue
		}
		os.Remove(filepath.Join(dir, "recipe.yaml"))
		_, cs := all(dir, runlog.Trust{})
		i := slices.IndexFunc(cs, func(k verify.Check) bool { return k.Name == c.check })
		if passes := c.says == "the record names no model"; passes != (cs[i].Result == verify.Pass) || !strings.Contains(cs[i].Evidence, c.says) {
			t.Errorf("%s: want %q, got %s: %s", c.check, c.says, cs[i].Result, cs[i].Evidence)
		}
		os.RemoveAll(dir)
	}
}
