package rollout

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/temper-ml/temper/cluster/hardware"
	"github.com/temper-ml/temper/model/arch"
)

func spec(t testing.TB, model, cluster string, replica int, dtype string) Spec {
	t.Helper()
	a, err := arch.Builtin(model)
	if err != nil {
		t.Fatal(err)
	}
	c, err := hardware.Load(cluster)
	if err != nil {
		t.Fatal(err)
	}
	return Spec{Model: a, Cluster: c, Replica: replica, DType: dtype}
}

func engine(t testing.TB, model, cluster string, replica int, dtype string) *Engine {
	t.Helper()
	e, err := New(spec(t, model, cluster, replica, dtype))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// Dense and expert parameters add up to the model's own count, total and active.
func TestCountsAddUp(t *testing.T) {
	for _, name := range []string{"deepseek-v3", "deepseek-v4-pro", "deepseek-v4-flash", "qwen3-235b-a22b", "llama3-70b"} {
		a, err := arch.Builtin(name)
		if err != nil {
			t.Fatal(err)
		}
		k := count(a)
		total, _, active := a.Count()
		embedding := float64(a.VocabSize * a.HiddenSize)
		if a.TieEmbeddings {
			embedding = 0
		}
		if got := k.dense + k.experts*k.expert + embedding; math.Abs(got-float64(total)) > 1e-3*float64(total) {
			t.Errorf("%s: %v parameters, the table has %v", name, got, total)
		}
		if got := k.needed(1); math.Abs(got-float64(active)) > 1e-9*float64(active) {
			t.Errorf("%s: one token needs %v parameters, active are %v", name, got, active)
		}
	}
}

// The cache of one token, as the papers have it: V3 keeps 512 + 64 values in
// each of 61 layers; Llama 3 70B 8 heads of 128, twice, in 80.
func TestCache(t *testing.T) {
	for _, c := range []struct {
		model string
		n     float64
		kept  float64
	}{
		{"deepseek-v3", 1000, 1000 * 61 * 576},
		{"llama3-70b", 1000, 1000 * 80 * 2 * 8 * 128},
	} {
		a, _ := arch.Builtin(c.model)
		if got := cacheAt(a, c.n); got.kept != c.kept || got.read != c.kept {
			t.Errorf("%s: %+v, want %v kept and read", c.model, got, c.kept)
		}
	}
	// V4 reads far less than it keeps, and keeps far less than V3.
	pro, _ := arch.Builtin("deepseek-v4-pro")
	v3, _ := arch.Builtin("deepseek-v3")
	long := 131072.0
	if p, v := cacheAt(pro, long), cacheAt(v3, long); p.kept > 0.35*v.kept || p.read > 0.6*p.kept {
		t.Errorf("at %v tokens V4-Pro keeps %.3g and reads %.3g values, V3 keeps %.3g", long, p.kept, p.read, v.kept)
	}
}

// One sequence of a dense model is bound by reading the weights: the rate is
// bandwidth over bytes.
func TestOneSequenceReadsTheWeights(t *testing.T) {
	e := engine(t, "llama3-8b", "h100", 1, "bf16")
	s := e.Step(1, 100)
	_, _, active := e.Model.Count()
	d := e.Cluster.Device
	want := 2 * float64(active) / (d.Bandwidth * d.Efficiency.Memory)
	if math.Abs(s.Weights-want) > 1e-9 || s.BoundBy() != "memory bandwidth: weights" || s.Exchange != 0 {
		t.Errorf("%+v, weights want %v", s, want)
	}
	if many := e.Step(2000, 100); many.BoundBy() != "compute" {
		t.Errorf("2,000 sequences are bound by %s: %+v", many.BoundBy(), many)
	}
}

// A step never gets faster when the batch or the context grows.
func TestStepIsMonotone(t *testing.T) {
	for _, e := range []*Engine{engine(t, "deepseek-v4-pro", "ascend-910c", 128, "bf16"), engine(t, "deepseek-v3", "h800", 32, "fp8")} {
		for b := 1.0; b < 5000; b *= 2 {
			for n := 64.0; n < 2e5; n *= 3 {
				s := e.Step(b, n).Seconds()
				if e.Step(2*b, n).Seconds() < s || e.Step(b, 2*n).Seconds() < s {
					t.Fatalf("batch %v, context %v", b, n)
				}
			}
		}
		if near := e.distinct(1e6); math.Abs(near-e.experts) > 1e-6 {
			t.Errorf("a huge batch needs %v of %v experts", near, e.experts)
		}
	}
}

func TestLengths(t *testing.T) {
	for _, l := range []Lengths{{Mean: 700, Max: 1536, Spread: 0.6}, {Mean: 5700, Max: 8192, Spread: 1}, {Mean: 100, Max: 100}, {Mean: 50, Max: 5000, Spread: 1.2}} {
		q := l.Quantiles(501)
		sum := 0.0
		for i, x := range q {
			sum += x
			if x < 1 || x > l.Max || i > 0 && x < q[i-1] {
				t.Fatalf("%+v: length %d is %v", l, i, x)
			}
		}
		if mean := sum / 501; math.Abs(mean-l.Mean) > 1e-6*l.Mean {
			t.Errorf("%+v: mean %v", l, mean)
		}
	}
}

// With equal lengths a rollout is as many rounds as the slots need, each of
// Mean steps; with a tail it takes longer for the same tokens.
func TestRolloutTime(t *testing.T) {
	e := engine(t, "llama3-8b", "h100", 1, "bf16")
	r := Run{Lengths: Lengths{Prompt: 200, Mean: 512, Max: 8192}, Prompts: 32, Group: 8, Replicas: 4}
	flat, err := e.Play(r)
	if err != nil {
		t.Fatal(err)
	}
	if flat.Slots != 64 {
		t.Fatalf("%d slots, want the 64 sequences of a replica", flat.Slots)
	}
	want := 512 * e.Step(64, 200+256).Seconds()
	if got := flat.Seconds - flat.Prefill; math.Abs(got-want) > 1e-9*want {
		t.Errorf("%v s, want %v", got, want)
	}
	r.Spread = 1
	long, err := e.Play(r)
	if err != nil {
		t.Fatal(err)
	}
	if long.Seconds < 2*flat.Seconds || long.Tail < 0.3*long.Seconds || long.Generated != flat.Generated {
		t.Errorf("with a tail: %+v, without: %+v", long, flat)
	}
	again, _ := e.Play(r)
	if d := cmp.Diff(long, again); d != "" {
		t.Error(d)
	}
}

// Few slots take turns: never faster than the tokens over the full rate.
func TestContinuousBatching(t *testing.T) {
	e := engine(t, "llama3-8b", "h100", 1, "bf16")
	lengths := Lengths{Mean: 300, Max: 3000, Spread: 0.7}.Quantiles(400)
	seconds, tail := e.decode(lengths, 20, Run{Lengths: Lengths{Prompt: 10}})
	full := 400 * 300 / 20 * e.Step(20, 10+150).Seconds()
	if seconds < 0.95*full || seconds > 1.6*full || tail > 0.3*seconds {
		t.Errorf("%v s, tail %v, at the full rate %v", seconds, tail, full)
	}
}

func TestChoose(t *testing.T) {
	s := spec(t, "deepseek-v3", "ascend-910c", 0, "bf16")
	r := Run{Lengths: Lengths{Prompt: 1000, Mean: 2000, Max: 8192, Spread: 0.7}, Prompts: 512, Group: 16}
	e, out, err := Choose(s, 512, r)
	if err != nil {
		t.Fatal(err)
	}
	if e.Replica < 32 || out.PerDevice < 1 || out.PerDevice > 2000 {
		t.Errorf("replica %d: %+v", e.Replica, out)
	}
	if _, _, err := Choose(s, 8, r); err == nil || !strings.Contains(err.Error(), "nearest legal value 32") {
		t.Errorf("on 8 dies: %v", err)
	}
}

func TestRefusals(t *testing.T) {
	good := spec(t, "llama3-8b", "h100", 1, "bf16")
	for _, c := range []struct {
		spoil func(s *Spec)
		want  string
	}{
		{func(s *Spec) { s.DType = "fp2" }, `rollout: dtype is "fp2", want bf16, fp16, fp8, int8 or fp4`},
		{func(s *Spec) { s.Replica = 0 }, "rollout: replica is 0 devices, must lie in 1..131072: nearest legal value 1"},
		{func(s *Spec) { s.MemoryShare = 2 }, "rollout: memory share is 2, must lie in (0, 1]"},
		{func(s *Spec) { s.Imbalance = math.NaN() }, "rollout: imbalance is NaN, must lie in [1, 1000]"},
	} {
		s := good
		c.spoil(&s)
		if _, err := New(s); err == nil || err.Error() != c.want {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
	e, _ := New(good)
	for _, r := range []Run{{Lengths: Lengths{Mean: 10, Max: 5}, Prompts: 1, Group: 1, Replicas: 1}, {Lengths: Lengths{Mean: 10, Max: 50}, Group: 1, Replicas: 1}, {Lengths: Lengths{Prompt: 9e7, Mean: 10, Max: 50}, Prompts: 1, Group: 1, Replicas: 1}} {
		if _, err := e.Play(r); err == nil {
			t.Errorf("%+v was played", r)
		}
	}
}

// The published figure that ServingShare comes from: 96 sequences on each card
// of two dies, 1,943 tokens/s a card.
func TestCloudMatrixDecode(t *testing.T) {
	e := engine(t, "deepseek-v3", "ascend-910c", 320, "int8")
	step := e.Step(48*320, 4096)
	if perCard := 96 / step.Seconds(); math.Abs(perCard-1943) > 0.05*1943 {
		t.Errorf("%.0f tokens/s for a card, published 1,943: %+v", perCard, step)
	}
	if perCard := 2 * 4096 / e.Prefill(4096*320, 4096); math.Abs(perCard-6688) > 0.2*6688 {
		t.Errorf("%.0f tokens/s of prefill for a card, published 6,688", perCard)
	}
}
