package recipe

import (
	"maps"
	"slices"

	"github.com/temper-ml/temper/eval"
	"github.com/temper-ml/temper/posttrain"
	"github.com/temper-ml/temper/posttrain/dpo"
	"github.com/temper-ml/temper/posttrain/grpo"
	"github.com/temper-ml/temper/posttrain/opd"
	"github.com/temper-ml/temper/posttrain/reward"
	"github.com/temper-ml/temper/posttrain/rollout"
	"github.com/temper-ml/temper/train"
)

// Recipe is one complete run.
type Recipe struct {
	// Name is what the run is called in logs and reports.
	Name string `yaml:"name" json:"name"`
	// Seed keys every random number of the run.
	Seed uint64 `yaml:"seed" json:"seed"`
	// Model is what is trained.
	Model Model `yaml:"model" json:"model"`
	// Tokenizer turns text into the model's tokens.
	Tokenizer Tokenizer `yaml:"tokenizer" json:"tokenizer"`
	// Stages run one after the other, each on the weights the one before left.
	Stages []Stage `yaml:"stages" json:"stages"`
	// Checkpoint says when training state is saved.
	Checkpoint Checkpoint `yaml:"checkpoint" json:"checkpoint"`
	// Export says how the final weights are written.
	Export Export `yaml:"export" json:"export"`
	// Record says what is kept for others to check.
	Record Record `yaml:"record" json:"record"`

	dir    string // folder that relative paths start from
	locate func(path string) (string, error)
}

// Model is where the parameters come from: exactly one of Load and Init.
type Model struct {
	// Load is a Hugging Face directory with weights.
	Load string `yaml:"load,omitempty" json:"load,omitempty"`
	// Init is a built-in architecture or a config.json, initialised from the seed.
	Init string `yaml:"init,omitempty" json:"init,omitempty"`
	// Set overrides keys of the config.json that Init names.
	Set map[string]any `yaml:"set,omitempty" json:"set,omitempty"`
}

// Tokenizer is where the vocabulary comes from: File, Train, or neither when
// the loaded model's directory holds a tokenizer.json.
type Tokenizer struct {
	// File is a tokenizer.json.
	File string `yaml:"file,omitempty" json:"file,omitempty"`
	// Train learns a byte-level BPE vocabulary.
	Train *TokenizerTraining `yaml:"train,omitempty" json:"train,omitempty"`
}

// TokenizerTraining learns a vocabulary from files before the first stage.
type TokenizerTraining struct {
	// Files are read as plain text, whatever they hold.
	Files []string `yaml:"files" json:"files"`
	// VocabSize counts special tokens, bytes and merges; the model's
	// vocabulary takes the size that comes out.
	VocabSize int `yaml:"vocab_size" json:"vocab_size"`
	// PreTokenizer is the splitting pattern: deepseek, gpt2, llama3 or qwen2.
	PreTokenizer string `yaml:"pre_tokenizer" json:"pre_tokenizer"`
	// MinFrequency is how often a pair must occur to be merged.
	MinFrequency int `yaml:"min_frequency" json:"min_frequency"`
	// SingleDigits keeps every digit a token of its own.
	SingleDigits bool `yaml:"single_digits" json:"single_digits"`
}

// Stage is one method applied to one body of data.
type Stage struct {
	// Name is unique within the recipe.
	Name string `yaml:"name" json:"name"`
	// Method is cpt (continued pre-training), sft (instruction tuning), dpo
	// (preference optimisation), grpo (reinforcement of the model's own answers), opd
	// or distill (learning from teachers, on the model's own answers or given ones).
	Method string `yaml:"method" json:"method"`
	// Data is what is trained on.
	Data posttrain.Data `yaml:"data" json:"data"`
	// Epochs sets Steps from the size of the data; exactly one of the two is given.
	Epochs float64 `yaml:"epochs,omitempty" json:"epochs,omitempty"`
	// Config decides the steps.
	train.Config `yaml:",inline"`
	// DPO is the loss of a stage whose method is dpo, nil for others.
	DPO *dpo.Loss `yaml:"dpo,omitempty" json:"dpo,omitempty"`
	// Rollout says how the model is asked what it learns from, Rewards judge what it
	// answers, and GRPO is what the stage then minimises: of a stage whose method is
	// grpo, nil for others.
	Rollout *rollout.Config `yaml:"rollout,omitempty" json:"rollout,omitempty"`
	Rewards []reward.Spec   `yaml:"rewards,omitempty" json:"rewards,omitempty"`
	GRPO    *grpo.Config    `yaml:"grpo,omitempty" json:"grpo,omitempty"`
	// OPD and Distill say who teaches a stage of that method, nil for others.
	OPD     *opd.Config `yaml:"opd,omitempty" json:"opd,omitempty"`
	Distill *opd.Config `yaml:"distill,omitempty" json:"distill,omitempty"`
	// Eval says what is measured, and when.
	Eval Eval `yaml:"eval" json:"eval"`
}

// Takes says what the stage's data are read for: its method, or [posttrain.KTO]
// where its loss judges single answers.
func (s *Stage) Takes() string {
	if s.DPO != nil && s.DPO.Kind == posttrain.KTO {
		return posttrain.KTO
	}
	return s.Method
}

// SuiteNames returns the names of the stage's suites, sorted.
func (s *Stage) SuiteNames() []string { return slices.Sorted(maps.Keys(s.Eval.Suites)) }

// Eval measures the model before a stage, after it and on the way.
type Eval struct {
	// Every is the number of steps between measurements; 0 means only before and after.
	Every int64 `yaml:"every" json:"every"`
	// Rows bounds how many held-out rows are read, for the loss and for how many
	// pairs are told apart; 0 means all.
	Rows int `yaml:"rows" json:"rows"`
	// Suites are files of questions, by name.
	Suites map[string]eval.Suite `yaml:"suites,omitempty" json:"suites,omitempty"`
}

// Checkpoint says when training state is saved and how much of it is kept.
type Checkpoint struct {
	// Every is the number of steps between checkpoints; each stage also ends with one.
	Every int64 `yaml:"every" json:"every"`
	// Keep is how many of the newest of a stage stay.
	Keep int `yaml:"keep" json:"keep"`
	// KeepEvery makes those whose step is a multiple of it stay for good, and the
	// last of each stage: who verifies the run can begin there. 0 keeps the newest
	// only, and those at the ends of stages where they are small.
	KeepEvery int64 `yaml:"keep_every,omitempty" json:"keep_every,omitempty"`
}

// Export says how the final weights are written.
type Export struct {
	// DType is bf16 or f32.
	DType string `yaml:"dtype" json:"dtype"`
}

// Record says what is kept for others to check, and who signs it.
type Record struct {
	// DigestPeriod is in how many steps the digests of parameters and optimizer
	// cover all of them; 0 means that steps have no digests.
	DigestPeriod int `yaml:"digest_period" json:"digest_period"`
	// Key is a file with the signing key, made on first use; empty means the user's.
	Key string `yaml:"key,omitempty" json:"key,omitempty"`
}
