package scheduletest

import (
	"fmt"

	"github.com/temper-ml/temper/distributed/mesh"
	"github.com/temper-ml/temper/distributed/schedule"
)

// rank is one goroutine of a run, with all that it holds.
type rank struct {
	*toy
	net    *network
	id     int
	stage  int
	at     mesh.Coord
	chunks []*[classes]bucket
	state  map[Weight]*state // of the weights it owns

	step    int
	n       int                // instruction
	inbox   map[parcel]*packet // received, not yet used
	outbox  map[parcel]*packet // computed, not yet sent
	tapes   map[parcel]*tape   // by chunk and microbatch, between forward and backward
	most    int                // tapes at once
	pending []pending          // collectives that have been started
	numbers map[mesh.Axis]int  // of the collectives of every axis so far
	update
}

// state is what the optimizer keeps of a weight. Gathers read device, which is
// its value once it has come back from where it was updated.
type state struct{ value, momentum, device num }

// parcel names an activation (a gradient, if back) on its way to or from a chunk.
type parcel struct {
	back  bool
	chunk uint8
	micro int32
}

// packet is what stages send each other: the hidden states of the local tokens of
// one microbatch, of the model and of every MTP module so far, or their gradients.
type packet struct {
	back     bool
	position int // part of the model that made it
	micro    int // of the global batch
	step     int
	streams  [][]num
}

// pending is a collective that has been started.
type pending struct {
	in     schedule.Instruction
	finish func() error
}

func newRank(t *toy, n *network, id int) *rank {
	r := &rank{
		toy: t, net: n, id: id, stage: t.Stage(id), state: map[Weight]*state{},
		inbox: map[parcel]*packet{}, outbox: map[parcel]*packet{}, tapes: map[parcel]*tape{}, numbers: map[mesh.Axis]int{},
	}
	r.at, _ = t.Spec.Mesh.Coord(id)
	for chunk := range t.Pipeline.Chunks {
		held := t.buckets(id, chunk)
		r.chunks = append(r.chunks, held)
		for c := range held {
			b := &held[c]
			from, to := b.owned()
			for _, w := range b.weights[from:to] {
				r.state[w] = &state{value: w.initial(), device: w.initial()}
			}
		}
	}
	return r
}

// run executes the program a number of times.
func (r *rank) run(steps int) error {
	for r.step = range steps {
		r.update = update{}
		list := r.Of(r.id)
		for r.n = 0; r.n < len(list); {
			end, err := r.instructions(list)
			if err != nil {
				if err == errStopped {
					return err
				}
				return fmt.Errorf("scheduletest: rank %d: %s: %w", r.id, r.doing(), err)
			}
			r.n = end
		}
		if err := r.endStep(); err != nil {
			return fmt.Errorf("scheduletest: rank %d: end of step %d: %w", r.id, r.step, err)
		}
	}
	return r.finish(func(schedule.Instruction) bool { return true })
}

// doing says what the rank is at.
func (r *rank) doing() string {
	in := "the end"
	if list := r.Of(r.id); r.n < len(list) {
		in = list[r.n].String()
	}
	return fmt.Sprintf("step %d, instruction %d of stage %d, %s", r.step, r.n, r.stage, in)
}

// instructions executes the next instruction, or the messages that blocking
// sends post together, and returns where to go on.
func (r *rank) instructions(list []schedule.Instruction) (end int, err error) {
	in := list[r.n]
	switch in.Op {
	case schedule.SendForward, schedule.SendBackward, schedule.RecvForward, schedule.RecvBackward:
		end = r.n + 1
		for !r.Spec.Overlap.Sends && end < len(list) && isMessage(list[end].Op) {
			end++
		}
		return end, r.messages(list[r.n:end])
	}
	return r.n + 1, r.instruction(in)
}

func isMessage(op schedule.Op) bool {
	return op >= schedule.SendForward && op <= schedule.RecvBackward
}

