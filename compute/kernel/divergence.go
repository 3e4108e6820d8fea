package kernel

import "fmt"

// DivergenceKind is how the distance of a student's distribution p from a
// teacher's, q, is measured.
type DivergenceKind int

// The kinds.
const (
	DivergenceReverse       DivergenceKind = iota // KL(p || q): the student's mass where the teacher has it
	DivergenceForward                             // KL(q || p): the student's mass wherever the teacher has some
	DivergenceJensenShannon                       // Beta·KL(q || m) + (1-Beta)·KL(p || m), m = (1-Beta)·p + Beta·q
	DivergenceTopK                                // forward, over the teacher's K likeliest tokens only
)

var divergenceNames = [...]string{"reverse", "forward", "jensen-shannon", "top-k"}

// String returns the name used in recipes.
func (k DivergenceKind) String() string {
	if k < 0 || int(k) >= len(divergenceNames) {
		return fmt.Sprintf("DivergenceKind(%d)", int(k))
	}
	return divergenceNames[k]
}

// Divergence measures rows of logits, over the whole vocabulary, chunk by chunk of
// it: first both sides' Softmax, then Sums for every chunk, Values, and Gradient
// for every chunk. A chunk is a multiple of Lanes wide, unless it is the row's last.
// Chunks do not change a bit of any result. All logits must be finite.
//
// With x the student's and t the teacher's logits, d = x - t:
//
//	reverse:  s = Dot(d, p);  value = s + (lse(t) - lse(x));  dx = (p*(d-s))*coef: ReverseKL
//	forward:  value = Dot(t-x, q) + (lse(x) - lse(t));  dx = (p-q)*coef
//	jensen-shannon:  g = d + (lse(t) - lse(x));  u = exp(-|g|)
//	  w = log((1-β) + β*u) where g >= 0, else log(β + (1-β)*u) - g       log(m/p)
//	  s = Dot(-w, p);  value = β*Dot(-g-w, q) + (1-β)*s;  dx = (p*((-w)-s))*((1-β)*coef)
//
//	top-k:    q' = q of the K largest t, of equals the first, else 0;  m = Sum(q')
//	  value = max(0, Dot(t-x, q') + m*(lse(x) - lse(t)));  dx = (p*m - q')*coef, 0 where max takes the 0
//
// Equal logits have value and gradient 0, except for top-k, whose least value is not
// where p is q. A row whose coefficient is 0 has both 0.
type Divergence struct {
	Kind DivergenceKind
	Beta float32 // of Jensen-Shannon: between 0 and 1
	K    int     // of top-k
}

// MaxTopK bounds K: a row holds its K largest logits while they are looked for.
const MaxTopK = 256

// Check tells what is impossible about d.
func (d Divergence) Check() error {
	switch {
	case d.Kind < 0 || int(d.Kind) >= len(divergenceNames):
		return fmt.Errorf("kernel: divergence %d is unknown, want reverse, forward, jensen-shannon or top-k", int(d.Kind))
	case d.Kind == DivergenceTopK && (d.K < 1 || d.K > MaxTopK):
		return fmt.Errorf("kernel: k of top-k is %d, want 1 to %d: forward takes all tokens", d.K, MaxTopK)
	case d.Kind != DivergenceTopK && d.K != 0:
		return fmt.Errorf("kernel: k is %d, but only top-k has one: leave it 0 for %v", d.K, d.Kind)
	case d.Kind == DivergenceJensenShannon && !(d.Beta > 0 && d.Beta < 1):
		return fmt.Errorf("kernel: beta of jensen-shannon is %v, want more than 0 (which would be forward) and less than 1 (reverse)", d.Beta)
	case d.Kind != DivergenceJensenShannon && d.Beta != 0:
		return fmt.Errorf("kernel: beta is %v, but only jensen-shannon has one: leave it 0 for %v", d.Beta, d.Kind)
	}
	return nil
}

// Logits are a chunk of the logits of a student and a teacher, [rows, dim], and
// what is known of the whole rows.
type Logits struct {
	X, T             []float32
	Student, Teacher Softmax
	Coef             []float32 // of each row's divergence in the gradient; 0 leaves a row out
	Rows, Dim        int
	First            int // token of the vocabulary that the chunk begins with
	// Of top-k, the least of the K largest logits of each of the teacher's rows, and
	// the last token that has it.
	Least []float32
	Last  []int32
}

