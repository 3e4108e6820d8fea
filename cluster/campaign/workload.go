package campaign

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/temper-ml/temper/internal/config"
)

// Workload is a post-training run, as read from YAML:
//
//	name: mine
//	source: our own budget
//	pretraining: {tokens: 14.8e12, seq: 4096}
//	phases:
//	  - {name: sft, method: sft, samples: 1.5e6, epochs: 2, mean_length: 1500, seq: 8192, global_batch: 256, packing: packed}
//	  - {name: rl, method: grpo, steps: 1000, prompts: 512, group: 16, prompt_length: 500, mean_length: 4000,
//	     max_length: 16384, spread: 0.7, seq: 16384, placement: colocated}
type Workload struct {
	Name        string      `yaml:"name" json:"name"`
	Source      string      `yaml:"source" json:"source"`
	Pretraining Pretraining `yaml:"pretraining" json:"pretraining"`
	Phases      []Phase     `yaml:"phases" json:"phases"`
}

// Pretraining is what the shares of pre-training refer to; without Tokens there
// are none.
type Pretraining struct {
	Tokens float64 `yaml:"tokens" json:"tokens"`
	Seq    int     `yaml:"seq" json:"seq"`
}

// Phase is one part of a workload. Which fields a method takes is in Methods.
type Phase struct {
	Name   string `yaml:"name"`
	Method string `yaml:"method"`
	Source string `yaml:"source"`

	// The budget: exactly one of Tokens, Samples (with Epochs) and Steps. For dpo
	// a sample is a pair.
	Tokens  float64 `yaml:"tokens"`
	Samples float64 `yaml:"samples"`
	Epochs  float64 `yaml:"epochs"` // 1 when 0
	Steps   int     `yaml:"steps"`

	Seq         int     `yaml:"seq"`          // tokens of a training row
	GlobalBatch int     `yaml:"global_batch"` // rows of a training step; grpo, opd: what a step's tokens fill
	MeanLength  float64 `yaml:"mean_length"`  // tokens of a sample; of a response, for grpo and opd
	Packing     string  `yaml:"packing"`      // packed (the default) or padded

	Prompts      int     `yaml:"prompts"`     // grpo, opd: of one step
	Group        int     `yaml:"group"`       // responses to each
	Minibatches  int     `yaml:"minibatches"` // training steps that share one rollout; 1 when 0
	PromptLength float64 `yaml:"prompt_length"`
	MaxLength    float64 `yaml:"max_length"`
	Spread       float64 `yaml:"spread"` // of the logarithm of response lengths
	// Generation: dtype of the weights that generate, where, and with what
	// imbalance between devices' experts.
	GenerationDType string  `yaml:"generation_dtype"`
	Placement       string  `yaml:"placement"`   // colocated (the default) or disaggregated
	TrainShare      float64 `yaml:"train_share"` // of the devices that train, when disaggregated; 0.5 when 0
	OffPolicy       bool    `yaml:"off_policy"`  // disaggregated: train on the step before while generating
	Reference       bool    `yaml:"reference"`   // grpo: a reference model reads every response too
	RewardSeconds   float64 `yaml:"reward_seconds"`
	Teachers        int     `yaml:"teachers"` // opd: models of the same size, each for its own prompts
}

// Methods lists the methods, and the budgets they take.
var methods = map[string][]string{
	"cpt": {"tokens", "steps"}, "sft": {"tokens", "samples", "steps"}, "dpo": {"samples", "steps"}, "grpo": {"steps"}, "opd": {"steps"},
}

// Methods lists the methods of phases.
func Methods() []string { return []string{"cpt", "sft", "dpo", "grpo", "opd"} }

// generates reports whether the phase's model writes its own training data.
func (p *Phase) generates() bool { return p.Method == "grpo" || p.Method == "opd" }

// Read reads a workload file, or returns the built-in one of that name.
func Read(name string) (*Workload, error) {
	if w := builtin(name); w != nil {
		return w, w.Check()
	}
	src, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) && !strings.ContainsAny(name, "/\\.") {
		return nil, fmt.Errorf("campaign: no workload is called %q, want one of %s or a YAML file", name, strings.Join(Builtins(), ", "))
	}
	if err != nil {
		return nil, fmt.Errorf("campaign: %w", err)
	}
	return Decode(src, name)
}

// Decode is Read for a file in memory.
func Decode(src []byte, name string) (*Workload, error) {
	w := &Workload{}
	if err := config.Decode(src, name, w); err != nil {
		return nil, fmt.Errorf("campaign: %w", err)
	}
	return w, nil
}

