package generate

import (
	"slices"

	"github.com/temper-ml/temper/model/deepseek"
)

// prefixes is a tree of token sequences: the prompts of all requests that wait or
// run, and the sequences of which a snapshot is kept. What two of them have in
// common is a node, and a node is where a snapshot may be: sequences that begin with
// its tokens start from a fork of it.
//
// A window's ring, unfinished compressor blocks and what else is newest exist only
// at the end of a sequence, so snapshots are taken while a sequence passes the place:
// a prompt is cut there.
type prefixes struct {
	root  node
	round int64 // of admission
}

// node stands for the tokens on the way from the root to it.
type node struct {
	parent   *node
	edge     []int32 // the tokens after the parent's
	depth    int     // tokens
	children map[int32]*node

	live    int // requests that wait or run and whose prompt begins with these tokens
	waiting int // of these, those that wait
	ends    int // of those, the ones whose prompt is these tokens

	// Set in the round of admission: a running prompt has yet to come by, or to end here.
	passed, ended int64

	snap *snapshot
	gone bool // from the tree
}

// snapshot is a sequence that others fork.
type snapshot struct {
	seq    *deepseek.Sequence
	logits []float32 // after its last token, if they were computed
	used   int64     // when it was last forked or made
	place  int       // in Engine.kept
}

// insert returns the node of some tokens, which it makes if there is none. The tree
// keeps parts of the slice.
func (p *prefixes) insert(tokens []int32) *node {
	n := &p.root
	for n.depth < len(tokens) {
		rest := tokens[n.depth:]
		c := n.children[rest[0]]
		if c == nil {
			c = &node{parent: n, edge: rest, depth: len(tokens)}
			n.add(c)
			return c
		}
		same := 1
		for same < len(c.edge) && same < len(rest) && c.edge[same] == rest[same] {
			same++
		}
		if same < len(c.edge) {
			c = c.split(same)
		}
		n = c
	}
	return n
}

func (n *node) add(c *node) {
	if n.children == nil {
		n.children = map[int32]*node{}
	}
	n.children[c.edge[0]] = c
}

// split puts a node after the first tokens of the edge to n, and returns it.
func (n *node) split(at int) *node {
	m := &node{
		parent: n.parent, edge: n.edge[:at:at], depth: n.depth - len(n.edge) + at,
		live: n.live, waiting: n.waiting,
	}
	m.parent.children[m.edge[0]] = m
	n.parent, n.edge = m, n.edge[at:]
	m.add(n)
	return m
}

// prune takes n, and those above it, out of the tree unless something needs them.
func (n *node) prune() {
	if n.gone {
		return
	}
	for n.parent != nil && n.live == 0 && n.snap == nil && len(n.children) == 0 {
		delete(n.parent.children, n.edge[0])
		n.gone = true
		n = n.parent
	}
	if n.parent == nil || n.snap != nil || len(n.children) != 1 {
		return
	}
	for _, c := range n.children {
		if c.live == n.live { // nobody ends here: one edge again
			c.edge, c.parent = slices.Concat(n.edge, c.edge), n.parent
			c.parent.children[c.edge[0]] = c
			n.gone = true
		}
	}
}

// enter counts a request that begins to wait with the prompt of n.
func (n *node) enter() {
	n.ends++
	for ; n != nil; n = n.parent {
		n.live++
		n.waiting++
	}
}

// start counts one that waits no more.
func (n *node) start() {
	n.ends--
	for ; n != nil; n = n.parent {
		n.waiting--
	}
}

// leave counts one that is gone.
func (n *node) leave() {
	for ; n != nil; n = n.parent {
		n.live--
	}
}

// from returns the last node on the way to the stream's own that has a snapshot to
// start from: the root if there is none.
func (s *Stream) from() *node {
	n := s.node
	if n.snap != nil && n.snap.logits == nil && s.req.Score == 0 {
		n = n.parent // a token must be left, after which there are logits
	}
	for n.snap == nil && n.parent != nil {
		n = n.parent
	}
	return n
}

// above returns how many tokens after the last snapshot above n it stands.
func (n *node) above() int {
	m := n.parent
	for m.snap == nil && m.parent != nil {
		m = m.parent
	}
	return n.depth - m.depth
}

// lead marks, for this round, the nodes that a running prompt has yet to pass.
func (p *prefixes) lead(s *Stream) {
	at := len(s.seq.Tokens())
	if at >= s.node.depth {
		return
	}
	s.node.ended = p.round
	for n := s.node; n.depth > at; n = n.parent {
		n.passed = p.round
	}
}

// await tells whether a request that waits had better wait for a running prompt to
// pass a place that is share tokens after what it could start from now.
func (p *prefixes) await(s *Stream, share int) bool {
	from := s.from()
	if s.node.ended == p.round && from != s.node {
		return true
	}
	for n := s.node; n.depth >= from.depth+share; n = n.parent {
		if n.passed == p.round {
			return true
		}
	}
	return false
}

// wanted tells whether a prompt that passes n, on its way to next or ending if that
// is nil, should leave a snapshot: for requests that wait and part from it here, or,
// if keep, because sequences parted here before.
func (n *node) wanted(next *node, share int, keep bool) bool {
	if n.snap != nil {
		return false
	}
	part := n.waiting
	if next != nil {
		part -= next.waiting
	}
	switch {
	case next == nil && n.ends > 0:
		return true
	case n.above() < share:
		return false
	}
	return part > 0 || keep && len(n.children) > 1
}

// stop returns the first node after at tokens of a prompt at which a snapshot is
// wanted: the prompt's own node if there is none.
func (s *Stream) stop(at, share int, keep bool) *node {
	first := s.node
	for n, next := s.node, (*node)(nil); n.depth > at; n, next = n.parent, n {
		if next != nil && n.wanted(next, share, keep) {
			first = n
		}
	}
	return first
}
