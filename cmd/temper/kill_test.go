package main

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/temper-ml/temper/recipe/demo"
	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/runlog"
	"github.com/temper-ml/temper/report/verify"
)

// mostKills is how often a run is killed before it is let go.
const mostKills = 12

// A process that is killed without warning, again and again, must end with the
// same weights as one that was left alone, and leave a record in which the same
// steps stand.
func TestKilledRunsEndWithTheSameRecord(t *testing.T) {
	if testing.Short() {
		t.Skip("short: kills and restarts a real process for some seconds")
	}
	temper := installed(t)
	args := []string{"run", "small.yaml", "--set", "stages[0].steps=24", "--json", "--out"}
	whole := temper(append(args, "whole")...)
	if out, err := whole.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	want := steps(t, filepath.Join(whole.Dir, "whole"))
	dir := filepath.Join(whole.Dir, "killed")
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	kills := 0
	for {
		args := append(args, "killed")
		if _, err := os.Stat(filepath.Join(dir, "recipe.yaml")); err == nil {
			args = append(args, "--resume")
		}
		c := temper(args...)
		var stderr strings.Builder
		c.Stderr = &stderr
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- c.Wait() }()
		killed, err := strike(c, done, filepath.Join(dir, "record", "log"), rng, kills)
		if killed {
			kills++
			continue
		}
		if err != nil {
			t.Fatalf("after %d kills: %v: %s", kills, err, stderr.String())
		}
		break
	}
	if kills < mostKills/2 {
		t.Fatalf("only killed %d times", kills)
	}
	if diff := cmp.Diff(want, steps(t, dir)); diff != "" {
		t.Errorf("after %d kills another record stands: %s", kills, diff)
	}
}

// strike kills the process at a random time: once so many bytes are added to a
// log, and a little later. A process that was spared often enough is let go.
func strike(c *exec.Cmd, done chan error, log string, rng *rand.Rand, kills int) (bool, error) {
	size := func() int64 {
		info, err := os.Stat(log)
		if err != nil {
			return 0
		}
		return info.Size()
	}
	target := size() + rng.Int64N(12000)
	for kills == mostKills || size() < target {
		select {
		case err := <-done:
			return false, err
		case <-time.After(time.Millisecond):
		}
	}
	select {
	case err := <-done:
		return false, err
	case <-time.After(time.Duration(rng.Int64N(int64(30 * time.Millisecond)))):
	}
	_ = c.Process.Kill()
	<-done
	return true, nil
}

// installed makes a directory with the script's recipe and its data, and returns
// how this program is run there.
func installed(t *testing.T) func(args ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile("testdata/script/run.txtar")
	if err != nil {
		t.Fatal(err)
	}
	_, recipe, _ := strings.Cut(string(script), "-- small.yaml --\n")
	dir := t.TempDir()
	train, held := demo.Questions(1, 7)
	for name, text := range map[string]string{
		"text.txt": demo.Text(1, 60), "questions.jsonl": demo.JSONL(train[:120]), "held_out.jsonl": demo.JSONL(held), "small.yaml": recipe,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	link := filepath.Join(dir, "temper") // testscript runs this binary as the command it is called by
	if err := os.Symlink(exe, link); err != nil {
		t.Fatal(err)
	}
	return func(args ...string) *exec.Cmd {
		c := exec.Command(link, args...)
		c.Dir = dir
		c.Env = append(os.Environ(), "XDG_CONFIG_HOME="+filepath.Join(dir, "config"))
		return c
	}
}

// steps verifies a run's record and returns what stands of it, but for times.
func steps(t *testing.T, dir string) []string {
	t.Helper()
	l, checks := verify.Form(dir, runlog.Trust{})
	if l == nil {
		t.Fatalf("%s: %+v", dir, checks)
	}
	for _, c := range append(checks, l.Arithmetic()...) {
		if c.Result != verify.Pass {
			t.Errorf("%s: %s: %s: %s", dir, c.Name, c.Result, c.Evidence)
		}
	}
	var out []string
	for i := range l.Stages {
		for n := range l.Taken(i) {
			s, _, err := l.Step(verify.Position{Stage: i, Step: n})
			if err != nil {
				t.Fatal(err)
			}
			s.Time, s.MFU, s.Memory = record.Split{}, 0, 0
			text, err := record.Marshal(s)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, string(text))
		}
	}
	return append(out, string(l.End.Weights))
}
