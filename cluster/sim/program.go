package sim

import (
	"fmt"
	"math"

	"github.com/temper-ml/temper/distributed/mesh"
)

// Time is a moment or a duration in picoseconds: a step of 100 days still fits.
type Time int64

// Picoseconds in a second.
const second = 1e12

// FromSeconds rounds s to the nearest picosecond.
func FromSeconds(s float64) Time { return Time(math.Round(s * second)) }

// Seconds returns t in seconds.
func (t Time) Seconds() float64 { return float64(t) / second }

// Kind says what an instruction does to a rank's clock.
type Kind uint8

// The kinds of instructions. Collective, Receive and Wait hold the rank up;
// Start and Send only begin something.
const (
	Compute    Kind = iota // works for Time
	Collective             // waits for all members of its group, then for the transfer
	Start                  // begins a collective on the axis' own stream; the rank goes on
	Wait                   // until the collective begun by instruction Match is over
	Send                   // begins a message to the rank with the same place in stage Peer
	Receive                // until the message of instruction Match of stage Peer is there
)

// Scale says which part of a duration follows the router's choices.
type Scale uint8

// A duration scales with nothing, with the tokens this rank's experts got, or
// with the tokens of the busiest rank of the group (both relative to the mean).
const (
	Fixed Scale = iota
	ByLoad
	ByBusiest
)

// Instruction is one entry of a stage's code.
type Instruction struct {
	Kind   Kind
	Part   uint8 // index into Program.Parts: what the time is spent on
	Scale  Scale
	Axis   uint8 // Collective, Start: index into Program.Axes
	Layer  int16 // -1 where no layer is meant
	Chunk  int16
	Micro  int32
	Peer   int32 // Send, Receive: the other stage
	Match  int32 // Receive: the Send in Peer's code; Send: the Receive; Wait: the Start
	Time   Time  // as it is without disturbances
	Shared Time  // Send: the part of Time that occupies the shared port (0: it needs none)
}

// Axis is a family of groups whose members meet in collectives.
type Axis struct {
	Name  string
	Group func(rank int) mesh.Group
	// ScaleOut says that the groups reach beyond the innermost link domains, so
	// that a degraded network card slows them.
	ScaleOut bool
}

// Program is what all ranks do in one step. Rank r belongs to stage
// r / (Ranks/len(Stages)); ranks of a stage share its code.
type Program struct {
	Ranks  int
	Stages [][]Instruction
	Axes   []Axis
	Parts  []string // names of what time is spent on
	// Node is the number of ranks of a machine; PortRanks is how many
	// neighbouring ranks share one network port for their sends.
	Node, PortRanks int
	// SendsScaleOut says which stages' sends leave the innermost domains.
	SendsScaleOut bool
	// ExpertAxis is the index of the axis over which tokens are routed, or -1.
	ExpertAxis int
	// Experts is the number of routed experts of a layer.
	Experts int
}

// block is the number of ranks of one stage.
func (p *Program) block() int { return p.Ranks / len(p.Stages) }

// Stage returns the stage of a rank.
func (p *Program) Stage(rank int) int { return rank / p.block() }

// Code returns the instructions of a rank.
func (p *Program) Code(rank int) []Instruction { return p.Stages[p.Stage(rank)] }

// Check returns the first rule that the program breaks.
func (p *Program) Check() error {
	switch {
	case p.Ranks < 1 || p.Ranks > 1<<20:
		return fmt.Errorf("sim: ranks %d must be in [1, 1048576]", p.Ranks)
	case len(p.Stages) == 0 || p.Ranks%len(p.Stages) != 0:
		return fmt.Errorf("sim: %d ranks do not divide into %d stages", p.Ranks, len(p.Stages))
	case len(p.Axes) > 255 || len(p.Parts) > 255:
		return fmt.Errorf("sim: %d axes and %d parts, at most 255 each", len(p.Axes), len(p.Parts))
	case p.Node < 1 || p.PortRanks < 1:
		return fmt.Errorf("sim: node size %d and ranks per port %d must be at least 1", p.Node, p.PortRanks)
	}
	for s, code := range p.Stages {
		for pc := range code {
			if err := p.checkInstruction(s, pc); err != nil {
				return fmt.Errorf("sim: stage %d, instruction %d: %w", s, pc, err)
			}
		}
	}
	return nil
}

func (p *Program) checkInstruction(stage, pc int) error {
	code := p.Stages[stage]
	in := &code[pc]
	switch {
	case in.Time < 0 || in.Shared < 0 || in.Shared > in.Time:
		return fmt.Errorf("durations %d and %d ps: they must not be negative, nor the second longer", in.Time, in.Shared)
	case int(in.Part) >= len(p.Parts):
		return fmt.Errorf("part %d, but there are %d", in.Part, len(p.Parts))
	case (in.Kind == Collective || in.Kind == Start) && int(in.Axis) >= len(p.Axes):
		return fmt.Errorf("axis %d, but there are %d", in.Axis, len(p.Axes))
	case in.Scale != Fixed && (in.Layer < 0 || p.ExpertAxis < 0 || p.ExpertAxis >= len(p.Axes)):
		return fmt.Errorf("follows the router, but has layer %d and expert axis %d", in.Layer, p.ExpertAxis)
	case in.Kind == Wait && (int(in.Match) >= pc || in.Match < 0 || code[in.Match].Kind != Start):
		return fmt.Errorf("waits for instruction %d, which starts nothing before it", in.Match)
	}
	if in.Kind != Send && in.Kind != Receive {
		return nil
	}
	want := Send + Receive - in.Kind
	if in.Peer < 0 || int(in.Peer) >= len(p.Stages) || in.Match < 0 || int(in.Match) >= len(p.Stages[in.Peer]) {
		return fmt.Errorf("matches instruction %d of stage %d, which does not exist", in.Match, in.Peer)
	}
	other := &p.Stages[in.Peer][in.Match]
	if other.Kind != want || int(other.Match) != pc || int(other.Peer) != stage {
		return fmt.Errorf("its match, instruction %d of stage %d, does not match it", in.Match, in.Peer)
	}
	return nil
}

// Instructions is how many instructions all ranks carry out together.
func (p *Program) Instructions() int {
	n := 0
	for _, code := range p.Stages {
		n += len(code) * p.block()
	}
	return n
}
