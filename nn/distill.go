package nn

import (
	"math"

	"github.com/temper-ml/temper/compute/kernel"
)

// Teacher turns the last hidden states of another model, of any width, into its
// logits over the same vocabulary.
type Teacher struct {
	Name   string // for errors
	Linear        // Out = V; no gradient
}

// Lesson gives each of some supervised positions at most one teacher. A sum over
// teachers is several lessons.
type Lesson struct {
	Teacher []int32   // index of the teacher, -1 for none
	State   []int32   // row of that teacher's states
	Coef    []float32 // weight of the position's divergence in the gradient; 0 is none
}

// Distillation is what positions learn from teachers: the gradient of
// Σ coef·divergence, over lessons and positions.
type Distillation struct {
	kernel.Divergence
	Teachers []Teacher
	States   [][]float32 // last hidden states of each teacher, [n, In]
	Lessons  []Lesson
}

// Distilled is what [Head.Distill] says of each position, [rows] each.
type Distilled struct {
	Losses      []float32   // -log p(label)
	Divergences [][]float32 // of each lesson
	Normalisers [][]float32 // log-sum-exp of the teacher's logits, of each lesson
}

// distillTile is how logits are cut: rows by columns at a time. Where columns are
// fewer than the vocabulary, logits are computed several times: for maxima, for
// normalisers, for divergences, and for the gradient.
type distillTile struct{ rows, columns, buffers, top int }

const (
	distillState  = 24 + 4*kernel.Lanes // floats held for each row of a tile, without lessons
	distillLesson = 6                   // and for each lesson
	leastDistill  = 64 << 10            // floats: what a small batch may take
	mostDistill   = 32 << 20            // and a large one
	goodRows      = 16                  // fewer make products of whole rows slow
)

// distillTile chooses a tile of at most 1 % of the logits of rows, or MaxLogits
// floats. What is shown of a row is in one piece.
func (h *Head) distillTile(rows, lessons, top int, shown bool) distillTile {
	limit := h.MaxLogits
	if limit == 0 {
		limit = min(max(rows*h.Out/100, leastDistill), mostDistill)
	}
	t := distillTile{buffers: 2, top: top}
	if lessons > 1 {
		t.buffers = 3
	}
	if shown {
		t.rows, t.columns = h.ChunkRows(rows), h.Out
		return t
	}
	state := distillState + distillLesson*lessons + 2*top
	if t.rows = min(rows, limit/(t.buffers*h.Out+state)); t.rows == rows || t.rows >= goodRows {
		t.columns = h.Out
		if t.rows < rows {
			t.rows &^= goodRows - 1
		}
		return t
	}
	narrow := 2 * kernel.Lanes
	t.rows = min(rows, max(1, limit/(t.buffers*narrow+state)))
	t.columns = min(h.Out, max(narrow, (limit/t.rows-state)/t.buffers&^(kernel.Lanes-1)))
	return t
}

// DistillFloats returns the arena memory, in 4-byte elements, that Distill holds
// beside what it returns, for so many lessons and K of top-k; shown tells whether the pass
// has a Watch.
func (h *Head) DistillFloats(rows, lessons, top int, shown bool) int {
	if rows == 0 {
		return 0
	}
	t := h.distillTile(rows, lessons, top, shown)
	n := t.buffers*ArenaSize(t.rows*t.columns) + 4*ArenaSize(t.rows) + ArenaSize(t.rows*kernel.Lanes) + ArenaSize(t.rows*2*kernel.Lanes)
	if top > 0 {
		n += 2*ArenaSize(t.rows*top) + lessons*2*ArenaSize(t.rows)
	}
	return n + lessons*3*ArenaSize(t.rows)
}

