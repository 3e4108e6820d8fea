package sim

import (
	"fmt"

	"github.com/temper-ml/temper/cluster/costmodel"
	"github.com/temper-ml/temper/cluster/costmodel/operator"
	"github.com/temper-ml/temper/distributed/mesh"
	"github.com/temper-ml/temper/distributed/schedule"
)

// Options are choices of how a step is simulated.
type Options struct {
	// ByChunk makes one phase of a whole chunk instead of one of every block:
	// members of a group then meet once per pass. It is also what happens,
	// without being asked for, when there would be more than MostInstructions.
	ByChunk bool
	// Ports lets sends queue for the network cards that several devices of a
	// node share. The cost model gives every device its fixed share of them.
	Ports bool
	// CheckpointSeconds is how long the step stands still for a checkpoint.
	CheckpointSeconds float64
}

// MostInstructions is the number of instructions, over all ranks, above which
// a step is simulated by chunk.
const MostInstructions = 60e6

// Names of what time is spent on: Program.Parts of a program made by New.
const (
	partForward = iota
	partExperts
	partRecompute
	partRecomputeExperts
	partBackward
	partBackwardExperts
	partWeight
	partWeightExperts
	partTensor
	partContext
	partTokens
	partSend
	partGradients
	partGather
	partOptimizer
	partOffload
	partFixed
	partVariation
	partCheckpoint
)

var partNames = []string{
	"forward", "experts, forward", "recompute", "experts, recompute", "backward of inputs", "experts, backward of inputs",
	"backward of weights", "experts, backward of weights", "tensor parallel exchange", "context parallel exchange",
	"all-to-all of tokens", "send between stages", "gradient reduction", "parameter gather", "optimizer", "optimizer state offload",
	"fixed work of a step", "usual variation", "checkpoint",
}

// lowering turns a step of the cost model into a Program.
type lowering struct {
	m       *costmodel.Model
	s       *costmodel.Step
	o       Options
	rank    *schedule.Program
	out     *Program
	cell    *costmodel.Cell
	again   operator.Recompute
	chunks  [][]piece // by stage*chunks+chunk, in forward order
	axis    map[mesh.Axis]uint8
	tensor  mesh.Axis // the axis of tensor parallel exchanges
	shared  mesh.Axis // the axis that shares parameters: of gradients and gathers
	streams []uint8   // on which hidden messages of that axis run
	code    []Instruction
	open    []int32 // Starts not waited for
	routes  map[[2]int]*route
}

// piece is one block of a chunk, its embedding or its head.
type piece struct {
	layer int16
	passes
}

// route is the messages from one stage to another, in order.
type route struct{ sends, receives []int32 }

// New makes the program of all ranks for a step that the cost model predicted.
// The symmetric run of it lasts Step.Seconds, to the rounding of durations to
// picoseconds: the same rank programs, the same costs. Two figures of the cost
// model that have no place of their own in a program stay what they are, a
// fixed time at the end of the step: its fixed work, and the usual variation
// between nodes, which is what a cluster without any particular fault loses.
func New(m *costmodel.Model, s *costmodel.Step, o Options) (*Program, error) {
	rank, err := schedule.NewProgram(spec(m, s))
	if err != nil {
		return nil, fmt.Errorf("sim: %w", err)
	}
	if s.Durations.Blocking {
		return nil, fmt.Errorf("sim: the sender of a message is held up by it, which is not simulated: use an engine that overlaps sends")
	}
	again, err := operator.ParseRecompute(s.Layout.Recompute, m.Engine)
	if err != nil {
		return nil, fmt.Errorf("sim: %w", err)
	}
	ms := s.Layout.Mesh
	l := &lowering{
		m: m, s: s, o: o, rank: rank, again: again, routes: map[[2]int]*route{},
		cell: m.Cell(costmodel.Key{TP: ms.TP, CP: ms.CP, EP: ms.EP, ETP: ms.ETP, MicroBatch: s.Layout.MicroBatch, Recompute: again}),
	}
	l.axes()
	l.pieces()
	if n := l.estimate(); o.ByChunk || n > MostInstructions {
		l.merge()
	}
	for stage := range rank.Stages {
		l.stage(stage)
	}
	if err := l.match(); err != nil {
		return nil, err
	}
	return l.out, l.out.Check()
}

