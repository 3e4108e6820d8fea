package deepseek

import (
	"errors"
	"math"
	"runtime"
	"strings"
	"testing"

	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/model/deepseek/deepseektest"
)

func tinyModel(t testing.TB) *Model {
	t.Helper()
	m, err := New(arch.TinyV4(256))
	if err != nil {
		t.Fatal(err)
	}
	m.Init(1)
	return m
}

// TestInitIsSane: a fresh model predicts the uniform distribution, and its
// gradients are finite and not zero.
func TestInitIsSane(t *testing.T) {
	m := tinyModel(t)
	b := randomBatch(m.Config(), 5, 64, 64)
	l := mustStep(t, m, b, smallOptions)
	uniform := math.Log(float64(m.Config().VocabSize))
	if mean := l.LM / float64(l.Tokens); math.Abs(mean-uniform) > 0.2 {
		t.Errorf("mean loss %.3f of a fresh model, want about ln V = %.3f", mean, uniform)
	}
	if err := m.CheckGradients(); err != nil {
		t.Error(err)
	}
	for _, p := range m.Params() {
		zero := true
		for _, g := range p.Grad {
			zero = zero && g == 0
		}
		if zero && !p.Frozen && p.Expert < 0 {
			t.Errorf("%s has no gradient", p.Name)
		}
	}
}

// TestInitDependsOnNamesOnly: the same tensor of another model starts the same.
func TestInitDependsOnNamesOnly(t *testing.T) {
	a := tinyModel(t)
	cfg := arch.TinyV4(256)
	cfg.NumLayers, cfg.CompressRatios = 2, []int{0, 4, 0}
	b, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	b.Init(1)
	for _, p := range b.Params() {
		if q := a.Param(p.Name); q == nil || p.Layer >= cfg.NumLayers {
			continue
		} else {
			for i := range p.Data {
				if p.Data[i] != q.Data[i] {
					t.Fatalf("%s differs at %d", p.Name, i)
				}
			}
		}
	}
}

// allocationLimit leaves room for the closures of parallel loops.
const allocationLimit = 4 << 20

// TestSteadyState: after the first step of a shape the arena does not grow, and
// only a few small closures are allocated.
func TestSteadyState(t *testing.T) {
	m := tinyModel(t)
	b := randomBatch(m.Config(), 6, 64, 32)
	mustStep(t, m, b, smallOptions)
	mustStep(t, m, b, smallOptions)
	_, held := m.Peak()
	const steps = 5
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range steps {
		mustStep(t, m, b, smallOptions)
	}
	runtime.ReadMemStats(&after)
	if _, now := m.Peak(); now != held {
		t.Errorf("arena grew from %d to %d bytes", held, now)
	}
	per := (after.TotalAlloc - before.TotalAlloc) / steps
	t.Logf("a step allocates %d bytes in %d objects", per, (after.Mallocs-before.Mallocs)/steps)
	if per > allocationLimit {
		t.Errorf("a step allocates %d bytes, want at most %d", per, allocationLimit)
	}
}

// TestPlanMatchesMeasurement: the predicted peak is within 10 % of the real one,
// for every recompute choice.
func TestPlanMatchesMeasurement(t *testing.T) {
	for name, cfg := range map[string]*arch.Config{"tiny": arch.TinyV4(256), "v4": deepseektest.SmallV4(), "v3": deepseektest.SmallV3()} {
		for _, rc := range []Recompute{RecomputeNone, RecomputeSelective, RecomputeFull} {
			m, err := New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			m.Init(1)
			b := randomBatch(cfg, 7, 100, 60, 1)
			for i := range b.Labels { // the plan assumes that every position is supervised
				b.Labels[i] = max(0, b.Labels[i])
			}
			o := smallOptions
			o.Recompute = rc
			plan, err := PlanStep(cfg, b.Segments, o)
			if err != nil {
				t.Fatal(err)
			}
			mustStep(t, m, b, o)
			peak, _ := m.Peak()
			ratio := float64(plan.Activations) / float64(peak)
			t.Logf("%s, recompute %v: planned %d bytes, measured %d, ratio %.3f", name, rc, plan.Activations, peak, ratio)
			if ratio < 0.9 || ratio > 1.1 {
				t.Errorf("%s, recompute %v: planned %d bytes, measured %d", name, rc, plan.Activations, peak)
			}
			params, grads := int64(0), int64(0)
			for _, p := range m.Params() {
				params += 4 * int64(align(len(p.Data)))
				grads += 4 * int64(align(len(p.Grad)))
			}
			if plan.Parameters != params || plan.Gradients != grads {
				t.Errorf("%s: planned %d and %d bytes for parameters and gradients, have %d and %d", name, plan.Parameters, plan.Gradients, params, grads)
			}
		}
	}
}

