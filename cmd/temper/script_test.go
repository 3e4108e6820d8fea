package main

import (
	"os"
	"path/filepath"
	"testing"

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
