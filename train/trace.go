package train

import (
	"fmt"
	"math"
	"strings"

	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/report/record/digest"
	"github.com/temper-ml/temper/report/record/trace"
)

// Tracing watches one step operator by operator; docs/trace.md lists them. It
// changes no result. Memory is taken for the digests of one micro-batch's
// operators, and for the values that are wanted.
type Tracing struct {
	// Each, if not nil, gets every entry in the trace's order.
	Each func(trace.Entry) error
	// Want, if not nil, is an operator whose values are kept: from From on, at most
	// Count, or all if that is 0.
	Want        *trace.Operator
	From, Count int64
	// Touch, if not nil, may change what an operator of the forward or backward
	// pass, a gradient or an update has computed, before it is used: how tests
	// make faults. It is called again for what is computed again.
	Touch func(trace.Operator, Values)

	// Values are the bits that were wanted, Blocks the digests of all blocks of
	// that operator's output.
	Values []uint32
	Blocks []digest.Digest
	// Err says why the trace is not complete, or, as a [RecomputeError], that this
	// machine contradicts itself.
	Err error
}

// Values are what an operator computed for a row, as bits.
type Values struct {
	floats []float32
	ints   []int32
	at     func(i int) int // place of value i
	n      int
}

// Len returns the number of values.
func (v Values) Len() int { return v.n }

// Integer reports whether the values are int32, not float32.
func (v Values) Integer() bool { return v.ints != nil }

// Bits returns value i.
func (v Values) Bits(i int) uint32 {
	if v.ints != nil {
		return uint32(v.ints[v.at(i)])
	}
	return math.Float32bits(v.floats[v.at(i)])
}

// Set changes value i.
func (v Values) Set(i int, bits uint32) {
	if v.ints != nil {
		v.ints[v.at(i)] = int32(bits)
	} else {
		v.floats[v.at(i)] = math.Float32frombits(bits)
	}
}

// RecomputeError says that an operator of the forward pass gave other values
// when the backward pass computed it a second time: memory, processor or
// program are at fault, and no trace of this step means anything.
type RecomputeError struct {
	Operator      trace.Operator
	First, Second digest.Digest
}

// Error says which operator it is.
func (e *RecomputeError) Error() string {
	return fmt.Sprintf("train: %s was %s and is %s when computed again", e.Operator, e.First, e.Second)
}

// Trace has the next step traced.
func (t *Trainer) Trace(to *Tracing) { t.tracing = to }

// tracer writes the trace of one step; all its methods do nothing when it is nil.
type tracer struct {
	*Tracing
	watched watched
}

// sheet is one output, laid out as one run of values.
type sheet struct {
	floats []float32
	ints   []int32
}

func (s sheet) len() int { return len(s.floats) + len(s.ints) }

// newTracer starts the trace of a step, if one was asked for.
func (t *Trainer) newTracer() *tracer {
	if t.tracing == nil {
		return nil
	}
	tr := &tracer{Tracing: t.tracing}
	t.tracing = nil
	tr.Values, tr.Blocks, tr.Err = nil, nil, nil
	tr.watched.init(tr)
	return tr
}

// end says that the step ended early.
func (t *tracer) end(err error) {
	if t != nil {
		t.fail(fmt.Errorf("train: the step was not taken to its end, and neither is its trace: %w", err))
	}
}

func (t *tracer) fail(err error) {
	if t.Err == nil {
		t.Err = err
	}
}

// deliver passes an entry on.
func (t *tracer) deliver(e trace.Entry) {
	if t.Err != nil || t.Each == nil || e.Size == 0 {
		return
	}
	if err := t.Each(e); err != nil {
		t.fail(fmt.Errorf("train: trace of %s: %w", e.Operator, err))
	}
}

// output is a whole output that lies in one piece.
func (t *tracer) output(o trace.Operator, s sheet) {
	if t.Touch != nil && (o.Pass == trace.Gradient || o.Pass == trace.Update) {
		t.Touch(o, Values{s.floats, s.ints, func(i int) int { return i }, s.len()})
	}
	a := account{keep: t.wants(o)}
	a.add(s)
	t.deliver(t.settle(o, s.ints != nil, &a))
}

// wants tells whether the operator is the one whose values are kept.
func (t *tracer) wants(o trace.Operator) bool { return t.Want != nil && *t.Want == o }

// settle ends an output and makes its entry.
func (t *tracer) settle(o trace.Operator, integer bool, a *account) trace.Entry {
	a.finish()
	if a.keep {
		t.Blocks = a.blocks
		n := int64(len(a.kept))
		from := min(max(t.From, 0), n)
		if t.Count > 0 {
			n = min(n, from+t.Count)
		}
		t.Values = a.kept[from:n]
	}
	return trace.Entry{Operator: o, Integer: integer, Size: a.size, Digest: digest.Blocks(a.blocks)}
}

