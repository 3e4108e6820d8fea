package nn

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/temper-ml/temper/compute/kernel"
)

// class is a student's head, its inputs, and what teachers say of them.
type class struct {
	head   *Head
	x      []float32
	labels []int32
	coef   []float32
	lesson *Distillation
}

const classRows, classWidth = 43, 12

// newClass has three teachers of different widths. Some positions have no teacher.
func newClass(vocab, lessons int, by kernel.Divergence) *class {
	c := &class{
		head: &Head{Linear: Linear{Weight: Weight{Data: gaussian(vocab*classWidth, "head"), Grad: make([]float32, vocab*classWidth)}, In: classWidth, Out: vocab}},
		x:    gaussian(classRows*classWidth, "x"), labels: make([]int32, classRows), coef: make([]float32, classRows),
		lesson: &Distillation{Divergence: by},
	}
	for j, width := range []int{12, 5, 17} {
		name := fmt.Sprint("teacher", j)
		c.lesson.Teachers = append(c.lesson.Teachers, Teacher{Name: name, Linear: Linear{Weight: Weight{Data: gaussian(vocab*width, name)}, In: width, Out: vocab}})
		c.lesson.States = append(c.lesson.States, gaussian((classRows+3)*width, name+" states"))
	}
	for k := range lessons {
		l := Lesson{Teacher: make([]int32, classRows), State: make([]int32, classRows), Coef: make([]float32, classRows)}
		for i := range classRows {
			l.Teacher[i], l.State[i], l.Coef[i] = int32((i/9+k)%3), int32(i+k), 1/float32(3+i+k)
			if (i+k)%10 == 4 {
				l.Teacher[i], l.Coef[i] = -1, 0
			}
		}
		c.lesson.Lessons = append(c.lesson.Lessons, l)
	}
	for i := range classRows {
		c.labels[i], c.coef[i] = int32(i*7%vocab), 1/float32(i+1)
	}
	c.labels[6] = -1
	return c
}

// lessonsLearned is all that Distill computes.
type lessonsLearned struct {
	Distilled
	dx, dw []float32
}

func newDistilled(rows, lessons int) Distilled {
	o := Distilled{Losses: make([]float32, rows)}
	for range lessons {
		o.Divergences, o.Normalisers = append(o.Divergences, make([]float32, rows)), append(o.Normalisers, make([]float32, rows))
	}
	return o
}

func (c *class) learn(t *testing.T, limit int, a *Arena) lessonsLearned {
	t.Helper()
	if err := c.lesson.Check(c.head.Out, classRows); err != nil {
		t.Fatal(err)
	}
	c.head.MaxLogits = limit
	clear(c.head.Grad)
	out := lessonsLearned{newDistilled(classRows, len(c.lesson.Lessons)), make([]float32, len(c.x)), nil}
	c.head.Distill(&out.Distilled, out.dx, c.x, c.labels, c.coef, classRows, c.lesson, &Pass{Arena: a})
	out.dw = slices.Clone(c.head.Grad)
	return out
}

func sameBits(a, b []float32) bool {
	return slices.EqualFunc(a, b, func(x, y float32) bool { return math.Float32bits(x) == math.Float32bits(y) })
}

func (l lessonsLearned) same(t *testing.T, what string, want lessonsLearned) {
	t.Helper()
	if !sameBits(l.Losses, want.Losses) || !sameBits(l.dx, want.dx) || !sameBits(l.dw, want.dw) {
		t.Errorf("%s: losses or gradients change", what)
	}
	for k := range l.Divergences {
		if !sameBits(l.Divergences[k], want.Divergences[k]) || !sameBits(l.Normalisers[k], want.Normalisers[k]) {
			t.Errorf("%s: lesson %d changes", what, k)
		}
	}
}

var measures = []kernel.Divergence{
	{Kind: kernel.DivergenceReverse},
	{Kind: kernel.DivergenceForward},
	{Kind: kernel.DivergenceJensenShannon, Beta: .3},
	{Kind: kernel.DivergenceTopK, K: 7},
}

// Neither tiles of rows and vocabulary, nor threads, nor instruction sets change a bit.
func TestDistillTiles(t *testing.T) {
	threads, path := kernel.Threads(), kernel.Path()
	defer func() {
		kernel.SetThreads(threads)
		_, _ = kernel.SetPath(path)
	}()
	for _, by := range measures {
		for lessons := 1; lessons <= 3; lessons++ {
			for _, vocab := range []int{33, 16 * 45, 1103} {
				c := newClass(vocab, lessons, by)
				want := c.learn(t, 1<<30, NewArena())
				for _, limit := range []int{1, 9000, 20000, 16 * vocab * 4} {
					c.learn(t, limit, NewArena()).same(t, fmt.Sprintf("%v, %d lessons, vocabulary %d: at most %d logits", by.Kind, lessons, vocab, limit), want)
				}
				for _, n := range []int{1, 3} {
					for _, p := range kernel.Paths() {
						kernel.SetThreads(n)
						if _, err := kernel.SetPath(p); err != nil {
							t.Fatal(err)
						}
						c.learn(t, 9000, NewArena()).same(t, fmt.Sprintf("%v on %s, %d threads", by.Kind, p, n), want)
					}
				}
				kernel.SetThreads(threads)
				_, _ = kernel.SetPath(path)
			}
		}
	}
}