func (l *Logits) check(op string) {
	wantLen(op, "x", len(l.X), l.Rows*l.Dim)
	wantLen(op, "t", len(l.T), l.Rows*l.Dim)
	wantLen(op, "coef", len(l.Coef), l.Rows)
}

// Sums continues the row reductions behind the values, in 2·Lanes floats a row.
func (d Divergence) Sums(lanes []float32, l *Logits) {
	l.check("Divergence.Sums")
	wantLen("Divergence.Sums", "lanes", len(lanes), l.Rows*2*Lanes)
	o := ops()
	eachStrip(l.Rows, l.Dim, func(s *strips, r, at, to int) {
		if l.Coef[r] == 0 {
			return
		}
		n := to - at
		g, p, q := s.a[:n], s.b[:n], s.c[:n]
		first, second := lanes[r*2*Lanes:r*2*Lanes+Lanes], lanes[r*2*Lanes+Lanes:(r+1)*2*Lanes]
		switch d.Kind {
		case DivergenceReverse:
			difference(g, l.X[at:to], l.T[at:to])
			probabilities(o, p, l.X[at:to], l.Student, r)
			laneDot(o, first, g, p)
		case DivergenceForward:
			difference(g, l.T[at:to], l.X[at:to])
			probabilities(o, q, l.T[at:to], l.Teacher, r)
			laneDot(o, first, g, q)
		case DivergenceTopK:
			difference(g, l.T[at:to], l.X[at:to])
			l.likeliest(o, q, r, at, to)
			laneDot(o, first, g, q)
			laneSum(second, q)
		default:
			d.mixture(o, g, s.d[:n], l, r, at, to)
			probabilities(o, p, l.X[at:to], l.Student, r)
			laneDot(o, first, g, p)
			for i, w := range g {
				s.d[i] = w - s.d[i] // -w - g
			}
			probabilities(o, q, l.T[at:to], l.Teacher, r)
			laneDot(o, second, s.d[:n], q)
		}
	})
}

// Values ends the reductions: value is each row's divergence, center what Gradient
// subtracts. value 0 is exact for equal logits; rounding can make one of nearly equal
// logits slightly negative.
func (d Divergence) Values(value, center, lanes []float32, l *Logits) {
	wantLen("Divergence.Values", "value", len(value), l.Rows)
	wantLen("Divergence.Values", "center", len(center), l.Rows)
	for r := range l.Rows {
		value[r], center[r] = 0, 0
		if l.Coef[r] == 0 {
			continue
		}
		s := laneTree(lanes[r*2*Lanes : r*2*Lanes+Lanes])
		lx, lt := l.Student.LSE[r], l.Teacher.LSE[r]
		center[r] = s
		switch d.Kind {
		case DivergenceReverse:
			value[r] = s + (lt - lx)
		case DivergenceForward:
			value[r] = s + (lx - lt)
		case DivergenceTopK:
			center[r] = laneTree(lanes[r*2*Lanes+Lanes : (r+1)*2*Lanes])
			if value[r] = s + float32(center[r]*(lx-lt)); value[r] < 0 {
				value[r], center[r] = 0, clamped
			}
		default:
			of := laneTree(lanes[r*2*Lanes+Lanes : (r+1)*2*Lanes])
			value[r] = float32(d.Beta*of) + float32((1-d.Beta)*s)
		}
	}
}

// Gradient sets g to the gradient of Σ coef·value with respect to the student's
// logits, or adds it if add is set. g may be the teacher's logits.
func (d Divergence) Gradient(g, center []float32, l *Logits, add bool) {
	l.check("Divergence.Gradient")
	wantLen("Divergence.Gradient", "g", len(g), l.Rows*l.Dim)
	wantLen("Divergence.Gradient", "center", len(center), l.Rows)
	o := ops()
	eachStrip(l.Rows, l.Dim, func(s *strips, r, at, to int) {
		c := l.Coef[r]
		if c == 0 || d.Kind == DivergenceTopK && center[r] == clamped {
			if !add {
				clear(g[at:to])
			}
			return
		}
		n := to - at
		y, p, q := s.a[:n], s.b[:n], s.c[:n]
		probabilities(o, p, l.X[at:to], l.Student, r)
		switch d.Kind {
		case DivergenceReverse:
			difference(y, l.X[at:to], l.T[at:to])
			pulled(y, p, center[r])
		case DivergenceForward:
			probabilities(o, q, l.T[at:to], l.Teacher, r)
			difference(y, p, q)
		case DivergenceTopK:
			l.likeliest(o, q, r, at, to)
			o.scale(p, center[r])
			difference(y, p, q)
		default:
			d.mixture(o, y, s.d[:n], l, r, at, to)
			pulled(y, p, center[r])
			c *= 1 - d.Beta
		}
		o.scale(y, c)
		if add {
			o.add(g[at:to], g[at:to], y)
		} else {
			copy(g[at:to], y)
		}
	})
}

