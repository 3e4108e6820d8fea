package schedule

import (
	"fmt"
	"slices"
)

// Check reports the first fault of a program: a compute order that
// Pipeline.Check would refuse or that is not the one of the program's pipeline,
// a message that is sent and not received or the other way round, or taken in
// another order than it was sent, a collective or update that is missing,
// doubled or too early, and a deadlock, naming the stages, chunks and microbatches that wait for each other.
func (p *Program) Check() error {
	if err := p.Spec.Check(); err != nil {
		return err
	}
	shape := p.Spec.Shape()
	if len(p.Stages) != shape.Stages {
		return fmt.Errorf("schedule: program of %d stages, must be %d", len(p.Stages), shape.Stages)
	}
	compute := Pipeline{Shape: shape, Compute: make([][]Action, shape.Stages)}
	for stage, list := range p.Stages {
		for n, in := range list {
			if in.Op.IsCompute() {
				compute.Compute[stage] = append(compute.Compute[stage], in.action())
			}
			if in.isMessage() && (in.Peer < 0 || int(in.Peer) >= shape.Stages || int(in.Peer) == stage) {
				return fmt.Errorf("schedule: stage %d: instruction %d is %v, but the stages are 0..%d", stage, n, in, shape.Stages-1)
			}
		}
	}
	if err := compute.Check(); err != nil {
		return err
	}
	for stage := range p.Stages {
		if err := p.checkCollectives(stage); err != nil {
			return err
		}
	}
	return p.checkMessages(newPost(&compute))
}

func (i Instruction) action() Action {
	return Action{Op: i.Op, Chunk: i.Chunk, Micro: i.Micro, Chunk2: i.Chunk2, Micro2: i.Micro2}
}

// String writes an instruction as "send-forward 3.0 to stage 2",
// "reduce-gradients chunk 0 over edp, async" or "F3.0".
func (i Instruction) String() string {
	if i.Op.IsCompute() {
		return i.action().String()
	}
	text := i.Op.String()
	switch i.Op {
	case SendForward, SendBackward:
		text += fmt.Sprintf(" %d.%d to stage %d", i.Micro, i.Chunk, i.Peer)
	case RecvForward, RecvBackward:
		text += fmt.Sprintf(" %d.%d from stage %d", i.Micro, i.Chunk, i.Peer)
	case ReduceTied:
		text += fmt.Sprintf(" chunk %d with stage %d", i.Chunk, i.Peer)
	case GatherParameters, ReduceGradients, GatherUpdated:
		text += fmt.Sprintf(" chunk %d over %v", i.Chunk, i.Axis)
	case ReduceReplicated, Norm:
		text += fmt.Sprintf(" over %v", i.Axis)
	}
	if i.Async {
		text += ", async"
	}
	return text
}

func (i Instruction) isSend() bool    { return i.Op == SendForward || i.Op == SendBackward }
func (i Instruction) isReceive() bool { return i.Op == RecvForward || i.Op == RecvBackward }

// isMessage reports whether another stage must have the matching instruction.
func (i Instruction) isMessage() bool { return i.isSend() || i.isReceive() || i.Op == ReduceTied }

// checkMessages compares the messages of every pair of stages with those that
// the compute order calls for, then plays the program.
func (p *Program) checkMessages(want *post) error {
	for stage, list := range p.Stages {
		if err := want.checkUse(stage, list); err != nil {
			return err
		}
		sends := map[int][]parcel{}
		receives := map[int][]parcel{}
		for _, in := range list {
			peer := int(in.Peer)
			switch {
			case in.isSend():
				sends[peer] = append(sends[peer], want.addressed(stage, in))
			case in.isReceive():
				receives[peer] = append(receives[peer], parcel{in.Op, in.Chunk, in.Micro})
			}
		}
		for peer := range p.Stages {
			if err := compareMail(stage, peer, "sends to", sends[peer], want.sent[[2]int{stage, peer}]); err != nil {
				return err
			}
			if err := compareMail(stage, peer, "receives from", receives[peer], want.sent[[2]int{peer, stage}]); err != nil {
				return err
			}
		}
	}
	return newPlay(p).run()
}

// addressed returns a send as its receiver should see it.
func (t *post) addressed(stage int, in Instruction) parcel {
	op := Forward
	if in.Op == SendBackward {
		op = Backward
	}
	if int(in.Chunk) >= t.shape.Chunks {
		return parcel{op: in.Op}
	}
	_, to, _ := t.leaves(stage, Action{Op: op, Chunk: in.Chunk, Micro: in.Micro})
	return to
}

// checkUse checks that a stage receives what an action reads before the action,
// and sends what one produces after it.
func (t *post) checkUse(stage int, list []Instruction) error {
	received, computed := map[parcel]bool{}, map[Action]bool{}
	for n, in := range list {
		if in.isReceive() {
			received[parcel{in.Op, in.Chunk, in.Micro}] = true
		}
		if in.isSend() && !computed[Action{Op: producer[in.Op], Chunk: in.Chunk, Micro: in.Micro}] {
			return fmt.Errorf("schedule: stage %d: instruction %d is %v, before it has been computed", stage, n, in)
		}
		if !in.Op.IsCompute() {
			continue
		}
		for _, half := range in.action().halves() {
			if from, need, ok := t.arrives(stage, half); ok && !received[need] {
				return fmt.Errorf("schedule: stage %d: instruction %d is %v, before it has received %v from stage %d", stage, n, in, need, from)
			}
			if half.Op == BackwardInput {
				half.Op = Backward
			}
			computed[half] = true
		}
	}
	return nil
}

// producer gives the pass whose result a send carries.
var producer = map[Op]Op{SendForward: Forward, SendBackward: Backward}

func compareMail(stage, peer int, verb string, have, want []parcel) error {
	if slices.Equal(have, want) {
		return nil
	}
	for n := range min(len(have), len(want)) {
		if have[n] != want[n] {
			return fmt.Errorf("schedule: stage %d %s stage %d: message %d is %v, must be %v", stage, verb, peer, n, have[n], want[n])
		}
	}
	if len(have) < len(want) {
		return fmt.Errorf("schedule: stage %d %s stage %d: %v is missing: %d messages, must be %d", stage, verb, peer, want[len(have)], len(have), len(want))
	}
	return fmt.Errorf("schedule: stage %d %s stage %d: %v is one too many: %d messages, must be %d", stage, verb, peer, have[len(want)], len(have), len(want))
}

func (q parcel) String() string {
	what := "the activation"
	if q.op == RecvBackward {
		what = "the gradient"
	}
	return fmt.Sprintf("%s of microbatch %d for chunk %d", what, q.micro, q.chunk)
}
