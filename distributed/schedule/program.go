package schedule

import (
	"slices"

	"github.com/temper-ml/temper/distributed/mesh"
)

// Instruction is one step of a rank's program. The ranks of a stage share one
// list; Program.Peer and Program.Group give each rank its partners.
//
// Compute instructions are those of Action. A collective works on Axis. An
// instruction marked Async is only started: reductions of gradients must be
// done before the first of ReduceReplicated, ReduceTied, Norm and Optimizer,
// gathers of the parameters of a chunk before the next compute instruction of
// that chunk, in the next step if there is none left.
//
// With overlapped sends, a send is started and forgotten, and a receive waits
// for its message. With blocking sends, neighbouring sends and receives are
// posted together and all of them are waited for.
type Instruction struct {
	Micro, Micro2 int32
	Peer          int32 // stage at the other end of a send, receive or ReduceTied
	Op            Op
	Chunk, Chunk2 uint8
	Axis          mesh.Axis
	Async         bool
}

// Program is one training step of every rank.
type Program struct {
	Spec     Spec
	Pipeline *Pipeline
	// Stages holds the instructions of each stage, shared by its ranks.
	Stages [][]Instruction
}

// NewProgram writes the program of a step: the compute order of the schedule,
// the messages between stages, the collectives over data-parallel groups, and
// the update of the parameters. The program it returns passes Check.
func NewProgram(s Spec) (*Program, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	shape, pipeline := s.Shape(), &Pipeline{}
	if err := pipeline.Reset(shape); err != nil {
		return nil, err
	}
	p := &Program{Spec: s, Pipeline: pipeline, Stages: make([][]Instruction, shape.Stages)}
	post := newPost(pipeline)
	for stage := range p.Stages {
		w := &writer{Program: p, post: post, stage: stage, received: map[int]int{}}
		w.compute()
		w.update()
		p.Stages[stage] = w.out
	}
	return p, p.Check()
}

// Of returns the instructions of a rank, nil for a rank outside the mesh.
func (p *Program) Of(rank int) []Instruction {
	if rank < 0 || rank >= p.Spec.Mesh.World() {
		return nil
	}
	return p.Stages[p.Stage(rank)]
}

// Stage returns the pipeline stage of a rank.
func (p *Program) Stage(rank int) int { return rank / p.Spec.Mesh.Block() }

// Peer returns the rank at the other end of a rank's send, receive or
// ReduceTied: the one with the same place in the peer stage.
func (p *Program) Peer(rank int, i Instruction) int {
	block := p.Spec.Mesh.Block()
	return rank%block + int(i.Peer)*block
}

// Group returns the ranks that take part in a rank's collective.
func (p *Program) Group(rank int, i Instruction) mesh.Group {
	if i.Op == ReduceTied {
		a, b := min(rank, p.Peer(rank, i)), max(rank, p.Peer(rank, i))
		return mesh.Group{First: a, Stride: b - a, Size: 2}
	}
	return p.Spec.Mesh.Group(i.Axis, rank)
}

// Part returns what a chunk of a stage holds.
func (p *Program) Part(stage, chunk int) Part {
	return p.Spec.Split.Parts[p.Pipeline.Position(stage, chunk)]
}

// sharedAxes returns the axes over which the ranks of a stage share or repeat
// the parameters of a chunk: dpcp for dense ones, edp for those of experts.
func (p *Program) sharedAxes(stage, chunk int) []mesh.Axis {
	var out []mesh.Axis
	dense, expert := p.Spec.parameters(p.Part(stage, chunk))
	if dense && p.Spec.Mesh.Degree(mesh.DPCP) > 1 {
		out = append(out, mesh.DPCP)
	}
	if expert && p.Spec.Mesh.Degree(mesh.EDP) > 1 {
		out = append(out, mesh.EDP)
	}
	return out
}

// replicates reports whether the tensor-parallel ranks of a stage all hold
// parameters, norms and routers, that each uses for its share of the sequence.
func (p *Program) replicates(stage int) bool {
	if !p.Spec.Sequence || p.Spec.Mesh.TP < 2 {
		return false
	}
	for chunk := range p.Pipeline.Chunks {
		if part := p.Part(stage, chunk); part.Blocks+part.MTP > 0 {
			return true
		}
	}
	return false
}

// writer writes the instructions of one stage.
type writer struct {
	*Program
	post     *post
	stage    int
	out      []Instruction
	received map[int]int // messages already received, by sending stage
}