// clamped is the center of a row of top-k whose value is held at 0.
const clamped = -1

// likeliest sets q to the teacher's probabilities of its K likeliest tokens, else 0.
func (l *Logits) likeliest(o *rowOps, q []float32, r, at, to int) {
	t := l.T[at:to]
	probabilities(o, q, t, l.Teacher, r)
	token := l.First + at - r*l.Dim
	for i, v := range t {
		if !(v > l.Least[r] || v == l.Least[r] && token+i <= int(l.Last[r])) {
			q[i] = 0
		}
	}
}

// LargestRows continues, for each row of x [rows, dim], whose first column is token
// first, the search for its k largest elements: values [rows, k] descending, of
// equals the first, and their tokens. It begins with values of -Inf.
func LargestRows(values []float32, tokens []int32, x []float32, rows, dim, first, k int) {
	wantLen("LargestRows", "values", len(values), rows*k)
	wantLen("LargestRows", "tokens", len(tokens), rows*k)
	wantLen("LargestRows", "x", len(x), rows*dim)
	eachRow(rows, dim, func(r, at, to int) {
		v, id := values[r*k:(r+1)*k], tokens[r*k:(r+1)*k]
		for i, y := range x[at:to] {
			if !(y > v[k-1]) {
				continue
			}
			j := k - 1
			for ; j > 0 && v[j-1] < y; j-- {
				v[j], id[j] = v[j-1], id[j-1]
			}
			v[j], id[j] = y, int32(first+i)
		}
	})
}

// AddEntropyGradient adds the gradient of Σ coef·(-log p(label)) to g, a chunk
// [rows, dim] that begins at token first of the vocabulary: CrossEntropy's. Rows with a
// negative label, or coefficient 0, are left as they are.
func AddEntropyGradient(g, x []float32, s Softmax, labels []int32, coef []float32, rows, dim, first int) {
	wantLen("AddEntropyGradient", "g", len(g), rows*dim)
	wantLen("AddEntropyGradient", "x", len(x), rows*dim)
	o := ops()
	eachStrip(rows, dim, func(t *strips, r, at, to int) {
		if labels[r] < 0 || coef[r] == 0 {
			return
		}
		e := t.a[:to-at]
		copy(e, x[at:to])
		o.expSum(e, s.Max[r])
		i := int(labels[r]) - first + r*dim - at
		picked := float32(0)
		if i >= 0 && i < len(e) {
			picked = float32(float32(e[i]*s.Inverse[r])-1) * coef[r]
		}
		o.scale(e, s.Inverse[r]*coef[r])
		if i >= 0 && i < len(e) {
			e[i] = picked
		}
		o.add(g[at:to], g[at:to], e)
	})
}

// mixture sets y = -w and g = the logarithm of p/q, of Jensen-Shannon.
func (d Divergence) mixture(o *rowOps, y, g []float32, l *Logits, r, at, to int) {
	shift, a := l.Teacher.LSE[r]-l.Student.LSE[r], 1-d.Beta
	for i := range g {
		g[i] = float32(l.X[at+i]-l.T[at+i]) + shift
		y[i] = -abs(g[i])
	}
	o.exp(y, y)
	for i, u := range y {
		if g[i] >= 0 {
			y[i] = a + float32(d.Beta*u)
		} else {
			y[i] = d.Beta + float32(a*u)
		}
	}
	o.log(y, y)
	for i, w := range y {
		if g[i] < 0 {
			w -= g[i]
		}
		y[i] = -w
	}
}

// difference sets dst = a - b.
func difference(dst, a, b []float32) {
	for i := range dst {
		dst[i] = a[i] - b[i]
	}
}

// probabilities sets p to the softmax of x, a piece of row r.
func probabilities(o *rowOps, p, x []float32, s Softmax, r int) {
	copy(p, x)
	o.expSum(p, s.Max[r])
	o.scale(p, s.Inverse[r])
}

// pulled sets y = p*(y - s).
func pulled(y, p []float32, s float32) {
	for i := range y {
		y[i] = p[i] * float32(y[i]-s)
	}
}

func abs(x float32) float32 {
	if x < 0 {
		return -x
	}
	return x
}
