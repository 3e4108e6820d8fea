package deepseek

import (
	"testing"

	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/model/deepseek/deepseektest"
)

// small returns the reference's small models, which have every kind of layer, and
// both with a second MTP block.
func small() map[string]*arch.Config {
	v4, v3 := deepseektest.SmallV4(), deepseektest.SmallV3()
	v4.NumMTP, v4.CompressRatios = 2, append(v4.CompressRatios, 4)
	v3.NumMTP = 2
	return map[string]*arch.Config{
		"v4": deepseektest.SmallV4(), "v3": deepseektest.SmallV3(), "v4 with two mtp": v4, "v3 with two mtp": v3,
	}
}

// loaded returns a model with the given values.
func loaded(t testing.TB, cfg *arch.Config, values map[string][]float64) *Model {
	t.Helper()
	m, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range m.Params() {
		copy(p.Data, narrow(values[p.Name]))
	}
	return m
}

// fromReference turns the reference's batch into the engine's.
func fromReference(b deepseektest.Batch) *Batch {
	out := &Batch{Tokens: b.Tokens, Labels: b.Labels, MTPLabels: b.MTPLabels}
	for _, s := range b.Segments {
		out.Segments = append(out.Segments, Segment{Start: s[0], End: s[1]})
	}
	return out
}

// smallOptions weighs all four losses.
var smallOptions = StepOptions{LMScale: 1, MTPScale: 0.25, BalanceScale: 0.75, IndexerScale: 0.875}

// modelDepth: the longest chain is the hyper-connection's product over 4·16
// values, or a weight's gradient over 24 tokens. On the longest way, forward and
// back, each of 5 blocks has 2 sublayers of about 8 stages.
var modelDepth = depth{chain: 64, stages: 2 * 5 * 2 * 8}

func mustStep(t testing.TB, m *Model, b *Batch, o StepOptions) Losses {
	t.Helper()
	l, err := m.TrainStep(b, o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestModelMatchesReference compares every loss, log-probability and gradient of
// the whole model with the float64 reference.
func TestModelMatchesReference(t *testing.T) {
	for name, cfg := range small() {
		t.Run(name, func(t *testing.T) {
			values, batch := deepseektest.RandomParams(cfg, 7), deepseektest.SmallBatch()
			exact, cond := conditions(func(trial int, held *deepseektest.Choices) (answers, deepseektest.Choices) {
				return referenceModel(t, cfg, values, batch, trial, held)
			})
			m := loaded(t, cfg, values)
			l := mustStep(t, m, fromReference(batch), smallOptions)
			got := map[string][]float32{
				"lm": {float32(l.LM)}, "mtp": {float32(l.MTP)}, "balance": {float32(l.Balance)}, "indexer": {float32(l.Indexer)},
			}
			var err error
			if got["log-probabilities"], err = m.LogProbs(fromReference(batch)); err != nil {
				t.Fatal(err)
			}
			for _, p := range m.Params() {
				if p.Grad != nil {
					got[p.Name] = p.Grad
				}
			}
			compare(t, got, exact, cond, modelDepth)
		})
	}
}

func referenceModel(t *testing.T, cfg *arch.Config, values map[string][]float64, b deepseektest.Batch, trial int, held *deepseektest.Choices) (answers, deepseektest.Choices) {
	moved := map[string][]float64{}
	for _, x := range cfg.Tensors() {
		moved[x.Name] = values[x.Name]
		if x.Role != arch.GateHash {
			moved[x.Name] = nudge(values[x.Name], x.Name, trial)
		}
	}
	r := deepseektest.New(cfg, moved)
	if held != nil {
		r.Replay(*held)
	}
	o := smallOptions
	out, err := r.Run(b, deepseektest.Scales{
		LM: float64(o.LMScale), MTP: float64(o.MTPScale), Balance: float64(o.BalanceScale), Indexer: float64(o.IndexerScale),
	})
	if err != nil {
		t.Fatal(err)
	}
	a := answers(out.Grads)
	a["lm"], a["mtp"], a["balance"], a["indexer"] = []float64{out.LM}, []float64{out.MTP}, []float64{out.Balance}, []float64{out.Indexer}
	a["log-probabilities"] = out.LogProbs
	return a, r.Choices()
}

// TestLossesCountTokens checks the counts beside the sums.
func TestLossesCountTokens(t *testing.T) {
	cfg := deepseektest.SmallV4()
	m := loaded(t, cfg, deepseektest.RandomParams(cfg, 7))
	b := fromReference(deepseektest.SmallBatch())
	l := mustStep(t, m, b, smallOptions)
	mtp := 0
	for _, id := range b.MTPLabels {
		if id >= 0 {
			mtp++
		}
	}
	if l.Tokens != b.Supervised() || l.MTPTokens != mtp {
		t.Errorf("%d and %d supervised tokens, want %d and %d", l.Tokens, l.MTPTokens, b.Supervised(), mtp)
	}
	for layer, counts := range l.Counts {
		rows := len(b.Tokens)
		if layer >= cfg.NumLayers {
			rows -= len(b.Segments)
		}
		sum := int64(0)
		for _, c := range counts {
			sum += c
		}
		if sum != int64(rows*cfg.TopK) {
			t.Errorf("layer %d routed %d pairs, want %d", layer, sum, rows*cfg.TopK)
		}
	}
}