// Distill computes, for each row of x [rows, D], -log p(label) and how far the
// model's distribution over the whole vocabulary is from its teachers'. It writes
// the gradient of Σ coef·(-log p(label)) + Σ of the lessons with respect to x into
// dx, and adds the weight's gradient. coef may be nil: labels are then looked at
// only for the report. dx may be nil: then there is no gradient. The pass's Scored must
// have told what the rows are.
//
// Teachers' logits exist for a tile of rows and vocabulary at a time. Results do not
// depend on tiles.
func (h *Head) Distill(out *Distilled, dx, x []float32, labels []int32, coef []float32, rows int, d *Distillation, p *Pass) {
	m := p.Arena.Mark()
	defer p.Arena.Release(m)
	t := distiller{h: h, d: d, p: p, out: out, x: x, dx: dx, labels: labels, coef: coef}
	t.tile = h.distillTile(rows, len(d.Lessons), d.K, p.Watch != nil)
	t.take(p.Arena)
	for lo := 0; lo < rows; lo += t.tile.rows {
		t.block(lo, min(t.tile.rows, rows-lo))
	}
}

// distiller works on one tile after the other.
type distiller struct {
	h      *Head
	d      *Distillation
	p      *Pass
	out    *Distilled
	x, dx  []float32
	labels []int32
	coef   []float32
	tile   distillTile

	student, teacher, grad []float32 // logits [rows, columns], and the gradient
	lanes, sums            []float32
	picked                 []float32 // the label's logit
	largest                []float32 // of a teacher's logits [rows, K], for top-k
	tokens                 []int32   // and whose they are
	of                     kernel.Softmax
	lessons                []lessonRows
	kernelLogits           kernel.Logits
}

// lessonRows is what the rows of a tile have of a lesson.
type lessonRows struct {
	of     kernel.Softmax
	center []float32
	least  []float32 // for top-k
	last   []int32
}

func (t *distiller) take(a *Arena) {
	n, cells := t.tile.rows, t.tile.rows*t.tile.columns
	t.student, t.teacher = a.F32(cells), a.F32(cells)
	t.grad = t.teacher
	if t.tile.buffers > 2 {
		t.grad = a.F32(cells)
	}
	t.lanes, t.sums, t.picked = a.F32(n*kernel.Lanes), a.F32(n*2*kernel.Lanes), a.F32(n)
	t.of = kernel.Softmax{Max: a.F32(n), Inverse: a.F32(n), LSE: a.F32(n)}
	k := t.d.K
	if k > 0 {
		t.largest, t.tokens = a.F32(n*k), a.I32(n*k)
	}
	for range t.d.Lessons {
		l := lessonRows{of: kernel.Softmax{Max: a.F32(n), Inverse: a.F32(n)}, center: a.F32(n)}
		if k > 0 {
			l.least, l.last = a.F32(n), a.I32(n)
		}
		t.lessons = append(t.lessons, l)
	}
}

// whole tells whether a tile has rows in one piece, so that logits are kept.
func (t *distiller) whole() bool { return t.tile.columns == t.h.Out }

// block does n rows from row lo on.
func (t *distiller) block(lo, n int) {
	t.studentSoftmax(lo, n)
	for k := range t.d.Lessons {
		t.lesson(k, lo, n)
	}
	if t.dx == nil {
		return
	}
	before := t.p.Backwards(true)
	defer t.p.Backwards(before)
	if t.whole() {
		t.finish(lo, n, 0, t.h.Out)
	} else {
		t.chunks(func(at, to int) {
			t.fillStudent(lo, n, at, to)
			for k := range t.d.Lessons {
				t.fillTeacher(k, lo, n, at, to)
				t.gradient(k, lo, n, at, to)
			}
			t.finish(lo, n, at, to)
		})
	}
	t.p.SeeScored("supervised", t.dx[lo*t.h.In:(lo+n)*t.h.In], lo, n)
}

// chunks calls f for every range of the vocabulary.
func (t *distiller) chunks(f func(at, to int)) {
	for at := 0; at < t.h.Out; at += t.tile.columns {
		f(at, min(at+t.tile.columns, t.h.Out))
	}
}

// cut returns the first n rows of the softmax's numbers; they belong to lse, if given.
func cut(s kernel.Softmax, n int, lse []float32) kernel.Softmax {
	if lse == nil {
		lse = s.LSE
	}
	return kernel.Softmax{Max: s.Max[:n], Inverse: s.Inverse[:n], LSE: lse[:n]}
}