// spec describes the step to the schedule.
func spec(m *costmodel.Model, s *costmodel.Step) schedule.Spec {
	out := schedule.Spec{
		Mesh: s.Layout.Mesh, Kind: s.Shape.Kind, Chunks: s.Shape.Chunks, Micro: s.Shape.Micro, Split: s.Split, Zero: s.Layout.Zero,
		Sequence: m.Engine.Sequence && s.Layout.Mesh.TP > 1,
		Overlap:  schedule.Overlap{Sends: true, Gradients: m.Engine.OverlapDP, Parameters: m.Engine.OverlapDP},
	}
	for layer := range m.Arch.NumLayers {
		out.Experts = append(out.Experts, m.Arch.IsMoE(layer))
	}
	if s.Layout.Offload == "optimizer" {
		out.Offload = schedule.OffloadSwap
	}
	return out
}

// axes lists the groups that meet.
func (l *lowering) axes() {
	ms, c := l.s.Layout.Mesh, l.m.Cluster
	block := ms.Block()
	l.out = &Program{
		Ranks: ms.World(), Parts: partNames, Node: max(1, c.NodeSize), PortRanks: 1, ExpertAxis: -1, Experts: l.m.Arch.Experts,
		SendsScaleOut: ms.PP > 1 && c.DomainOf(0, block, 2) == len(c.Domains)-1,
	}
	l.axis = map[mesh.Axis]uint8{}
	l.tensor, l.shared = mesh.TP, mesh.DPCP
	if ms.Degree(mesh.TP) == 1 {
		l.tensor = mesh.ETP
	}
	if ms.Degree(mesh.DPCP) == 1 {
		l.shared = mesh.EDP
	}
	for _, a := range []mesh.Axis{l.tensor, mesh.CP, mesh.EP, l.shared} {
		if ms.Degree(a) < 2 {
			continue
		}
		if a == mesh.EP {
			l.out.ExpertAxis = len(l.out.Axes)
		}
		g := ms.Group(a, 0)
		l.axis[a] = uint8(len(l.out.Axes))
		one := Axis{
			Name: a.String(), Group: func(rank int) mesh.Group { return ms.Group(a, rank) },
			ScaleOut: len(c.Domains) > 1 && c.DomainOf(0, g.Stride, g.Size) == len(c.Domains)-1,
		}
		l.out.Axes = append(l.out.Axes, one)
		if a != l.shared {
			continue
		}
		l.streams = []uint8{l.axis[a]}
		if l.s.Layout.Zero == 3 { // gathers do not wait for reductions, nor these for them
			one.Name += " gather"
			l.streams = append(l.streams, uint8(len(l.out.Axes)))
			l.out.Axes = append(l.out.Axes, one)
		}
	}
	if n := c.Domains[len(c.Domains)-1].NICs; l.o.Ports && l.out.SendsScaleOut && n > 0 && c.NodeSize%n == 0 {
		l.out.PortRanks = c.NodeSize / n
	}
}

// pieces lists what every chunk holds.
func (l *lowering) pieces() {
	known := make([]passes, len(l.cell.Parts))
	for i := range known {
		known[i] = split(&l.cell.Parts[i], l.again)
	}
	for i := range l.s.Chunks {
		part := l.s.Chunks[i].Part
		var list []piece
		if part.Embedding {
			list = append(list, piece{-1, known[l.cell.Embedding]})
		}
		for b := range part.Blocks {
			list = append(list, piece{int16(part.First + b), known[l.cell.Class[part.First+b]]})
		}
		for d := range part.MTP {
			block := l.m.Arch.NumLayers + d
			list = append(list, piece{int16(block), known[l.cell.Class[block]]})
		}
		if part.Head {
			list = append(list, piece{-1, known[l.cell.Head]})
		}
		l.chunks = append(l.chunks, list)
	}
}

// estimate is how many instructions all ranks together will run, at most.
func (l *lowering) estimate() float64 {
	n := 0.0
	for _, list := range l.chunks {
		n += float64(16 * len(list) * l.s.Shape.Micro)
	}
	return n * float64(l.s.Layout.Mesh.Block())
}

// merge makes one piece of every chunk.
func (l *lowering) merge() {
	for i, list := range l.chunks {
		all := piece{layer: -1}
		for _, p := range list {
			all.passes = all.passes.add(p.passes)
			if all.layer < 0 && p.layer >= 0 && l.m.Arch.IsMoE(int(min(p.layer, int16(l.m.Arch.NumLayers-1)))) {
				all.layer = p.layer
			}
		}
		l.chunks[i] = []piece{all}
	}
}

// match pairs sends with receives: the messages of a route keep their order.
func (l *lowering) match() error {
	for way, r := range l.routes {
		if len(r.sends) != len(r.receives) {
			return fmt.Errorf("sim: stage %d sends %d messages to stage %d, which receives %d", way[0], len(r.sends), way[1], len(r.receives))
		}
		for i := range r.sends {
			l.out.Stages[way[0]][r.sends[i]].Match = r.receives[i]
			l.out.Stages[way[1]][r.receives[i]].Match = r.sends[i]
		}
	}
	return nil
}
