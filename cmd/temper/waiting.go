package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// waiting tells a person at a terminal what takes so long, and for how long
// already: one line on standard error that is gone before the answer is printed.
// Elsewhere, and in the first second, it says nothing.
type waiting struct {
	mu   sync.Mutex
	out  io.Writer // nil when nobody watches
	what string
	stop chan struct{}
}

// patience is how long nothing is said.
const patience = time.Second

// waits begins to tell; what it returns ends it, as done does.
func (w *waiting) waits(out io.Writer) func() {
	f, ok := out.(*os.File)
	if !ok || !isTerminal(f) {
		return func() {}
	}
	w.out, w.stop = out, make(chan struct{})
	go w.tell(w.stop, time.Now())
	return w.done
}

// doing says what goes on from now.
func (w *waiting) doing(what string) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.what = what
}

// done wipes the line.
func (w *waiting) done() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.out == nil {
		return
	}
	close(w.stop)
	fmt.Fprint(w.out, "\r\x1b[K")
	w.out = nil
}

func (w *waiting) tell(stop <-chan struct{}, begin time.Time) {
	tick := time.NewTicker(patience / 4)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		w.mu.Lock()
		if past := time.Since(begin); w.out != nil && past >= patience {
			fmt.Fprintf(w.out, "\r\x1b[Ktemper: %s, %.0f s", w.what, past.Seconds())
		}
		w.mu.Unlock()
	}
}

// interruptible waits for do no longer than until ctx ends.
func interruptible[T any](ctx context.Context, do func() (T, error)) (result T, err error) {
	type answer struct {
		result T
		err    error
	}
	c := make(chan answer, 1)
	go func() {
		r, err := do()
		c <- answer{r, err}
	}()
	select {
	case a := <-c:
		return a.result, a.err
	case <-ctx.Done():
		return result, ctx.Err()
	}
}

// stoppable is a writer that fails once its context has ended.
type stoppable struct {
	ctx context.Context
	io.Writer
}

func (s stoppable) Write(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.Writer.Write(p)
}

// plural counts a noun.
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	if strings.HasSuffix(noun, "ch") {
		noun += "e"
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
