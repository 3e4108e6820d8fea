package recipe

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// least is the shortest legal recipe.
const least = `name: x
model: {init: tiny-v4}
tokenizer: {file: t.json}
stages:
- name: one
  method: cpt
  data: {files: [a.txt]}
  steps: 10
  lr: {peak: 1e-3}
`

func decode(src string, overrides ...string) (*Recipe, error) {
	return Decode([]byte(src), "dir/r.yaml", overrides)
}

func TestDefaultsFollowTheMethod(t *testing.T) {
	r, err := decode(strings.Replace(least, "method: cpt", "method: cpt", 1))
	if err != nil {
		t.Fatal(err)
	}
	if s := r.Stages[0]; s.Loss.MTP != 0.3 || s.Router.BiasRate != 0.001 || s.Data.Overlong != "split" || s.LR.Name != "cosine" {
		t.Errorf("cpt defaults are %+v", s)
	}
	r, err = decode(strings.Replace(least, "method: cpt", "method: sft", 1))
	if err != nil {
		t.Fatal(err)
	}
	if s := r.Stages[0]; s.Loss.MTP != 0.1 || s.Router.BiasRate != 0 || s.Data.Overlong != "" {
		t.Errorf("sft defaults are %+v", s)
	}
}

// taught is the shortest legal recipe of a stage with teachers.
const taught = least + "  distill: {teachers: [{name: a, load: dir}, {name: b, load: dir, where: {x: 1}}]}\n"

func TestTeachersHaveDefaults(t *testing.T) {
	r, err := decode(strings.Replace(taught, "method: cpt", "method: distill", 1))
	if err != nil {
		t.Fatal(err)
	}
	s := r.Stages[0]
	if c := s.Teaching(); c != s.Distill || c.Divergence != "reverse" || c.Teachers[1].Weight != 1 || c.Ahead != 8 || s.Loss.MTP != 0.1 || s.Router.BiasRate != 0 || s.Data.Rows != 8 {
		t.Errorf("distill defaults are %+v, %+v", s, c)
	}
}

// own is the same on the model's own answers.
var own = strings.NewReplacer("method: cpt", "method: opd", "distill:", "opd:").Replace(taught)

func TestStudentsHaveDefaults(t *testing.T) {
	r, err := decode(own)
	if err != nil {
		t.Fatal(err)
	}
	s := r.Stages[0]
	if c := s.Teaching(); c != s.OPD || s.Rollout == nil || s.Rollout.Group != 1 || s.GRPO != nil || s.Loss.MTP != 0.1 || s.Data.Rows != 0 {
		t.Errorf("opd defaults are %+v, %+v", s, c)
	}
	for change, want := range map[string]string{
		"  rollout: {ahead: 1}":               "stages[0].rollout.ahead: 1, but answers of opd",
		"  rewards: [{numeric: {answer: a}}]": "stages[0].rewards: opd learns from teachers",
		"  grpo: {variant: dapo}":             "stages[0].grpo: opd has no policy gradient",
		"  rollout: {updates: 3}":             "stages[0].steps: 10 is not a multiple of the 3 steps",
		"  distill: {teachers: []}":           "stages[0].distill: method opd has no teachers: use method distill",
	} {
		if _, err := decode(own + change + "\n"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", change, err, want)
		}
	}
}

// The complete recipe that is printed must decode to itself.
func TestCompleteRecipeRoundTrips(t *testing.T) {
	roundTrip(t, least)
	roundTrip(t, strings.Replace(taught, "method: cpt", "method: distill", 1))
	roundTrip(t, own)
}

func roundTrip(t *testing.T, src string) {
	t.Helper()
	r, err := decode(src)
	if err != nil {
		t.Fatal(err)
	}
	text, err := r.YAML()
	if err != nil {
		t.Fatal(err)
	}
	again, err := decode(string(text))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	text2, err := again.YAML()
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != string(text2) {
		t.Errorf("a round trip changed\n%s\ninto\n%s", text, text2)
	}
}

