package verifytest

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/temper-ml/temper/internal/durable"
	"github.com/temper-ml/temper/internal/durable/durabletest"
	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/runlog"
)

// Forge rewrites the record of a run directory: change gets the manifest and
// the entries and returns those to be written instead, numbered anew; all is
// signed by key, with heads where there were some. Times must not decrease.
func Forge(dir string, key *runlog.Key, change func(*record.Manifest, []*record.Entry) []*record.Entry) error {
	path := filepath.Join(dir, "record")
	var entries []*record.Entry
	m, _, err := runlog.Read(path, runlog.Trust{}, func(e *record.Entry) error { entries = append(entries, e); return nil })
	if err != nil {
		return err
	}
	signed, err := headSizes(filepath.Join(path, runlog.HeadsName))
	if err != nil {
		return err
	}
	entries = change(m, entries)
	if err := os.RemoveAll(path); err != nil {
		return err
	}
	var now int64
	w, err := runlog.Create(path, m, key, runlog.Options{FS: durabletest.NoSync(durable.OS), Now: func() time.Time { return time.UnixMilli(now) }})
	if err != nil {
		return err
	}
	for _, e := range entries {
		now = e.Time
		if _, err := w.Append(e.Body); err != nil {
			return err
		}
		if signed[w.Size()] {
			if err := w.Sign(); err != nil {
				return err
			}
		}
	}
	return w.Close()
}

// headSizes are the numbers of leaves that heads were signed of.
func headSizes(name string) (map[int64]bool, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	sizes := map[int64]bool{}
	lines := strings.Split(string(text), "\n")
	for i, line := range lines[:len(lines)-1] {
		if line == record.Format {
			n, err := strconv.ParseInt(lines[i+1], 10, 64)
			if err != nil {
				return nil, err
			}
			sizes[n] = true
		}
	}
	return sizes, nil
}
