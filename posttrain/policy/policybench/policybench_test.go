package policybench

import (
	"strings"
	"testing"

	"github.com/temper-ml/temper/model/arch"
)

// TestRun: both ways of sampling are measured, and say what they measured.
func TestRun(t *testing.T) {
	o := Options{
		Model: arch.TinyV4(300), Rounds: 1, Prompts: 2, Group: 2, Tokens: 6, Sequences: 3, Updates: 2, MicroRows: 1, Sequence: 128,
		Optimizer: "adamw", Recompute: "none", Ahead: []int{0, 1},
	}
	results, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]float64{}
	for _, r := range results {
		found[r.Name] = r.Value
	}
	for _, name := range []string{"grpo/ahead=0", "grpo/ahead=0/rollout", "grpo/ahead=0/update", "grpo/ahead=1", "grpo/ahead=1/round"} {
		if !(found[name] > 0) {
			t.Errorf("%s is %v", name, found[name])
		}
	}
	for name, v := range found {
		if strings.HasSuffix(name, "idle") && !(v >= 0 && v <= 100) {
			t.Errorf("%s is %v", name, v)
		}
	}
}

func TestRunRefuses(t *testing.T) {
	good := Options{Model: arch.TinyV4(300), Rounds: 1, Prompts: 2, Group: 2, Tokens: 6, Sequences: 3, Updates: 1, MicroRows: 1, Sequence: 128, Optimizer: "adamw", Recompute: "none", Ahead: []int{0}}
	for want, change := range map[string]func(*Options){
		"rounds must be":       func(o *Options) { o.Rounds = 0 },
		"ahead must list":      func(o *Options) { o.Ahead = nil },
		"group: 1 answer":      func(o *Options) { o.Group = 1 },
		"ahead: 2":             func(o *Options) { o.Ahead = []int{2} },
		"want at least 2":      func(o *Options) { o.Model = arch.TinyV4(200) },
		"at most 2 leave room": func(o *Options) { o.Tokens = 126 },
	} {
		o := good
		change(&o)
		if _, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
