package execution

import (
	"bufio"
	"context"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestKilledWhileTaught: processes are killed (SIGKILL) while the student answers, while
// teachers read, and while steps are taken, until one is let go. It ends with the
// record of a run that was left alone.
func TestKilledWhileTaught(t *testing.T) {
	if dir := os.Getenv("STUDY_CHILD"); dir != "" {
		studyOn(t, os.Getenv("STUDY_RECIPE"), dir)
		return
	}
	if testing.Short() {
		t.Skip("starts and kills real processes")
	}
	r := studious(t)
	for _, name := range []string{"studious.yaml", "distilling.yaml"} {
		path := filepath.Join(r.Dir(), name)
		whole := filepath.Join(t.TempDir(), "whole")
		execute(t, load(t, path), whole)
		seed := uint64(time.Now().UnixNano())
		rng := rand.New(rand.NewPCG(seed, 0))
		dir := filepath.Join(t.TempDir(), "killed")
		kills, most := 0, 8
		for {
			after := 1 + rng.IntN(14)
			if kills == most {
				after = 1 << 30
			}
			if killedAfter(t, path, dir, after, time.Duration(rng.Int64N(int64(10*time.Millisecond)))) {
				break
			}
			kills++
		}
		if kills < 2 {
			t.Errorf("%s: killed only %d times (seed %d)", name, kills, seed)
		}
		if d := cmp.Diff(entries(t, whole), entries(t, dir)); d != "" {
			t.Errorf("%s: killed %d times (seed %d): %s", name, kills, seed, d)
		}
	}
}

// killedAfter has a process go on with the run, kills it some time after so many
// events, and reports whether it came to its end before.
func killedAfter(t *testing.T, path, dir string, events int, more time.Duration) bool {
	t.Helper()
	c := exec.Command(os.Args[0], "-test.run=^TestKilledWhileTaught$")
	c.Env = append(os.Environ(), "STUDY_CHILD="+dir, "STUDY_RECIPE="+path)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr strings.Builder
	c.Stderr = &stderr
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	seen, ended, failed := 0, false, ""
	for lines := bufio.NewScanner(out); lines.Scan(); {
		switch line := lines.Text(); {
		case line == "ended":
			ended = true
		case strings.HasPrefix(line, "failed"):
			failed = line
		case line == "event":
			if seen++; seen == events {
				time.Sleep(more)
				_ = c.Process.Kill()
			}
		}
	}
	_ = c.Wait()
	if failed != "" {
		t.Fatalf("%s\n%s", failed, stderr.String())
	}
	return ended
}

// studyOn is the process: it tells of what happens and goes on.
func studyOn(t *testing.T, path, dir string) {
	tell := func(line string) {
		_, _ = os.Stdout.WriteString(line + "\n")
	}
	_, err := os.Stat(filepath.Join(dir, "recipe.yaml"))
	start := time.Now().UnixMilli()
	_, err = Run(context.Background(), load(t, path), Options{Dir: dir, Resume: err == nil, Now: func() time.Time { return time.UnixMilli(start + ticks.Add(1)) }, Observer: ObserverFunc(func(e Event) {
		switch e.(type) {
		case Stepped, Taught, Sampling, Rolled:
			tell("event")
		}
	})})
	if err != nil {
		tell("failed: " + err.Error())
		return
	}
	tell("ended")
}
