package replay_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/temper-ml/temper/internal/durable"
	"github.com/temper-ml/temper/internal/durable/durabletest"
	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/runlog"
)

// entries reads a record.
func (x *run) entries(t testing.TB) (*record.Manifest, []*record.Entry) {
	t.Helper()
	var all []*record.Entry
	m, _, err := runlog.Read(filepath.Join(x.dir, "record"), runlog.Trust{}, func(e *record.Entry) error {
		all = append(all, e)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return m, all
}

// forge makes the record anew, with the key: what someone can do who made the
// run and would like it to have been another.
func (x *run) forge(t testing.TB, change func([]record.Body) []record.Body) {
	t.Helper()
	m, all := x.entries(t)
	var bodies []record.Body
	times := map[record.Body]int64{}
	for _, e := range all {
		bodies = append(bodies, e.Body)
		times[e.Body] = e.Time
	}
	x.write(t, m, change(bodies), times)
}

// write replaces the record by one of these bodies; one without a time gets
// that of the one before.
func (x *run) write(t testing.TB, m *record.Manifest, bodies []record.Body, times map[record.Body]int64) {
	t.Helper()
	dir := filepath.Join(x.dir, "record")
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	now := m.Started
	w, err := runlog.Create(dir, m, x.key, runlog.Options{
		FS: durabletest.NoSync(durable.OS), Now: func() time.Time { return time.UnixMilli(now) },
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, b := range bodies {
		now = max(now, times[b])
		if _, err := w.Append(b); err != nil {
			t.Fatal(err)
		}
		if i%3 == 2 {
			if err := w.Sign(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}
