package gemm

import "sync"

// freelist keeps values for reuse, as many as were ever in use at once. Unlike
// a sync.Pool it survives garbage collections: a step of training that
// allocates nothing must not do so after each.
type freelist[T any] struct {
	mu   sync.Mutex
	free []*T
}

// get returns a value that nobody uses, a zero one if there is none.
func (l *freelist[T]) get() *T {
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

// put gives v back. The caller must not use it any more.
func (l *freelist[T]) put(v *T) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.free = append(l.free, v)
}
