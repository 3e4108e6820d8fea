package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/temper-ml/temper/recipe/demo"
)

// One script per user story, run on this program itself.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error { // keys of a test are its own
			env.Setenv("XDG_CONFIG_HOME", filepath.Join(env.WorkDir, ".config"))
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"demodata": writeDemoData,
			"flip":     flipByte,
		},
	})
}

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"temper": main})
}

// writeDemoData writes a little of the demo's data: text.txt, questions.jsonl
// and held_out.jsonl.
func writeDemoData(ts *testscript.TestScript, _ bool, _ []string) {
	train, held := demo.Questions(1, 7)
	for name, text := range map[string]string{
		"text.txt": demo.Text(1, 60), "questions.jsonl": demo.JSONL(train[:120]), "held_out.jsonl": demo.JSONL(held),
	} {
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(text), 0o644))
	}
}

// flipByte changes one byte in the middle of the file that a pattern names.
func flipByte(ts *testscript.TestScript, _ bool, args []string) {
	names, err := filepath.Glob(ts.MkAbs(args[0]))
	ts.Check(err)
	if len(names) == 0 {
		ts.Fatalf("%s names no file", args[0])
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		ts.Check(err)
		b[len(b)/2] ^= 0x10
		ts.Check(os.WriteFile(name, b, 0o644))
	}
}

// A process that is killed without warning, again and again, must end with the
// same weights as one that was left alone.
func TestKilledRunsEndWithTheSameWeights(t *testing.T) {
	if testing.Short() {
		t.Skip("short: kills and restarts a real process for some seconds")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	train, held := demo.Questions(1, 7)
	script, err := os.ReadFile("testdata/script/run.txtar")
	if err != nil {
		t.Fatal(err)
	}
	_, recipe, _ := strings.Cut(string(script), "-- small.yaml --\n")
	for name, text := range map[string]string{
		"text.txt": demo.Text(1, 60), "questions.jsonl": demo.JSONL(train[:120]), "held_out.jsonl": demo.JSONL(held), "small.yaml": recipe,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	temper := func(args ...string) *exec.Cmd {
		// testscript runs this binary as the command it is called by.
		link := filepath.Join(dir, "temper")
		_ = os.Symlink(exe, link)
		c := exec.Command(link, args...)
		c.Dir = dir
		c.Env = append(os.Environ(), "XDG_CONFIG_HOME="+filepath.Join(dir, "config"))
		return c
	}
	digest := func(out []byte) string {
		_, rest, ok := strings.Cut(string(out), `"weights_digest":"sha256:`)
		if !ok {
			t.Fatalf("no digest in %s", out)
		}
		return rest[:64]
	}
	whole, err := temper("run", "small.yaml", "--out", "whole", "--json").Output()
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"run", "small.yaml", "--out", "killed", "--json"}
	kills := 0
	for patience := 150 * time.Millisecond; ; patience += 100 * time.Millisecond {
		c := temper(args...)
		var out strings.Builder
		c.Stdout = &out
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- c.Wait() }()
		select {
		case err := <-done:
			if err != nil {
				t.Fatalf("after %d kills: %v", kills, err)
			}
			if kills == 0 {
				t.Fatal("the run ended before it could be killed: shorten the first wait")
			}
			if got, want := digest([]byte(out.String())), digest(whole); got != want {
				t.Errorf("after %d kills the weights are %s, want %s", kills, got, want)
			}
			return
		case <-time.After(patience):
			_ = c.Process.Kill()
			<-done
			kills++
			if _, err := os.Stat(filepath.Join(dir, "killed", "recipe.yaml")); err == nil {
				args = []string{"run", "small.yaml", "--out", "killed", "--json", "--resume"}
			}
		}
	}
}
