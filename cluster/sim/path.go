package sim

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Segment is one link of the critical path: rank Rank spent Begin to End on
// instruction Index of its code.
type Segment struct {
	Rank, Index int
	Begin, End  Time
	Excess      Time // how much longer than undisturbed
}

// Share is a part of the critical path.
type Share struct {
	Name string
	Time Time
}

// Path is the chain of instructions that determines the step: each segment
// begins when the one before it ends, from zero to the wall time. Shortening
// anything that is not on it shortens nothing.
type Path struct {
	Segments []Segment
	Parts    []Share  // by what the time was spent on, largest first
	Ranks    []Share  // by rank, largest first
	Excess   []Excess // time on the path beyond the undisturbed durations, largest first
}

// Excess is how much longer than undisturbed the critical path is because of
// one rank and one cause.
type Excess struct {
	Rank, Node int // for a slow link: the rank it belongs to
	Cause      Cause
	Time       Time
}

// Cause is why an instruction took longer than undisturbed.
type Cause uint8

// The causes.
const (
	SlowDie Cause = iota
	SlowLink
	Tokens // more than its share: of this rank's experts, or of the busiest rank's
	Varying
	causes
)

var causeNames = [causes]string{"a slow die", "a slow link", "experts with more than their share of the tokens", "jitter"}

// String says the cause in words.
func (c Cause) String() string { return causeNames[min(c, causes-1)] }

// previous returns the latest instruction before pc that holds the rank's own
// clock up, or -1.
func (e *engine) previous(r, pc int32) int32 {
	code := e.p.Stages[e.ranks[r].stage]
	for pc--; pc >= 0; pc-- {
		if k := code[pc].Kind; k != Start && k != Send {
			return pc
		}
	}
	return -1
}

// ended is when instruction pc of rank r ended; 0 before the first.
func (e *engine) ended(r, pc int32) Time {
	if pc < 0 {
		return 0
	}
	return e.records[e.ranks[r].base+pc].end
}

// origin returns the instruction whose end let instruction pc of rank r begin:
// (rank, -1) for the start of the step.
func (e *engine) origin(r, pc int32) (int32, int32) {
	in := &e.p.Stages[e.ranks[r].stage][pc]
	rec := e.records[e.ranks[r].base+pc]
	before := e.previous(r, pc)
	switch in.Kind {
	case Compute:
		return r, before
	case Collective, Start:
		if rec.pc >= 0 {
			return rec.by, rec.pc
		}
		place := e.places[in.Axis][e.ranks[rec.by].stage][e.ordinals[e.ranks[r].stage][pc]]
		return rec.by, e.previous(rec.by, place)
	case Wait:
		if e.ended(r, in.Match) > e.ended(r, before) {
			return r, in.Match
		}
		return r, before
	case Receive:
		sender := r + (in.Peer-e.ranks[r].stage)*int32(e.p.block())
		if e.ended(sender, in.Match) > e.ended(r, before) {
			return sender, in.Match
		}
		return r, before
	default: // Send
		if rec.pc >= 0 {
			return rec.by, rec.pc
		}
		return r, before
	}
}

// begin is when instruction pc of rank r began: for a collective when its last
// member came, for a send when its port was free.
func (e *engine) begin(r, pc int32) Time {
	or, opc := e.origin(r, pc)
	if e.p.Stages[e.ranks[r].stage][pc].Kind == Send {
		in := &e.p.Stages[e.ranks[r].stage][pc]
		return e.ended(r, pc) - e.d.send(e, r, in, in.Time)
	}
	return e.ended(or, opc)
}

// CriticalPath walks back from the rank that was done last (the lowest, of
// several). A stopped run has none: it returns nil.
func (run *Run) CriticalPath() *Path {
	if run.Stopped != nil {
		return nil
	}
	e := run.e
	last := 0
	for r := range e.ranks {
		if e.ranks[r].clock > e.ranks[last].clock {
			last = r
		}
	}
	p := &Path{}
	r := int32(last)
	pc := e.previous(r, int32(len(run.Program.Code(last))))
	for end := run.Wall; pc >= 0; {
		or, opc := e.origin(r, pc)
		begin := e.begin(r, pc)
		if in := &e.p.Stages[e.ranks[r].stage][pc]; end > begin {
			p.Segments = append(p.Segments, Segment{Rank: int(r), Index: int(pc), Begin: begin, End: end, Excess: max(0, end-begin-in.Time)})
		}
		r, pc, end = or, opc, begin
	}
	slices.Reverse(p.Segments)
	p.sum(run)
	return p
}

// sum adds the segments up by part, rank and excess.
func (p *Path) sum(run *Run) {
	parts := map[string]Time{}
	ranks := map[int]Time{}
	excess := map[Excess]Time{} // keys have no time
	for _, s := range p.Segments {
		in := &run.Program.Code(s.Rank)[s.Index]
		parts[run.Program.Parts[in.Part]] += s.End - s.Begin
		ranks[s.Rank] += s.End - s.Begin
		if s.Excess > 0 {
			run.e.blameFor(s, in, excess)
		}
	}
	for name, t := range parts {
		p.Parts = append(p.Parts, Share{name, t})
	}
	p.Ranks = byRank(ranks)
	for k, t := range excess {
		k.Time = t
		p.Excess = append(p.Excess, k)
	}
	slices.SortFunc(p.Excess, func(a, b Excess) int {
		return cmp.Or(cmp.Compare(b.Time, a.Time), cmp.Compare(a.Rank, b.Rank), cmp.Compare(a.Cause, b.Cause))
	})
	sortShares(p.Parts)
}

// blameFor splits the excess of a segment by cause and adds it to sums.
func (e *engine) blameFor(s Segment, in *Instruction, sums map[Excess]Time) {
	add := func(rank int, c Cause, t Time) {
		if t = min(t, s.Excess); t > 0 {
			sums[Excess{Rank: rank, Node: rank / e.p.Node, Cause: c}] += t
		}
	}
	switch in.Kind {
	case Compute:
		for c, t := range e.d.extras(e, int32(s.Rank), int32(s.Index), in) {
			add(s.Rank, Cause(c), t)
		}
	case Collective, Start:
		g := &e.groups[in.Axis][e.groupOf[in.Axis][s.Rank]]
		slow := times(in.Time, g.slowness) - in.Time
		if slow > 0 {
			add(g.slowest, SlowLink, slow)
		}
		if rest := s.Excess - slow; rest > 0 {
			busiest := s.Rank
			if in.Scale == ByBusiest && e.d.router != nil {
				busiest = e.d.router.who(e, int32(s.Rank), in)
			}
			add(busiest, Tokens, rest)
		}
	case Send:
		add(e.d.slower(e, int32(s.Rank), in), SlowLink, s.Excess)
	}
}

func byRank(m map[int]Time) []Share {
	ranks := make([]int, 0, len(m))
	for r := range m {
		ranks = append(ranks, r)
	}
	slices.Sort(ranks)
	out := make([]Share, len(ranks))
	for i, r := range ranks {
		out[i] = Share{fmt.Sprintf("rank %d", r), m[r]}
	}
	slices.SortStableFunc(out, longer)
	return out
}

func sortShares(s []Share) {
	slices.SortFunc(s, func(a, b Share) int { return strings.Compare(a.Name, b.Name) })
	slices.SortStableFunc(s, longer)
}

func longer(a, b Share) int {
	switch {
	case a.Time > b.Time:
		return -1
	case a.Time < b.Time:
		return 1
	}
	return 0
}
