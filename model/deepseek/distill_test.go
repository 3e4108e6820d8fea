package deepseek

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/internal/detrand"
	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/model/deepseek/deepseektest"
	"github.com/temper-ml/temper/nn"
)

// distillOptions has every part of the objective at once.
func distillOptions() StepOptions {
	o := smallOptions
	o.DistillScale = .125
	return o
}

// taught gives a batch two teachers of other widths, made of noise, in the given number
// of lessons; a few positions have none. Entries are those of the whole batch from
// position from on.
func taught(cfg *arch.Config, b *Batch, from, lessons int) *Distillation {
	d := &Distillation{}
	for j, width := range []int{24, 40} {
		name := fmt.Sprint("teacher", j)
		s := detrand.Key(5, name)
		w := make([]float32, cfg.VocabSize*width)
		for i := range w {
			w[i] = float32(s.NormalAt(uint64(i))) / 4
		}
		d.Teachers = append(d.Teachers, nn.Teacher{Name: name, Linear: nn.Linear{Weight: nn.Weight{Data: w}, In: width, Out: cfg.VocabSize}})
		d.States = append(d.States, nil)
	}
	d.Lessons = make([]nn.Lesson, lessons)
	for i, label := range b.Labels {
		if label < 0 {
			continue
		}
		for k := range d.Lessons {
			l, j := &d.Lessons[k], ((from+i)/11+k)%2
			if (from+i+k)%7 == 3 {
				l.Teacher, l.State, l.Coef = append(l.Teacher, -1), append(l.State, 0), append(l.Coef, 0)
				continue
			}
			width := d.Teachers[j].In
			s := detrand.Key(uint64(from+i), fmt.Sprint("state", j))
			l.Teacher = append(l.Teacher, int32(j))
			l.State = append(l.State, int32(len(d.States[j])/width))
			l.Coef = append(l.Coef, 1/float32(1+k+(from+i)%3))
			for v := range width {
				d.States[j] = append(d.States[j], float32(s.NormalAt(uint64(v))))
			}
		}
	}
	return d
}

