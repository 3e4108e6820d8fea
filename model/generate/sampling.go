package generate

import (
	"fmt"
	"math"
	"slices"

	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/internal/detrand"
	"github.com/temper-ml/temper/nn"
)

// Sampling says how tokens are drawn.
type Sampling struct {
	// Temperature divides the logits; 0 takes the most likely token, of equals
	// the lowest id.
	Temperature float32
	// TopK keeps the most likely tokens only, so many of them, of equals the
	// lowest ids; 0 keeps all.
	TopK int
	// TopP then keeps the most likely tokens that together have at least this
	// share of what TopK left; 0 and 1 keep all.
	TopP float32
	// Seed, Prompt and Sample name the random numbers: a token's is a function of
	// them and of its position.
	Seed, Prompt, Sample uint64
}

// maxTemperature keeps 1/Temperature and its products with logits normal.
const minTemperature, maxTemperature = 1e-3, 1e3

// Check tells what is impossible about s.
func (s *Sampling) Check() error {
	switch t := s.Temperature; {
	case !(t == 0 || t >= minTemperature && t <= maxTemperature):
		return fmt.Errorf("generate: temperature is %v, want 0 or %v to %v", t, minTemperature, maxTemperature)
	case !(s.TopP >= 0 && s.TopP <= 1):
		return fmt.Errorf("generate: top-p is %v, want 0 to 1", s.TopP)
	case s.TopK < 0:
		return fmt.Errorf("generate: top-k is %d, want 0 or more", s.TopK)
	}
	return nil
}

// masks tells whether some tokens can never be drawn.
func (s *Sampling) masks() bool {
	return s.Temperature != 0 && (s.TopK > 0 || s.TopP > 0 && s.TopP < 1)
}

// plain tells whether tokens are drawn from the model's own distribution.
func (s *Sampling) plain() bool { return s.Temperature == 1 && !s.masks() }

// numbers returns the random numbers, by position.
func (s *Sampling) numbers() detrand.Stream {
	return detrand.Key(s.Seed, "sampling", s.Prompt, s.Sample)
}

// draw is a token drawn from logits.
type draw struct {
	id      int32
	sampled float32 // log-probability under the distribution drawn from
	kept    []int32 // tokens that could be drawn, ascending; nil for all. Scratch of the drawer
}

// drawer draws tokens. It serves one goroutine.
type drawer struct {
	probs     []float32
	ids       []int32
	logp, lse [1]float32
	label     [1]int32
}

// draw draws a token with the random number u, 0 <= u < 1. The definition:
//
//	p    = softmax(logits / temperature)          // kernel.SoftmaxSink, scale 1/temperature
//	kept = the TopK largest logits, then of these, largest first, as few as reach TopP
//	id   = first of kept, ascending, at which Σ p > u · Σ p over all kept
//
// with sums in float64, in the order given, lower ids first among equal logits.
// Logits must be finite.
func (d *drawer) draw(s *Sampling, u float64, logits []float32) draw {
	if s.Temperature == 0 {
		return draw{id: nn.Argmax(logits)}
	}
	if cap(d.probs) < len(logits) {
		d.probs = make([]float32, len(logits))
	}
	p := d.probs[:len(logits)]
	copy(p, logits)
	scale := 1 / s.Temperature
	lse := kernel.SoftmaxSink(p, len(p), float32(math.Inf(-1)), scale)
	var r draw
	var total float64
	if s.masks() {
		r.kept = d.keep(s, logits, p)
		r.id, total = pickKept(p, r.kept, u)
	} else {
		r.id, total = pick(p, u)
	}
	r.sampled = float32(logits[r.id]*scale) - lse
	if r.kept != nil {
		r.sampled -= kernel.LogF(float32(total))
	}
	return r
}

// pick returns the token at which the running sum of p passes u of the whole.
func pick(p []float32, u float64) (id int32, total float64) {
	for _, v := range p {
		total += float64(v)
	}
	target, sum := float64(u*total), 0.0
	for i, v := range p {
		sum += float64(v)
		if sum > target {
			return int32(i), total
		}
	}
	return nn.Argmax(p), total // nothing has a probability: cannot be
}

// pickKept is pick among kept tokens.
func pickKept(p []float32, kept []int32, u float64) (id int32, total float64) {
	for _, i := range kept {
		total += float64(p[i])
	}
	target, sum := float64(u*total), 0.0
	for _, i := range kept {
		sum += float64(p[i])
		if sum > target {
			return i, total
		}
	}
	return kept[0], total
}

// keep returns the tokens that top-k and top-p leave, ascending.
func (d *drawer) keep(s *Sampling, logits, p []float32) []int32 {
	if cap(d.ids) < len(logits) {
		d.ids = make([]int32, len(logits))
	}
	ids := d.ids[:len(logits)]
	if s.TopK > 0 {
		ids = ids[:kernel.TopK(ids, logits, s.TopK)]
	} else {
		for i := range ids {
			ids[i] = int32(i)
		}
	}
	if s.TopP > 0 && s.TopP < 1 {
		ids = nucleus(ids, logits, p, s.TopP)
	}
	return ids
}

// token draws the next token of a stream and reports what was asked for with it.
func (d *drawer) token(s *Stream, logits []float32) Token {
	at := len(s.tokens)
	r := d.draw(&s.req.Sampling, s.numbers.Float64At(uint64(at)), logits)
	d.label[0] = r.id
	kernel.CrossEntropyForward(d.logp[:], d.lse[:], logits, d.label[:], 1, len(logits))
	t := Token{ID: r.id, Position: at, LogProb: d.logp[0], Sampled: r.sampled}
	if s.req.plain() {
		t.Sampled = t.LogProb
	}
	if s.req.Mask {
		t.Kept = slices.Clone(r.kept)
	}
	if s.req.TopLogProbs > 0 {
		t.Top = d.top(logits, s.req.TopLogProbs)
	}
	return t
}

// top returns the n most likely tokens; token has set lse.
func (d *drawer) top(logits []float32, n int) []Candidate {
	if cap(d.ids) < len(logits) {
		d.ids = make([]int32, len(logits))
	}
	ids := d.ids[:len(logits)]
	for i := range ids {
		ids[i] = int32(i)
	}
	h := ranking{ids, logits}
	h.init()
	top := make([]Candidate, n)
	for i := range top {
		id := h.pop()
		top[i] = Candidate{ID: id, LogProb: logits[id] - d.lse[0]}
	}
	return top
}
