package schedule

// parcel is one message between two stages, addressed as its receiver sees it.
type parcel struct {
	op    Op // RecvForward or RecvBackward
	chunk uint8
	micro int32
}

// post knows all messages of a pipeline. Messages from one stage to another
// arrive in the order in which they were sent, so a receiver takes them in that
// order, even if it needs a later one first.
type post struct {
	links
	shape Shape
	sent  map[[2]int][]parcel // by sender and receiver
	place []int32             // place in its list: of activations, then gradients, by receiver
}

func newPost(p *Pipeline) *post {
	t := &post{shape: p.Shape, sent: map[[2]int][]parcel{}}
	t.reset(p.Shape)
	t.place = make([]int32, 2*p.Stages*p.Chunks*p.Micro)
	for stage, order := range p.Compute {
		for _, a := range order {
			for _, half := range a.halves() {
				to, in, ok := t.leaves(stage, half)
				if !ok {
					continue
				}
				list := [2]int{stage, to}
				t.place[t.index(to, in)] = int32(len(t.sent[list]))
				t.sent[list] = append(t.sent[list], in)
			}
		}
	}
	return t
}

// leaves returns the message that an action sends to another stage, if it does.
func (t *post) leaves(stage int, a Action) (to int, in parcel, ok bool) {
	i := stage*t.shape.Chunks + int(a.Chunk)
	target, op := t.next[i], RecvForward
	switch a.Op {
	case BackwardWeight:
		return 0, parcel{}, false
	case Backward, BackwardInput:
		target, op = t.prev[i], RecvBackward
	}
	to = int(target) / t.shape.Chunks
	if target < 0 || to == stage {
		return 0, parcel{}, false
	}
	return to, parcel{op: op, chunk: uint8(int(target) % t.shape.Chunks), micro: a.Micro}, true
}

// arrives returns the message that an action needs from another stage, if any.
func (t *post) arrives(stage int, a Action) (from int, in parcel, ok bool) {
	i := stage*t.shape.Chunks + int(a.Chunk)
	source, op := t.prevStage[i], RecvForward
	switch a.Op {
	case BackwardWeight:
		return 0, parcel{}, false
	case Backward, BackwardInput:
		source, op = t.nextStage[i], RecvBackward
	}
	if source < 0 || int(source) == stage {
		return 0, parcel{}, false
	}
	return int(source), parcel{op: op, chunk: a.Chunk, micro: a.Micro}, true
}

// index returns where the place of a message is noted.
func (t *post) index(stage int, in parcel) int {
	i := (stage*t.shape.Chunks+int(in.chunk))*t.shape.Micro + int(in.micro)
	if in.op == RecvBackward {
		i += len(t.place) / 2
	}
	return i
}

// receive writes the receives up to the message that an action needs.
func (w *writer) receive(a Action) {
	from, in, ok := w.post.arrives(w.stage, a)
	if !ok {
		return
	}
	list := w.post.sent[[2]int{from, w.stage}]
	upTo := int(w.post.place[w.post.index(w.stage, in)])
	for ; w.received[from] <= upTo; w.received[from]++ {
		next := list[w.received[from]]
		w.out = append(w.out, Instruction{Op: next.op, Chunk: next.chunk, Micro: next.micro, Peer: int32(from)})
	}
}

// send writes the send of what an action produced.
func (w *writer) send(a Action) {
	to, in, ok := w.post.leaves(w.stage, a)
	if !ok {
		return
	}
	op := SendForward
	if in.op == RecvBackward {
		op = SendBackward
	}
	w.out = append(w.out, Instruction{Op: op, Chunk: a.Chunk, Micro: a.Micro, Peer: int32(to)})
}
