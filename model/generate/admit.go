package generate

import (
	"encoding/binary"
	"slices"

	"github.com/temper-ml/temper/model/deepseek"
)

// prefix is a prompt that several requests have in common: the first of them
// takes it through the model, the others start from a snapshot of that.
type prefix struct {
	key    string
	users  int // streams that wait for it or run from it
	leader *Stream
	seq    *deepseek.Sequence // the snapshot, nil until the leader is done
	logits []float32          // after its last token
	pages  int                // reserved for the snapshot
}

// keyOf names a prompt; routed ones are a kind of their own, whose snapshots have
// routes.
func keyOf(r *Request) string {
	key := make([]byte, 0, 4*len(r.Prompt)+1)
	for _, id := range r.Prompt {
		key = binary.LittleEndian.AppendUint32(key, uint32(id))
	}
	switch {
	case r.Routing && r.ExpertsOnly:
		key = append(key, 'e')
	case r.Routing:
		key = append(key, 'r')
	}
	return string(key)
}

// admit takes requests from the queue while there is room, in order. One that
// waits for its prompt's leader lets others pass; one that finds no memory does
// not, so that it is not passed for ever.
func (e *Engine) admit() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.enlist()
	if e.startWaiting(); len(e.running) == 0 && len(e.waiting) > 0 {
		// Snapshots for those further back are in the way of the first.
		e.dropSnapshots()
		e.startWaiting()
	}
	e.tell()
}

// tell brings the statistics up to date.
func (e *Engine) tell() {
	e.stats.Waiting, e.stats.Running = len(e.waiting), len(e.running)
	e.stats.FreePages, e.stats.CacheBytes = e.cache.FreePages(), e.cache.Bytes()
}

func (e *Engine) startWaiting() {
	kept := e.waiting[:0]
	blocked := false
	for _, s := range e.waiting {
		switch {
		case s.cancelled.Load():
			e.leave(s)
			s.end = Cancelled
			s.publish(nil)
			e.stats.Finished++
		case blocked || len(e.running) == e.o.Sequences:
			kept = append(kept, s)
		case s.prefix.seq == nil && s.prefix.leader != nil:
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

// dropSnapshots forgets all prompts; nothing may run.
func (e *Engine) dropSnapshots() {
	for _, s := range e.waiting {
		p := s.prefix
		if p.seq != nil {
			p.seq.Free()
			p.seq, p.logits = nil, nil
			e.reserved -= p.pages
			p.pages = 0
		}
	}
}

// enlist gives new requests their prefix.
func (e *Engine) enlist() {
	for i := len(e.waiting) - 1; i >= 0 && e.waiting[i].prefix == nil; i-- {
		s := e.waiting[i]
		key := keyOf(&s.req)
		p := e.prefixes[key]
		if p == nil {
			p = &prefix{key: key}
			e.prefixes[key] = p
		}
		p.users++
		s.prefix = p
	}
}

// start makes a request run if its pages can be reserved.
func (e *Engine) start(s *Stream) bool {
	p, size := s.prefix, e.cache.Size()
	pages := s.pages
	switch {
	case p.seq != nil:
		pages -= size.SharedPages(len(s.req.Prompt))
	case p.users > 1:
		pages += size.Pages(len(s.req.Prompt)) // for the snapshot
	}
	if e.reserved+pages > e.cache.Pages() {
		return false
	}
	s.pages = pages
	e.reserved += pages
	if p.seq != nil {
		s.seq, s.forked = p.seq.Fork(), true
		e.stats.SharedTokens += int64(len(s.req.Prompt))
	} else {
		s.seq, p.leader = e.cache.NewSequence(), s
		if p.users > 1 {
			p.pages = size.Pages(len(s.req.Prompt))
			s.pages -= p.pages
		}
		if s.req.Routing {
			s.seq.Routes = e.m.NewRoutes()
			if s.req.ExpertsOnly {
				s.seq.Routes = s.seq.Routes.WithoutPicks()
			}
		}
	}
	e.running = append(e.running, s)
	return true
}

// keepPrompt keeps a snapshot of a leader whose prompt is done, for those that
// wait for it; logits are those after the prompt.
func (e *Engine) keepPrompt(s *Stream, logits []float32) {
	p := s.prefix
	if p.leader != s || p.seq != nil {
		return
	}
	p.leader = nil
	if need := e.cache.Size().Pages(len(s.req.Prompt)); p.pages == 0 && p.users > 1 && e.reserved+need <= e.cache.Pages() {
		p.pages = need // others came when it ran already
		e.reserved += need
	}
	switch {
	case p.pages == 0: // the next one leads again, if there is one
	case p.users == 1: // the others are gone
		e.reserved -= p.pages
		p.pages = 0
	default:
		p.seq, p.logits = s.seq.Fork(), slices.Clone(logits)
	}
}

// leave takes a stream off its prefix, which goes with the last one.
func (e *Engine) leave(s *Stream) {
	p := s.prefix
	if p == nil {
		return
	}
	if p.leader == s { // it did not finish the prompt: somebody else must
		e.reserved -= p.pages
		p.pages, p.leader = 0, nil
	}
	if p.users--; p.users == 0 {
		if p.seq != nil {
			p.seq.Free()
			e.reserved -= p.pages
		}
		delete(e.prefixes, p.key)
	}
}

// retire frees what a stream held.
func (e *Engine) retire(s *Stream) {
	s.seq.Free()
	s.seq = nil
	e.reserved -= s.pages
	e.leave(s)
}
