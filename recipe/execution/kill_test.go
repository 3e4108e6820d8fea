package execution

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/temper-ml/temper/report/record"
)

// TestKilledWhileReferring: a process that computes a reference is killed (SIGKILL)
// at several rows. Each next one goes on from a row that was saved, and the last
// ends with the steps and the file of a run that was left alone.
func TestKilledWhileReferring(t *testing.T) {
	if dir := os.Getenv("EXECUTION_CHILD"); dir != "" {
		refer(t, os.Getenv("EXECUTION_RECIPE"), dir)
		return
	}
	if testing.Short() {
		t.Skip("starts and kills real processes")
	}
	base := preferences(t)
	cache := filepath.FromSlash(record.ReferencePath(1, "prefer"))
	for _, kind := range []string{"sigmoid", "kto"} {
		r := base
		if kind == "kto" {
			r = judging(t, base, "pairs.jsonl")
		}
		text, err := r.YAML()
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(base.Dir(), kind+".yaml")
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
		whole := filepath.Join(t.TempDir(), "whole")
		execute(t, load(t, path), whole)
		seed := uint64(time.Now().UnixNano())
		rng := rand.New(rand.NewPCG(seed, 0))
		dir, kills, saved := filepath.Join(t.TempDir(), "killed"), 0, int64(0)
		for done, first, rows := false, int64(0), int64(0); !done; {
			after := 2 + rng.Int64N(6)
			if kills == 4 {
				after = 1 << 30
			}
			first, rows, done = struck(t, path, dir, after)
			if !done {
				kills++
			}
			if rows > 0 && first < saved+1 {
				t.Errorf("%s: row %d is computed again after %d were saved (seed %d)", kind, first, saved, seed)
			}
			if rows > 0 {
				saved = max(saved, first-1)
			}
		}
		if kills < 2 || saved == 0 {
			t.Errorf("%s: killed %d times, and none of the later processes went on from a saved row (seed %d)", kind, kills, seed)
		}
		if d := cmp.Diff(entries(t, whole), entries(t, dir)); d != "" {
			t.Errorf("%s: killed %d times (seed %d): %s", kind, kills, seed, d)
		}
		a, errA := os.ReadFile(filepath.Join(whole, cache))
		b, errB := os.ReadFile(filepath.Join(dir, cache))
		if errA != nil || errB != nil || string(a) != string(b) {
			t.Errorf("%s: the cache differs (%v, %v)", kind, errA, errB)
		}
	}
}

// refer carries out a run and tells of each row of its reference. Its clock is fast,
// so that the reference is written every few rows.
func refer(t *testing.T, path, dir string) {
	clock := ticking()
	start := clock()
	_, err := os.Stat(filepath.Join(dir, "recipe.yaml"))
	_, err = Run(context.Background(), load(t, path), Options{
		Dir: dir, Resume: err == nil,
		Now: func() time.Time { now := clock(); return now.Add(10000 * now.Sub(start)) },
		Observer: ObserverFunc(func(e Event) {
			if r, ok := e.(Referring); ok {
				fmt.Println("row", r.Done, r.Rows)
				time.Sleep(5 * time.Millisecond) // for who would kill it here
			}
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("done")
}

// struck lets a child run until it has told of so many rows and kills it then. It
// returns the first row that the child computed, how many it told of, and whether it
// came to its end.
func struck(t *testing.T, path, dir string, after int64) (first, rows int64, done bool) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=TestKilledWhileReferring")
	cmd.Env = append(os.Environ(), "EXECUTION_CHILD="+dir, "EXECUTION_RECIPE="+path)
	var problems strings.Builder
	cmd.Stderr = &problems
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var row, all int64
		switch n, _ := fmt.Sscanf(lines.Text(), "row %d %d", &row, &all); {
		case n == 2:
			if rows++; rows == 1 {
				first = row
			}
			if rows == after && row < all {
				_ = cmd.Process.Kill()
			}
		case lines.Text() == "done":
			done = true
		}
	}
	if err := cmd.Wait(); err != nil && (done || rows != after) {
		t.Fatalf("after %d rows: %v: %s", rows, err, problems.String())
	}
	return first, rows, done
}
