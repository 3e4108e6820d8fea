package sim

import (
	"fmt"

	"github.com/temper-ml/temper/distributed/mesh"
)

// group is the ranks that meet in the collectives of one axis, and those of
// their meetings that are not complete. The groups of an axis have a stream of
// their own: a collective begins when all are there and the one before is over.
type group struct {
	mesh.Group
	free     Time    // when the stream is free
	who, pc  int32   // the collective that occupies it last
	slowness float64 // of the slowest member's links
	slowest  int     // that member
	open     []meeting
	loads    loads
}

// meeting is the ordinal-th collective of a group, not complete yet.
type meeting struct {
	ordinal, count int32
	last           Time  // latest arrival so far
	by             int32 // the lowest rank of those that arrived last
}

// meet finds the groups of every axis, and for every stage and axis at which
// instruction its n-th collective stands: members of one group may belong to
// different stages, whose codes differ.
func (e *engine) meet() error {
	n := len(e.p.Axes)
	e.groups, e.groupOf, e.places = make([][]group, n), make([][]int32, n), make([][][]int32, n)
	e.ordinals = make([][]int32, len(e.p.Stages))
	for s := range e.ordinals {
		e.ordinals[s] = make([]int32, len(e.p.Stages[s]))
	}
	for a := range e.p.Axes {
		if err := e.collect(a); err != nil {
			return err
		}
		e.places[a] = make([][]int32, len(e.p.Stages))
		for s, code := range e.p.Stages {
			for pc := range code {
				if in := &code[pc]; (in.Kind == Collective || in.Kind == Start) && int(in.Axis) == a {
					e.ordinals[s][pc] = int32(len(e.places[a][s]))
					e.places[a][s] = append(e.places[a][s], int32(pc))
				}
			}
		}
	}
	for a := range e.groups {
		for g := range e.groups[a] {
			if err := e.agree(a, &e.groups[a][g]); err != nil {
				return err
			}
		}
	}
	return nil
}

// collect lists the groups of axis a.
func (e *engine) collect(a int) error {
	axis := &e.p.Axes[a]
	e.groupOf[a] = make([]int32, e.p.Ranks)
	for r := range e.groupOf[a] {
		g := axis.Group(r)
		last := g.First + (g.Size-1)*g.Stride
		switch {
		case g.Size < 1 || g.Stride < 1 || g.First < 0 || last >= e.p.Ranks:
			return fmt.Errorf("sim: axis %s: group of rank %d (first %d, stride %d, size %d) leaves the %d ranks", axis.Name, r, g.First, g.Stride, g.Size, e.p.Ranks)
		case r < g.First || (r-g.First)%g.Stride != 0 || r > last:
			return fmt.Errorf("sim: axis %s: rank %d is not in its own group (first %d, stride %d, size %d)", axis.Name, r, g.First, g.Stride, g.Size)
		}
		if r == g.First {
			e.groupOf[a][r] = int32(len(e.groups[a]))
			factor, who := e.d.slowness(g, axis.ScaleOut)
			e.groups[a] = append(e.groups[a], group{Group: g, who: -1, pc: -1, slowness: factor, slowest: who})
			continue
		}
		e.groupOf[a][r] = e.groupOf[a][g.First]
		if e.groups[a][e.groupOf[a][r]].Group != g {
			return fmt.Errorf("sim: axis %s: ranks %d and %d name different groups", axis.Name, g.First, r)
		}
	}
	return nil
}

// agree checks that all members of g run equally many collectives of axis a.
func (e *engine) agree(a int, g *group) error {
	want := -1
	for i := range g.Size {
		n := len(e.places[a][e.ranks[g.First+i*g.Stride].stage])
		if want >= 0 && n != want {
			return fmt.Errorf("sim: axis %s: rank %d runs %d collectives, rank %d of its group %d", e.p.Axes[a].Name, g.First, want, g.First+i*g.Stride, n)
		}
		want = n
	}
	return nil
}

// arrive brings rank r to a collective; the last of the group completes it.
func (e *engine) arrive(r int32, in *Instruction) {
	g := &e.groups[in.Axis][e.groupOf[in.Axis][r]]
	ordinal := e.ordinals[e.ranks[r].stage][e.ranks[r].pc]
	m := g.meeting(ordinal)
	now := e.ranks[r].clock
	if now > m.last || now == m.last && r < m.by {
		m.last, m.by = now, r
	}
	m.count++
	if int(m.count) == g.Size {
		e.complete(g, *m, in)
		g.close(ordinal)
	}
}

// meeting returns the ordinal-th collective of the group, opened if need be.
func (g *group) meeting(ordinal int32) *meeting {
	for i := range g.open {
		if g.open[i].ordinal == ordinal {
			return &g.open[i]
		}
	}
	g.open = append(g.open, meeting{ordinal: ordinal, last: -1})
	return &g.open[len(g.open)-1]
}

func (g *group) close(ordinal int32) {
	for i := range g.open {
		if g.open[i].ordinal == ordinal {
			g.open = append(g.open[:i], g.open[i+1:]...)
			return
		}
	}
}

// complete runs a collective whose members are all there.
func (e *engine) complete(g *group, m meeting, in *Instruction) {
	begin, decided := m.last, record{by: m.by, pc: -1}
	if g.free > begin {
		begin, decided = g.free, record{by: g.who, pc: g.pc}
	}
	decided.end = begin + e.d.collective(e, g, in)
	if e.breaks(g, decided.end) {
		return // somebody halts before it is over: nobody ever leaves
	}
	places := e.places[in.Axis]
	for i := range g.Size {
		r := int32(g.First + i*g.Stride)
		me := &e.ranks[r]
		pc := places[me.stage][m.ordinal]
		e.records[me.base+pc] = decided
		if e.p.Stages[me.stage][pc].Kind == Start {
			e.wake(r, me, pc)
			continue
		}
		e.stall(r, m.by, m.last-me.clock)
		e.ledger[r].Communication += decided.end - m.last
		me.clock = decided.end
		me.pc++
		e.work = append(e.work, r)
	}
	g.free, g.who = decided.end, m.by
	g.pc = places[e.ranks[m.by].stage][m.ordinal]
}

// wake resumes rank r if it waits for the collective begun at pc.
func (e *engine) wake(r int32, me *rank, pc int32) {
	if me.state == atWait && e.p.Stages[me.stage][me.pc].Match == pc {
		e.resume(r, atWait, me.pc)
	}
}

// breaks reports whether a member halts before a collective ends at end.
func (e *engine) breaks(g *group, end Time) bool {
	if e.d.halt == nil {
		return false
	}
	for i := range g.Size {
		if e.d.halt[g.First+i*g.Stride] < end {
			return true
		}
	}
	return false
}