// account adds up the digest of an output that comes in one or more parts.
type account struct {
	blocks []digest.Digest
	rest   sheet // less than a block
	size   int64
	keep   bool
	kept   []uint32
}

// add adds values; blocks are hashed on all threads.
func (a *account) add(s sheet) {
	a.size += int64(s.len())
	if a.keep {
		for _, v := range s.floats {
			a.kept = append(a.kept, math.Float32bits(v))
		}
		for _, v := range s.ints {
			a.kept = append(a.kept, uint32(v))
		}
	}
	if a.rest.len() > 0 {
		n := min(digest.Block-a.rest.len(), s.len())
		a.rest = sheet{append(a.rest.floats, s.cut(0, n).floats...), append(a.rest.ints, s.cut(0, n).ints...)}
		s = s.cut(n, s.len())
		if a.rest.len() < digest.Block {
			return
		}
		a.finish()
	}
	whole := s.len() / digest.Block
	at := len(a.blocks)
	a.blocks = append(a.blocks, make([]digest.Digest, whole)...)
	kernel.Parallel(whole, 4, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			a.blocks[at+i] = s.cut(i*digest.Block, (i+1)*digest.Block).block()
		}
	})
	if s = s.cut(whole*digest.Block, s.len()); s.len() > 0 {
		a.rest = sheet{append([]float32(nil), s.floats...), append([]int32(nil), s.ints...)}
	}
}

// finish closes the last block.
func (a *account) finish() {
	if a.rest.len() > 0 {
		a.blocks = append(a.blocks, a.rest.block())
	}
	a.rest = sheet{}
}

func (s sheet) cut(lo, hi int) sheet {
	if s.ints != nil {
		return sheet{ints: s.ints[lo:hi]}
	}
	return sheet{floats: s.floats[lo:hi]}
}

func (s sheet) block() digest.Digest {
	if s.ints != nil {
		return digest.BlockOfInts(s.ints)
	}
	return digest.BlockOf(s.floats)
}

// words are float64s as integers, the low half first.
func words(ints []int32, values ...float64) []int32 {
	for _, v := range values {
		b := math.Float64bits(v)
		ints = append(ints, int32(uint32(b)), int32(uint32(b>>32)))
	}
	return ints
}

// whole is the key of an output of the whole step.
func whole(pass trace.Pass, layer int, name string) trace.Operator {
	return trace.Operator{Pass: pass, Layer: layer, Row: -1, Name: name}
}

// state shows what the step starts from, or leaves behind.
func (t *tracer) state(pass trace.Pass, tr *Trainer) {
	if t == nil {
		return
	}
	n := tr.optimizer.Steps()
	t.output(whole(pass, -1, updates), sheet{ints: []int32{int32(n), int32(n >> 32)}})
	layers := map[string]int{}
	for _, p := range tr.model.Params() {
		layers[p.Name] = p.Layer
		t.output(whole(pass, p.Layer, p.Name), sheet{floats: p.Data})
	}
	for _, s := range tr.optimizer.Slots() {
		_, parameter, _ := strings.Cut(s.Name, "/")
		t.output(whole(pass, layers[parameter], s.Name), sheet{floats: s.Data})
	}
}

// settings shows the numbers that a step is taken with.
func (t *tracer) settings(o deepseek.StepOptions, lr float64) {
	if t == nil {
		return
	}
	bits := func(v float32) int32 { return int32(math.Float32bits(v)) }
	scales := []int32{bits(o.LMScale), bits(o.MTPScale), bits(o.BalanceScale), bits(o.IndexerScale)}
	if o.DistillScale != 0 {
		scales = append(scales, bits(o.DistillScale))
	}
	t.output(whole(trace.State, -1, "settings"), sheet{ints: words(scales, lr)})
}

// known shows what the objective has found out before the first gradient.
func (t *tracer) known(values []float64) {
	if t != nil && len(values) > 0 {
		t.output(whole(trace.State, -1, "objective"), sheet{ints: words(nil, values...)})
	}
}

// sums shows what the rows' work adds up to.
func (t *tracer) sums(tr *Trainer, r *Result) {
	if t == nil {
		return
	}
	t.output(whole(trace.Gradient, -1, "losses"), sheet{ints: words(nil, r.LM, r.MTP, r.Balance, r.Indexer)})
	for l, counts := range r.Load {
		var load []int32
		for _, n := range counts {
			load = append(load, int32(n), int32(n>>32))
		}
		t.output(whole(trace.Gradient, l, "load"), sheet{ints: load})
	}
	for _, p := range tr.model.Params() {
		if p.Grad != nil {
			t.output(whole(trace.Gradient, p.Layer, p.Name), sheet{floats: p.Grad})
		}
	}
}

// norm shows the gradient's norm and what it is scaled by.
func (t *tracer) norm(norm float64, scale float32) {
	if t != nil {
		t.output(whole(trace.Gradient, -1, "norm"), sheet{ints: words([]int32{int32(math.Float32bits(scale))}, norm)})
	}
}