func TestMistakesAreNamedWithTheirPlace(t *testing.T) {
	for _, c := range []struct{ old, new, want string }{
		{"steps: 10", "steps: 10\n  stepz: 3", `unknown field "stepz"`},
		{"steps: 10", "steps: ten", "[8:10]"},
		{"name: x", "name: x\nname: y", "already defined"},
		{"steps: 10", "steps: 10\n  epochs: 2", "exactly one of steps and epochs"},
		{"peak: 1e-3", "peak: -1", "dir/r.yaml:9:14: stages[0].lr.peak: -1 must be positive"},
		{"method: cpt", "method: rlhf", `stages[0].method: "rlhf" is not known: use cpt, sft, dpo`},
		{"steps: 10", "steps: 10\n  dpo: {beta: 1}", "stages[0].dpo: method cpt has no pairs"},
		{"steps: 10", "steps: 10\n  distill: {teachers: []}", "stages[0].distill: method cpt has no teachers: use method distill"},
		{"method: cpt", "method: distill", "stages[0].distill.teachers: empty"},
		{"method: cpt", "method: distill\n  distill: {teachers: [{load: a}]}", `stages[0].distill.teachers[0].name: "" must be given`},
		{"method: cpt", "method: distill\n  distill: {teachers: [{name: a, load: x, files: [b.txt]}]}", `stages[0].distill.teachers[0].files: "b.txt" is no file of the stage's data`},
		{"method: cpt", "method: distill\n  distill: {teachers: [{name: a, load: x, weigth: 2}]}", `unknown field "weigth"`},
		{"method: cpt", "method: distill\n  distill: {teachers: [{name: a, load: x}, {name: a, load: y}]}", `dir/r.yaml:7:51: stages[0].distill.teachers[1].name: "a" is the name of teachers[0] already`},
		{"{files: [a.txt]}", "{files: []}", "stages[0].data.files: empty"},
		{"{files: [a.txt]}", "{files: [a.txt], sequence: 1}", "stages[0].data.sequence: 1 is outside"},
		{"{files: [a.txt]}", "{files: [a.txt], overlong: chop}", "stages[0].data.overlong"},
		{"{files: [a.txt]}", "{files: [a.txt], encoding: jinja}", "stages[0].data.encoding"},
		{"{files: [a.txt]}", "{files: [a.txt], rows: 2}\n  gradient_slots: 4", "stages[0].gradient_slots: 4 must be a power of two"},
		{"init: tiny-v4", "init: tiny-v4, load: x", "exactly one of load"},
		{"init: tiny-v4", "load: x, set: {hidden_size: 3}", "model.set"},
		{"tokenizer: {file: t.json}", "", "tokenizer: missing"},
		{"stages:", "checkpoint: {keep: 0}\nstages:", "checkpoint.keep: 0"},
		{"stages:", "checkpoint: {keep_every: -1}\nstages:", "checkpoint.keep_every: -1"},
		{"stages:", "checkpoint: {every: 0, keep_every: 5}\nstages:", "give every too"},
		{"stages:", "checkpoint: {every: 10, keep_every: 25}\nstages:", "multiple of every, 10: nearest is 20"},
		{"stages:", "checkpoint: {every: 10, keep_every: 3}\nstages:", "nearest is 10"},
		{"stages:", "export: {dtype: fp8}\nstages:", "export.dtype"},
		{"stages:", "record: {digest_period: -1}\nstages:", "record.digest_period: -1"},
		{"stages:", "record: {digest_period: 2000000}\nstages:", "32 by default, or 0 for no digests"},
		{"stages:", "record: {digest_periods: 1}\nstages:", "unknown field"},
		{"  lr: {peak: 1e-3}\n", "  lr: {peak: 1e-3}\n---\nname: y\n", "second document"},
	} {
		src := strings.Replace(least, c.old, c.new, 1)
		if src == least {
			t.Fatalf("%q is not in the recipe", c.old)
		}
		if _, err := decode(src); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: error is %v, want %q", c.new, err, c.want)
		}
	}
	if _, err := decode(""); err == nil || !strings.Contains(err.Error(), "empty") {
		t.Errorf("an empty file: error is %v", err)
	}
}

// preferring is the least recipe of a dpo stage.
var preferring = strings.Replace(strings.Replace(least, "method: cpt", "method: dpo", 1), "a.txt", "a.jsonl", 1)