// compute writes the compute order with the messages and parameter gathers it
// needs, and starts gradient reductions as soon as gradients are complete.
func (w *writer) compute() {
	left := make([]int, w.Pipeline.Chunks)
	for c := range left {
		first, last := w.Pipeline.Micros(c)
		left[c] = last - first
	}
	for _, a := range w.Pipeline.Compute[w.stage] {
		for _, half := range a.halves() {
			w.receive(half)
			if w.Spec.Zero == 3 && half.Op != BackwardWeight {
				w.collective(GatherParameters, half, w.Spec.Overlap.Parameters)
			}
		}
		w.out = append(w.out, Instruction{Op: a.Op, Chunk: a.Chunk, Micro: a.Micro, Chunk2: a.Chunk2, Micro2: a.Micro2, Peer: -1})
		for _, half := range a.halves() {
			w.send(half)
			if half.Op == Forward || half.Op == BackwardInput {
				continue
			}
			left[half.Chunk]--
			if w.Spec.Zero >= 2 || left[half.Chunk] == 0 {
				w.collective(ReduceGradients, half, w.Spec.Overlap.Gradients)
			}
		}
	}
}

// halves returns the action itself, or the two actions that a pair overlaps.
func (a Action) halves() []Action {
	if a.Op != Pair {
		return []Action{a}
	}
	return []Action{
		{Op: Forward, Chunk: a.Chunk, Micro: a.Micro},
		{Op: Backward, Chunk: a.Chunk2, Micro: a.Micro2},
	}
}

// collective writes a collective on the dense and on the expert parameters of a
// chunk, where there are any and more than one rank shares them.
func (w *writer) collective(op Op, a Action, async bool) {
	for _, axis := range w.sharedAxes(w.stage, int(a.Chunk)) {
		w.out = append(w.out, Instruction{Op: op, Chunk: a.Chunk, Micro: a.Micro, Peer: -1, Axis: axis, Async: async})
	}
}

// update writes what follows the last backward.
func (w *writer) update() {
	if w.replicates(w.stage) {
		w.local(ReduceReplicated, mesh.TP)
	}
	w.out = append(w.out, w.tied(w.stage)...)
	if w.Spec.Mesh.World() > 1 {
		w.local(Norm, mesh.All)
	}
	switch w.Spec.Offload {
	case OffloadSwap:
		w.local(OffloadIn, mesh.None)
		w.local(Optimizer, mesh.None)
		w.local(OffloadOut, mesh.None)
	case OffloadHost:
		w.local(OffloadOut, mesh.None)
		w.local(Optimizer, mesh.None)
		w.local(OffloadIn, mesh.None)
	default:
		w.local(Optimizer, mesh.None)
	}
	if w.Spec.Zero == 1 || w.Spec.Zero == 2 {
		for c := range w.Pipeline.Chunks {
			w.collective(GatherUpdated, Action{Chunk: uint8(c)}, w.Spec.Overlap.Parameters)
		}
	}
	if w.Spec.Checkpoint {
		w.local(Checkpoint, mesh.None)
	}
}

func (w *writer) local(op Op, axis mesh.Axis) {
	w.out = append(w.out, Instruction{Op: op, Axis: axis, Peer: -1})
}

// tied returns the reductions between a stage and others that hold the same
// parameters: a matrix that is shared, or the two copies of dualpipe. Every two
// stages exchange what they have from their own microbatches; all stages write
// their exchanges in one order, by the lower and then the higher stage.
func (p *Program) tied(stage int) (out []Instruction) {
	last := p.Pipeline.Stages - 1
	if p.Pipeline.Kind == DualPipe {
		near := uint8(0)
		if stage > last-stage {
			near = 1
		}
		for _, chunk := range [2]uint8{near, 1 - near} {
			out = append(out, Instruction{Op: ReduceTied, Chunk: chunk, Peer: int32(last - stage), Axis: mesh.PP})
		}
		return out // each of the two stages holds the embedding and the head
	}
	holders := p.Holders()
	self := slices.IndexFunc(holders, func(h [2]int) bool { return h[0] == stage })
	for _, h := range holders {
		if self >= 0 && h[0] != stage {
			out = append(out, Instruction{Op: ReduceTied, Chunk: uint8(holders[self][1]), Peer: int32(h[0]), Axis: mesh.PP})
		}
	}
	return out
}

// Holders returns the stages, in order, that hold the matrix of the embedding,
// each with the first of its chunks that does: those of the embedding, of the
// MTP modules, which read it, and of the head, if it is tied.
func (p *Program) Holders() (holders [][2]int) {
	for q, part := range p.Spec.Split.Parts {
		if !p.Spec.sharesEmbedding(part) {
			continue
		}
		stage, chunk := p.Pipeline.Place(q)
		if !slices.ContainsFunc(holders, func(h [2]int) bool { return h[0] == stage }) {
			holders = append(holders, [2]int{stage, chunk})
		}
	}
	slices.SortFunc(holders, func(a, b [2]int) int { return a[0] - b[0] })
	return holders
}
