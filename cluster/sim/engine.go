package sim

import (
	"fmt"
	"math"
)

// never is later than any moment of a run.
const never = Time(math.MaxInt64)

// state is what a rank is doing when it is not running.
type state uint8

const (
	running state = iota
	atCollective
	atReceive
	atWait
	done
	halted
)

// rank is one simulated rank.
type rank struct {
	clock Time
	pc    int32
	stage int32
	base  int32 // where its records begin
	state state
	own   Time  // its own lateness since it last waited for somebody
	late  Time  // the lateness that blame stands for
	blame int32 // the rank that makes this one late, or -1
}

// record is when one instruction ended on one rank and what decided that: the
// arrival of rank by (at its instruction pc), or the rank itself (by < 0).
type record struct {
	end    Time
	by, pc int32
}

// engine is a run in progress.
type engine struct {
	p        *Program
	d        *disturbance
	ranks    []rank
	ledger   []Ledger
	records  []record
	groups   [][]group   // by axis
	groupOf  [][]int32   // by axis, by rank
	places   [][][]int32 // by axis, stage, ordinal: the instruction
	ordinals [][]int32   // by stage, instruction: the how-manieth collective of its axis
	work     []int32     // ranks that can run
	ports    []port
	queue    transfers
	waited   []Waiting // by culprit
}

// Run simulates one step of p. A nil disturbance list is the undisturbed step.
func (p *Program) Run(f *Faults) (*Run, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	d, err := f.on(p)
	if err != nil {
		return nil, err
	}
	e, err := newEngine(p, d)
	if err != nil {
		return nil, err
	}
	e.run()
	return e.finish(f), nil
}

func newEngine(p *Program, d *disturbance) (*engine, error) {
	e := &engine{p: p, d: d}
	e.ranks = make([]rank, p.Ranks)
	e.ledger = make([]Ledger, p.Ranks)
	e.waited = make([]Waiting, p.Ranks)
	e.ports = make([]port, (p.Ranks+p.PortRanks-1)/p.PortRanks)
	total, block := 0, p.block()
	for r := range e.ranks {
		s := r / block
		if total > math.MaxInt32 {
			return nil, fmt.Errorf("sim: %d ranks run more than %d instructions: simulate fewer micro-batches", p.Ranks, math.MaxInt32)
		}
		e.ranks[r] = rank{stage: int32(s), base: int32(total), blame: -1}
		total += len(p.Stages[s])
	}
	e.records = make([]record, total)
	for i := range e.records {
		e.records[i] = record{end: -1, by: -1, pc: -1}
	}
	if err := e.meet(); err != nil {
		return nil, err
	}
	e.work = make([]int32, 0, p.Ranks)
	for r := p.Ranks - 1; r >= 0; r-- {
		e.work = append(e.work, int32(r))
	}
	return e, nil
}

// run lets every rank run until it needs somebody, and serves the earliest
// waiting transfer whenever nobody can run. At that moment every rank waits,
// directly or through others, for a transfer that is still in the queue: so no
// later request can be earlier in time than the one served.
func (e *engine) run() {
	for {
		for len(e.work) > 0 {
			r := e.work[len(e.work)-1]
			e.work = e.work[:len(e.work)-1]
			e.advance(r)
		}
		if len(e.queue) == 0 {
			return
		}
		e.serve(e.queue.pop())
	}
}

// advance runs rank r until it waits or is done.
func (e *engine) advance(r int32) {
	me := &e.ranks[r]
	code := e.p.Stages[me.stage]
	me.state = running
	for me.state == running {
		if int(me.pc) == len(code) {
			me.state = done
			return
		}
		if e.d.halt != nil && me.clock >= e.d.halt[r] {
			e.halt(r)
			return
		}
		in := &code[me.pc]
		switch in.Kind {
		case Compute:
			e.compute(r, me, in)
		case Collective:
			me.state = atCollective
			e.arrive(r, in)
			return // resumed, perhaps already queued, by the last to arrive
		case Start:
			e.arrive(r, in)
			me.pc++
		case Wait:
			e.wait(r, me, in)
		case Send:
			e.send(r, in)
			me.pc++
		case Receive:
			e.receive(r, me, in)
		}
	}
}

// compute lets rank r work.
func (e *engine) compute(r int32, me *rank, in *Instruction) {
	t := e.d.compute(e, r, me.pc, in)
	if e.d.halt != nil && me.clock+t > e.d.halt[r] {
		e.ledger[r].Compute += e.d.halt[r] - me.clock
		me.clock = e.d.halt[r]
		e.halt(r)
		return
	}
	if extra := t - in.Time; extra > 0 {
		me.own += extra
		if me.own > me.late {
			me.late, me.blame = me.own, r
		}
	}
	e.ledger[r].Compute += t
	me.clock += t
	e.records[me.base+me.pc].end = me.clock
	me.pc++
}

// wait holds rank r until the collective it started is over.
func (e *engine) wait(r int32, me *rank, in *Instruction) {
	begun := e.records[me.base+in.Match]
	if begun.end < 0 {
		me.state = atWait
		return
	}
	if wait := begun.end - me.clock; wait > 0 {
		onWire := wait
		if begun.pc < 0 { // it began when rank by came, not when the stream was free
			start := &e.p.Stages[me.stage][in.Match]
			onWire = min(wait, e.d.collective(e, &e.groups[start.Axis][e.groupOf[start.Axis][r]], start))
		}
		e.ledger[r].Communication += onWire
		e.stall(r, begun.by, wait-onWire)
		me.clock = begun.end
	}
	e.records[me.base+me.pc].end = me.clock
	me.pc++
}

// receive holds rank r until its message is there.
func (e *engine) receive(r int32, me *rank, in *Instruction) {
	sender := r + (in.Peer-me.stage)*int32(e.p.block())
	sent := e.records[e.ranks[sender].base+in.Match]
	if sent.end < 0 {
		me.state = atReceive
		return
	}
	wait := sent.end - me.clock
	if wait > 0 {
		transfer := min(wait, e.p.Stages[in.Peer][in.Match].Time)
		e.ledger[r].Communication += transfer
		e.ledger[r].Bubble += wait - transfer
		me.clock = sent.end
		e.inherit(me, sender, wait)
	}
	e.records[me.base+me.pc].end = me.clock
	me.pc++
}

// stall books t of waiting for rank by, and whom that one is late for.
func (e *engine) stall(r, by int32, t Time) {
	if t <= 0 {
		return
	}
	e.ledger[r].Stall += t
	if by < 0 {
		return
	}
	e.inherit(&e.ranks[r], by, t)
	if c := e.ranks[r].blame; c >= 0 && c != r {
		w := &e.waited[c]
		w.Total += t
		w.Times++
	}
}

// inherit passes the lateness of rank by on to one that waited for it.
func (e *engine) inherit(me *rank, by int32, waited Time) {
	if other := &e.ranks[by]; other.blame >= 0 {
		me.blame, me.late = other.blame, other.late
	}
	me.own = 0
}

// halt stops rank r for good.
func (e *engine) halt(r int32) { e.ranks[r].state = halted }

// resume lets rank r run again if it waits in state s at instruction pc.
func (e *engine) resume(r int32, s state, pc int32) {
	me := &e.ranks[r]
	if me.state == s && me.pc == pc {
		me.state = running
		e.work = append(e.work, r)
	}
}
