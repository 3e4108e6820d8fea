package deepseek

import (
	"testing"

	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/model/deepseek/deepseektest"
	"github.com/temper-ml/temper/nn"
)

// loadParams allocates the parameters of a configuration with the reference's
// random values.
func loadParams(cfg *arch.Config, values map[string][]float64) []*Param {
	params := allocate(cfg, true)
	for _, p := range params {
		copy(p.Data, narrow(values[p.Name]))
	}
	return params
}

func TestExpertsMatchReference(t *testing.T) {
	v4, v3 := deepseektest.SmallV4(), deepseektest.SmallV3()
	for _, c := range []struct {
		name  string
		cfg   *arch.Config
		layer int
		names deepseektest.Experts
	}{
		{"v4 hash", v4, 0, deepseektest.ExpertsV4("layers.0.ffn", true)},
		{"v4 learned", v4, 2, deepseektest.ExpertsV4("layers.2.ffn", false)},
		{"v3 groups", v3, 1, deepseektest.ExpertsV3("model.layers.1.mlp")},
	} {
		t.Run(c.name, func(t *testing.T) {
			const n = 23
			values := deepseektest.RandomParams(c.cfg, 5)
			in := map[string][]float64{
				"x": gaussian(n*c.cfg.HiddenSize, "x"), "dy": gaussian(n*c.cfg.HiddenSize, "dy"),
			}
			tokens := make([]int32, n)
			for i := range tokens {
				tokens[i] = int32(i * 5 % c.cfg.VocabSize)
			}
			const balance = 0.7
			exact, cond := conditions(func(trial int, held *deepseektest.Choices) (answers, deepseektest.Choices) {
				return referenceExperts(c.cfg, c.names, values, in, tokens, balance, trial, held)
			})
			got := engineExperts(t, c.cfg, c.layer, values, in, tokens, balance)
			for name := range got {
				if _, ok := exact[name]; !ok {
					delete(got, name)
				}
			}
			compare(t, got, exact, cond, depth{chain: n, stages: 6})
		})
	}
}

func referenceExperts(cfg *arch.Config, e deepseektest.Experts, values, in map[string][]float64, tokens []int32, balance float64, trial int, held *deepseektest.Choices) (answers, deepseektest.Choices) {
	moved := map[string][]float64{}
	for name, v := range values {
		if name == e.Table {
			moved[name] = v
		} else {
			moved[name] = nudge(v, name, trial)
		}
	}
	r := deepseektest.New(cfg, moved)
	if held != nil {
		r.Replay(*held)
	}
	x := r.Tape.Input(nudge(in["x"], "x", trial), len(tokens), cfg.HiddenSize)
	y, b := r.MoE(e, x, tokens)
	dy := r.Tape.Const(nudge(in["dy"], "dy", trial), len(tokens), cfg.HiddenSize)
	total := r.Tape.Sum(r.Tape.Mul(y, dy))
	if e.Table == "" {
		total = r.Tape.Add(total, r.Tape.Scale(r.Tape.Sum(b), balance))
	}
	r.Tape.Backward(total)
	out := answers(r.Gradients())
	out["y"], out["dx"], out["balance"] = y.Data, x.Grad, b.Data
	if e.Table != "" {
		delete(out, "balance")
	}
	return out, r.Choices()
}

func engineExperts(t *testing.T, cfg *arch.Config, layer int, values, in map[string][]float64, tokens []int32, balance float32) map[string][]float32 {
	params := loadParams(cfg, values)
	m, err := finders(cfg, params)[layer].experts()
	if err != nil {
		t.Fatal(err)
	}
	p := &nn.Pass{Arena: nn.NewArena(), Tokens: tokens, Segments: []Segment{{Start: 0, End: len(tokens)}}, BalanceScale: balance}
	x, dy := narrow(in["x"]), narrow(in["dy"])
	y, dx := make([]float32, len(x)), make([]float32, len(x))
	m.Forward(y, x, p)
	b := m.Balance(p)
	m.Backward(dx, dy, x, p)
	got := map[string][]float32{"y": y, "dx": dx, "balance": {float32(b)}}
	for _, q := range params {
		if q.Grad != nil {
			got[q.Name] = q.Grad
		}
	}
	return got
}
