package dashboard

import (
	"maps"
	"slices"
	"sync"
)

// maxStreams is how many pages are told of changes at once; others ask again
// by themselves.
const maxStreams = 64

// subscribers are the pages that wait for changes.
type subscribers struct {
	mu  sync.Mutex
	all map[*subscriber]bool
}

// subscriber collects what changed until it is asked: a slow page gets one
// answer instead of many.
type subscriber struct {
	mu      sync.Mutex
	changed map[string]bool
	wake    chan struct{}
}

// add returns a new subscriber, nil if there are too many.
func (s *subscribers) add() *subscriber {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.all) >= maxStreams {
		return nil
	}
	if s.all == nil {
		s.all = map[*subscriber]bool{}
	}
	c := &subscriber{changed: map[string]bool{}, wake: make(chan struct{}, 1)}
	s.all[c] = true
	return c
}

func (s *subscribers) remove(c *subscriber) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, c)
}

// notify says that a run changed, or with "" the list of runs.
func (s *subscribers) notify(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.all {
		c.mu.Lock()
		c.changed[id] = true
		c.mu.Unlock()
		select {
		case c.wake <- struct{}{}:
		default:
		}
	}
}

// take returns what changed since the last call, sorted.
func (c *subscriber) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	ids := slices.Sorted(maps.Keys(c.changed))
	clear(c.changed)
	return ids
}
