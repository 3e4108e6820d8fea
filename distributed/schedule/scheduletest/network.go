package scheduletest

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/temper-ml/temper/distributed/mesh"
)

// network carries messages between ranks, each route in order. It knows who
// waits, so that it can tell a deadlock the moment it happens.
type network struct {
	mu      sync.Mutex
	boxes   map[route][]any
	waits   []*wait // by rank; nil while it runs
	ended   []string
	live    int
	waiting int
	stopped bool
	cause   string // why it stopped
}

// route is the way of messages from one rank to another. Messages between
// stages share one route per pair of ranks; collectives are numbered along the
// communicator of their axis.
type route struct {
	from, to int
	axis     mesh.Axis
	use      use
	number   int
}

type use uint8

const (
	useStage use = iota // activations and gradients between stages
	useReady            // the receiver of a blocking send is there
	useTied             // reductions between two stages
	useGroup            // collectives
)

// wait is what a rank waits for.
type wait struct {
	route route
	wake  chan struct{}
	doing func() string
}

func newNetwork(ranks int) *network {
	return &network{boxes: map[route][]any{}, waits: make([]*wait, ranks), ended: make([]string, ranks), live: ranks}
}

func (n *network) send(r route, message any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.boxes[r] = append(n.boxes[r], message)
	if w := n.waits[r.to]; w != nil && w.route == r {
		n.waits[r.to] = nil
		n.waiting--
		close(w.wake)
	}
}

// errStopped is returned to the ranks that wait when a run is over.
var errStopped = errors.New("scheduletest: stopped")

// receive waits for a message.
func (n *network) receive(r route, doing func() string) (any, error) {
	n.mu.Lock()
	for len(n.boxes[r]) == 0 {
		if n.stopped {
			n.mu.Unlock()
			return nil, errStopped
		}
		w := &wait{route: r, wake: make(chan struct{}), doing: doing}
		n.waits[r.to] = w
		n.waiting++
		n.settle()
		n.mu.Unlock()
		<-w.wake
		n.mu.Lock()
	}
	defer n.mu.Unlock()
	box := n.boxes[r]
	message := box[0]
	if len(box) == 1 {
		delete(n.boxes, r)
	} else {
		n.boxes[r] = box[1:]
	}
	return message, nil
}

// end notes that a rank does nothing more.
func (n *network) end(rank int, how string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ended[rank] = how
	n.live--
	n.settle()
}

// settle stops the run when every rank that has not ended waits.
func (n *network) settle() {
	if n.live > 0 && n.waiting == n.live {
		n.stop(n.deadlock())
	}
}

// stop lets all waiting ranks go.
func (n *network) stop(cause string) {
	if n.stopped {
		return
	}
	n.stopped, n.cause = true, cause
	for rank, w := range n.waits {
		if w != nil {
			n.waits[rank] = nil
			n.waiting--
			close(w.wake)
		}
	}
}

// deadlock describes who waits for whom.
func (n *network) deadlock() string {
	var lines []string
	for rank, w := range n.waits {
		if w == nil || len(lines) == 8 {
			continue
		}
		other := n.ended[w.route.from]
		if o := n.waits[w.route.from]; o != nil {
			other = "waits in " + o.doing()
		}
		lines = append(lines, fmt.Sprintf("rank %d waits in %s for rank %d, which %s", rank, w.doing(), w.route.from, other))
	}
	return fmt.Sprintf("scheduletest: deadlock: %d of %d ranks wait: %s", n.waiting, len(n.waits), strings.Join(lines, "; "))
}

// left returns a message that nobody took.
func (n *network) left() (route, bool) {
	found, any := route{}, false
	for r := range n.boxes {
		if !any || r.from < found.from || r.from == found.from && r.to < found.to {
			found, any = r, true
		}
	}
	return found, any
}
