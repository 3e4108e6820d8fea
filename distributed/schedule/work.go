package schedule

import (
	"slices"

	"github.com/temper-ml/temper/distributed/mesh"
)

// Work is one piece of what a compute instruction does inside a stage.
type Work struct {
	Op    Op
	Axis  mesh.Axis // of a collective; None otherwise
	Block int       // block it belongs to; MTP modules count on after the last block; -1 for embedding and head
	Again bool      // recomputed in the backward pass
}

// Work returns the pieces of a Forward, Backward, BackwardInput or
// BackwardWeight of a chunk, in order: blocks with the collectives that tensor,
// context and expert parallelism need around their products. A pair does the
// work of its two halves.
func (p *Program) Work(stage, chunk int, op Op) []Work {
	if stage < 0 || stage >= p.Pipeline.Stages || chunk < 0 || chunk >= p.Pipeline.Chunks {
		return nil
	}
	pieces := p.pieces(p.Pipeline.Position(stage, chunk))
	switch op {
	case Forward:
		return forwardWork(pieces)
	case BackwardInput, Backward:
		return p.backwardWork(pieces)
	case BackwardWeight:
		return weightWork(pieces)
	}
	return nil
}

// piece is one product of a part, or one run of products that tensor parallelism
// splits together, with the collectives around it in both passes.
type piece struct {
	before, after             []Work // forward
	work                      Work
	beforeBackward, afterBack []Work
}

// pieces lists what the part at a position computes, along the forward pass.
// The head takes the loss of every MTP module, also of those that an earlier
// part holds.
func (p *Program) pieces(position int) []piece {
	part := p.Spec.Split.Parts[position]
	var out []piece
	if part.Embedding {
		out = append(out, p.lookup(Embedding, -1))
	}
	for b := range part.Blocks {
		out = p.block(out, part.First+b)
	}
	before := 0
	for _, earlier := range p.Spec.Split.Parts[:position] {
		before += earlier.MTP
	}
	if part.Head {
		for range 1 + before {
			out = append(out, p.head())
		}
	}
	for k := range part.MTP {
		block := p.Spec.Split.Blocks() + before + k
		out = append(out, p.lookup(Prediction, block))
		out = p.block(out, block)
		if part.Head {
			out = append(out, p.head())
		}
	}
	return out
}

// block appends the two pieces of a block.
func (p *Program) block(out []piece, block int) []piece {
	attention := p.split(Attention, mesh.TP, block, p.Spec.Sequence)
	if p.Spec.Mesh.CP > 1 {
		exchange := Work{Op: ContextGather, Axis: mesh.CP, Block: block}
		attention.before = append(attention.before, exchange)
		attention.afterBack = append([]Work{exchange}, attention.afterBack...)
	}
	out = append(out, attention)
	if !p.Spec.hasExperts(block) {
		return append(out, p.split(FeedForward, mesh.TP, block, p.Spec.Sequence))
	}
	experts := p.split(Experts, mesh.ETP, block, p.Spec.Sequence || p.Spec.Mesh.TP == 1)
	if p.Spec.Mesh.EP > 1 {
		dispatch := []Work{{Op: Dispatch, Axis: mesh.EP, Block: block}}
		combine := Work{Op: Combine, Axis: mesh.EP, Block: block}
		experts.before, experts.after = append(dispatch, experts.before...), append(experts.after, combine)
		experts.beforeBackward, experts.afterBack = append(dispatch[:1:1], experts.beforeBackward...), append(experts.afterBack, combine)
	}
	return append(out, experts)
}

// split is a piece whose product the ranks of an axis share. Where their tokens
// differ, they gather the tokens before it and scatter the sums after it, in
// both passes; where all have the same tokens they only add the sums.
func (p *Program) split(op Op, a mesh.Axis, block int, differ bool) piece {
	c := piece{work: Work{Op: op, Block: block}}
	if p.Spec.Mesh.Degree(a) < 2 {
		return c
	}
	scatter := []Work{{Op: TensorScatter, Axis: a, Block: block}}
	c.after, c.afterBack = scatter, scatter[:1:1]
	if differ {
		gather := []Work{{Op: TensorGather, Axis: a, Block: block}}
		c.before, c.beforeBackward = gather, gather[:1:1]
	}
	return c
}

// lookup is a piece that reads rows of the embedding, which the tensor-parallel
// ranks share, and has no gradient of its input to add up.
func (p *Program) lookup(op Op, block int) piece {
	c := p.split(op, mesh.TP, block, p.Spec.Sequence)
	c.before, c.afterBack = nil, nil
	return c
}

// head is a piece whose sums stay where they are: each rank takes the loss of
// its rows of the vocabulary.
func (p *Program) head() piece {
	c := p.split(Head, mesh.TP, -1, p.Spec.Sequence)
	c.after, c.beforeBackward = nil, nil
	return c
}

func forwardWork(pieces []piece) []Work {
	var out []Work
	for _, c := range pieces {
		out = append(out, c.before...)
		out = append(out, c.work)
		out = append(out, c.after...)
	}
	return out
}

// backwardWork goes through the pieces from the end, and first computes again
// what was not kept: with full recomputation each block as its backward begins.
func (p *Program) backwardWork(pieces []piece) []Work {
	var out []Work
	for end := len(pieces); end > 0; {
		begin := end - 1
		for begin > 0 && pieces[begin].work.Block >= 0 && pieces[begin-1].work.Block == pieces[end-1].work.Block {
			begin--
		}
		out = p.recompute(out, forwardWork(pieces[begin:end]))
		for _, c := range slices.Backward(pieces[begin:end]) {
			out = append(out, c.beforeBackward...)
			out = append(out, c.work)
			out = append(out, c.afterBack...)
		}
		end = begin
	}
	return out
}

// recompute appends what is computed again of one block.
func (p *Program) recompute(out, block []Work) []Work {
	for _, w := range block {
		again := p.Spec.Recompute == RecomputeFull || p.Spec.Recompute == RecomputeSelective && w.Op == Attention
		if again && w.Block >= 0 {
			w.Again = true
			out = append(out, w)
		}
	}
	return out
}

// weightWork needs no partner: everything it reads is kept.
func weightWork(pieces []piece) []Work {
	var out []Work
	for _, c := range slices.Backward(pieces) {
		out = append(out, c.work)
	}
	return out
}