// softmax makes the softmax of n rows of logits that fill brings, chunk by chunk.
func (t *distiller) softmax(s kernel.Softmax, n int, fill func(at, to int) []float32, see func(at, to int, x []float32)) {
	for r := range s.Max {
		s.Max[r] = float32(math.Inf(-1))
	}
	lanes := t.lanes[:n*kernel.Lanes]
	clear(lanes)
	t.chunks(func(at, to int) {
		kernel.MaxRows(s.Max, fill(at, to), n, to-at)
	})
	t.chunks(func(at, to int) {
		x := fill(at, to)
		if see != nil {
			see(at, to, x)
		}
		kernel.ExpSumRows(lanes, x, s.Max, n, to-at)
	})
	s.Finish(lanes, n)
}

// studentSoftmax makes the student's softmax and the losses of its labels.
func (t *distiller) studentSoftmax(lo, n int) {
	s := cut(t.of, n, nil)
	filled := false
	fill := func(at, to int) []float32 {
		if !filled || !t.whole() {
			t.fillStudent(lo, n, at, to)
			filled = true
			if t.whole() {
				t.p.SeeScored("logits", t.student[:n*t.h.Out], lo, n)
			}
		}
		return t.student[:n*(to-at)]
	}
	t.softmax(s, n, fill, func(at, to int, x []float32) {
		for r := range n {
			if l := int(t.labels[lo+r]); l >= at && l < to {
				t.picked[r] = x[r*(to-at)+l-at]
			}
		}
	})
	t.p.SeeScored("normalisers", s.LSE, lo, n)
	for r := range n {
		t.out.Losses[lo+r] = 0
		if t.labels[lo+r] >= 0 {
			t.out.Losses[lo+r] = s.LSE[r] - t.picked[r]
		}
	}
	t.p.SeeScored("losses", t.out.Losses[lo:lo+n], lo, n)
}

// lesson makes the divergences of lesson k. If logits are kept, it makes the gradient
// too.
func (t *distiller) lesson(k, lo, n int) {
	if t.p.Watch != nil {
		t.p.SeeScored(numbered("teacher.weights", k), t.d.Lessons[k].Coef[lo:lo+n], lo, n)
	}
	t.teacherSoftmax(k, lo, n)
	if t.p.Watch != nil {
		t.p.SeeScored(numbered("teacher.normalisers", k), t.out.Normalisers[k][lo:lo+n], lo, n)
	}
	value, sums := t.out.Divergences[k][lo:lo+n], t.sums[:n*2*kernel.Lanes]
	clear(sums)
	t.chunks(func(at, to int) {
		if !t.whole() {
			t.fillStudent(lo, n, at, to)
			t.fillTeacher(k, lo, n, at, to)
		}
		t.d.Sums(sums, t.logits(k, lo, n, at, to))
	})
	t.d.Values(value, t.lessons[k].center[:n], sums, t.logits(k, lo, n, 0, t.tile.columns))
	if t.p.Watch != nil {
		t.p.SeeScored(numbered("divergences", k), value, lo, n)
	}
	if t.whole() && t.dx != nil {
		t.gradient(k, lo, n, 0, t.h.Out)
	}
}

// teacherSoftmax makes the softmax of the teacher's logits, and of top-k finds the
// largest.
func (t *distiller) teacherSoftmax(k, lo, n int) {
	l, top, filled := &t.lessons[k], t.d.K, false
	for i := range t.largest {
		t.largest[i] = float32(math.Inf(-1))
	}
	fill := func(at, to int) []float32 {
		if !filled || !t.whole() {
			t.fillTeacher(k, lo, n, at, to)
			filled = true
			if t.whole() && t.p.Watch != nil {
				t.p.SeeScored(numbered("teacher.logits", k), t.teacher[:n*t.h.Out], lo, n)
			}
		}
		return t.teacher[:n*(to-at)]
	}
	t.softmax(cut(l.of, n, t.out.Normalisers[k][lo:lo+n]), n, fill, func(at, to int, x []float32) {
		if top > 0 {
			kernel.LargestRows(t.largest[:n*top], t.tokens[:n*top], x, n, to-at, at, top)
		}
	})
	for r := 0; r < n && top > 0; r++ {
		l.least[r], l.last[r] = t.largest[(r+1)*top-1], t.tokens[(r+1)*top-1]
	}
}

