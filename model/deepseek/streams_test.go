package deepseek

import (
	"strings"
	"testing"

	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/model/deepseek/deepseektest"
	"github.com/temper-ml/temper/nn"
)

const streamTokens = 19

// streamInputs are the streams, a sublayer's output and gradients of both.
func streamInputs(cfg *arch.Config) map[string][]float64 {
	n := streamTokens * cfg.HiddenSize
	return map[string][]float64{
		"x": gaussian(4*n, "x"), "f": gaussian(n, "f"), "da": gaussian(n, "da"), "dy": gaussian(4*n, "dy"),
	}
}

// TestStreamsMatchReference holds the hyper-connection of one sublayer, and the
// collapse before the head, to the reference.
func TestStreamsMatchReference(t *testing.T) {
	cfg := deepseektest.SmallV4()
	values, in := deepseektest.RandomParams(cfg, 6), streamInputs(cfg)
	for name, c := range map[string]struct {
		reference func(r *deepseektest.Reference, in map[string]*deepseektest.Tensor, out answers) *deepseektest.Tensor
		engine    func(f *finder, in, out map[string][]float32, p *nn.Pass)
		layer     int
	}{
		"hyper-connection": {referenceHyper, engineHyper, 1},
		"collapse":         {referenceCollapse, engineCollapse, cfg.Blocks()},
	} {
		t.Run(name, func(t *testing.T) {
			exact, cond := conditions(func(trial int, held *deepseektest.Choices) (answers, deepseektest.Choices) {
				moved := map[string][]float64{}
				for k, v := range values {
					moved[k] = nudge(v, k, trial)
				}
				r := deepseektest.New(cfg, moved)
				tensors := map[string]*deepseektest.Tensor{}
				for k, v := range in {
					shape := []int{streamTokens, cfg.HiddenSize}
					if len(v) > streamTokens*cfg.HiddenSize {
						shape = []int{streamTokens, 4, cfg.HiddenSize}
					}
					tensors[k] = r.Tape.Input(nudge(v, k, trial), shape...)
				}
				out := answers{}
				r.Tape.Backward(c.reference(r, tensors, out))
				for k, v := range r.Gradients() {
					out[k] = v
				}
				for _, k := range []string{"x", "f"} {
					if g := tensors[k].Grad; g != nil {
						out["d"+k] = g
					}
				}
				return out, r.Choices()
			})
			params := loadParams(cfg, values)
			got, input := map[string][]float32{}, map[string][]float32{}
			for k, v := range in {
				input[k] = narrow(v)
			}
			p := &nn.Pass{Arena: nn.NewArena(), Tokens: make([]int32, streamTokens)}
			c.engine(finders(cfg, params)[c.layer], input, got, p)
			for _, q := range params {
				if _, ok := exact[q.Name]; ok && strings.Contains(q.Name, "hc_") {
					got[q.Name] = q.Grad
				}
			}
			// 20 Sinkhorn steps are 40 stages, each way.
			compare(t, got, exact, cond, depth{chain: float64(4 * cfg.HiddenSize), stages: 2 * 44})
		})
	}
}

func referenceHyper(r *deepseektest.Reference, in map[string]*deepseektest.Tensor, out answers) *deepseektest.Tensor {
	a, post, comb := r.HyperPre("layers.1.hc_ffn", in["x"])
	y := r.HyperPost(in["f"], in["x"], post, comb)
	out["a"], out["y"] = a.Data, y.Data
	t := r.Tape
	return t.Add(t.Sum(t.Mul(a, t.Detach(in["da"]))), t.Sum(t.Mul(y, t.Detach(in["dy"]))))
}

func engineHyper(f *finder, in, out map[string][]float32, p *nn.Pass) {
	h := f.mix(arch.FFNFn, arch.FFNBase, arch.FFNScale)
	a, y := make([]float32, len(in["f"])), make([]float32, len(in["x"]))
	dx, df := make([]float32, len(in["x"])), make([]float32, len(in["f"]))
	h.Pre(a, in["x"], p)
	h.Post(y, in["x"], in["f"], p)
	h.BackwardPost(dx, df, in["dy"], in["x"], in["f"], p)
	h.BackwardPre(dx, in["da"], in["x"], p)
	out["a"], out["y"], out["dx"], out["df"] = a, y, dx, df
}

func referenceCollapse(r *deepseektest.Reference, in map[string]*deepseektest.Tensor, out answers) *deepseektest.Tensor {
	y := r.HyperHead("", in["x"])
	out["y"] = y.Data
	return r.Tape.Sum(r.Tape.Mul(y, r.Tape.Detach(in["da"])))
}

func engineCollapse(f *finder, in, out map[string][]float32, p *nn.Pass) {
	o := f.output()
	y, dx := make([]float32, len(in["f"])), make([]float32, len(in["x"]))
	o.collapse.Forward(y, in["x"], p)
	o.collapse.Backward(dx, in["da"], in["x"], p)
	out["y"], out["dx"] = y, dx
}