func TestPreferenceStages(t *testing.T) {
	r, err := decode(strings.Replace(preferring, "lr: {peak: 1e-3}", "", 1))
	if err != nil {
		t.Fatal(err)
	}
	s := &r.Stages[0]
	if s.DPO.Kind != "sigmoid" || s.DPO.Beta != 0.1 || s.LR.Peak != 1e-6 || s.Loss.MTP != 0 || s.Router.BiasRate != 0 {
		t.Errorf("defaults %+v, %+v", s.DPO, s.Config)
	}
	for _, c := range []struct{ dpo, want string }{
		{"{kind: simpo}", ""},
		{"{kind: cdpo, smoothing: 0.1, sft: 0.2}", ""},
		{"{kind: nonsense}", `stages[0].dpo.kind: "nonsense" is unknown`},
		{"{kind: kto}", ""},
		{"{kind: kto, undesirable: 0}", "stages[0].dpo.desirable: 1, undesirable: 0, want both above 0"},
		{"{beta: 0}", "stages[0].dpo.beta: 0, want above 0"},
		{"{smoothing: 0.1}", "stages[0].dpo.smoothing: 0.1, only cdpo and robust have it"},
		{"{betta: 1}", "unknown field"},
		{"null", "stages[0].dpo: empty"},
		{"{}\n  eval: {suites: {preference_accuracy: {file: x.jsonl}}}", "stages[0].eval.suites.preference_accuracy: the stage measures this"},
	} {
		r, err := decode(strings.Replace(preferring, "steps: 10", "steps: 10\n  dpo: "+c.dpo, 1))
		if c.want == "" && err == nil {
			if s := r.Stages[0].DPO; s.Kind == "simpo" && (s.Beta != 2 || s.Margin != 1) || s.Kind == "kto" && (s.Desirable != 1 || s.Undesirable != 1 || r.Stages[0].Takes() != "kto" || r.Stages[0].LR.Peak != 1e-3) {
				t.Errorf("%s: %+v", c.dpo, s)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || c.want == "" {
			t.Errorf("%s: error is %v, want %q", c.dpo, err, c.want)
		}
	}
	for _, c := range []struct{ old, new, want string }{
		{"[a.jsonl]}", "[a.jsonl], format: pair}\n  dpo: {kind: kto}", "stages[0].data.format: pair has no judged answers"},
		{"[a.jsonl]", "[a.jsonl], format: text", "stages[0].data.format: text has no pairs"},
		{"[a.jsonl]", "[a.jsonl], overlong: split", "stages[0].data.overlong: split is for plain text"},
	} {
		if _, err := decode(strings.Replace(preferring, c.old, c.new, 1)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error is %v, want %q", c.new, err, c.want)
		}
	}
}

func TestOverrides(t *testing.T) {
	r, err := decode(least, "stages[0].lr.peak=5e-4", "seed=7", "stages[0].loss.mtp=0.2", "model.set.hidden_size=64")
	if err != nil {
		t.Fatal(err)
	}
	if r.Stages[0].LR.Peak != 5e-4 || r.Seed != 7 || r.Stages[0].Loss.MTP != 0.2 || fmt.Sprint(r.Model.Set["hidden_size"]) != "64" {
		t.Errorf("overrides gave %+v", r)
	}
	for _, bad := range []string{"seed", "=3", "stages[0].nonsense=1", "stages[9].steps=1", "stages[0].lr.peak=high"} {
		if _, err := decode(least, bad); err == nil {
			t.Errorf("--set %s was accepted", bad)
		}
	}
}

func TestPaths(t *testing.T) {
	r, err := decode(least)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("TEMPER_TEST_DIR", "/data")
	for in, want := range map[string]string{"a.txt": "dir/a.txt", "/x/a.txt": "/x/a.txt", "${TEMPER_TEST_DIR}/a.txt": "/data/a.txt"} {
		if got, err := r.Path(in); err != nil || got != filepath.FromSlash(want) {
			t.Errorf("Path(%q) = %q, %v, want %q", in, got, err, want)
		}
	}
	if _, err := r.Path("${TEMPER_NO_SUCH_VARIABLE}/a"); err == nil || !strings.Contains(err.Error(), "TEMPER_NO_SUCH_VARIABLE is not set") {
		t.Errorf("error is %v", err)
	}
}

// Every recipe in the repository must be legal.
func TestShippedRecipes(t *testing.T) {
	files, err := filepath.Glob("../recipes/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no recipes found: %v", err)
	}
	for _, f := range append(files, "demo/recipe.yaml") {
		if _, err := Load(f, nil); err != nil {
			t.Error(err)
		}
	}
}

// No YAML makes the decoder panic, and no accepted one fails to print.
func FuzzDecode(f *testing.F) {
	f.Add(least)
	f.Add("name: [")
	f.Add("stages: [{method: {}}]")
	f.Add("stages: {a: b}")
	if demo, err := os.ReadFile("demo/recipe.yaml"); err == nil {
		f.Add(string(demo))
	}
	f.Fuzz(func(t *testing.T, src string) {
		r, err := decode(src)
		if err != nil {
			return
		}
		if _, err := r.YAML(); err != nil {
			t.Errorf("an accepted recipe does not print: %v", err)
		}
	})
}

func TestLocateSaysWherePathsAre(t *testing.T) {
	r, err := decode(strings.Replace(least, "[a.txt]", `["${NOWHERE}/a.txt"]`, 1))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.StageData(0); err == nil {
		t.Fatal("a path with an unknown variable was resolved")
	}
	r.Locate(func(path string) (string, error) { return "elsewhere/" + path, nil })
	d, err := r.StageData(0)
	if err != nil || d.Files[0] != "elsewhere/${NOWHERE}/a.txt" {
		t.Errorf("files %q, %v", d.Files, err)
	}
}
