package schedule

import "fmt"

// play runs a program without a clock, to see whether it ends. A receive waits
// until its message has been sent. With blocking sends, neighbouring messages
// of a stage are posted together, and it waits until every one of them has been
// posted at the other end too.
type play struct {
	*Program
	next   []int             // first instruction of each stage that is not done
	posted []int             // messages before this one are posted
	counts map[route]*[2]int // messages posted by the sender and by the receiver
	ready  []int             // stages that may be able to go on
}

// route is the way of messages from one stage to another. Reductions of tied
// parameters have ways of their own.
type route struct {
	from, to int
	tied     bool
}

func newPlay(p *Program) *play {
	n := len(p.Stages)
	y := &play{Program: p, next: make([]int, n), posted: make([]int, n), counts: map[route]*[2]int{}}
	for stage := range n {
		y.ready = append(y.ready, n-1-stage)
	}
	return y
}

func (y *play) run() error {
	for len(y.ready) > 0 {
		stage := y.ready[len(y.ready)-1]
		y.ready = y.ready[:len(y.ready)-1]
		y.advance(stage)
	}
	for stage, n := range y.next {
		if n < len(y.Stages[stage]) {
			return y.stuck(stage)
		}
	}
	return nil
}

// advance runs a stage until it waits or is done.
func (y *play) advance(stage int) {
	list := y.Stages[stage]
	for y.next[stage] < len(list) {
		if !list[y.next[stage]].isMessage() {
			y.next[stage]++
			continue
		}
		end := y.batch(list, y.next[stage])
		for n := max(y.posted[stage], y.next[stage]); n < end; n++ {
			y.post(stage, list[n])
		}
		y.posted[stage] = end
		for _, in := range list[y.next[stage]:end] {
			if !y.done(stage, in) {
				return
			}
		}
		y.next[stage] = end
	}
}

// batch returns the end of the messages that are posted together.
func (y *play) batch(list []Instruction, from int) int {
	end := from + 1
	if y.Spec.Overlap.Sends || list[from].Op == ReduceTied {
		return end
	}
	for end < len(list) && (list[end].isSend() || list[end].isReceive()) {
		end++
	}
	return end
}

// ways returns the routes that a message uses: where this stage sends, and
// where it receives.
func ways(stage int, in Instruction) (sends, receives []route) {
	peer := int(in.Peer)
	if in.isSend() || in.Op == ReduceTied {
		sends = []route{{stage, peer, in.Op == ReduceTied}}
	}
	if !in.isSend() {
		receives = []route{{peer, stage, in.Op == ReduceTied}}
	}
	return sends, receives
}

func (y *play) post(stage int, in Instruction) {
	sends, receives := ways(stage, in)
	for side, routes := range [2][]route{sends, receives} {
		for _, r := range routes {
			if y.counts[r] == nil {
				y.counts[r] = &[2]int{}
			}
			y.counts[r][side]++
			y.ready = append(y.ready, int(in.Peer))
		}
	}
}

// done reports whether the other end has posted as much as this one.
func (y *play) done(stage int, in Instruction) bool {
	sends, receives := ways(stage, in)
	for _, r := range sends {
		if wait := !y.Spec.Overlap.Sends || r.tied; wait && y.counts[r][1] < y.counts[r][0] {
			return false
		}
	}
	for _, r := range receives {
		if y.counts[r][0] < y.counts[r][1] {
			return false
		}
	}
	return true
}

// stuck names the first stages that wait for each other.
func (y *play) stuck(stage int) error {
	list := y.Stages[stage]
	for _, in := range list[y.next[stage]:y.batch(list, y.next[stage])] {
		if y.done(stage, in) {
			continue
		}
		other := "has ended"
		if n, peers := y.next[in.Peer], y.Stages[in.Peer]; n < len(peers) {
			other = fmt.Sprintf("waits in instruction %d: %v", n, peers[n])
		}
		return fmt.Errorf("schedule: deadlock: stage %d waits in %v (instruction %d), but stage %d %s", stage, in, y.next[stage], in.Peer, other)
	}
	return fmt.Errorf("schedule: deadlock: stage %d does not go on after instruction %d: %v", stage, y.next[stage], list[y.next[stage]])
}
