package campaign

import (
	"errors"
	"fmt"
	"os"
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

// Pretraining is what the shares of pre-training refer to. Without Tokens it is
// that of the model, where it is built in and that is known.
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
	// Generation: dtype of the weights that generate, and where.
	GenerationDType string  `yaml:"generation_dtype"`
	Replica         int     `yaml:"generation_replica"` // devices that hold the weights together; the best when 0
	Placement       string  `yaml:"placement"`          // colocated (the default) or disaggregated
	TrainShare      float64 `yaml:"train_share"`        // of the devices that train, when disaggregated; the best when 0
	OffPolicy       bool    `yaml:"off_policy"`         // disaggregated: train on the step before while generating
	Partial         bool    `yaml:"partial"`            // responses that are not done go on in the next rollout
	Reference       bool    `yaml:"reference"`          // grpo: a reference model reads every response too
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
