package attention

import (
	"math"
	"math/big"
	"sync"

	"github.com/temper-ml/temper/nn"
)

// YaRN stretches rotary frequencies to longer contexts: frequencies that turn
// more than BetaFast times within Original positions stay, those that turn
// less than BetaSlow times are divided by Factor, a linear ramp lies between.
type YaRN struct {
	Factor             float64
	Original           int
	BetaFast, BetaSlow float64
}

// Rotary holds the cosines and sines of rotary position embedding for pairs
// (2i, 2i+1) of the last dims of a head. Layers with the same base and YaRN
// should share one. It is safe for use by several goroutines.
//
// The values are canonical: frequencies come from arbitrary-precision
// arithmetic rounded once to float64, angles are float64 products, and sine
// and cosine are this package's own.
type Rotary struct {
	freqs []float64

	mu       sync.Mutex
	n        int       // positions in the tables
	cos, sin []float32 // [n, pairs]
}

// NewRotary returns the table for heads whose last dim dimensions rotate, dim
// even: pair i turns by base^(-2i/dim) a position, stretched by yarn unless nil.
func NewRotary(dim int, base float64, yarn *YaRN) *Rotary {
	if dim <= 0 || dim%2 != 0 || !(base > 1) {
		panic("attention: rotary dimensions must be even and positive, the base above 1")
	}
	powers := rotaryPowers(dim, base)
	r := &Rotary{freqs: make([]float64, dim/2)}
	for i := range r.freqs {
		r.freqs[i] = inverse(powers[i])
	}
	if yarn != nil {
		yarn.stretch(r.freqs, powers)
	}
	return r
}

// Pairs returns the number of rotated pairs, half the rotated dimensions.
func (r *Rotary) Pairs() int { return len(r.freqs) }

// rotaryPowers returns base^(2i/dim) for i < dim with 200 bits.
func rotaryPowers(dim int, base float64) []*big.Float {
	root := nthRoot(base, dim/2)
	p := make([]*big.Float, dim)
	p[0] = big.NewFloat(1).SetPrec(rotaryPrecision)
	for i := 1; i < dim; i++ {
		p[i] = new(big.Float).SetPrec(rotaryPrecision).Mul(p[i-1], root)
	}
	return p
}

const rotaryPrecision = 200

// nthRoot returns x^(1/n) by Newton's iteration from above: it falls
// monotonically until it can fall no further.
func nthRoot(x float64, n int) *big.Float {
	num := func(v float64) *big.Float { return new(big.Float).SetPrec(rotaryPrecision).SetFloat64(v) }
	// (n-1)·y + x/y^(n-1), over n; 1 + (x-1)/n >= x^(1/n) by Bernoulli
	y := num(1)
	y.Add(y, num(x).Quo(num(x).Sub(num(x), num(1)), num(float64(n))))
	for range 10000 {
		d := num(x)
		for range n - 1 {
			d.Quo(d, y)
		}
		next := num(float64(n - 1))
		next.Mul(next, y).Add(next, d).Quo(next, num(float64(n)))
		if next.Cmp(y) >= 0 {
			break
		}
		y = next
	}
	return y
}

func inverse(x *big.Float) float64 {
	q := new(big.Float).SetPrec(rotaryPrecision).SetFloat64(1)
	f, _ := q.Quo(q, x).Float64()
	return f
}

// stretch applies the ramp. Pair i turns original/(2π·base^(2i/dim)) times, so
// the ramp's ends are found by comparing powers, without logarithms.
func (y *YaRN) stretch(freqs []float64, powers []*big.Float) {
	low, high := y.ramp(powers)
	width := float64(high - low)
	if low == high {
		width = 0.001
	}
	for i, f := range freqs {
		ramp := min(max(float64(i-low)/width, 0), 1)
		freqs[i] = float64(f*(1-ramp)) + float64(f/y.Factor*ramp)
	}
}

