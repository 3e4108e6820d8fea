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
	part := p.Part(stage, chunk)
	switch op {
	case Forward:
		return p.forwardWork(part)
	case BackwardInput, Backward:
		return p.backwardWork(part)
	case BackwardWeight:
		return p.weightWork(part)
	}
	return nil
}

func (p *Program) forwardWork(part Part) []Work {
	var out []Work
	if part.Embedding {
		out = append(out, Work{Op: Embedding, Block: -1})
		out = p.scatter(out, mesh.TP, -1)
	}
	for b := range part.Blocks {
		out = p.blockWork(out, part.First+b)
	}
	if part.Head {
		out = p.headWork(out)
	}
	for k := range part.MTP {
		block := p.Spec.Split.Blocks() + p.mtpBefore(part) + k
		out = append(out, Work{Op: Prediction, Block: block})
		out = p.blockWork(out, block)
		out = p.headWork(out)
	}
	return out
}

// mtpBefore counts the MTP modules in earlier parts.
func (p *Program) mtpBefore(part Part) int {
	n := 0
	for _, other := range p.Spec.Split.Parts {
		if other == part {
			break
		}
		n += other.MTP
	}
	return n
}

func (p *Program) gather(out []Work, a mesh.Axis, block int) []Work {
	if p.Spec.Mesh.Degree(a) > 1 && p.Spec.Sequence {
		out = append(out, Work{Op: TensorGather, Axis: a, Block: block})
	}
	return out
}

// scatter ends a split product: the partial sums are reduced, and scattered
// along the sequence where activations are sharded along it.
func (p *Program) scatter(out []Work, a mesh.Axis, block int) []Work {
	if p.Spec.Mesh.Degree(a) > 1 {
		out = append(out, Work{Op: TensorScatter, Axis: a, Block: block})
	}
	return out
}

func (p *Program) headWork(out []Work) []Work {
	out = p.gather(out, mesh.TP, -1)
	return append(out, Work{Op: Head, Block: -1})
}

func (p *Program) blockWork(out []Work, block int) []Work {
	out = p.attentionWork(out, block)
	if !p.Spec.hasExperts(block) {
		out = p.gather(out, mesh.TP, block)
		out = append(out, Work{Op: FeedForward, Block: block})
		return p.scatter(out, mesh.TP, block)
	}
	parallel := p.Spec.Mesh.EP > 1
	if parallel {
		out = append(out, Work{Op: Dispatch, Axis: mesh.EP, Block: block})
	}
	out = p.gather(out, mesh.ETP, block)
	out = append(out, Work{Op: Experts, Block: block})
	out = p.scatter(out, mesh.ETP, block)
	if parallel {
		out = append(out, Work{Op: Combine, Axis: mesh.EP, Block: block})
	}
	return out
}

func (p *Program) attentionWork(out []Work, block int) []Work {
	out = p.gather(out, mesh.TP, block)
	if p.Spec.Mesh.CP > 1 {
		out = append(out, Work{Op: ContextGather, Axis: mesh.CP, Block: block})
	}
	out = append(out, Work{Op: Attention, Block: block})
	return p.scatter(out, mesh.TP, block)
}

// mirror gives, for a collective of the forward pass, the one of the backward
// pass: the gradient of a gather is a scatter, that of a dispatch a combine.
var mirror = map[Op]Op{TensorGather: TensorScatter, TensorScatter: TensorGather, Dispatch: Combine, Combine: Dispatch}

// backwardWork mirrors the forward from its end, and first computes again what
// was not kept: with full recomputation each block as its backward begins.
func (p *Program) backwardWork(part Part) []Work {
	forward := p.forwardWork(part)
	var out []Work
	for end := len(forward); end > 0; {
		begin := end - 1
		for begin > 0 && forward[begin].Block >= 0 && forward[begin-1].Block == forward[end-1].Block {
			begin--
		}
		out = p.recompute(out, forward[begin:end])
		for _, w := range slices.Backward(forward[begin:end]) {
			if op, ok := mirror[w.Op]; ok {
				w.Op = op
			}
			out = append(out, w)
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
func (p *Program) weightWork(part Part) []Work {
	var out []Work
	for _, w := range slices.Backward(p.forwardWork(part)) {
		if w.Axis == mesh.None {
			out = append(out, w)
		}
	}
	return out
}
