package deepseektest

import (
	"math"
	"slices"
	"testing"

	"github.com/temper-ml/temper/internal/detrand"
	"github.com/temper-ml/temper/model/arch"
)

// roundingULPs bounds the rounding error of one evaluation of the whole model in units of its result: about 1e5 operations on
// each path, whose errors add like a random walk.
const roundingULPs = 300

// TestGradientsMatchFiniteDifferences moves each parameter tensor of a whole model along a random direction and compares the
// derivative of the total of all four losses with the tape's. The losses that are detached by definition (the indexer's) see
// only their own parameters move; see TestIndexerIsDetached for the other half.
func TestGradientsMatchFiniteDifferences(t *testing.T) {
	cases := map[string]struct {
		config *arch.Config
		scales Scales
		only   func(arch.Tensor) bool
	}{
		"v4 trunk": {SmallV4(), Scales{LM: 1, MTP: 0.3, Balance: 0.7}, func(x arch.Tensor) bool {
			return !isIndexer(x) && x.Layer != 0 && x.Layer != 3 // the other layers have every kind of block
		}},
		"v4 indexer": {SmallV4(), Scales{LM: 1, MTP: 0.3, Balance: 0.7, Indexer: 0.9}, isIndexer},
		"v3":         {SmallV3(), Scales{LM: 1, MTP: 0.3, Balance: 0.7}, func(arch.Tensor) bool { return true }},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := c.config.Check(); err != nil {
				t.Fatal(err)
			}
			checkModel(t, c.config, c.scales, c.only)
		})
	}
}

func isIndexer(x arch.Tensor) bool {
	return slices.Contains([]arch.Role{
		arch.IndexQB, arch.IndexWeights, arch.IndexCompAPE, arch.IndexCompKV,
		arch.IndexCompGate, arch.IndexCompNorm,
	}, x.Role)
}

func checkModel(t *testing.T, c *arch.Config, s Scales, only func(arch.Tensor) bool) {
	params, batch := RandomParams(c, 7), SmallBatch()
	base := New(c, params)
	out, err := base.Run(batch, s)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("total %.12g, smallest top-k gap %.3g, nearest kink %.3g", out.Total, base.Margin, base.Tape.Kink())
	checked := 0
	for _, tensor := range c.Tensors() {
		if tensor.Frozen || !only(tensor) || tensor.Expert > 0 {
			continue
		}
		g, ok := out.Grads[tensor.Name]
		if !ok {
			t.Errorf("%s: no gradient", tensor.Name)
			continue
		}
		direction, want := unit(tensor.Name, g)
		got, bound := alongDirection(c, params, batch, s, tensor.Name, direction, base.Choices())
		if math.Abs(got-want) > bound {
			t.Errorf("%s: finite difference %.15g, tape %.15g: differ by %.3g, bound %.3g", tensor.Name, got, want, got-want, bound)
		}
		if bound > 1e-6*math.Max(1, math.Abs(want)) {
			t.Errorf("%s: bound %.3g proves too little about %.3g", tensor.Name, bound, want)
		}
		checked++
	}
	t.Logf("%d tensors checked", checked)
}

// unit is a random direction of length 1 and the gradient's component along it.
func unit(name string, g []float64) (v []float64, along float64) {
	s := detrand.Key(11, "direction:"+name)
	v, norm := make([]float64, len(g)), 0.0
	for i := range v {
		v[i] = s.NormalAt(uint64(i))
		norm += float64(v[i] * v[i])
	}
	for i := range v {
		v[i] /= math.Sqrt(norm)
		along += float64(v[i] * g[i])
	}
	return v, along
}

// alongDirection differentiates numerically with every discrete choice held at what it was at the centre, so that no step of
// the stencil can leave the smooth piece whose derivative is wanted.
func alongDirection(c *arch.Config, params map[string][]float64, b Batch, s Scales, name string, v []float64, held Choices) (value, bound float64) {
	original := params[name]
	defer func() { params[name] = original }()
	return Derivative(func(x float64) float64 {
		moved := slices.Clone(original)
		for i := range moved {
			moved[i] += x * v[i]
		}
		params[name] = moved
		r := New(c, params)
		r.Replay(held)
		return r.value(b, s)
	}, 1.0/64, roundingULPs)
}

// value is the total loss without the gradient.
func (r *Reference) value(b Batch, s Scales) float64 {
	r.frozen = true
	out, err := r.evaluate(b, s, false)
	if err != nil {
		panic(err)
	}
	return out.Total
}