// One lesson of the reverse kind is kernel.ReverseKL of all logits at once, to the bit.
func TestDistillIsReverseKL(t *testing.T) {
	c := newClass(1103, 1, kernel.Divergence{})
	c.coef = nil
	l, v := &c.lesson.Lessons[0], c.head.Out
	logits, teacher := make([]float32, classRows*v), make([]float32, classRows*v)
	c.head.Forward(logits, c.x, classRows)
	for i := range classRows {
		if j := l.Teacher[i]; j >= 0 {
			head := &c.lesson.Teachers[j]
			head.Forward(teacher[i*v:(i+1)*v], c.lesson.States[j][int(l.State[i])*head.In:][:head.In], 1)
		}
	}
	want := lessonsLearned{newDistilled(classRows, 1), make([]float32, len(c.x)), make([]float32, len(c.head.Grad))}
	kernel.ReverseKL(want.Divergences[0], logits, teacher, l.Coef, classRows, v)
	clear(c.head.Grad)
	c.head.Backward(want.dx, logits, c.x, classRows, false)
	copy(want.dw, c.head.Grad)
	for _, limit := range []int{0, 9000} {
		got := c.learn(t, limit, NewArena())
		if !sameBits(got.Divergences[0], want.Divergences[0]) || !sameBits(got.dx, want.dx) || !sameBits(got.dw, want.dw) {
			t.Errorf("at most %d logits: other bits than ReverseKL", limit)
		}
	}
}

// Without lessons, Distill is Loss, but for the zeros of a row without a label.
func TestDistillIsLoss(t *testing.T) {
	c := newClass(700, 0, kernel.Divergence{})
	loss, dx := make([]float32, classRows), make([]float32, len(c.x))
	c.head.Loss(loss, dx, c.x, c.labels, c.coef, classRows, &Pass{Arena: NewArena()})
	dw := slices.Clone(c.head.Grad)
	for _, limit := range []int{0, 9000} {
		got := c.learn(t, limit, NewArena())
		if !slices.Equal(got.Losses, loss) || !slices.Equal(got.dx, dx) || !slices.Equal(got.dw, dw) {
			t.Errorf("at most %d logits: other numbers than Loss", limit)
		}
	}
}

// A teacher that says what the student says teaches nothing: exactly.
func TestDistillFromItself(t *testing.T) {
	for _, by := range measures[:3] {
		c := newClass(700, 2, by)
		c.coef = nil
		for j := range c.lesson.Teachers {
			c.lesson.Teachers[j].Linear = Linear{Weight: Weight{Data: c.head.Data}, In: classWidth, Out: c.head.Out}
			c.lesson.States[j] = c.x
		}
		for k := range c.lesson.Lessons {
			for i := range classRows {
				c.lesson.Lessons[k].State[i] = int32(i)
			}
		}
		for _, limit := range []int{0, 9000} {
			got := c.learn(t, limit, NewArena())
			for what, x := range map[string][]float32{"first": got.Divergences[0], "second": got.Divergences[1], "dx": got.dx, "dw": got.dw} {
				for i, v := range x {
					if v != 0 {
						t.Fatalf("%v: %s[%d] is %g, want exactly 0", by.Kind, what, i, v)
					}
				}
			}
		}
	}
}

// objective is Σ coef·divergence + Σ coef·(-log p(label)) in float64.
func (c *class) objective(x, w []float64) float64 {
	sum, v := 0.0, c.head.Out
	for i := range classRows {
		p := logSoftmax64(x[i*classWidth:(i+1)*classWidth], w, v)
		if c.coef != nil && c.labels[i] >= 0 {
			sum -= float64(c.coef[i]) * p[c.labels[i]]
		}
		for k := range c.lesson.Lessons {
			l := &c.lesson.Lessons[k]
			j := l.Teacher[i]
			if j < 0 {
				continue
			}
			head := &c.lesson.Teachers[j]
			q := logSoftmax64(widen(c.lesson.States[j][int(l.State[i])*head.In:][:head.In]), widen(head.Data), v)
			sum += float64(l.Coef[i]) * divergence64(c.lesson.Divergence, p, q)
		}
	}
	return sum
}

