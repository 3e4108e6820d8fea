package campaign

import (
	"slices"
	"strings"
)

// The phases that the built-in workloads are made of. What no report gives is
// assumed, and says so.
var (
	extension = Phase{
		Name: "cpt", Method: "cpt", Steps: 1000, Seq: 32768, GlobalBatch: 1920,
		Source: "DeepSeek-V3 report: the first stage of its context extension, 1,000 steps of 1,920 sequences of 32K tokens",
	}
	tuning = Phase{
		Name: "sft", Method: "sft", Samples: 1.5e6, Epochs: 2, MeanLength: 1500, Seq: 8192, GlobalBatch: 256, Packing: "packed",
		Source: "DeepSeek-V3 report: 1.5 million instances, two epochs, packed. Mean length 1,500 tokens and batch assumed",
	}
	preference = Phase{
		Name: "dpo", Method: "dpo", Samples: 300e3, Epochs: 1, MeanLength: 1000, Seq: 8192, GlobalBatch: 256, Packing: "packed",
		Source: "size assumed: 300,000 pairs of two times 1,000 tokens; no DeepSeek report uses pairs at scale",
	}
	zero = Phase{
		Name: "grpo", Method: "grpo", Steps: 10400, Prompts: 32, Group: 16, Minibatches: 16, PromptLength: 300, MeanLength: 6000, MaxLength: 32768, Spread: 0.8, Seq: 32768,
		Placement: "colocated", Reference: true, RewardSeconds: 5,
		Source: "DeepSeek-R1-Zero (arXiv 2501.12948v2): 32 questions, 16 answers each, 10,400 steps, 32,768 tokens at most, 8,192 answers generated at a time for 16 steps. Mean length 6,000 over the run and its spread assumed",
	}
	specialists = Phase{
		Name: "specialists", Method: "grpo", Steps: 10 * 600, Prompts: 128, Group: 16, Minibatches: 4, PromptLength: 1000, MeanLength: 8000, MaxLength: 65536, Spread: 0.8, Seq: 65536,
		Placement: "colocated", Reference: true, RewardSeconds: 20,
		Source: "DeepSeek-V4: one specialist per domain by SFT and GRPO, at least ten. Steps, batch and lengths assumed",
	}
	distillation = Phase{
		Name: "opd", Method: "opd", Steps: 500, Prompts: 4096, Group: 1, PromptLength: 1000, MeanLength: 8000, MaxLength: 65536, Spread: 0.8, Seq: 65536,
		Placement: "colocated", Teachers: 10,
		Source: "DeepSeek-V4: on-policy distillation from at least ten teachers, divergence over the full vocabulary, teachers' hidden states cached. Steps, batch and lengths assumed",
	}
)

// pretrainings are what models were pre-trained on, by the beginnings of their
// names, as their reports say. Most tokens were in rows of that length.
var pretrainings = []struct {
	model string
	Pretraining
}{
	{"deepseek-v4-pro", Pretraining{33e12, 4096}},
	{"deepseek-v4-flash", Pretraining{32e12, 4096}},
	{"deepseek-v3", Pretraining{14.8e12, 4096}},
	{"deepseek-v2", Pretraining{8.1e12, 4096}},
	{"kimi-k2", Pretraining{15.5e12, 4096}},
	{"llama3", Pretraining{15e12, 8192}},
	{"qwen3", Pretraining{36e12, 4096}},
	{"llama2", Pretraining{2e12, 4096}},
	{"gpt3", Pretraining{300e9, 2048}},
}

// PretrainingOf returns what is known of a built-in model's pre-training, as its
// report says; nothing known is the zero value.
func PretrainingOf(model string) Pretraining {
	for _, p := range pretrainings {
		if strings.HasPrefix(strings.TrimPrefix(model, "builtin:"), p.model) {
			return p.Pretraining
		}
	}
	return Pretraining{}
}

// Builtins lists the built-in workloads.
func Builtins() []string { return []string{"cpt", "sft", "dpo", "grpo", "opd", "posttrain"} }

// builtin returns a copy of a built-in workload, or nil.
func builtin(name string) *Workload {
	w := &Workload{Name: name}
	switch name {
	case "cpt":
		w.Phases = []Phase{extension}
	case "sft":
		w.Phases = []Phase{tuning}
	case "dpo":
		w.Phases = []Phase{preference}
	case "grpo":
		w.Phases = []Phase{zero}
	case "opd":
		w.Phases = []Phase{distillation}
	case "posttrain":
		w.Phases = []Phase{tuning, specialists, distillation, preference}
	default:
		return nil
	}
	w.Source = w.Phases[0].Source
	if len(w.Phases) > 1 {
		w.Source = "the phases of DeepSeek-V4's post-training, and preference pairs; each says what is published and what assumed"
	}
	w.Phases = slices.Clone(w.Phases)
	return w
}
