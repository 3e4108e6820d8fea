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
	logs := func(dir string) int64 { return sizeOf(filepath.Join(dir, "record", "log")) }
	killed(t, temper, []string{"run", "small.yaml", "--set", "stages[0].steps=24"}, logs, 12000)
}

// Nor does it matter when a process is killed that samples what it learns: each token
// is kept once it is there.
func TestKilledRoundsGoOn(t *testing.T) {
	if testing.Short() {
		t.Skip("short: kills and restarts a real process for some seconds")
	}
	temper := installed(t)
	recipe := filepath.Join(temper().Dir, "small.yaml")
	text, err := os.ReadFile(recipe)
	if err != nil {
		t.Fatal(err)
	}
	stages := strings.Index(string(text), "stages:")
	if err := os.WriteFile(recipe, []byte(string(text)[:stages]+answering), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, ahead := range []string{"0", "1"} {
		t.Run("ahead "+ahead, func(t *testing.T) {
			rounds := func(dir string) (n int64) {
				names, _ := filepath.Glob(filepath.Join(dir, "rollouts", "*", "*.rollout"))
				for _, name := range names {
					n += sizeOf(name)
				}
				return n
			}
			killed(t, temper, []string{"run", "small.yaml", "--set", "stages[0].rollout.ahead=" + ahead, "--set", "name=a" + ahead}, rounds, 3000)
		})
	}
}

// answering is a stage that mostly samples.
const answering = `stages:
  - name: rl
    method: grpo
    data: {files: [questions.jsonl], format: pair, sequence: 96, hold_out: 0.1}
    rollout: {prompts: 4, group: 4, max_tokens: 40, sequences: 8, updates: 2}
    rewards: [{format: {pattern: "[aeiou]", anywhere: true}}, {length: {max: 40, margin: 20}}]
    grpo: {variant: grpo, kl: {weight: 0.1}}
    steps: 8
    lr: {peak: 1e-2}
checkpoint: {every: 3, keep: 2}
`

// killed carries out a run that is killed again and again, once what grows has grown
// by up to so many bytes, and one that is left alone, and compares their records.
func killed(t *testing.T, temper func(args ...string) *exec.Cmd, args []string, grows func(dir string) int64, by int64) {
	t.Helper()
	name := strings.ReplaceAll(t.Name(), "/", "-")
	args = append(args, "--json", "--out")
	whole := temper(append(args, name+"-whole")...)
	if out, err := whole.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	want := steps(t, filepath.Join(whole.Dir, name+"-whole"))
	dir := filepath.Join(whole.Dir, name)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	kills := 0
	for {
		args := append(args, name)
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
		struck, err := strike(c, done, func() int64 { return grows(dir) }, rng, by, kills)
		if struck {
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

// sizeOf is that of a file, 0 of one that is not there.
func sizeOf(name string) int64 {
	info, err := os.Stat(name)
	if err != nil {
		return 0
	}
	return info.Size()
}

// strike kills the process at a random time: once up to so many bytes are added to
// what grows, and a little later. A process that was spared often enough is let go.
func strike(c *exec.Cmd, done chan error, size func() int64, rng *rand.Rand, by int64, kills int) (bool, error) {
	target := size() + rng.Int64N(by)
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
	for i := range l.Rollouts {
		r := l.Rollouts[i].Rollout
		r.Took = 0
		text, err := record.Marshal(&r)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, string(text))
	}
	return append(out, string(l.End.Weights))
}