// takeTaught is take with teachers.
func takeTaught(t *testing.T, m *Model, o StepOptions, lessons int, batches ...*Batch) snapshot {
	t.Helper()
	m.ZeroGrad()
	s, from := snapshot{grads: map[string][]uint32{}}, 0
	for _, b := range batches {
		o.Distill = taught(m.Config(), b, from, lessons)
		s.losses.Add(mustStep(t, m, b, o))
		from += len(b.Tokens)
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

// Micro-batches, tiles, what is kept, threads, instruction sets and watching change no
// bit of a step with teachers.
func TestDistillIndependence(t *testing.T) {
	threads, path := kernel.Threads(), kernel.Path()
	defer func() {
		kernel.SetThreads(threads)
		_, _ = kernel.SetPath(path)
	}()
	for name, m := range bitModels(t) {
		t.Run(name, func(t *testing.T) {
			b, o := randomBatch(m.Config(), 1, 21, 1, 40, 7, 2, 33), distillOptions()
			for _, lessons := range []int{1, 2} {
				want := takeTaught(t, m, o, lessons, b)
				if l := want.losses; l.Distill <= 0 || l.Teachers[0].Positions == 0 || l.Teachers[1].Divergence <= 0 {
					t.Fatalf("losses are %+v, want some of every teacher", l)
				}
				for _, cuts := range [][]int{{0, 1, 2, 3, 4, 5, 6}, {0, 2, 6}} {
					var parts []*Batch
					for i := 1; i < len(cuts); i++ {
						parts = append(parts, part(b, cuts[i-1], cuts[i]))
					}
					same(t, m, fmt.Sprintf("split at %v", cuts), takeTaught(t, m, o, lessons, parts...), want)
				}
				for _, limit := range []int{1, 5000} {
					m.head.MaxLogits = limit
					same(t, m, fmt.Sprint("tiles of ", limit), takeTaught(t, m, o, lessons, b), want)
				}
				m.head.MaxLogits = 0
				full := o
				full.Recompute = RecomputeFull
				same(t, m, "recompute", takeTaught(t, m, full, lessons, b), want)
				full.Watch = &nn.Watch{Rows: []int{2, 6}, See: func(*nn.Output) {}}
				same(t, m, "watched", takeTaught(t, m, full, lessons, b), want)
				for _, p := range kernel.Paths() {
					kernel.SetThreads(3)
					if _, err := kernel.SetPath(p); err != nil {
						t.Fatal(err)
					}
					same(t, m, p, takeTaught(t, m, o, lessons, b), want)
				}
				kernel.SetThreads(threads)
				_, _ = kernel.SetPath(path)
			}
		})
	}
}

// Measuring says what a step reports, to the bit, and changes no gradient.
func TestDivergences(t *testing.T) {
	for name, m := range bitModels(t) {
		t.Run(name, func(t *testing.T) {
			b, o := randomBatch(m.Config(), 1, 21, 1, 40, 7), distillOptions()
			for _, limit := range []int{0, 1, 5000} {
				m.head.MaxLogits = limit
				want := takeTaught(t, m, o, 2, b)
				got, err := m.Divergences(b, taught(m.Config(), b, 0, 2))
				if err != nil {
					t.Fatal(err)
				}
				if l := want.losses; got.Distill != l.Distill || !slices.Equal(got.Teachers, l.Teachers) || got.LM != l.LM || got.Tokens != l.Tokens {
					t.Errorf("at most %d logits: measured %+v, a step says %+v", limit, got, l)
				}
				for _, p := range m.Params() {
					for i, g := range p.Grad {
						if math.Float32bits(g) != want.grads[p.Name][i] {
							t.Fatalf("measuring changes the gradient of %s", p.Name)
						}
					}
				}
			}
			m.head.MaxLogits = 0
			d := taught(m.Config(), b, 0, 1)
			d.Lessons[0].Coef = d.Lessons[0].Coef[1:]
			if _, err := m.Divergences(b, d); err == nil {
				t.Error("lessons that do not fit are taken")
			}
		})
	}
}

// A position's hidden state has the same bits whatever else is in the batch, and through the
// head it gives the model's own logits: a student that is its own teacher learns nothing.
func TestHiddenStates(t *testing.T) {
	for name, m := range bitModels(t) {
		t.Run(name, func(t *testing.T) {
			b := randomBatch(m.Config(), 3, 21, 1, 40, 7)
			states, err := m.HiddenStates(b)
			if err != nil {
				t.Fatal(err)
			}
			var pieces []float32
			for i := range b.Segments {
				one, err := m.HiddenStates(part(b, i, i+1))
				if err != nil {
					t.Fatal(err)
				}
				pieces = append(pieces, one...)
			}
			if !slices.Equal(states, pieces) || len(states) != b.Supervised()*m.Config().HiddenSize {
				t.Fatal("hidden states depend on the batch")
			}
			l := nn.Lesson{}
			for i := range b.Supervised() {
				l.Teacher, l.State, l.Coef = append(l.Teacher, 0), append(l.State, int32(i)), append(l.Coef, 1)
			}
			m.ZeroGrad()
			o := StepOptions{DistillScale: 1, Distill: &Distillation{
				Teachers: []nn.Teacher{m.Teacher("itself")}, States: [][]float32{states}, Lessons: []nn.Lesson{l},
			}}
			got := mustStep(t, m, b, o)
			if got.Distill != 0 || got.Teachers[0].Positions != b.Supervised() {
				t.Errorf("divergence from itself is %g at %d positions", got.Distill, got.Teachers[0].Positions)
			}
			for _, p := range m.Params() {
				for i, g := range p.Grad {
					if g != 0 {
						t.Fatalf("gradient of %s is %g at %d, want exactly 0", p.Name, g, i)
					}
				}
			}
		})
	}
}

func TestBadTeachers(t *testing.T) {
	cfg := deepseektest.SmallV4()
	m := loaded(t, cfg, deepseektest.RandomParams(cfg, 9))
	b, o := randomBatch(cfg, 1, 21, 12), distillOptions()
	nan := float32(math.NaN())
	for want, spoil := range map[string]func(d *Distillation){
		`teacher "teacher1" is not finite at token 11 of the micro-batch: element 3 of its last hidden state is NaN`: func(d *Distillation) { d.States[1][3] = nan },
		`its head is NaN at token 7, dimension 2`:                             func(d *Distillation) { d.Teachers[0].Data[7*24+2] = nan },
		`teacher "teacher0" has a vocabulary of 3 tokens, the student one of`: func(d *Distillation) { d.Teachers[0].Out = 3 },
		"positions":           func(d *Distillation) { d.Lessons[0].Coef = d.Lessons[0].Coef[1:] },
		"its logits overflow": func(d *Distillation) { d.States[1][0], d.Teachers[1].Data[0] = math.MaxFloat32, -math.MaxFloat32 },
	} {
		o.Distill = taught(cfg, b, 0, 1)
		spoil(o.Distill)
		_, err := m.TrainStep(b, o)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		if errors.Is(err, ErrNonFinite) {
			t.Errorf("%v counts as a step that may be skipped", err)
		}
	}
}

// A step with teachers holds as much memory as is planned: floats and integers peak at different moments.
func TestDistillPlan(t *testing.T) {
	cfg := deepseektest.SmallV4()
	m := loaded(t, cfg, deepseektest.RandomParams(cfg, 9))
	b, o := randomBatch(cfg, 1, 21, 12), distillOptions()
	b.Labels[21/2], b.Labels[21+6] = 1, 1 // all positions supervised
	for _, lessons := range []int{1, 3} {
		o.Distill = taught(cfg, b, 0, lessons)
		plan, err := PlanStep(cfg, b.Segments, o)
		if err != nil {
			t.Fatal(err)
		}
		m.arena.ResetPeak()
		mustStep(t, m, b, o)
		if peak, _ := m.Peak(); float64(peak) > 1.01*float64(plan.Activations) || float64(peak) < .99*float64(plan.Activations) {
			t.Errorf("%d lessons: held %d bytes, planned %d", lessons, peak, plan.Activations)
		}
	}
}
