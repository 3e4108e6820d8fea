package operator

import (
	"strings"
	"testing"
)

func TestOptionsOfEngines(t *testing.T) {
	e, err := EngineNamed("megatron+bf16-gradients+bf16-moments+fp8-dispatch+no-dp-overlap")
	if err != nil {
		t.Fatal(err)
	}
	if e.Gradient != BF16 || e.Moments != BF16 || !e.FP8Dispatch || e.OverlapDP || e.Base() != "megatron" {
		t.Errorf("options are not set: %+v", e)
	}
	again, err := EngineNamed(e.Name)
	if err != nil || *again != *e {
		t.Errorf("%s names another engine: %v", e.Name, err)
	}
	if plain, err := EngineNamed("megatron"); err != nil || plain.Gradient != FP32 || !plain.OverlapDP {
		t.Errorf("an option changed the table: %+v, %v", plain, err)
	}
	for name, want := range map[string]string{
		"megatron+bf16-gradient": `did you mean "bf16-gradients"?`,
		"megatron+":              `has no option ""`,
		"megatorn+bf16-moments":  `did you mean "megatron"?`,
		"+":                      `no engine ""`,
	} {
		if _, err := EngineNamed(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
	}
}
