package scheduletest

import (
	"fmt"

	"github.com/temper-ml/temper/distributed/schedule"
)

// pass runs the work of one compute instruction.
type pass struct {
	*rank
	chunk   uint8
	tape    *tape
	streams [][]num // hidden states; in the backward pass their gradients
	heads   int     // heads so far
	next    int     // pieces of the tape that are left, in the backward pass
	open    *piece
	again   bool // the open piece is computed again
	whole   bool // the backward makes the gradients of the weights too
	err     error
}

// compute runs one pass of a chunk on one microbatch.
func (r *rank) compute(op schedule.Op, chunk uint8, micro int32) error {
	if err := r.finish(func(in schedule.Instruction) bool {
		return in.Chunk == chunk && (in.Op == schedule.GatherParameters || in.Op == schedule.GatherUpdated)
	}); err != nil {
		return err
	}
	if op != schedule.BackwardWeight {
		if err := r.gathered(chunk); err != nil {
			return err
		}
	}
	key := parcel{chunk: chunk, micro: micro}
	t := r.tapes[key]
	if (t == nil) != (op == schedule.Forward) {
		return fmt.Errorf("microbatch %d of chunk %d is already there or has not been through", micro, chunk)
	}
	if op == schedule.Forward {
		t = &tape{micro: r.global(micro)}
		r.tapes[key] = t
		r.most = max(r.most, len(r.tapes))
	}
	if op == schedule.Backward || op == schedule.BackwardWeight {
		if err := r.accumulate(chunk); err != nil {
			return err
		}
	}
	p := &pass{rank: r, chunk: chunk, tape: t}
	work := r.Work(r.stage, int(chunk), op)
	var err error
	switch op {
	case schedule.Forward:
		err = p.forward(work, micro)
	case schedule.BackwardWeight:
		err = p.weights(work)
	default:
		err = p.backward(work, micro, op == schedule.Backward)
	}
	if op != schedule.BackwardWeight {
		r.used(chunk)
	}
	if op == schedule.Backward || op == schedule.BackwardWeight {
		delete(r.tapes, key)
	}
	if p.err != nil {
		return p.err
	}
	return err
}

// gathered checks that the weights of a chunk are there for one more pass.
func (r *rank) gathered(chunk uint8) error {
	for c := range r.chunks[chunk] {
		if b := &r.chunks[chunk][c]; b.sharded() && b.gathers == 0 {
			return fmt.Errorf("the weights of chunk %d have not been gathered over %v", chunk, b.axis)
		}
	}
	return nil
}

// accumulate checks that there is room for the gradients of one more microbatch:
// ranks that shard them reduce each one before the next.
func (r *rank) accumulate(chunk uint8) error {
	for c := range r.chunks[chunk] {
		b := &r.chunks[chunk][c]
		if b.dirty && b.zero >= 2 && b.n > 1 && len(b.weights) > 0 {
			return fmt.Errorf("the gradient of the microbatch before has not been reduced over %v", b.axis)
		}
		b.dirty = true
	}
	return nil
}

// used drops gathered weights after the last pass they were gathered for.
func (r *rank) used(chunk uint8) {
	for c := range r.chunks[chunk] {
		if b := &r.chunks[chunk][c]; b.sharded() {
			if b.gathers--; b.gathers == 0 {
				b.value = nil
			}
		}
	}
}

// home finds the bucket that holds a weight; rows of a tied head are those of
// the embedding.
func (p *pass) home(w Weight) (*bucket, Weight) {
	c := dense
	switch {
	case w.kind == expertSlice:
		c = expert
	case w.kind == headRow && p.Spec.Tied:
		c, w.kind = shared, embeddingRow
	case w.kind == embeddingRow:
		c = shared
	}
	return &p.chunks[p.chunk][c], w
}

// weight reads a weight.
func (p *pass) weight(k kind, block, index int) num {
	b, w := p.home(Weight{k, block, index})
	v, ok := b.value[w]
	if !ok {
		p.fail("%v is not on this rank", w)
	}
	return v
}

// see adds to the gradient of a weight what one token contributes.
func (p *pass) see(k kind, block, index, micro, token int, v num) {
	b, w := p.home(Weight{k, block, index})
	i, ok := b.index[w]
	if !ok {
		p.fail("%v is not on this rank", w)
		return
	}
	b.local.sum[i] = b.local.sum[i].add(v)
	b.local.seen[(i*p.micros+micro)*p.toy.tokens+token]++
}