// ramp returns the last pair that turns at least BetaFast times and the first
// that turns at most BetaSlow times, within 0 and the last dimension.
func (y *YaRN) ramp(powers []*big.Float) (low, high int) {
	bound := func(beta float64) *big.Float {
		return big.NewFloat(float64(y.Original) / (beta * 2 * math.Pi))
	}
	fast, slow := bound(y.BetaFast), bound(y.BetaSlow)
	for low+1 < len(powers) && powers[low+1].Cmp(fast) <= 0 {
		low++
	}
	for high+1 < len(powers) && powers[high].Cmp(slow) < 0 {
		high++
	}
	return low, high
}

// grow makes the tables cover positions below n.
func (r *Rotary) grow(n int) (cos, sin []float32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n > r.n {
		n = max(n, 2*r.n)
		cos, sin := make([]float32, n*len(r.freqs)), make([]float32, n*len(r.freqs))
		at := copy(cos, r.cos)
		copy(sin, r.sin)
		for pos := r.n; pos < n; pos++ {
			for _, f := range r.freqs {
				s, c := sincos(float64(float64(pos) * f))
				cos[at], sin[at] = float32(c), float32(s)
				at++
			}
		}
		r.n, r.cos, r.sin = n, cos, sin
	}
	return r.cos, r.sin
}

// rotation is a row of cosines and sines for each token, or entry, of a
// micro-batch.
type rotation struct {
	cos, sin []float32 // [rows, pairs]
	pairs    int
}

// width returns the dimensions that rotate.
func (r rotation) width() int { return 2 * r.pairs }

// take takes memory for the rotation of n rows.
func (r *Rotary) take(m memory, n int) rotation {
	return rotation{m.F32(n * r.Pairs()), m.F32(n * r.Pairs()), r.Pairs()}
}

// tokens gathers a row for each token; positions restart in every segment.
func (r *Rotary) tokens(rot rotation, segs []nn.Segment) {
	for _, s := range segs {
		c, n := r.grow(s.Len())
		w := len(r.freqs)
		copy(rot.cos[s.Start*w:s.End*w], c)
		copy(rot.sin[s.Start*w:s.End*w], n)
	}
}

// continued gathers a row for each token of segments that continue pasts.
func (r *Rotary) continued(rot rotation, segs []nn.Segment, pasts []*Past) {
	for i, s := range segs {
		r.at(rot, s.Start, s.Len(), pasts[i].n, 1)
	}
}

// at fills n rows, from row on, with those of positions pos, pos+step, ...
func (r *Rotary) at(rot rotation, row, n, pos, step int) {
	c, s := r.grow(pos + n*step)
	w := len(r.freqs)
	for i := range n {
		from, to := (pos+i*step)*w, (row+i)*w
		copy(rot.cos[to:to+w], c[from:from+w])
		copy(rot.sin[to:to+w], s[from:from+w])
	}
}

// entries gathers a row for each compressed entry of the segments in order:
// entry i of a segment stands at the first position of its block, i·ratio.
func (r *Rotary) entries(rot rotation, segs []nn.Segment, ratio int) {
	w, at := len(r.freqs), 0
	for _, s := range segs {
		c, n := r.grow(s.Len())
		for i := range s.Len() / ratio {
			from := i * ratio * w
			copy(rot.cos[at:at+w], c[from:from+w])
			copy(rot.sin[at:at+w], n[from:from+w])
			at += w
		}
	}
}

// naturalLog returns ln(x) for x > 0, rounded from arbitrary precision: the
// standard library's may differ in its last bit between machines.
func naturalLog(x float64) float64 {
	mant, exp := math.Frexp(x) // 0.5 <= mant < 1
	num := func(v float64) *big.Float { return new(big.Float).SetPrec(rotaryPrecision).SetFloat64(v) }
	ln := func(m float64) *big.Float { // 2·artanh((m-1)/(m+1))
		z := num(m).Quo(num(m).Sub(num(m), num(1)), num(0).Add(num(m), num(1)))
		sum, power, square := num(0), num(0).Set(z), num(0).Mul(z, z)
		for n := 1; n < 200; n += 2 {
			sum.Add(sum, num(0).Quo(power, num(float64(n))))
			power.Mul(power, square)
		}
		return sum.Mul(sum, num(2))
	}
	two := ln(2)
	f, _ := ln(mant).Add(ln(mant), two.Mul(two, num(float64(exp)))).Float64()
	return f
}
