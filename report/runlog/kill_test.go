package runlog_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/temper-ml/temper/internal/durable"
	"github.com/temper-ml/temper/internal/durable/durabletest"
	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/runlog"
)

const victimVariable = "TEMPER_RUNLOG_VICTIM"

// TestMain lets this program be the one that is killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv(victimVariable); dir != "" {
		fmt.Println(victim(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// victim continues the log of a directory for ever and prints each entry that
// was acknowledged.
func victim(dir string) error {
	k, err := runlog.ParseKey(os.Getenv(runlog.KeyVariable))
	if err != nil {
		return err
	}
	w, err := runlog.Open(dir, k, runlog.Options{FS: durabletest.NoSync(durable.OS)}, nil)
	if err != nil {
		return err
	}
	for i := 1; ; i++ {
		e, err := w.Append(&record.Note{Text: strings.Repeat("x", i%3000)})
		if err == nil && i%10 == 0 {
			err = w.Sign()
		}
		if err != nil {
			return err
		}
		fmt.Println(e.Index)
	}
}

// A process that is killed at any moment leaves what it acknowledged, and the
// next one goes on with the same tree.
func TestKill(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "record")
	name := filepath.Join(t.TempDir(), "key")
	k, _, err := runlog.FileKey(name)
	if err != nil {
		t.Fatal(err)
	}
	w, err := runlog.Create(dir, manifest(), k, runlog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for round := range 5 {
		last := killed(t, dir, string(text), 20+173*round)
		_, s, err := runlog.Read(dir, runlog.Trust{Verifier: k.Verifier()}, nil)
		if err != nil || s.Leaves-1 < last {
			t.Fatalf("round %d: %d entries were acknowledged: %+v, %v", round, last, s, err)
		}
	}
}

// killed runs a victim until it has written n entries, kills it, and returns
// the last entry that it acknowledged.
func killed(t *testing.T, dir, key string, n int) (last int64) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), victimVariable+"="+dir, runlog.KeyVariable+"="+key)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for i := 0; lines.Scan(); i++ {
		if i == n {
			if err := cmd.Process.Kill(); err != nil {
				t.Error(err)
			}
		}
		if last, err = strconv.ParseInt(lines.Text(), 10, 64); err != nil {
			t.Errorf("the victim says %q", lines.Text())
			break
		}
	}
	if err := cmd.Wait(); err == nil || last < int64(n) {
		t.Errorf("the victim ended by itself after %d entries: %v", last, err)
	}
	return last
}

// Entries of several goroutines come one after the other.
func TestConcurrentAppend(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "record")
	w, err := runlog.Create(dir, manifest(), key(t, 0), runlog.Options{FS: durabletest.NoSync(durable.OS)})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 50 {
				_, err := w.Append(&record.Note{Text: fmt.Sprint(g, i)})
				if i%7 == 0 {
					err = errors.Join(err, w.Sign())
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, s, err := runlog.Read(dir, runlog.Trust{}, nil); err != nil || s.Leaves != 201 || s.Signed != 201 {
		t.Errorf("%+v, %v", s, err)
	}
}