func (r *rank) instruction(in schedule.Instruction) error {
	switch in.Op {
	case schedule.Forward, schedule.Backward, schedule.BackwardInput, schedule.BackwardWeight:
		return r.compute(in.Op, in.Chunk, in.Micro)
	case schedule.Pair:
		if err := r.compute(schedule.Forward, in.Chunk, in.Micro); err != nil {
			return err
		}
		return r.compute(schedule.Backward, in.Chunk2, in.Micro2)
	case schedule.GatherParameters, schedule.GatherUpdated:
		return r.start(in, r.gather(in))
	case schedule.ReduceGradients:
		return r.start(in, r.reduce(in))
	}
	return r.updates(in)
}

// messages sends and receives. With blocking sends it posts all of them and then
// waits for their other ends.
func (r *rank) messages(list []schedule.Instruction) error {
	blocking := !r.Spec.Overlap.Sends
	for _, in := range list {
		peer := r.Peer(r.id, in)
		if in.Op == schedule.RecvForward || in.Op == schedule.RecvBackward {
			if blocking {
				r.net.send(route{from: r.id, to: peer, use: useReady}, nil)
			}
			continue
		}
		key := parcel{in.Op == schedule.SendBackward, in.Chunk, in.Micro}
		p, ok := r.outbox[key]
		if !ok {
			return fmt.Errorf("microbatch %d of chunk %d has not been computed", in.Micro, in.Chunk)
		}
		delete(r.outbox, key)
		r.net.send(route{from: r.id, to: peer, use: useStage}, p)
	}
	for _, in := range list {
		peer, from := r.Peer(r.id, in), useStage
		receive := in.Op == schedule.RecvForward || in.Op == schedule.RecvBackward
		if !receive {
			if !blocking {
				continue
			}
			from = useReady
		}
		m, err := r.net.receive(route{from: peer, to: r.id, use: from}, r.doing)
		if err != nil {
			return err
		}
		if receive {
			r.inbox[parcel{in.Op == schedule.RecvBackward, in.Chunk, in.Micro}] = m.(*packet)
		}
	}
	return nil
}

// take returns the packet that a pass needs, and checks where it comes from.
func (r *rank) take(back bool, chunk uint8, micro int32) (*packet, error) {
	key := parcel{back, chunk, micro}
	p, ok := r.inbox[key]
	what, from := "activation", r.position(chunk)-1
	if back {
		what, from = "gradient", from+2
	}
	if !ok {
		return nil, fmt.Errorf("the %s of microbatch %d of part %d has not been received", what, micro, from)
	}
	delete(r.inbox, key)
	want := packet{back: back, position: from, micro: r.global(micro), step: r.step}
	if p.back != want.back || p.position != want.position || p.micro != want.micro || p.step != want.step {
		return nil, fmt.Errorf("wrong provenance: needs %v, has %v", &want, p)
	}
	return p, nil
}

// String says where a packet comes from.
func (p *packet) String() string {
	what := "activation"
	if p.back {
		what = "gradient"
	}
	return fmt.Sprintf("the %s of part %d for microbatch %d of step %d", what, p.position, p.micro, p.step)
}

func (r *rank) position(chunk uint8) int { return r.Pipeline.Position(r.stage, int(chunk)) }

// global returns the place of one of the rank's microbatches in the global batch.
func (r *rank) global(micro int32) int { return r.at.DP*r.Spec.Micro + int(micro) }

// deliver puts what a pass made where the next one finds it.
func (r *rank) deliver(back bool, chunk uint8, micro int32, streams [][]num) {
	stage, next, ok := r.Pipeline.Next(r.stage, int(chunk))
	if back {
		stage, next, ok = r.Pipeline.Previous(r.stage, int(chunk))
	}
	if !ok {
		return
	}
	p := &packet{back, r.position(chunk), r.global(micro), r.step, streams}
	if stage == r.stage {
		r.inbox[parcel{back, uint8(next), micro}] = p
	} else {
		r.outbox[parcel{back, chunk, micro}] = p
	}
}
