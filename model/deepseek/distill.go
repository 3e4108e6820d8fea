package deepseek

import (
	"fmt"

	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/nn"
)

// Distillation is what the positions of a micro-batch learn from teachers. Entry i of a
// lesson is about the i-th position that has a label; Coef is its weight, which
// [StepOptions].DistillScale multiplies.
type Distillation = nn.Distillation

// TeacherLoss is what a micro-batch contributes to the report about one teacher.
type TeacherLoss struct {
	Divergence float64 // Σ divergence, unweighted
	Positions  int
}

// TeacherError says that a teacher's distribution is not finite. No step of the
// student's can mend that, so it is no [ErrNonFinite].
type TeacherError struct {
	Teacher string
	Token   int    // position in the micro-batch
	Part    string // what holds NaN or infinity, or overflows
}

// Error names the teacher.
func (e *TeacherError) Error() string {
	return fmt.Sprintf("deepseek: teacher %q is not finite at token %d of the micro-batch: %s", e.Teacher, e.Token, e.Part)
}

// Teacher returns the model's head for students of it, with its [Model.HiddenStates]. It shares
// the model's memory.
func (m *Model) Teacher(name string) nn.Teacher {
	t := nn.Teacher{Name: name, Linear: m.head.Linear}
	t.Grad = nil
	return t
}

// HiddenStates returns the last hidden states [n, D] of the n positions that have a
// label: what the head projects, after the final norm. A position's state has the
// same bits whatever else is in the batch. It keeps no activations.
func (m *Model) HiddenStates(b *Batch) ([]float32, error) {
	if err := b.check(m.cfg); err != nil {
		return nil, err
	}
	d := m.cfg.HiddenSize
	states := make([]float32, b.Supervised()*d)
	return states, m.evaluate(b, func(f *trail) error {
		r := supervised(f.levels[:1], m.arena, func(int, int) float32 { return 0 })
		r.gather(states, f.ys, d)
		return nil
	})
}

// Divergences returns how far the model is from teachers at the positions of b that
// have a label: Distill, Teachers, LM and Tokens of what a step reports, without the
// step. It keeps no activations and changes no gradient.
func (m *Model) Divergences(b *Batch, d *Distillation) (Losses, error) {
	o := StepOptions{Distill: d, DistillScale: 1}
	if err := b.check(m.cfg); err != nil {
		return Losses{}, err
	}
	if err := m.checkDistill(b, &o); err != nil {
		return Losses{}, err
	}
	var l Losses
	err := m.evaluate(b, func(f *trail) error {
		r := supervised(f.levels[:1], m.arena, func(int, int) float32 { return 0 })
		n, width := len(r.row), m.cfg.HiddenSize
		x, loss := m.arena.F32(n*width), m.arena.F32(n)
		r.gather(x, f.ys, width)
		if err := m.distill(&l, loss, nil, x, f, r, &o); err != nil {
			return err
		}
		for _, v := range loss {
			l.LM += nn.Term(float64(v))
		}
		l.Tokens += n
		return nil
	})
	return l, err
}

// checkDistill tells whether the lessons fit the batch.
func (m *Model) checkDistill(b *Batch, o *StepOptions) error {
	if o.Distill == nil {
		return nil
	}
	if err := o.Distill.Check(m.cfg.VocabSize, b.Supervised()); err != nil {
		return fmt.Errorf("deepseek: %w", err)
	}
	return nil
}

// distill is the head's loss with teachers; it adds what they say to l.
func (m *Model) distill(l *Losses, loss, dx, x []float32, f *trail, r rows, o *StepOptions) error {
	a, n := m.arena, len(r.row)
	d := *o.Distill
	d.Lessons = make([]nn.Lesson, len(d.Lessons))
	out := nn.Distilled{Losses: loss}
	for k := range d.Lessons {
		d.Lessons[k] = r.lesson(&o.Distill.Lessons[k], o.DistillScale, a)
		out.Divergences = append(out.Divergences, a.F32(n))
		out.Normalisers = append(out.Normalisers, a.F32(n))
	}
	m.head.Distill(&out, dx, x, r.labels, r.coef, n, &d, &m.current)
	if i := kernel.FirstNonFinite(loss); i >= 0 {
		return m.badLoss(f, r, i)
	}
	if l.Teachers == nil {
		l.Teachers = make([]TeacherLoss, len(d.Teachers))
	}
	for k := range d.Lessons {
		for _, values := range [][]float32{out.Normalisers[k], out.Divergences[k]} {
			if i := kernel.FirstNonFinite(values); i >= 0 {
				return badTeacher(&d, &d.Lessons[k], i, int(f.levels[0].origin[r.row[i]]))
			}
		}
		l.learned(&o.Distill.Lessons[k], &d.Lessons[k], out.Divergences[k], r)
	}
	return nil
}

// learned adds the divergences of a lesson to the report.
func (l *Losses) learned(given, lesson *nn.Lesson, divergences []float32, r rows) {
	at := 0 // of the given lesson
	for i, depth := range r.depth {
		if depth != 0 {
			continue
		}
		if j := lesson.Teacher[i]; j >= 0 && given.Coef[at] != 0 {
			l.Distill += nn.Term(float64(given.Coef[at]) * float64(divergences[i]))
			l.Teachers[j].Divergence += nn.Term(float64(divergences[i]))
			l.Teachers[j].Positions++
		}
		at++
	}
}

// lesson puts a lesson in the order of the rows; MTP blocks have no teacher.
func (r *rows) lesson(given *nn.Lesson, scale float32, a *nn.Arena) nn.Lesson {
	n := len(r.row)
	l := nn.Lesson{Teacher: a.I32(n), State: a.I32(n), Coef: a.F32(n)}
	at := 0
	for i, depth := range r.depth {
		l.Teacher[i], l.State[i], l.Coef[i] = -1, 0, 0
		if depth == 0 {
			l.Teacher[i], l.State[i], l.Coef[i] = given.Teacher[at], given.State[at], given.Coef[at]*scale
			at++
		}
	}
	return l
}

// badTeacher is the error for row i of a lesson, whose teacher is not finite.
func badTeacher(d *nn.Distillation, l *nn.Lesson, i, token int) error {
	j := l.Teacher[i]
	if j < 0 { // a student's logit that overflowed in a row without a teacher
		return &NonFiniteError{Pass: "forward", Layer: -1, Sublayer: "head", Token: token}
	}
	t := &d.Teachers[j]
	e := &TeacherError{Teacher: t.Name, Token: token, Part: "its logits overflow"}
	state := d.States[j][int(l.State[i])*t.In:][:t.In]
	if at := kernel.FirstNonFinite(state); at >= 0 {
		e.Part = fmt.Sprintf("element %d of its last hidden state is %v", at, state[at])
	} else if at := kernel.FirstNonFinite(t.Data); at >= 0 {
		e.Part = fmt.Sprintf("its head is %v at token %d, dimension %d", t.Data[at], at/t.In, at%t.In)
	}
	return e
}

// distillFloats is the arena memory of the head's loss of n rows, without its input.
func (m *Model) distillFloats(n int, o *StepOptions) int {
	if o.Distill == nil {
		return m.head.Floats(n)
	}
	k := len(o.Distill.Lessons)
	return 5*k*nn.ArenaSize(n) + m.head.DistillFloats(n, k, o.Distill.K, o.Watch != nil)
}