// logits are the chunk [at, to) of the rows, with what is known of them.
func (t *distiller) logits(k, lo, n, at, to int) *kernel.Logits {
	t.kernelLogits = kernel.Logits{
		X: t.student[:n*(to-at)], T: t.teacher[:n*(to-at)], Student: cut(t.of, n, nil),
		Teacher: cut(t.lessons[k].of, n, t.out.Normalisers[k][lo:lo+n]),
		Coef:    t.d.Lessons[k].Coef[lo : lo+n], Rows: n, Dim: to - at, First: at,
		Least: t.lessons[k].least, Last: t.lessons[k].last,
	}
	return &t.kernelLogits
}

// gradient adds lesson k's part to the chunk's gradient; the first one overwrites it.
func (t *distiller) gradient(k, lo, n, at, to int) {
	t.d.Gradient(t.grad[:n*(to-at)], t.lessons[k].center[:n], t.logits(k, lo, n, at, to), k > 0)
}

// finish adds the labels' part to the chunk's gradient and takes it to dx and the weight.
func (t *distiller) finish(lo, n, at, to int) {
	g, d := t.grad[:n*(to-at)], t.h.In
	if len(t.d.Lessons) == 0 {
		clear(g)
	}
	if t.coef != nil {
		kernel.AddEntropyGradient(g, t.student[:n*(to-at)], cut(t.of, n, nil), t.labels[lo:lo+n], t.coef[lo:lo+n], n, to-at, at)
	}
	if t.whole() {
		t.p.SeeScored("logits", g, lo, n)
	}
	gm, rows := kernel.MatOf(g, n, to-at), kernel.MatOf(t.x[lo*d:(lo+n)*d], n, d)
	jobs := [2]kernel.Product{{
		Form: kernel.NN, Out: kernel.MatOf(t.dx[lo*d:(lo+n)*d], n, d), A: gm, B: t.h.Mat().Slice(at, to, 0, d), Accumulate: at > 0,
	}}
	if !t.h.Trained() {
		kernel.Run(jobs[:1]...)
		return
	}
	jobs[1] = kernel.Product{Form: kernel.TN, Out: t.h.GradMat().Slice(at, to, 0, d), A: gm, B: rows, Accumulate: true}
	kernel.Run(jobs[:]...)
}

// fillStudent computes logits [at, to) of n rows from lo on.
func (t *distiller) fillStudent(lo, n, at, to int) {
	x := kernel.MatOf(t.x[lo*t.h.In:(lo+n)*t.h.In], n, t.h.In)
	kernel.MatMul(kernel.MatOf(t.student, n, to-at), x, t.h.Mat().Slice(at, to, 0, t.h.In))
}

// fillTeacher computes logits [at, to) of what the rows' teachers say in lesson k, 0
// for rows without one. Consecutive states of one teacher are one product.
func (t *distiller) fillTeacher(k, lo, n, at, to int) {
	l, w := &t.d.Lessons[k], to-at
	for r := 0; r < n; {
		i := lo + r
		if l.Coef[i] == 0 || l.Teacher[i] < 0 {
			clear(t.teacher[r*w : (r+1)*w])
			r++
			continue
		}
		run := 1
		for r+run < n && l.Coef[i+run] != 0 && l.Teacher[i+run] == l.Teacher[i] && l.State[i+run] == l.State[i]+int32(run) {
			run++
		}
		teacher := &t.d.Teachers[l.Teacher[i]]
		from := int(l.State[i]) * teacher.In
		states := t.d.States[l.Teacher[i]][from : from+run*teacher.In]
		kernel.MatMul(kernel.MatOf(t.teacher[r*w:(r+run)*w], run, w), kernel.MatOf(states, run, teacher.In), teacher.Mat().Slice(at, to, 0, teacher.In))
		r += run
	}
}
