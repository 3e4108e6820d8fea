package kernel

import "sync"

// lanes divides scratch memory among the tasks that run at a time.
type lanes struct {
	mu   sync.Mutex
	buf  []float32
	size int
	free []int
}

// reset cuts buf into n lanes of that size, one for each thread that uses them.
func (l *lanes) reset(buf []float32, size, n int) {
	l.buf, l.size, l.free = buf, size, l.free[:0]
	for i := range n {
		l.free = append(l.free, i)
	}
	if need := size * len(l.free); len(buf) < need {
		panicf("kernel: scratch needs %d float32s for %d threads, got %d", need, len(l.free), len(buf))
	}
}

// take returns a free lane and its number.
func (l *lanes) take() (int, []float32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := l.free[len(l.free)-1]
	l.free = l.free[:len(l.free)-1]
	return i, l.buf[i*l.size : (i+1)*l.size]
}

// give returns a lane.
func (l *lanes) give(i int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.free = append(l.free, i)
}
