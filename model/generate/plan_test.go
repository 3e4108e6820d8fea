package generate_test

import (
	"testing"

	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/model/generate"
)

// What is planned is what an engine takes.
func TestPlanMemory(t *testing.T) {
	for _, name := range []string{"tiny-v4", "bench-v4"} {
		cfg, err := arch.Builtin(name)
		if err != nil {
			t.Fatal(err)
		}
		m, err := deepseek.NewFrozen(cfg)
		if err != nil {
			t.Fatal(err)
		}
		o := generate.Options{Context: 200, Sequences: 3}
		want, err := generate.PlanMemory(cfg, o)
		if err != nil {
			t.Fatal(err)
		}
		e, err := generate.New(m, o)
		if err != nil {
			t.Fatal(err)
		}
		if got := e.Options().CacheBytes; got != want.Cache {
			t.Errorf("%s: a cache of %d bytes, planned %d", name, got, want.Cache)
		}
		if got := e.ScratchBytes(); got != want.Scratch+want.Logits {
			t.Errorf("%s: scratch of %d bytes, planned %d and %d of logits", name, got, want.Scratch, want.Logits)
		}
	}
}
