package optim

import (
	"math"
	"testing"

	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/internal/detrand"
)

func normals(name string, n int, scale float64) []float32 {
	s := detrand.Key(1, name)
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(scale * s.NormalAt(uint64(i)))
	}
	return x
}

func newParam(name string, rows, cols int, matrix bool) *Param {
	return &Param{
		Name: name, Rows: rows, Cols: cols, Matrix: matrix, Blocks: 1, Decay: rows > 1,
		Data: normals(name, rows*cols, 0.1), Grad: normals(name+"/grad", rows*cols, 0.01),
	}
}

// One step of Muon with momentum from zero must add -lr·γ·√max(n,m)·U·Vᵀ: the
// update is semi-orthogonal. Ten hybrid steps leave singular values within
// 1e-3 of 1 when none is below about 1e-3 of the largest, as for a Gaussian matrix
// that is not square; the float32 products add about 1e-5.
func TestMuonUpdateIsSemiOrthogonal(t *testing.T) {
	for _, shape := range [][2]int{{12, 40}, {40, 12}, {1, 7}, {64, 200}} {
		p := newParam("w", shape[0], shape[1], true)
		cfg := Default()
		cfg.Muon.WeightDecay = 0
		o, err := New(cfg, []*Param{p})
		if err != nil {
			t.Fatal(err)
		}
		before := append([]float32(nil), p.Data...)
		const lr = 0.5
		o.Step(lr, 1)
		u := make([]float64, len(before))
		scale := lr * cfg.Muon.RMS * math.Sqrt(float64(max(shape[0], shape[1])))
		for i := range u {
			u[i] = float64(before[i]-p.Data[i]) / scale
		}
		if e := orthogonality(u, shape[0], shape[1]); e > 2e-3 {
			t.Errorf("%v: update is %g away from semi-orthogonal", shape, e)
		}
		// It must also point along the gradient: <U, G> is the nuclear norm, at least ‖G‖_F.
		dot, norm := 0.0, 0.0
		for i := range u {
			dot += u[i] * float64(p.Grad[i])
			norm += float64(p.Grad[i]) * float64(p.Grad[i])
		}
		if dot < 0.999*math.Sqrt(norm) {
			t.Errorf("%v: <update, gradient> = %g, want at least %g", shape, dot, math.Sqrt(norm))
		}
	}
}

// orthogonality is the largest entry of |UUᵀ - I| on the smaller side.
func orthogonality(u []float64, rows, cols int) float64 {
	at := func(i, j int) float64 { return u[i*cols+j] }
	n, k := rows, cols
	if rows > cols {
		n, k = cols, rows
		at = func(i, j int) float64 { return u[j*cols+i] }
	}
	worst := 0.0
	for i := range n {
		for j := range n {
			sum := 0.0
			for l := range k {
				sum += at(i, l) * at(j, l)
			}
			if i == j {
				sum--
			}
			worst = max(worst, math.Abs(sum))
		}
	}
	return worst
}

func TestMuonBlocksAreIndependent(t *testing.T) {
	joined := newParam("wo_a", 3*8, 20, true)
	joined.Blocks = 3
	var parts []*Param
	for b := range 3 {
		n := 8 * 20
		parts = append(parts, &Param{
			Name: "part", Rows: 8, Cols: 20, Matrix: true, Blocks: 1,
			Data: append([]float32(nil), joined.Data[b*n:(b+1)*n]...), Grad: joined.Grad[b*n : (b+1)*n],
		})
	}
	a, _ := New(Default(), []*Param{joined})
	b, _ := New(Default(), parts)
	for range 3 {
		a.Step(0.02, 0.7)
		b.Step(0.02, 0.7)
	}
	for i, p := range parts {
		for j, v := range p.Data {
			if w := joined.Data[i*160+j]; math.Float32bits(v) != math.Float32bits(w) {
				t.Fatalf("block %d element %d: %v alone, %v stacked", i, j, v, w)
			}
		}
	}
}

// A run of steps must not depend on threads or instruction set.
func TestStepsHaveTheSameBitsEverywhere(t *testing.T) {
	run := func() []*Param {
		ps := []*Param{newParam("m", 24, 70, true), newParam("tall", 33, 9, true), newParam("v", 1, 77, false)}
		o, err := New(Default(), ps)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			o.Step(0.01, ClipScale(GradNorm(ps), 0.05))
		}
		return ps
	}
	want := run()
	for _, path := range kernel.Paths() {
		old, err := kernel.SetPath(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, threads := range []int{1, 3} {
			before := kernel.SetThreads(threads)
			for i, p := range run() {
				for j := range p.Data {
					if math.Float32bits(p.Data[j]) != math.Float32bits(want[i].Data[j]) {
						t.Fatalf("%s, %d threads: %s[%d] = %v, want %v", path, threads, p.Name, j, p.Data[j], want[i].Data[j])
					}
				}
			}
			kernel.SetThreads(before)
		}
		if _, err := kernel.SetPath(old); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSlotsCoverTheState(t *testing.T) {
	ps := []*Param{newParam("m", 4, 5, true), newParam("v", 1, 3, false)}
	o, _ := New(Default(), ps)
	o.Step(0.1, 1)
	var names []string
	total := int64(0)
	for _, s := range o.Slots() {
		names = append(names, s.Name)
		total += int64(4 * len(s.Data))
		if kernel.SumSquares(s.Data) == 0 {
			t.Errorf("%s is still zero after a step", s.Name)
		}
	}
	if len(names) != 3 || names[0] != "momentum/m" || names[1] != "first/v" || names[2] != "second/v" {
		t.Errorf("slots are %v", names)
	}
	state, scratch := MemoryBytes(Default(), ps)
	if total != state || scratch != int64(4*len(o.scratch)) {
		t.Errorf("state has %d bytes and scratch %d, MemoryBytes says %d and %d", total, 4*len(o.scratch), state, scratch)
	}
	if o.Steps() != 1 || o.SetSteps(-1) == nil {
		t.Error("the step counter is not kept or accepts a negative value")
	}
}

func TestClipScale(t *testing.T) {
	for _, c := range []struct{ norm, limit, want float64 }{{0.5, 1, 1}, {4, 1, 1 / (4 + 1e-6)}, {4, 0, 1}} {
		if got := ClipScale(c.norm, c.limit); got != float32(c.want) {
			t.Errorf("ClipScale(%v, %v) = %v, want %v", c.norm, c.limit, got, float32(c.want))
		}
	}
}

func TestPower(t *testing.T) {
	for _, x := range []float64{0.9, 0.95, 0.999} {
		for _, n := range []int64{0, 1, 2, 3, 1000, 123457} {
			if got, want := power(x, n), math.Pow(x, float64(n)); math.Abs(got-want) > 1e-12*want {
				t.Errorf("power(%v, %d) = %v, want %v", x, n, got, want)
			}
		}
	}
}

func TestBadParametersAreRefused(t *testing.T) {
	p := newParam("w", 4, 4, true)
	p.Blocks = 3
	if _, err := New(Default(), []*Param{p}); err == nil {
		t.Error("3 blocks of 4 rows were accepted")
	}
	cfg := Default()
	cfg.Name = "sgd"
	if _, err := New(cfg, nil); err == nil {
		t.Error("an unknown optimizer was accepted")
	}
	cfg = Default()
	cfg.AdamW.Beta2 = math.NaN()
	if _, err := New(cfg, nil); err == nil {
		t.Error("a NaN beta was accepted")
	}
}
