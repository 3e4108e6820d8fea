package main

import (
	"math"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/temper-ml/temper/recipe/demo"
	"github.com/temper-ml/temper/recipe/execution"
	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/runlog"
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
			"forge":    forgeLoss,
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

// forgeLoss makes the record of a run anew, with the key that signed it: the loss
// of its step of a number is another, by the last bit.
func forgeLoss(ts *testscript.TestScript, _ bool, args []string) {
	dir := filepath.Join(ts.MkAbs(args[0]), execution.RecordName)
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	key, err := runlog.LoadKey(filepath.Join(ts.MkAbs(".config"), "temper", "signing.key"))
	ts.Check(err)
	var entries []*record.Entry
	m, _, err := runlog.Read(dir, runlog.Trust{}, func(e *record.Entry) error {
		if s, ok := e.Body.(*record.Step); ok {
			if n--; n < 0 {
				s.Losses["lm"], n = math.Nextafter(s.Losses["lm"], 0), math.MaxInt
			}
		}
		entries = append(entries, e)
		return nil
	})
	ts.Check(err)
	ts.Check(os.RemoveAll(dir))
	now := m.Started
	w, err := runlog.Create(dir, m, key, runlog.Options{Now: func() time.Time { return time.UnixMilli(now) }})
	ts.Check(err)
	for _, e := range entries {
		now = e.Time
		_, err := w.Append(e.Body)
		ts.Check(err)
	}
	ts.Check(w.Close())
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
