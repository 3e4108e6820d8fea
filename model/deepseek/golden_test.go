package deepseek

import (
	"math"
	"path/filepath"
	"testing"

	"github.com/temper-ml/temper/model/deepseek/deepseektest"
)

// TestModelMatchesPyTorch compares the engine with the results of transformers
// and PyTorch in testdata: losses, log-probabilities, and of every gradient the
// entries of a probe that are linear in it, since the engine differentiates all
// four losses at once.
func TestModelMatchesPyTorch(t *testing.T) {
	for _, name := range []string{"tiny-v4", "tiny-v3"} {
		t.Run(name, func(t *testing.T) {
			g, err := deepseektest.LoadGolden(filepath.Join("testdata", name))
			if err != nil {
				t.Fatal(err)
			}
			_, cond := conditions(func(trial int, held *deepseektest.Choices) (answers, deepseektest.Choices) {
				return referenceModel(t, g.Config, g.Params, g.Batch, trial, held)
			})
			m := loaded(t, g.Config, g.Params)
			l := mustStep(t, m, fromReference(g.Batch), smallOptions)
			for loss, got := range map[string]float64{"lm": l.LM, "mtp": l.MTP, "balance": l.Balance, "indexer": l.Indexer} {
				bound := modelDepth.factor()*cond[loss] + unitRoundoff
				if want := g.Losses[loss]; math.Abs(got-want) > bound*math.Abs(want) {
					t.Errorf("%s: loss %.9g, PyTorch has %.9g, bound %.3g of it", loss, got, want, bound)
				}
			}
			worst := 0.0
			for _, p := range m.Params() {
				if p.Grad != nil {
					worst = max(worst, againstProbe(t, g, p, modelDepth.factor()*cond[p.Name]+unitRoundoff))
				}
			}
			t.Logf("%d tensors; the closest probe uses %.0f %% of its bound", len(m.Params()), 100*worst)
		})
	}
}

// againstProbe compares one gradient; bound is relative to the gradient's norm. A
// signed sum of n elements may be off by √n of that.
func againstProbe(t *testing.T, g *deepseektest.Golden, p *Param, bound float64) (used float64) {
	var want [12]float64
	for loss, scale := range map[string]float32{
		"lm": smallOptions.LMScale, "mtp": smallOptions.MTPScale,
		"balance": smallOptions.BalanceScale, "indexer": smallOptions.IndexerScale,
	} {
		for i, v := range g.Probes[loss][p.Name] {
			want[i] += float64(float64(scale) * v)
		}
	}
	got := deepseektest.Probe(widen(p.Grad))
	limit := bound * got[0] * math.Sqrt(float64(len(p.Grad)))
	for i := 1; i < len(want); i++ {
		e := math.Abs(got[i] - want[i])
		if !(e <= limit) {
			t.Errorf("%s: probe %d is %.9g, PyTorch has %.9g, bound %.3g", p.Name, i, got[i], want[i], limit)
			return used
		}
		if limit > 0 {
			used = max(used, e/limit)
		}
	}
	return used
}
