package rollout

import (
	"fmt"

	"github.com/temper-ml/temper/model/generate"
)

// Config says how a stage asks and how its rounds are used.
type Config struct {
	// Prompts is how many questions a round learns from, Group how many answers are
	// sampled to each.
	Prompts int `yaml:"prompts" json:"prompts"`
	Group   int `yaml:"group" json:"group"`
	// MaxTokens bounds an answer, its end included.
	MaxTokens int `yaml:"max_tokens" json:"max_tokens"`
	// Temperature, TopP and TopK draw the tokens: see [generate.Sampling].
	Temperature float32 `yaml:"temperature" json:"temperature"`
	TopP        float32 `yaml:"top_p" json:"top_p"`
	TopK        int     `yaml:"top_k" json:"top_k"`
	// Stop are texts that end an answer, besides the end of the turn; they are its
	// last text then.
	Stop []string `yaml:"stop,omitempty" json:"stop,omitempty"`
	// Updates is how many optimizer steps the answers of a round are divided into,
	// Epochs how often they are gone through.
	Updates int `yaml:"updates" json:"updates"`
	Epochs  int `yaml:"epochs" json:"epochs"`
	// Ahead is 1 if a round is sampled while the one before it is learnt.
	Ahead int `yaml:"ahead,omitempty" json:"ahead,omitempty"`
	// Waves is how often further questions are asked, the first time included, until
	// Prompts groups have unequal rewards. It is for dynamic sampling; 1 otherwise.
	Waves int `yaml:"waves,omitempty" json:"waves,omitempty"`
	// Keep is how many rounds' files are kept, 0 for all.
	Keep int `yaml:"keep,omitempty" json:"keep,omitempty"`
	// Sequences is how many answers are sampled at a time. Speculate drafts with the
	// MTP block. Latent keeps less of V3's sequences and takes more time: see
	// [generate.Options]. None of them changes a token.
	Sequences int  `yaml:"sequences" json:"sequences"`
	Speculate bool `yaml:"speculate,omitempty" json:"speculate,omitempty"`
	Latent    bool `yaml:"latent,omitempty" json:"latent,omitempty"`
}

// Default returns what a recipe leaves out.
func Default(method string) Config {
	c := Config{
		Prompts: 16, Group: 8, MaxTokens: 256, Temperature: 1, TopP: 1,
		Updates: 1, Epochs: 1, Waves: 1, Sequences: 16,
	}
	if method == "opd" {
		c.Group = 1
	}
	return c
}

// The bounds keep sizes computable and files readable.
const (
	maxPrompts = 1 << 20
	maxGroup   = 1 << 12
	maxAnswers = 1 << 22 // of a round
	maxTokens  = 1 << 20 // of an answer
	maxStops   = 64
)

// Check returns the first field out of range for the method, grpo or opd, and rows of
// so many tokens. Its errors begin with the field's name.
func (c *Config) Check(method string, sequence int) error {
	for _, f := range []struct {
		name   string
		value  int
		lo, hi int
	}{
		{"prompts", c.Prompts, 1, maxPrompts},
		{"group", c.Group, 1, maxGroup},
		{"max_tokens", c.MaxTokens, 1, maxTokens},
		{"updates", c.Updates, 1, 1 << 16},
		{"epochs", c.Epochs, 1, 1 << 10},
		{"ahead", c.Ahead, 0, 1},
		{"waves", c.Waves, 1, 64},
		{"keep", c.Keep, 0, 1 << 30},
		{"sequences", c.Sequences, 1, 1 << 16},
	} {
		if f.value < f.lo || f.value > f.hi {
			return fmt.Errorf("%s: %d is outside [%d, %d]", f.name, f.value, f.lo, f.hi)
		}
	}
	switch n := c.Waves * c.Prompts * c.Group; {
	case method == "grpo" && c.Group == 1:
		return fmt.Errorf("group: 1 answer has nothing to be better than: use at least 2, such as 8")
	case n > maxAnswers:
		return fmt.Errorf("prompts: %d with groups of %d in up to %d waves are %d answers, more than %d in a round", c.Prompts, c.Group, c.Waves, n, maxAnswers)
	case c.MaxTokens > sequence-2:
		return fmt.Errorf("max_tokens: %d leaves no room for questions in a sequence of %d: lower it, or raise data.sequence", c.MaxTokens, sequence)
	case c.Updates > c.Prompts*c.Group:
		return fmt.Errorf("updates: %d, but a round has %d answers: use at most as many", c.Updates, c.Prompts*c.Group)
	case method == "grpo" && c.Temperature == 0:
		return fmt.Errorf("temperature: 0 gives a group equal answers: use 1, or another positive number")
	case method == "opd" && c.Waves > 1:
		return fmt.Errorf("waves: %d are for unequal rewards, opd has none: leave it out", c.Waves)
	case len(c.Stop) > maxStops:
		return fmt.Errorf("stop: %d texts, want at most %d", len(c.Stop), maxStops)
	}
	for i, s := range c.Stop {
		if s == "" || len(s) > 1<<10 {
			return fmt.Errorf("stop[%d]: %d bytes, want 1 to %d", i, len(s), 1<<10)
		}
	}
	return c.checkSampling()
}

func (c *Config) checkSampling() error {
	s := generate.Sampling{Temperature: c.Temperature}
	if err := s.Check(); err != nil {
		return fmt.Errorf("temperature: %v: use 1, or 0.001 to 1000", c.Temperature)
	}
	if s.TopP = c.TopP; s.Check() != nil {
		return fmt.Errorf("top_p: %v is outside [0, 1]", c.TopP)
	}
	if c.TopK < 0 {
		return fmt.Errorf("top_k: %d is negative: use 0 for all tokens", c.TopK)
	}
	return nil
}

// Plain reports whether answers are drawn from the policy's own distribution: then the
// log-probability of a token is that under which it was drawn.
func (c *Config) Plain() bool {
	return c.Temperature == 1 && (c.TopP == 0 || c.TopP == 1) && c.TopK == 0
}

// OnPolicy reports whether every answer is learnt by the very weights that sampled it,
// once, so that every ratio of probabilities must be exactly 1.
func (c *Config) OnPolicy() bool {
	return c.Plain() && c.Ahead == 0 && c.Updates == 1 && c.Epochs == 1
}

// Steps is how many optimizer steps a round takes.
func (c *Config) Steps() int64 { return int64(c.Updates) * int64(c.Epochs) }

// RoundOf returns the round that an optimizer step of the stage belongs to.
func (c *Config) RoundOf(step int64) int64 { return step / c.Steps() }

// sampling is how answer number sample to the question at a cursor is drawn.
func (c *Config) sampling(seed uint64, cursor int64, sample int) generate.Sampling {
	return generate.Sampling{
		Temperature: c.Temperature, TopP: c.TopP, TopK: c.TopK,
		Seed: seed, Prompt: uint64(cursor), Sample: uint64(sample),
	}
}