// Check refuses what is missing, out of range, or of another method.
func (w *Workload) Check() error {
	switch {
	case w.Name == "":
		return config.Bad("name", "missing: a workload needs a name")
	case len(w.Phases) == 0:
		return config.Bad("phases", "empty: give at least one")
	}
	if err := config.Within("pretraining.tokens", w.Pretraining.Tokens, 0, 1e18); err != nil {
		return err
	}
	if w.Pretraining.Tokens > 0 {
		if err := config.Within("pretraining.seq", float64(w.Pretraining.Seq), 1, 1<<24); err != nil {
			return err
		}
	}
	seen := map[string]bool{}
	for i := range w.Phases {
		p, path := &w.Phases[i], fmt.Sprintf("phases[%d]", i)
		if p.Name == "" || seen[p.Name] {
			return config.Bad(path+".name", "%q: every phase needs a name of its own", p.Name)
		}
		seen[p.Name] = true
		if err := p.check(path); err != nil {
			return err
		}
	}
	return nil
}

func (p *Phase) check(path string) error {
	budgets, ok := methods[p.Method]
	if !ok {
		return config.Bad(path+".method", "%q is not known: use %s", p.Method, strings.Join(Methods(), ", "))
	}
	given := 0
	for _, b := range []struct {
		name string
		v    float64
		high float64
	}{{"tokens", p.Tokens, 1e17}, {"samples", p.Samples, 1e13}, {"steps", float64(p.Steps), 1e9}} {
		if b.v == 0 {
			continue
		}
		if !slices.Contains(budgets, b.name) {
			return config.Bad(path+"."+b.name, "%s takes %s", p.Method, strings.Join(budgets, " or "))
		}
		if err := config.Within(path+"."+b.name, b.v, 1, b.high); err != nil {
			return err
		}
		given++
	}
	if given != 1 {
		return config.Bad(path, "give exactly one of %s", strings.Join(budgets, ", "))
	}
	if p.Epochs != 0 && p.Samples == 0 {
		return config.Bad(path+".epochs", "goes with samples only")
	}
	return errors.Join(firstOf(p.checkRows(path), p.checkGeneration(path)))
}

// firstOf returns the first error.
func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// checkRows checks what training rows are made of.
func (p *Phase) checkRows(path string) error {
	if p.Packing != "" && p.Packing != "packed" && p.Packing != "padded" {
		return config.Bad(path+".packing", "%q is not known: use packed or padded", p.Packing)
	}
	longest := float64(p.Seq)
	if p.Method == "cpt" {
		longest = 1e9
	}
	if p.generates() { // prompt and response together
		longest -= p.PromptLength
	}
	least := 1.0
	if p.Method == "cpt" {
		least = 0
	}
	batch := 1.0
	if p.generates() {
		batch = 0
	}
	return firstOf(
		config.Within(path+".epochs", p.Epochs, 0, 1000),
		config.Within(path+".seq", float64(p.Seq), 1, 1<<24),
		config.Within(path+".global_batch", float64(p.GlobalBatch), batch, 1<<24),
		config.Within(path+".mean_length", p.MeanLength, least, longest),
	)
}

// checkGeneration checks what only grpo and opd have.
func (p *Phase) checkGeneration(path string) error {
	if !p.generates() {
		for name, set := range map[string]bool{
			"prompts": p.Prompts != 0, "group": p.Group != 0, "minibatches": p.Minibatches != 0, "prompt_length": p.PromptLength != 0, "max_length": p.MaxLength != 0, "spread": p.Spread != 0,
			"generation_dtype": p.GenerationDType != "", "placement": p.Placement != "", "train_share": p.TrainShare != 0, "off_policy": p.OffPolicy,
			"reference": p.Reference, "reward_seconds": p.RewardSeconds != 0, "teachers": p.Teachers != 0,
		} {
			if set {
				return config.Bad(path+"."+name, "%s generates nothing: leave it out", p.Method)
			}
		}
		return nil
	}
	if p.Placement != "" && p.Placement != "colocated" && p.Placement != "disaggregated" {
		return config.Bad(path+".placement", "%q is not known: use colocated or disaggregated", p.Placement)
	}
	if p.Placement != "disaggregated" && (p.TrainShare != 0 || p.OffPolicy) {
		return config.Bad(path+".placement", "train_share and off_policy need placement: disaggregated")
	}
	teachers := 0.0
	if p.Method == "opd" {
		teachers = 1
	} else if p.Teachers != 0 {
		return config.Bad(path+".teachers", "grpo has none: leave it out")
	}
	return firstOf(
		config.Within(path+".prompts", float64(p.Prompts), 1, 1e6),
		config.Within(path+".group", float64(p.Group), 1, 1e4),
		config.Within(path+".minibatches", float64(p.Minibatches), 0, 1e4),
		config.Within(path+".prompt_length", p.PromptLength, 1, float64(p.Seq)),
		config.Within(path+".max_length", p.MaxLength, p.MeanLength, 1e7),
		config.Within(path+".spread", p.Spread, 0, 3),
		config.Within(path+".train_share", p.TrainShare, 0, 0.99),
		config.Within(path+".reward_seconds", p.RewardSeconds, 0, 1e6),
		config.Within(path+".teachers", float64(p.Teachers), teachers, 1000),
	)
}