func divergence64(by kernel.Divergence, p, q []float64) float64 {
	sum, beta := 0.0, float64(by.Beta)
	if by.Kind == kernel.DivergenceTopK {
		order := make([]int, len(q))
		for v := range order {
			order[v] = v
		}
		slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(q[b], q[a]) })
		for _, v := range order[:by.K] {
			sum += math.Exp(q[v]) * (q[v] - p[v])
		}
		return max(0, sum)
	}
	for v := range p {
		switch by.Kind {
		case kernel.DivergenceReverse:
			sum += math.Exp(p[v]) * (p[v] - q[v])
		case kernel.DivergenceForward:
			sum += math.Exp(q[v]) * (q[v] - p[v])
		default:
			m := math.Log((1-beta)*math.Exp(p[v]) + beta*math.Exp(q[v]))
			sum += beta*math.Exp(q[v])*(q[v]-m) + (1-beta)*math.Exp(p[v])*(p[v]-m)
		}
	}
	return sum
}

func logSoftmax64(x, w []float64, vocab int) []float64 {
	out, z := make([]float64, vocab), 0.0
	for v := range out {
		for i := range x {
			out[v] += x[i] * w[v*len(x)+i]
		}
		z += math.Exp(out[v])
	}
	for v := range out {
		out[v] -= math.Log(z)
	}
	return out
}

func widen(x []float32) []float64 {
	out := make([]float64, len(x))
	for i, v := range x {
		out[i] = float64(v)
	}
	return out
}

// Gradients are those of the definition, by central differences in float64; so are values.
func TestDistillGradient(t *testing.T) {
	for _, by := range measures {
		c := newClass(57, 2, by)
		got := c.learn(t, 0, NewArena())
		x, w := widen(c.x), widen(c.head.Data)
		total := 0.0
		for i := range classRows {
			if c.labels[i] >= 0 {
				total += float64(c.coef[i]) * float64(got.Losses[i])
			}
			for k := range c.lesson.Lessons {
				total += float64(c.lesson.Lessons[k].Coef[i]) * float64(got.Divergences[k][i])
			}
		}
		if want := c.objective(x, w); math.Abs(total-want) > 2e-5*math.Abs(want) {
			t.Errorf("%v: objective is %.9g, want %.9g", by.Kind, total, want)
		}
		for what, g := range map[string]struct {
			at   []float64
			grad []float32
		}{"dx": {x, got.dx}, "dw": {w, got.dw}} {
			for i := 0; i < len(g.at); i += 13 {
				const h = 1e-5
				old := g.at[i]
				g.at[i] = old + h
				up := c.objective(x, w)
				g.at[i] = old - h
				slope := (up - c.objective(x, w)) / (2 * h)
				g.at[i] = old
				if math.Abs(slope-float64(g.grad[i])) > 2e-5*(1+math.Abs(slope)) {
					t.Errorf("%v: %s[%d] is %g, want %g", by.Kind, what, i, g.grad[i], slope)
				}
			}
		}
	}
}

// At V4's vocabulary, distillation holds no more than 1 % of the logits, and exactly
// what DistillFloats says.
func TestDistillMemory(t *testing.T) {
	const vocab = 129280
	for _, rows := range []int{64, 200, 1000, 4096, 16384, 65536, 1 << 20} {
		for _, lessons := range []int{1, 2, 4} {
			h := &Head{Linear: Linear{Out: vocab}}
			if share := float64(h.DistillFloats(rows, lessons, 64, false)) / (float64(rows) * vocab); share > .01 {
				t.Errorf("%d rows, %d lessons: holds %.3f %% of the logits, want at most 1 %%", rows, lessons, 100*share)
			}
		}
	}
	if testing.Short() {
		t.Skip("computes 60 million logits")
	}
	c := newClass(vocab, 2, kernel.Divergence{})
	c.x, c.labels = c.x[:64/2*classWidth], c.labels[:32]
	a := NewArena()
	out := newDistilled(32, 2)
	for k := range c.lesson.Lessons {
		l := &c.lesson.Lessons[k]
		l.Teacher, l.State, l.Coef = l.Teacher[:32], l.State[:32], l.Coef[:32]
	}
	c.head.Distill(&out, make([]float32, len(c.x)), c.x, c.labels, c.coef[:32], 32, c.lesson, &Pass{Arena: a})
	if want := int64(4 * c.head.DistillFloats(32, 2, c.lesson.K, false)); a.Peak() != want {
		t.Errorf("held %d bytes, DistillFloats says %d", a.Peak(), want)
	}
}

