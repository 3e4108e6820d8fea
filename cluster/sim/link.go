package sim

// port is one network card (or the ranks' share of a switch): transfers over
// it are served one after the other.
type port struct {
	free    Time
	who, pc int32 // the send that occupies it last
}

// transfer is a send that waits for its port.
type transfer struct {
	at       Time
	rank, pc int32
}

// transfers is a heap, earliest request first, ties by rank and instruction.
type transfers []transfer

func (t transfer) before(u transfer) bool {
	if t.at != u.at {
		return t.at < u.at
	}
	if t.rank != u.rank {
		return t.rank < u.rank
	}
	return t.pc < u.pc
}

func (q *transfers) push(t transfer) {
	*q = append(*q, t)
	h := *q
	for i := len(h) - 1; i > 0; {
		up := (i - 1) / 2
		if !h[i].before(h[up]) {
			return
		}
		h[i], h[up] = h[up], h[i]
		i = up
	}
}

func (q *transfers) pop() transfer {
	h := *q
	top := h[0]
	n := len(h) - 1
	h[0] = h[n]
	h = h[:n]
	*q = h
	for i := 0; ; {
		least := i
		for c := 2*i + 1; c <= 2*i+2 && c < n; c++ {
			if h[c].before(h[least]) {
				least = c
			}
		}
		if least == i {
			return top
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
}

// send begins a message: at once when it needs no port, else when the port's
// turn comes.
func (e *engine) send(r int32, in *Instruction) {
	me := &e.ranks[r]
	if in.Shared == 0 {
		e.deliver(r, me.pc, me.clock, record{by: -1, pc: -1})
		return
	}
	e.queue.push(transfer{at: me.clock, rank: r, pc: me.pc})
}

// serve begins the transfer whose turn it is.
func (e *engine) serve(t transfer) {
	p := &e.ports[int(t.rank)/e.p.PortRanks]
	begin, decided := t.at, record{by: -1, pc: -1}
	if p.free > begin {
		begin, decided = p.free, record{by: p.who, pc: p.pc}
	}
	in := &e.p.Stages[e.ranks[t.rank].stage][t.pc]
	p.free, p.who, p.pc = begin+e.d.send(e, t.rank, in, in.Shared), t.rank, t.pc
	e.deliver(t.rank, t.pc, begin, decided)
}

// deliver writes down when the message sent at begin arrives and wakes its
// receiver.
func (e *engine) deliver(r, pc int32, begin Time, decided record) {
	me := &e.ranks[r]
	in := &e.p.Stages[me.stage][pc]
	decided.end = begin + e.d.send(e, r, in, in.Time)
	if e.d.halt != nil && e.d.halt[r] < decided.end {
		return // lost with its sender
	}
	e.records[me.base+pc] = decided
	e.resume(r+(in.Peer-me.stage)*int32(e.p.block()), atReceive, in.Match)
}
