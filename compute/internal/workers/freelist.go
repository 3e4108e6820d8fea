package workers

import "sync"

// Freelist keeps values for reuse, as many as were ever in use at once. Unlike
// a sync.Pool it survives garbage collections: a step of training that
// allocates nothing must not do so after each.
type Freelist[T any] struct {
	mu   sync.Mutex
	free []*T
}

// Get returns a value that nobody uses, a zero one if there is none.
func (l *Freelist[T]) Get() *T {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.free)
	if n == 0 {
		return new(T)
	}
	v := l.free[n-1]
	l.free = l.free[:n-1]
	return v
}

// Put gives v back. The caller must not use it any more.
func (l *Freelist[T]) Put(v *T) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.free = append(l.free, v)
}
