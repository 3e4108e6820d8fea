package deepseektest

import (
	"maps"
	"math"
	"slices"
	"testing"

	"github.com/temper-ml/temper/internal/detrand"
	"github.com/temper-ml/temper/model/arch"
)

// roundingULPs bounds the rounding error of one evaluation of the whole model in units of its result: about 1e5 operations on
// each path, whose errors add like a random walk.
const roundingULPs = 300

// TestGradientsMatchFiniteDifferences moves the parameters of a whole model, a few tensors at a time, along random directions
// and compares the derivative of the total of all losses with the tape's. The indexer's loss is detached from the trunk by
// definition, so it is in the total only while indexer parameters move; see TestIndexerIsDetached for the other half.
func TestGradientsMatchFiniteDifferences(t *testing.T) {
	cases := map[string]struct {
		config *arch.Config
		scales Scales
		only   func(arch.Tensor) bool
	}{
		"v4 trunk":   {SmallV4(), Scales{LM: 1, MTP: 0.3, Balance: 0.7}, func(x arch.Tensor) bool { return !isIndexer(x) }},
		"v4 indexer": {SmallV4(), Scales{LM: 1, MTP: 0.3, Balance: 0.7, Indexer: 0.9}, isIndexer},
		"v3":         {SmallV3(), Scales{LM: 1, MTP: 0.3, Balance: 0.7}, func(arch.Tensor) bool { return true }},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := c.config.Check(); err != nil {
				t.Fatal(err)
			}
			var tensors []string
			for _, tensor := range c.config.Tensors() {
				if !tensor.Frozen && c.only(tensor) {
					tensors = append(tensors, tensor.Name)
				}
			}
			m := moved{c.config, RandomParams(c.config, 7), SmallBatch(), c.scales, Choices{}}
			m.check(t, tensors)
		})
	}
}

func isIndexer(x arch.Tensor) bool {
	return slices.Contains([]arch.Role{
		arch.IndexQB, arch.IndexWeights, arch.IndexCompAPE, arch.IndexCompKV,
		arch.IndexCompGate, arch.IndexCompNorm,
	}, x.Role)
}

// moved is a model whose parameters move while every discrete choice is held at what it was at the centre, so that no step of
// a stencil can leave the smooth piece whose derivative is wanted.
type moved struct {
	config *arch.Config
	params map[string][]float64
	batch  Batch
	scales Scales
	held   Choices
}

// together is how many tensors move at once: each has its own random direction, so an error in one is not undone by another.
const together = 5

func (m *moved) check(t *testing.T, tensors []string) {
	base := New(m.config, m.params)
	out, err := base.Run(m.batch, m.scales)
	if err != nil {
		t.Fatal(err)
	}
	m.held = base.Choices()
	t.Logf("total %.12g of %d tensors, smallest top-k gap %.3g, nearest kink %.3g", out.Total, len(tensors), base.Margin, base.Tape.Kink())
	for names := range slices.Chunk(tensors, together) {
		want := 0.0
		directions := map[string][]float64{}
		for _, name := range names {
			if _, ok := out.Grads[name]; !ok {
				t.Fatalf("%s: no gradient", name)
			}
			v, along := unit(name, out.Grads[name])
			directions[name] = v
			want += along
		}
		got, bound := Derivative(func(x float64) float64 { return m.at(directions, x) }, 1.0/64, roundingULPs)
		if math.Abs(got-want) > bound {
			t.Errorf("%v: finite difference %.15g, tape %.15g: differ by %.3g, bound %.3g", names, got, want, got-want, bound)
		}
		if bound > 1e-6*math.Max(1, math.Abs(want)) {
			t.Errorf("%v: bound %.3g proves too little about %.3g", names, bound, want)
		}
	}
}

// at is the total loss with each named tensor moved by x along its direction.
func (m *moved) at(directions map[string][]float64, x float64) float64 {
	params := maps.Clone(m.params)
	for name, v := range directions {
		p := slices.Clone(params[name])
		for i := range p {
			p[i] += x * v[i]
		}
		params[name] = p
	}
	r := New(m.config, params)
	r.Replay(m.held)
	return r.value(m.batch, m.scales)
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

// value is the total loss without the gradient.
func (r *Reference) value(b Batch, s Scales) float64 {
	r.frozen = true
	out, err := r.evaluate(b, s, false)
	if err != nil {
		panic(err)
	}
	return out.Total
}
