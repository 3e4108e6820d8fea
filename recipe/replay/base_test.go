package replay_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/temper-ml/temper/recipe/replay"
	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/runlog"
	"github.com/temper-ml/temper/report/verify"
)

// tuned is a recipe that begins with a model.
const tuned = `
name: tuned
model: {load: base}
stages:
  - name: sft
    method: sft
    data: {files: [data/questions.jsonl], format: pair, sequence: 48, rows: 3}
    steps: 3
    micro_rows: 2
    lr: {name: constant, peak: 5e-3}
checkpoint: {every: 2, keep: 2}
`

// A verifier needs the base model for the beginning, and for nothing else; another
// model is told by its first tensor that differs.
func TestBaseModelIsHeldAgainstTheManifest(t *testing.T) {
	root := t.TempDir()
	base := filepath.Join(root, "base")
	if err := os.CopyFS(base, os.DirFS(filepath.Join(shared(t).dir, "model"))); err != nil {
		t.Fatal(err)
	}
	x := train(t, root, tuned, replay.Way{Threads: 2})
	if r := x.judge(t, runlog.Trust{}, all, replay.Options{}); r.Verdict != verify.Pass || r.ReplayedSteps != 3 {
		t.Errorf("%s\n%s", r.Verdict, says(r))
	}
	elsewhere := filepath.Join(t.TempDir(), "elsewhere")
	if err := os.Rename(base, elsewhere); err != nil {
		t.Fatal(err)
	}
	if r := x.judge(t, runlog.Trust{}, all, replay.Options{Model: elsewhere}); r.Verdict != verify.Pass || r.ReplayedSteps != 3 {
		t.Errorf("%s\n%s", r.Verdict, says(r))
	}
	r := x.judge(t, runlog.Trust{}, all, replay.Options{})
	if r.Verdict != verify.Incomplete || r.ReplayedSteps != 1 {
		t.Errorf("without the model: %s, %d steps replayed\n%s", r.Verdict, r.ReplayedSteps, says(r))
	}
	weights, err := filepath.Glob(filepath.Join(elsewhere, "*.safetensors"))
	if err != nil || len(weights) == 0 {
		t.Fatal(weights, err)
	}
	edit(t, weights[0], func(b []byte) []byte { b[len(b)-1] ^= 1; return b })
	r = x.judge(t, runlog.Trust{}, all, replay.Options{Model: elsewhere})
	if r.Verdict != verify.Incomplete || r.ReplayedSteps != 0 || !strings.Contains(says(r), "base model: tensor ") {
		t.Errorf("with another model: %s\n%s", r.Verdict, says(r))
	}
	if r := x.judge(t, runlog.Trust{}, all, replay.Options{Model: filepath.Join(root, "data")}); r.Verdict != verify.Incomplete {
		t.Errorf("with no model: %s\n%s", r.Verdict, says(r))
	}
}

// What the run directory holds and the record does not name is not believed.
func TestStatesOfTheRunAreHeldAgainstTheRecord(t *testing.T) {
	for name, change := range map[string]func(x *run, l *verify.Log){
		"a save that is another": func(x *run, l *verify.Log) { l.At(verify.Position{Stage: 1, Step: 2}).Parameters = other },
		"an optimizer":           func(x *run, l *verify.Log) { l.At(verify.Position{Stage: 1, Step: 2}).Optimizer = other },
		"a path that leads out":  func(x *run, l *verify.Log) { l.Checkpoints[0].Path = "../run/checkpoints/00-base" },
		"a stage of other data":  func(x *run, l *verify.Log) { l.Stages[1].Data = other },
		"a stage of other order": func(x *run, l *verify.Log) { l.Stages[1].Order = other },
		"another beginning":      func(x *run, l *verify.Log) { l.Begin.Parameters = other },
		"a damaged save": func(x *run, l *verify.Log) {
			names, _ := filepath.Glob(filepath.Join(x.dir, "checkpoints", "01-sft", "*", "*.safetensors"))
			for _, n := range names {
				replaceFile(t, n, flip)
			}
		},
		"another tokenizer": func(x *run, l *verify.Log) { replaceFile(t, filepath.Join(x.dir, "tokenizer.json"), flip) },
		"another architecture": func(x *run, l *verify.Log) {
			l.Manifest.Architecture = strings.Replace(l.Manifest.Architecture, `"rms_norm_eps": 0.000001`, `"rms_norm_eps": 0.00001`, 1)
		},
	} {
		x := shared(t).link(t)
		l, _ := verify.Form(x.dir, runlog.Trust{})
		change(x, l)
		r, err := replay.Open(l, replay.Options{Data: []string{shared(t).root}})
		if err == nil {
			for _, from := range []verify.Position{{Stage: 1, Step: 2}, {}} {
				one := verify.Segment{From: from, To: from.Step + 1}
				if e := r.Replay(context.Background(), one, func(record.Body) error { return nil }); e != nil {
					err = e
				}
			}
			r.Close()
		}
		if err == nil || !strings.Contains(err.Error(), verify.ErrState.Error()) {
			t.Errorf("%s: %v, want %v", name, err, verify.ErrState)
		}
	}
}

// A model that no machine holds is refused before memory is asked for.
func TestModelsThatDoNotFitAreRefused(t *testing.T) {
	for name, change := range map[string]func(m *record.Manifest){
		"experts": func(m *record.Manifest) {
			m.Recipe = strings.Replace(m.Recipe, "moe_intermediate_size: 16", "moe_intermediate_size: 16777216", 1)
			m.Architecture = strings.Replace(m.Architecture, `"moe_intermediate_size": 16`, `"moe_intermediate_size": 16777216`, 1)
		},
		"rows": func(m *record.Manifest) {
			m.Recipe = strings.Replace(m.Recipe, "sequence: 48\n      rows: 4", "sequence: 1048576\n      rows: 1048576", 1)
			m.Recipe = strings.Replace(m.Recipe, "micro_rows: 2", "micro_rows: 1048576", 1)
		},
	} {
		l, _ := verify.Form(shared(t).dir, runlog.Trust{})
		text := l.Manifest.Recipe
		change(l.Manifest)
		if l.Manifest.Recipe == text {
			t.Fatalf("%s: nothing to change in %s", name, text)
		}
		r, err := replay.Open(l, replay.Options{})
		if err != nil {
			t.Fatal(err)
		}
		err = r.Replay(context.Background(), verify.Segment{To: 1}, func(record.Body) error { return nil })
		if err == nil || !strings.Contains(err.Error(), "memory: ") || !strings.Contains(err.Error(), "this machine has") {
			t.Errorf("%s: %v", name, err)
		}
		r.Close()
	}
}

// A recipe in a manifest that is not one is an error, whatever it does to its reader.
func TestHostileRecipes(t *testing.T) {
	for _, text := range []string{
		"", "x", "- a\n- b", "name: [", strings.Repeat("[", 100000), strings.Repeat("a: &a [*a, *a]\n", 50), "name: \"\x00\"",
		"? |\n - a\n: {", strings.Replace(tuned, "steps: 3", "steps: 99999999999999999999", 1),
	} {
		l, _ := verify.Form(shared(t).dir, runlog.Trust{})
		l.Manifest.Recipe = text
		if r, err := replay.Open(l, replay.Options{}); err == nil {
			r.Close()
			t.Errorf("%.40q is taken for a recipe", text)
		}
	}
}