// TestNonFinite: the guard names the sublayer, the token and the parameter.
func TestNonFinite(t *testing.T) {
	nan := float32(math.NaN())
	for _, c := range []struct {
		tensor   string
		layer    int
		sublayer string
	}{
		{"layers.1.attn.wo_b.weight", 1, "attention"},
		{"layers.2.ffn.shared_experts.w2.weight", 2, "feed-forward"},
		{"layers.3.ffn.shared_experts.w1.weight", 3, "feed-forward"},
		{"embed.weight", -1, "embedding"},
		{"head.weight", -1, "head"},
		{"mtp.0.attn.wq_a.weight", 4, "attention"},
	} {
		m := tinyModel(t)
		p := m.Param(c.tensor)
		for i := range p.Data[:p.Cols()] {
			p.Data[i] = nan
		}
		b := randomBatch(m.Config(), 8, 20)
		b.Tokens[3] = 0
		_, err := m.TrainStep(b, smallOptions)
		var e *NonFiniteError
		if !errors.As(err, &e) || !errors.Is(err, ErrNonFinite) {
			t.Errorf("%s: error %v, want a NonFiniteError", c.tensor, err)
			continue
		}
		if e.Layer != c.layer || e.Sublayer != c.sublayer || e.Tensor != c.tensor || e.Pass != "forward" {
			t.Errorf("%s: %v", c.tensor, err)
		}
	}
	m := tinyModel(t)
	m.Param("layers.1.hc_ffn_base").Grad[2] = nan
	if err := m.CheckGradients(); err == nil || !strings.Contains(err.Error(), "layers.1.hc_ffn_base") {
		t.Errorf("CheckGradients: %v", err)
	}
}

// TestBadBatches: every rule of a batch is checked and named.
func TestBadBatches(t *testing.T) {
	m := tinyModel(t)
	for _, c := range []struct {
		want string
		harm func(*Batch)
	}{
		{"empty", func(b *Batch) { b.Tokens = nil }},
		{"labels for", func(b *Batch) { b.Labels = b.Labels[1:] }},
		{"mtp labels for", func(b *Batch) { b.MTPLabels = b.Labels[1:] }},
		{"segments end at", func(b *Batch) { b.Segments = b.Segments[:1] }},
		{"outside the vocabulary", func(b *Batch) { b.Tokens[2] = 256 }},
		{"neither -1 nor", func(b *Batch) { b.Labels[2] = -2 }},
		{"positions", func(b *Batch) { b.Segments = []Segment{{Start: 0, End: len(b.Tokens)}} }},
	} {
		b := randomBatch(m.Config(), 9, 3000, 3000)
		c.harm(b)
		if _, err := m.TrainStep(b, smallOptions); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want one that says %q", err, c.want)
		}
	}
	m.Param("layers.0.ffn.gate.tid2eid").Data[5] = 8
	m.tablesChecked = false
	if _, err := m.LogProbs(randomBatch(m.Config(), 9, 5)); err == nil || !strings.Contains(err.Error(), "sends token 2 to expert 8") {
		t.Errorf("error %v, want one that names the bad entry of the table", err)
	}
	frozen, err := NewFrozen(arch.TinyV4(256))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := frozen.TrainStep(randomBatch(m.Config(), 9, 5), smallOptions); err == nil {
		t.Error("a frozen model took a training step")
	}
}
