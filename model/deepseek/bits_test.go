package deepseek

import (
	"fmt"
	"math"
	"testing"

	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/internal/detrand"
	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/model/deepseek/deepseektest"
)

// snapshot is everything a step returns, in bits.
type snapshot struct {
	losses Losses
	grads  map[string][]uint32
}

// take runs the batches one after the other and records the sums.
func take(t *testing.T, m *Model, o StepOptions, batches ...*Batch) snapshot {
	t.Helper()
	m.ZeroGrad()
	s := snapshot{grads: map[string][]uint32{}}
	for _, b := range batches {
		s.losses.Add(mustStep(t, m, b, o))
	}
	for _, p := range m.Params() {
		bits := make([]uint32, len(p.Grad))
		for i, g := range p.Grad {
			bits[i] = math.Float32bits(g)
		}
		s.grads[p.Name] = bits
	}
	return s
}

// same compares two snapshots bit for bit.
func same(t *testing.T, m *Model, what string, got, want snapshot) {
	t.Helper()
	if g, w := fmt.Sprint(got.losses), fmt.Sprint(want.losses); g != w {
		t.Errorf("%s: losses %s, want %s", what, g, w)
	}
	bad := 0
	for _, p := range m.Params() {
		g, w := got.grads[p.Name], want.grads[p.Name]
		for i := range w {
			if g[i] != w[i] {
				t.Errorf("%s: gradient of %s differs, first at %d: %v, want %v", what, p.Name, i,
					math.Float32frombits(g[i]), math.Float32frombits(w[i]))
				bad++
				break
			}
		}
		if bad > 8 {
			t.Fatalf("%s: too many tensors differ", what)
		}
	}
}

// randomBatch has segments of the given lengths.
func randomBatch(cfg *arch.Config, seed uint64, lengths ...int) *Batch {
	b := &Batch{}
	s := detrand.Key(seed, "batch")
	for _, n := range lengths {
		start := len(b.Tokens)
		for i := range n + 1 {
			id := int32(s.Uint64nAt(uint64(start+i), uint64(cfg.VocabSize)))
			if i < n {
				b.Tokens = append(b.Tokens, id)
			}
			if i > 0 {
				b.Labels = append(b.Labels, id)
			}
		}
		b.Labels[start+n/2] = -1
		b.Segments = append(b.Segments, Segment{Start: start, End: start + n})
	}
	return b
}

// part returns segments [lo, hi) of b as a batch of their own.
func part(b *Batch, lo, hi int) *Batch {
	from, to := b.Segments[lo].Start, b.Segments[hi-1].End
	out := &Batch{Tokens: b.Tokens[from:to], Labels: b.Labels[from:to]}
	for _, s := range b.Segments[lo:hi] {
		out.Segments = append(out.Segments, Segment{Start: s.Start - from, End: s.End - from})
	}
	return out
}

// bitModels are models in which every kind of layer occurs, at odd sizes and at
// sizes that fill vector registers.
func bitModels(t *testing.T) map[string]*Model {
	out := map[string]*Model{}
	for name, cfg := range small() {
		out[name] = loaded(t, cfg, deepseektest.RandomParams(cfg, 9))
	}
	cfg := arch.TinyV4(64)
	cfg.HiddenSize, cfg.MoEIntermediate = 64, 48
	m, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	m.Init(3)
	out["tiny"] = m
	return out
}

// TestMicroBatchIndependence: rows together, one by one, or split anywhere
// between segments give the same bits. This is also what packing means: a packed
// row is its samples, each on its own.
func TestMicroBatchIndependence(t *testing.T) {
	for name, m := range bitModels(t) {
		t.Run(name, func(t *testing.T) {
			b := randomBatch(m.Config(), 1, 21, 1, 40, 7, 2, 33)
			want := take(t, m, smallOptions, b)
			for _, cuts := range [][]int{{0, 1, 2, 3, 4, 5, 6}, {0, 3, 6}, {0, 5, 6}, {0, 2, 6}} {
				var parts []*Batch
				for i := 1; i < len(cuts); i++ {
					parts = append(parts, part(b, cuts[i-1], cuts[i]))
				}
				same(t, m, fmt.Sprintf("split at %v", cuts), take(t, m, smallOptions, parts...), want)
			}
		})
	}
}

// TestRecomputeIndependence: what is kept and what is computed again does not
// change a bit.
func TestRecomputeIndependence(t *testing.T) {
	for name, m := range bitModels(t) {
		t.Run(name, func(t *testing.T) {
			b := randomBatch(m.Config(), 2, 30, 19)
			want := take(t, m, smallOptions, b)
			for _, rc := range []Recompute{RecomputeSelective, RecomputeFull} {
				o := smallOptions
				o.Recompute = rc
				same(t, m, "recompute "+rc.String(), take(t, m, o, b), want)
			}
		})
	}
}

// TestMachineIndependence: threads and instruction sets do not change a bit.
func TestMachineIndependence(t *testing.T) {
	threads, path := kernel.Threads(), kernel.Path()
	defer func() {
		kernel.SetThreads(threads)
		if _, err := kernel.SetPath(path); err != nil {
			t.Fatal(err)
		}
	}()
	for name, m := range bitModels(t) {
		t.Run(name, func(t *testing.T) {
			b := randomBatch(m.Config(), 3, 37, 12)
			kernel.SetThreads(1)
			want := take(t, m, smallOptions, b)
			for _, p := range kernel.Paths() {
				if _, err := kernel.SetPath(p); err != nil {
					t.Fatal(err)
				}
				for _, n := range []int{1, 2, 3} {
					kernel.SetThreads(n)
					same(t, m, fmt.Sprintf("path %s, %d threads", p, n), take(t, m, smallOptions, b), want)
				}
			}
		})
	}
}

// TestObjectiveOfLosses: the general objective, given the gradient of the plain
// loss, does what the plain step does.
func TestObjectiveOfLosses(t *testing.T) {
	for name, m := range bitModels(t) {
		t.Run(name, func(t *testing.T) {
			b := randomBatch(m.Config(), 4, 25, 14)
			want := take(t, m, smallOptions, b)
			m.ZeroGrad()
			var seen []float32
			l, err := m.ForwardBackward(b, func(logp []float32) []float32 {
				seen = append(seen, logp...)
				d := make([]float32, len(logp))
				for i := range d {
					d[i] = -smallOptions.LMScale
				}
				return d
			}, smallOptions)
			if err != nil {
				t.Fatal(err)
			}
			got := snapshot{grads: map[string][]uint32{}}
			got.losses.Add(l)
			for _, p := range m.Params() {
				for _, g := range p.Grad {
					got.grads[p.Name] = append(got.grads[p.Name], math.Float32bits(g))
				}
			}
			same(t, m, "objective", got, want)
			logp, err := m.LogProbs(b)
			if err != nil {
				t.Fatal(err)
			}
			for i := range logp {
				if logp[i] != seen[i] {
					t.Fatalf("log-probability %d: %v in evaluation, %v in training", i, logp[i], seen[i])
				}
			}
		})
	}
}
