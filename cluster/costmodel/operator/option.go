package operator

import (
	"fmt"
	"strings"

	"github.com/temper-ml/temper/model/arch"
)

// options are what engines let their users choose beside the layout, by the name
// that follows a + in the name of an engine.
var options = []struct {
	name    string
	meaning string // flags of engines that do this
	set     func(e *Engine)
}{
	{"bf16-gradients", "gradients accumulate and are reduced in bf16: grad_reduce_in_fp32=False", func(e *Engine) { e.Gradient = BF16 }},
	{"bf16-moments", "a precision-aware optimizer: exp_avg_dtype and exp_avg_sq_dtype bf16", func(e *Engine) { e.Moments = BF16 }},
	{"reuse-master", "weights are the upper halves of the master weights: --reuse-fp32-param", func(e *Engine) { e.ReuseMaster = true }},
	{"fp8-dispatch", "with fp8 products, tokens go to their experts in fp8", func(e *Engine) { e.FP8Dispatch = true }},
	{"plain-dispatch", "every copy of a token travels alone: moe_token_dispatcher_type=alltoall", func(e *Engine) { e.MergedDispatch = false }},
	{"no-ep-overlap", "all-to-alls never run beside the compute of another micro-batch: overlap_moe_expert_parallel_comm=False", func(e *Engine) { e.Interleave = false }},
	{"no-dp-overlap", "gradients are reduced after the last pass: overlap_grad_reduce=False", func(e *Engine) { e.OverlapDP = false }},
}

// Options returns the names of the options that may follow an engine's name.
func Options() []string {
	var names []string
	for i := range options {
		names = append(names, options[i].name)
	}
	return names
}

// apply sets one option.
func (e *Engine) apply(name string) error {
	for i := range options {
		if options[i].name != name {
			continue
		}
		options[i].set(e)
		e.Name += "+" + name
		return nil
	}
	hint := ""
	if near := arch.Nearest(name, Options()); near != "" {
		hint = fmt.Sprintf(": did you mean %q?", near)
	}
	return fmt.Errorf("operator: engine %q has no option %q, want some of %v%s", e.Base(), name, Options(), hint)
}

// Base returns the engine's name without its options.
func (e *Engine) Base() string {
	base, _, _ := strings.Cut(e.Name, "+")
	return base
}
