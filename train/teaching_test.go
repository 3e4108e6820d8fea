package train

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/temper-ml/temper/internal/detrand"
	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/nn"
)

// noise teaches what two teachers say at random, who take turns; a few positions have none.
type noise struct {
	vocab, lessons int
	rows           []Row
	refuse         error
}

func (n *noise) Begin(_ int64, rows []Row) error {
	n.rows = rows
	return n.refuse
}

func (n *noise) Shape() *deepseek.Distillation {
	return &deepseek.Distillation{Lessons: make([]nn.Lesson, n.lessons)}
}

func (n *noise) Lessons(lo, hi int) (*deepseek.Distillation, error) {
	const width = 6
	d := &deepseek.Distillation{Lessons: make([]nn.Lesson, n.lessons)}
	for j := range 2 {
		w := make([]float32, n.vocab*width)
		for i := range w {
			w[i] = float32(detrand.Key(6, "head", uint64(j)).NormalAt(uint64(i)))
		}
		d.Teachers = append(d.Teachers, nn.Teacher{Name: fmt.Sprint("noise", j), Linear: nn.Linear{Weight: nn.Weight{Data: w}, In: width, Out: n.vocab}})
		d.States = append(d.States, nil)
	}
	for i := lo; i < hi; i++ {
		for at, label := range n.rows[i].Labels {
			if label < 0 {
				continue
			}
			for k := range d.Lessons {
				l, j := &d.Lessons[k], (i+k)%2
				if (at+k)%5 == 1 {
					l.Teacher, l.State, l.Coef = append(l.Teacher, -1), append(l.State, 0), append(l.Coef, 0)
					continue
				}
				l.Teacher, l.State = append(l.Teacher, int32(j)), append(l.State, int32(len(d.States[j])/width))
				l.Coef = append(l.Coef, 1/float32(1+k))
				for v := range width {
					d.States[j] = append(d.States[j], float32(detrand.Key(uint64(i), "state", uint64(at), uint64(j)).NormalAt(uint64(v))))
				}
			}
		}
	}
	return d, nil
}

// Steps with teachers, and their traces, are the same however rows go through the model.
func TestTeachingDependsOnRowsOnly(t *testing.T) {
	for name, model := range traceModels() {
		for lessons := 1; lessons <= 2; lessons++ {
			r := newRig(t, model)
			r.teacher = &noise{vocab: model.VocabSize, lessons: lessons}
			result, want := r.step(t, &Tracing{})
			after := patterns(r.model)
			if result.Terms["divergence"] <= 0 || result.Terms["divergence.noise0"] <= 0 || result.Terms["divergence.noise1"] <= 0 {
				t.Errorf("%s: terms are %v", name, result.Terms)
			}
			for _, r.cfg.MicroRows = range []int{1, 3, 5} {
				for _, r.cfg.Recompute = range []string{"full", "none"} {
					what := fmt.Sprintf("%s, %d lessons, %d rows at once, recompute %s", name, lessons, r.cfg.MicroRows, r.cfg.Recompute)
					res, got := r.step(t, &Tracing{})
					if i := got.First(want); i >= 0 {
						t.Fatalf("%s: entry %d is %+v, want %+v", what, i, entryAt(got, i), entryAt(want, i))
					}
					plain, _ := r.step(t, nil)
					if fmt.Sprint(plain) != fmt.Sprint(res) || fmt.Sprint(res.Terms) != fmt.Sprint(result.Terms) || !slices.Equal(patterns(r.model), after) {
						t.Errorf("%s: another step: %+v, want %+v", what, res, result)
					}
				}
			}
		}
	}
}

// What a teacher's part of the step computes stands before all that depends on it.
func TestTeachersOperatorsAreCauses(t *testing.T) {
	model := traceModels()["v4"]
	r := newRig(t, model)
	r.teacher = &noise{vocab: model.VocabSize, lessons: 2}
	honest := r.mustTrace(t, &Tracing{})
	done := map[string]bool{}
	for _, e := range honest.Entries() {
		name := e.Name + " " + e.Pass.String()
		if done[name] || e.Row < 0 || !strings.HasPrefix(e.Name, "head.") || e.Layer >= 0 {
			continue
		}
		done[name] = true
		r.locate(t, honest, &fault{at: e.Operator, element: int(e.Size) / 2})
	}
	for _, want := range []string{"head.teacher.logits forward", "head.teacher.logits.1 forward", "head.teacher.weights forward", "head.teacher.normalisers.1 forward", "head.divergences forward", "head.logits backward", "head.normalisers forward"} {
		if !done[want] {
			t.Errorf("no operator %q in %v", want, done)
		}
	}
}

func TestTeachingRefuses(t *testing.T) {
	tr, _ := newTrainer(t, testConfig(1), pairs{4, 40, tiny().VocabSize, -1}, 4)
	for _, weight := range []float64{-1, 101} {
		if err := tr.Teach(nil, weight); err == nil || !strings.Contains(err.Error(), "want 0 to 100") {
			t.Errorf("weight %v: %v", weight, err)
		}
	}
	no := errors.New("away today")
	if err := tr.Teach(&noise{vocab: tiny().VocabSize, lessons: 1, refuse: no}, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := tr.Step(t.Context()); !errors.Is(err, no) || !strings.Contains(err.Error(), "train: step 0: teachers: away today") {
		t.Errorf("%v, want the refusal", err)
	}
	if taken, _ := tr.Steps(); taken != 0 {
		t.Errorf("%d steps taken", taken)
	}
}

// Teachers and an objective are minimised together: here the cross-entropy, which Teach
// can weigh by itself.
func TestTeachersBesideAnObjective(t *testing.T) {
	source := pairs{4, 40, tiny().VocabSize, -1}
	both, a := newTrainer(t, testConfig(2), source, 4)
	one, b := newTrainer(t, testConfig(2), source, 4)
	both.Objective(&crossEntropy{})
	for tr, weight := range map[*Trainer]float64{both: 0, one: 1} {
		if err := tr.Teach(&noise{vocab: tiny().VocabSize, lessons: 1}, weight); err != nil {
			t.Fatal(err)
		}
		for !tr.Done() {
			r, err := tr.Step(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if _, ok := r.Terms["loss"]; ok != (tr == both) || r.Terms["divergence"] <= 0 {
				t.Errorf("terms are %v", r.Terms)
			}
		}
	}
	if !slices.Equal(patterns(a), patterns(b)) {
		t.Error("the same sum of losses by two ways has other bits")
	}
}
