package sim

import (
	"fmt"
	"testing"

	"github.com/temper-ml/temper/distributed/mesh"
)

// toy describes a small pipeline by hand: 1F1B over stages, layers of a chunk
// with tokens routed over groups of ep ranks, gradients reduced beside the
// backward passes over all ranks of a stage.
type toy struct {
	stages, width, ep, micro, layers int
	attention, experts, route        Time
	send, shared                     Time
	reduce, update                   Time
	portRanks                        int
}

const (
	toyAttention = iota
	toyExperts
	toyRoute
	toySend
	toyReduce
	toyUpdate
)

func (y toy) program(t fataler) *Program {
	t.Helper()
	block := y.width
	p := &Program{
		Ranks: y.stages * y.width, Node: min(8, y.width), PortRanks: max(1, y.portRanks), SendsScaleOut: true, Experts: 4 * y.ep,
		Parts: []string{"attention", "experts", "all-to-all", "send", "gradients", "optimizer"},
		Axes: []Axis{
			{Name: "ep", Group: func(r int) mesh.Group { return mesh.Group{First: r / y.ep * y.ep, Stride: 1, Size: y.ep} }, ScaleOut: y.ep > 8},
			{Name: "dp", Group: func(r int) mesh.Group { return mesh.Group{First: r / block * block, Stride: 1, Size: block} }, ScaleOut: true},
		},
	}
	for s := range y.stages {
		p.Stages = append(p.Stages, y.stage(s))
	}
	pair(p)
	if err := p.Check(); err != nil {
		t.Fatal(err)
	}
	return p
}

// stage writes the code of one stage, with sends and receives not matched yet.
func (y toy) stage(s int) []Instruction {
	var code []Instruction
	pass := func(micro int, backward bool) {
		from, to, times := s-1, s+1, Time(1)
		if backward {
			from, to, times = s+1, s-1, 2
		}
		tag := int16(0)
		if backward {
			tag = 1
		}
		if from >= 0 && from < y.stages {
			code = append(code, Instruction{Kind: Receive, Part: toySend, Layer: -1, Chunk: tag, Micro: int32(micro), Peer: int32(from)})
		}
		for l := range y.layers {
			layer := int16(s*y.layers + l)
			code = append(code,
				Instruction{Kind: Compute, Part: toyAttention, Layer: layer, Micro: int32(micro), Time: times * y.attention},
				Instruction{Kind: Collective, Part: toyRoute, Layer: layer, Micro: int32(micro), Scale: ByBusiest, Time: y.route},
				Instruction{Kind: Compute, Part: toyExperts, Layer: layer, Micro: int32(micro), Scale: ByLoad, Time: times * y.experts},
				Instruction{Kind: Collective, Part: toyRoute, Layer: layer, Micro: int32(micro), Scale: ByBusiest, Time: y.route})
		}
		if to >= 0 && to < y.stages {
			code = append(code, Instruction{Kind: Send, Part: toySend, Layer: -1, Chunk: tag, Micro: int32(micro), Peer: int32(to), Time: y.send, Shared: y.shared})
		}
	}
	warm := min(y.stages-1-s, y.micro)
	for m := range warm {
		pass(m, false)
	}
	for m := range y.micro - warm {
		pass(warm+m, false)
		pass(m, true)
	}
	for m := y.micro - warm; m < y.micro; m++ {
		pass(m, true)
	}
	start := int32(len(code))
	return append(code,
		Instruction{Kind: Start, Part: toyReduce, Axis: 1, Layer: -1, Time: y.reduce},
		Instruction{Kind: Wait, Part: toyReduce, Axis: 1, Layer: -1, Match: start},
		Instruction{Kind: Compute, Part: toyUpdate, Layer: -1, Time: y.update})
}

// pair matches sends and receives by (stages, Chunk as direction, micro-batch).
func pair(p *Program) {
	type key struct {
		from, to, tag int
		micro         int32
	}
	sends := map[key]int{}
	for s, code := range p.Stages {
		for pc, in := range code {
			if in.Kind == Send {
				sends[key{s, int(in.Peer), int(in.Chunk), in.Micro}] = pc
			}
		}
	}
	for s, code := range p.Stages {
		for pc := range code {
			if in := &code[pc]; in.Kind == Receive {
				from := sends[key{int(in.Peer), s, int(in.Chunk), in.Micro}]
				in.Match = int32(from)
				p.Stages[in.Peer][from].Match = int32(pc)
			}
		}
	}
}

var ordinary = toy{
	stages: 4, width: 16, ep: 4, micro: 12, layers: 2, attention: 1000, experts: 700, route: 300,
	send: 50, reduce: 4000, update: 900,
}

func TestCheckNamesTheRule(t *testing.T) {
	for i, c := range []struct {
		spoil func(p *Program)
		want  string
	}{
		{func(p *Program) { p.Ranks = 63 }, "sim: 63 ranks do not divide into 4 stages"},
		{func(p *Program) { p.Ranks = 0 }, "sim: ranks 0 must be in [1, 1048576]"},
		{func(p *Program) { p.Node = 0 }, "sim: node size 0 and ranks per port 1 must be at least 1"},
		{func(p *Program) { p.Stages[1][1].Time = -1 }, "sim: stage 1, instruction 1: durations -1 and 0 ps: they must not be negative, nor the second longer"},
		{func(p *Program) { p.Stages[0][0].Part = 77 }, "sim: stage 0, instruction 0: part 77, but there are 6"},
		{func(p *Program) { p.Stages[0][1].Axis = 9 }, "sim: stage 0, instruction 1: axis 9, but there are 2"},
		{func(p *Program) { p.Stages[1][0].Match = 3 }, fmt.Sprintf("sim: stage 0, instruction %d: its match, instruction 0 of stage 1, does not match it", 8)},
	} {
		p := ordinary.program(t)
		c.spoil(p)
		if err := p.Check(); err == nil || err.Error() != c.want {
			t.Errorf("case %d: %v, want %s", i, err, c.want)
		}
	}
}

// fataler is what the checks need of a test, ordinary or rapid's.
type fataler interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}
