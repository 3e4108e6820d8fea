package deepseek

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"

	"github.com/temper-ml/temper/internal/detrand"
	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/model/deepseek/deepseektest"
)

// forced are routes of all tokens of all segments as the reference replays them.
func forced(cfg *arch.Config, b *Batch) deepseektest.Choices {
	c := deepseektest.Choices{TopK: map[string][][]int{}}
	for i, s := range b.Segments {
		r := b.Routes[i]
		for l := range cfg.NumLayers {
			gate, attn := fmt.Sprintf("layers.%d.ffn.gate.weight", l), fmt.Sprintf("layers.%d.attn", l)
			if cfg.Family == arch.V3 {
				gate = fmt.Sprintf("model.layers.%d.mlp.gate.weight", l)
			}
			for t := range s.Len() {
				if cfg.IsMoE(l) && !cfg.IsHash(l) {
					c.TopK[gate] = append(c.TopK[gate], ints(r.Experts[l][t*cfg.TopK:(t+1)*cfg.TopK]))
				}
				if cfg.Ratio(l) == routesRatio && s.Len() >= routesRatio {
					picks := ints(r.Picks[l][r.Starts[l][t]:r.Starts[l][t+1]])
					if len(picks) == 0 {
						for e := range (t + 1) / routesRatio {
							picks = append(picks, e)
						}
					}
					c.TopK[attn] = append(c.TopK[attn], picks)
				}
			}
		}
	}
	return c
}

func ints(x []int32) (out []int) {
	for _, v := range x {
		out = append(out, int(v))
	}
	return out
}

// routedBatch is the reference's small batch with routes of the caller's seed.
func routedBatch(m *Model, seed uint64) (deepseektest.Batch, *Batch) {
	batch := deepseektest.SmallBatch()
	b := fromReference(batch)
	for i, s := range b.Segments {
		b.Routes = append(b.Routes, otherRoutes(m, b.Tokens[s.Start:s.End], seed+uint64(i)))
	}
	return batch, b
}

// TestReplayMatchesReference compares every loss, log-probability and gradient under
// choices that have nothing to do with the scores.
func TestReplayMatchesReference(t *testing.T) {
	for name, cfg := range small() {
		t.Run(name, func(t *testing.T) {
			values := deepseektest.RandomParams(cfg, 7)
			m := loaded(t, cfg, values)
			batch, b := routedBatch(m, 20)
			given := forced(cfg, b)
			exact, cond := conditions(func(trial int, held *deepseektest.Choices) (answers, deepseektest.Choices) {
				if held == nil {
					held = &given
				}
				return referenceModel(t, cfg, values, batch, trial, held)
			})
			free, _ := referenceModel(t, cfg, values, batch, 0, nil)
			if math.Abs(free["lm"][0]-exact["lm"][0]) < 1e-3 {
				t.Errorf("the loss is %v under replay and %v without: the test shows nothing", exact["lm"], free["lm"])
			}
			l := mustStep(t, m, b, smallOptions)
			got := map[string][]float32{
				"lm": {float32(l.LM)}, "mtp": {float32(l.MTP)}, "balance": {float32(l.Balance)}, "indexer": {float32(l.Indexer)},
			}
			var err error
			if got["log-probabilities"], err = m.LogProbs(b); err != nil {
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

// TestReplayIsSmooth: under replay the loss is a smooth function of the routers, as
// finite differences along steps show that turn many of a free model's choices.
func TestReplayIsSmooth(t *testing.T) {
	for name, cfg := range map[string]*arch.Config{"v4": deepseektest.SmallV4(), "v3": deepseektest.SmallV3()} {
		t.Run(name, func(t *testing.T) {
			if cfg.SwiGLULimit > 0 {
				cfg.SwiGLULimit = 1e3 // no clamp takes part: its kinks would be met
			}
			values := deepseektest.RandomParams(cfg, 7)
			m := loaded(t, cfg, values)
			_, b := routedBatch(m, 20)
			o := StepOptions{LMScale: 1, BalanceScale: 0.75} // MTP blocks choose freely
			m.ZeroGrad()
			mustStep(t, m, b, o)
			slope := 0.0
			directions := map[string][]float64{}
			for _, p := range m.Params() {
				if p.Role == arch.Gate && p.Layer < cfg.NumLayers {
					v := unit(p.Name, len(p.Data))
					for i, g := range p.Grad {
						slope += float64(v[i] * float64(g))
					}
					directions[p.Name] = v
				}
			}
			const h = 0.25
			at := func(x float64) *Model {
				moved := maps.Clone(values)
				for name, v := range directions {
					moved[name] = slices.Clone(values[name])
					for i := range v {
						moved[name][i] += float64(x * v[i])
					}
				}
				return loaded(t, cfg, moved)
			}
			got, _ := deepseektest.Derivative(func(x float64) float64 {
				l := mustStep(t, at(x), b, o)
				return l.LM + float64(0.75*l.Balance)
			}, h, 1)
			if diff := math.Abs(got - slope); diff > 1e-3*math.Max(1, math.Abs(slope)) {
				t.Errorf("slope %v, finite differences %v", slope, got)
			}
			turned := 0
			left, right := recorded(t, at(-h), b, true), recorded(t, at(h), b, true)
			for i := range left {
				for l := range left[i].Experts {
					for k, e := range left[i].Experts[l] {
						if right[i].Experts[l][k] != e {
							turned++
						}
					}
				}
			}
			if turned < 10 {
				t.Errorf("only %d choices of a free model turn between the ends", turned)
			}
			t.Logf("slope %.6g, finite differences %.6g; %d choices turn without replay", slope, got, turned)
		})
	}
}

// unit is a random direction of length 1.
func unit(name string, n int) []float64 {
	s := detrand.Key(11, "direction:"+name)
	v := make([]float64, n)
	for i := range v {
		v[i] = s.NormalAt(uint64(i))
	}
	length := norm(v)
	for i := range v {
		v[i] /= length
	}
	return v
}
