package generate

import (
	"slices"

	"github.com/temper-ml/temper/model/deepseek"
)

// kind tells prompts apart whose snapshots have different routes.
func (r *Request) kind() int {
	switch {
	case r.Routing && r.ExpertsOnly:
		return 2
	case r.Routing:
		return 1
	}
	return 0
}

// admit takes requests from the queue while there is room, in order. One that
// waits for a prompt that runs lets others pass; one that finds no memory does not,
// so that it is not passed for ever.
func (e *Engine) admit() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.enlist()
	e.startWaiting()
	e.tell()
}

// tell brings the statistics up to date.
func (e *Engine) tell() {
	e.stats.Waiting, e.stats.Running = len(e.waiting), len(e.running)
	e.stats.FreePages, e.stats.CacheBytes = e.cache.FreePages(), e.cache.Bytes()
	e.stats.Snapshots, e.stats.Evicted = len(e.kept), e.evicted
}

// enlist puts the prompts of new requests into the tree.
func (e *Engine) enlist() {
	for i := len(e.waiting) - 1; i >= 0 && e.waiting[i].node == nil; i-- {
		s := e.waiting[i]
		s.node = e.trees[s.req.kind()].insert(s.req.Prompt[:s.req.shared()])
		s.node.enter()
	}
}

func (e *Engine) startWaiting() {
	for i := range e.trees {
		e.trees[i].round++
	}
	for _, s := range e.running {
		e.trees[s.req.kind()].lead(s)
	}
	kept := e.waiting[:0]
	blocked := false
	for _, s := range e.waiting {
		switch {
		case s.cancelled.Load():
			s.node.start()
			e.leave(s)
			s.end = Cancelled
			s.publish(nil)
			e.stats.Finished++
		case blocked || len(e.running) == e.o.Sequences:
			kept = append(kept, s)
		case e.trees[s.req.kind()].await(s, e.o.Share):
			kept = append(kept, s)
		case e.start(s):
		default:
			blocked = true
			kept = append(kept, s)
		}
	}
	clear(e.waiting[len(kept):])
	e.waiting = kept
}

// start makes a request run, from the longest snapshot that it can use, if the pages
// that it may take are free.
func (e *Engine) start(s *Stream) bool {
	from := s.from()
	s.pages = e.cache.Size().Pages(s.limit)
	if !e.room(s.pages-e.cache.Size().SharedPages(from.depth), from) {
		if len(e.running) > 0 || from.snap == nil {
			return false
		}
		// Nothing ends that would make room, but the snapshot itself can go.
		from = &e.trees[s.req.kind()].root
		if !e.room(s.pages, nil) {
			return false
		}
	}
	s.node.start()
	if k := from.snap; k != nil {
		s.pages -= e.cache.Size().SharedPages(from.depth)
		s.seq = k.seq.Fork()
		if from == s.node && s.req.Score == 0 {
			s.first = k.logits
		}
		e.touch(k)
		e.stats.SharedTokens += int64(from.depth)
	} else {
		s.seq = e.cache.NewSequence()
		if s.req.Routing {
			s.seq.Routes = e.m.NewRoutes()
			if s.req.ExpertsOnly {
				s.seq.Routes = s.seq.Routes.WithoutPicks()
			}
		}
	}
	e.running = append(e.running, s)
	e.trees[s.req.kind()].lead(s)
	return true
}

// available returns how many pages nobody holds or may still take. What snapshots
// take besides their pages counts as pages, so that all that is kept is bounded.
func (e *Engine) available() int {
	free := e.cache.FreePages() - len(e.kept)*e.fixed
	for _, s := range e.running {
		free -= s.pages - s.seq.PagesTaken()
	}
	return free
}

// room tells whether some pages are available, and makes them by giving up
// snapshots: first those that no request waits for, then those that were not used
// for longest; never that of except.
func (e *Engine) room(pages int, except *node) bool {
	for e.available() < pages {
		var last *node
		for _, n := range e.kept {
			if n != except && (last == nil || n.before(last)) {
				last = n
			}
		}
		if last == nil {
			return false
		}
		e.drop(last)
		e.evicted++
	}
	return true
}

// before tells whether the snapshot of n is given up before that of m.
func (n *node) before(m *node) bool {
	if a, b := n.waiting > 0, m.waiting > 0; a != b {
		return b
	}
	return n.snap.used < m.snap.used
}

func (e *Engine) touch(k *snapshot) {
	e.uses++
	k.used = e.uses
}

// keep makes a sequence the snapshot of n. It is the engine's then.
func (e *Engine) keep(n *node, seq *deepseek.Sequence, logits []float32) {
	n.snap = &snapshot{seq: seq, place: len(e.kept)}
	if len(logits) > 0 {
		n.snap.logits = slices.Clone(logits)
	}
	e.touch(n.snap)
	e.kept = append(e.kept, n)
}

// drop gives up the snapshot of n.
func (e *Engine) drop(n *node) {
	k := n.snap
	k.seq.Free()
	n.snap = nil
	last := len(e.kept) - 1
	e.kept[k.place] = e.kept[last]
	e.kept[k.place].snap.setPlace(k.place)
	e.kept[last] = nil
	e.kept = e.kept[:last]
	n.prune()
}

func (k *snapshot) setPlace(i int) {
	if k != nil { // the one that goes is the last
		k.place = i
	}
}

// keepPrompt leaves a snapshot of a prompt that has come to a node where one is
// wanted, if there is room: the sequence itself then copies the pages that are not
// full when it goes on.
func (e *Engine) keepPrompt(s *Stream, logits []float32) {
	at := len(s.seq.Tokens())
	var next *node
	n := s.node
	for n.depth > at {
		n, next = n.parent, n
	}
	if n.depth != at || !n.wanted(next, e.o.Share, e.o.Keep) {
		return
	}
	size := e.cache.Size()
	copied := size.Pages(at) - size.SharedPages(at)
	if !e.room(copied+e.fixed, s.from()) {
		return
	}
	s.pages += copied
	// Making room may have changed the tree.
	e.keep(e.trees[s.req.kind()].insert(s.req.Prompt[:at:at]), s.seq.Fork(), logits)
}

// leave takes a stream off the tree. Snapshots that no request has a use for go with
// it, unless they are kept for those to come.
func (e *Engine) leave(s *Stream) {
	s.node.leave()
	for n := s.node; n != nil && !e.o.Keep; {
		up := n.parent
		if n.live == 0 && n.snap != nil {
			e.drop(n)
		}
		n = up
	}
	s.node.prune()
	s.node = nil
}

// retire frees what a stream held, or keeps its sequence for those that continue it.
func (e *Engine) retire(s *Stream) {
	at := len(s.seq.Tokens())
	if e.o.Keep && s.end != Failed && s.req.MaxTokens > 0 && at >= e.o.Share && e.room(e.fixed, nil) {
		if n := e.trees[s.req.kind()].insert(s.tokens[:at:at]); n.snap == nil {
			e.keep(n, s.seq, nil)
			s.seq = nil
		}
	}
	if s.seq != nil {
		s.seq.Free()
	}
	s.seq = nil
	e.leave(s)
}
