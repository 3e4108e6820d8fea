package operator

import (
	"fmt"
	"math/bits"
	"strings"
)

// Module is a part of a block that can be computed again in the backward pass
// instead of being kept.
type Module uint16

// The modules, by the names that engines give them.
const (
	Core       Module = 1 << iota // core_attn: scores, softmax and weighted sums
	Norms                         // layernorm: outputs of the norms
	Up                            // mla_up_proj: heads expanded from latents, rotated
	Activation                    // moe_act, mlp act: output of the gated activation
	Dense                         // mlp: the dense feed-forward block
	Shared                        // shared_experts
	Experts                       // moe: router, dispatch, experts, combine
	Streams                       // mhc: the mixing of residual streams
	PerOp                         // torchtitan's per-operator choice: attention and every second product stay
	Attend                        // attention: everything between the sublayer's input and its result
	Whole                         // full: everything but the block's input
)

var modules = []struct {
	name string
	m    Module
}{
	{"core_attn", Core},
	{"layernorm", Norms},
	{"mla_up_proj", Up},
	{"act", Activation},
	{"moe_act", Activation},
	{"mlp", Dense},
	{"shared_experts", Shared},
	{"moe", Experts},
	{"mhc", Streams},
	{"per_op", PerOp},
	{"attention", Attend},
	{"full", Whole},
}

// Recompute is the set of modules that the backward pass computes again.
type Recompute Module

// ParseRecompute reads "none", "selective" (what the engine means by it),
// "full", or modules joined by "+": "mla_up_proj+moe_act".
func ParseRecompute(text string, e *Engine) (Recompute, error) {
	switch text {
	case "", "none":
		return 0, nil
	case "selective":
		return e.Selective, nil
	}
	var r Recompute
words:
	for word := range strings.SplitSeq(text, "+") {
		for _, m := range modules {
			if m.name == word {
				r |= Recompute(m.m)
				continue words
			}
		}
		return 0, fmt.Errorf("operator: recompute is %q, want none, selective, full or modules joined by +: %s", text, moduleNames())
	}
	return r, nil
}

func moduleNames() string {
	var names []string
	for _, m := range modules {
		names = append(names, m.name)
	}
	return strings.Join(names, ", ")
}

// Has reports whether the module is computed again.
func (r Recompute) Has(m Module) bool { return r&Recompute(Whole) != 0 || Module(r)&m != 0 }

// String returns the form that [ParseRecompute] reads.
func (r Recompute) String() string {
	if r == 0 {
		return "none"
	}
	var names []string
	rest := Module(r)
	for _, m := range modules {
		if rest&m.m != 0 {
			names = append(names, m.name)
			rest &^= m.m
		}
	}
	if rest != 0 {
		names = append(names, fmt.Sprintf("%d unknown", bits.OnesCount16(uint16(rest))))
	}
	return strings.Join(names, "+")
}
