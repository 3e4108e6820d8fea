package opd

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/temper-ml/temper/internal/durable"
	"github.com/temper-ml/temper/internal/durable/durabletest"
	"github.com/temper-ml/temper/model/deepseek"
)

// When a teacher is loaded, the one before is garbage already: nothing of it is held but
// its states and its head.
func TestTeachersAreAlone(t *testing.T) {
	var alive atomic.Int32
	ts := threeTeachers(t)
	for j := range ts {
		load := ts[j].Load
		ts[j].Load = func() (*deepseek.Model, error) {
			for range 500 { // cleanups run some time after a collection
				if runtime.GC(); alive.Load() == 0 {
					break
				}
				time.Sleep(time.Millisecond)
			}
			if n := alive.Load(); n != 0 {
				t.Errorf("%q is loaded while %d others are in memory", ts[j].Name, n)
			}
			m, err := load()
			if err == nil {
				alive.Add(1)
				runtime.AddCleanup(&m.Params()[0].Data[0], func(struct{}) { alive.Add(-1) }, struct{}{}) // all values are one slab
			}
			return m, err
		}
	}
	s, err := New(t.Context(), vocabulary, ts, mixed, Options{Dir: t.TempDir(), FS: durabletest.NoSync(durable.OS)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for step := range int64(2) {
		asked(t, s, step)
	}
	if s.Loads != 6 {
		t.Errorf("loaded %d teachers, want 6", s.Loads)
	}
}