// Of equal logits the first are taken, wherever tiles end.
func TestTopKTies(t *testing.T) {
	c := newClass(300, 1, kernel.Divergence{Kind: kernel.DivergenceTopK, K: 40})
	for j := range c.lesson.Teachers {
		w := c.lesson.Teachers[j].Data
		for i := range w { // three kinds of tokens
			w[i] = float32(i / c.lesson.Teachers[j].In % 3)
		}
	}
	want := c.learn(t, 1<<30, NewArena())
	for _, limit := range []int{1, 9000} {
		c.learn(t, limit, NewArena()).same(t, fmt.Sprint("at most ", limit), want)
	}
	total := 0.0
	for i, v := range want.Divergences[0] {
		total += float64(c.lesson.Lessons[0].Coef[i]) * float64(v)
	}
	entropy := c.coef
	c.coef = nil
	if exact := c.objective(widen(c.x), widen(c.head.Data)); math.Abs(total-exact) > 1e-5*math.Abs(exact) {
		t.Errorf("divergences are %g, want %g", total, exact)
	}
	c.coef = entropy
}

func TestDistillationCheck(t *testing.T) {
	for want, spoil := range map[string]func(d *Distillation){
		`teacher "teacher1" has a vocabulary of 40 tokens, the student one of 33`: func(d *Distillation) { d.Teachers[1].Out = 40 },
		`teacher "teacher2" has a head of`:                                        func(d *Distillation) { d.States[2] = d.States[2][1:] },
		"lesson 1: position 3 has teacher 9 of 3":                                 func(d *Distillation) { d.Lessons[1].Teacher[3] = 9 },
		"lesson 0: position 2 has state 46 of the 46":                             func(d *Distillation) { d.Lessons[0].State[2] = classRows + 3 },
		"lesson 0: position 5 has coefficient NaN":                                func(d *Distillation) { d.Lessons[0].Coef[5] = float32(math.NaN()) },
		"lesson 0: position 5 has coefficient 0.125 and no teacher":               func(d *Distillation) { d.Lessons[0].Teacher[5] = -1 },
		"k of top-k is 0":                                 func(d *Distillation) { d.Divergence = kernel.Divergence{Kind: kernel.DivergenceTopK} },
		"k is 3, but only top-k has one":                  func(d *Distillation) { d.K = 3 },
		"beta of jensen-shannon is 1":                     func(d *Distillation) { d.Divergence = kernel.Divergence{Kind: 2, Beta: 1} },
		"has states of 2 teachers, want 3":                func(d *Distillation) { d.States = d.States[:2] },
		`has teacher "teacher1", whose head is not there`: func(d *Distillation) { d.Teachers[1].Data, d.States[1] = nil, nil },
		"has 43 teachers, 42 states":                      func(d *Distillation) { d.Lessons[0].State = d.Lessons[0].State[:42] },
	} {
		c := newClass(33, 2, kernel.Divergence{})
		spoil(c.lesson)
		if err := c.lesson.Check(33, classRows); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// BenchmarkDistill compares the loss with one teacher with the plain loss, at V4's
// vocabulary.
func BenchmarkDistill(b *testing.B) {
	const rows, width, vocab = 512, 512, 129280
	head := &Head{Linear: Linear{Weight: Weight{Data: make([]float32, vocab*width), Grad: make([]float32, vocab*width)}, In: width, Out: vocab}}
	x, dx, coef := gaussian(rows*width, "x"), make([]float32, rows*width), make([]float32, rows)
	d := &Distillation{
		Teachers: []Teacher{{Linear: Linear{Weight: Weight{Data: make([]float32, vocab*width)}, In: width, Out: vocab}}},
		States:   [][]float32{gaussian(rows*width, "states")},
		Lessons:  []Lesson{{Teacher: make([]int32, rows), State: make([]int32, rows), Coef: make([]float32, rows)}},
	}
	for i := range head.Data {
		head.Data[i], d.Teachers[0].Data[i] = float32(i%17-8)/64, float32(i%19-9)/64
	}
	for i := range rows {
		d.Lessons[0].State[i], d.Lessons[0].Coef[i] = int32(i), 1
	}
	labels, out := make([]int32, rows), newDistilled(rows, 1)
	p := &Pass{Arena: NewArena()}
	b.Run("plain", func(b *testing.B) {
		for b.Loop() {
			head.Loss(out.Losses, dx, x, labels, coef, rows, p)
		}
	})
	for name, limit := range map[string]int{"default": 0, "16 rows": 2 * 16 * (vocab + distillState), "64 rows": 2 * 64 * (vocab + distillState)} {
		b.Run(name, func(b *testing.B) {
			head.MaxLogits = limit
			for b.Loop() {
				head.Distill(&out, dx, x, labels, nil, rows, d, p)
			}
			t := head.distillTile(rows, 1, 0, false)
			b.ReportMetric(float64(t.rows), "rows")
			b.ReportMetric(float64(t.columns), "columns")
			b.ReportMetric(4*float64(head.DistillFloats(rows, 1, 0, false)), "bytes")
			head.MaxLogits = 0
		})
	}
}