func (p *pass) fail(format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf(format, args...)
	}
}

// slice returns the places of the tokens of the rank's share of a sequence, by
// cp, and local those that it keeps between products, by tp too where the
// sequence is sharded.
func (r *rank) slice() (from, to int) { return part(r.toy.tokens, r.Spec.Mesh.CP, r.at.CP) }

func (r *rank) local() (from, to int) {
	from, to = r.slice()
	if !r.Spec.Sequence {
		return from, to
	}
	begin, end := part(to-from, r.Spec.Mesh.TP, r.at.TP)
	return from + begin, from + end
}

// forward runs the forward pass of a part.
func (p *pass) forward(work []schedule.Work, micro int32) error {
	if p.position(p.chunk) > 0 {
		in, err := p.take(false, p.chunk, micro)
		if err != nil {
			return err
		}
		p.streams = append(p.streams, in.streams...)
	}
	for i, w := range work {
		if err := p.run(work, i, w, false); err != nil {
			return err
		}
	}
	p.end(false)
	p.tape.output = p.streams
	if p.Spec.Recompute == schedule.RecomputeFull {
		for i, c := range p.tape.pieces {
			if c.block >= 0 {
				c.forget(i == 0 || p.tape.pieces[i-1].block != c.block)
			}
		}
	}
	p.deliver(false, p.chunk, micro, p.streams)
	return nil
}

// backward runs the backward pass of a part, all of it or the half that makes
// the gradient of the input.
func (p *pass) backward(work []schedule.Work, micro int32, whole bool) error {
	if p.tape.halved {
		return fmt.Errorf("the backward of microbatch %d of chunk %d has been run", micro, p.chunk)
	}
	p.tape.halved, p.whole = true, whole
	last := p.position(p.chunk) == p.Pipeline.Positions()-1
	for _, s := range p.tape.output {
		p.streams = append(p.streams, make([]num, len(s)))
	}
	if !last {
		in, err := p.take(true, p.chunk, micro)
		if err != nil {
			return err
		}
		if len(in.streams) != len(p.streams) {
			return fmt.Errorf("the gradient is of %d hidden states, must be of %d", len(in.streams), len(p.streams))
		}
		for i, s := range in.streams {
			addTo(p.streams[i], s)
		}
	}
	p.next = len(p.tape.pieces)
	for i, w := range work {
		if err := p.run(work, i, w, true); err != nil {
			return err
		}
	}
	p.end(true)
	if p.next != 0 && p.err == nil {
		return fmt.Errorf("%d products of microbatch %d of chunk %d have no backward", p.next, micro, p.chunk)
	}
	if part := p.Part(p.stage, int(p.chunk)); part.MTP > 0 {
		p.streams = p.streams[:len(p.streams)-part.MTP]
	}
	p.deliver(true, p.chunk, micro, p.streams)
	return nil
}

// weights runs the half of the backward pass that makes the gradients of the
// weights.
func (p *pass) weights(work []schedule.Work) error {
	if !p.tape.halved {
		return fmt.Errorf("the input gradient of chunk %d has not been run", p.chunk)
	}
	for i, w := range work {
		at := len(p.tape.pieces) - 1 - i
		if at < 0 || p.tape.pieces[at].op != w.Op {
			return fmt.Errorf("%v of block %d is not the product that comes next", w.Op, w.Block)
		}
		p.gradients(p.tape.pieces[at])
	}
	return nil
}

// run runs one piece of work.
func (p *pass) run(work []schedule.Work, i int, w schedule.Work, back bool) error {
	mode := back && !w.Again
	if p.open == nil || p.open.ran && begins(w.Op, mode) || p.again != w.Again {
		p.end(back)
		if err := p.begin(work[i:], w.Again, back); err != nil {
			return err
		}
	}
	var err error
	switch {
	case isCore(w.Op) && (w.Op != p.open.op || w.Block != p.open.block):
		err = fmt.Errorf("%v of block %d comes where %v of block %d must", w.Op, w.Block, p.open.op, p.open.block)
	case isCore(w.Op) && mode:
		p.open.ran = true
		p.productBackward(p.open)
	case isCore(w.Op):
		p.open.ran = true
		p.product(p.open)
	case mode:
		err = p.exchangeBackward(w, p.open)
	default:
		err = p.exchangeForward(w, p.open)
	}
	if p.err != nil {
		return p.err
	}
	return err
}
