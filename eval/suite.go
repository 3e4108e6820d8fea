package eval

import (
	"fmt"
	"slices"
	"strings"

	"github.com/temper-ml/temper/data"
	"github.com/temper-ml/temper/data/source"
	"github.com/temper-ml/temper/posttrain/reward"
)

// Kind says what is asked of a model.
type Kind string

// The kinds of suites; Auto recognises one from the rows' fields.
const (
	Auto       Kind = ""
	Exact      Kind = "exact"
	Choice     Kind = "choice"
	Preference Kind = "preference"
	Perplexity Kind = "perplexity"
	Refusal    Kind = "refusal"
	PassAtK    Kind = "pass@k"
)

var kinds = []Kind{Exact, Choice, Preference, Perplexity, Refusal, PassAtK}

// Kinds are the names of the kinds.
func Kinds() []string {
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = string(k)
	}
	return names
}

// compares reports whether likelihoods of answers are compared.
func (k Kind) compares() bool { return k == Choice || k == Preference }

// generates reports whether the model writes answers.
func (k Kind) generates() bool { return k == Refusal || k == PassAtK }

// Measures are the ways in which likelihoods of answers are compared: of the
// whole answer, or in the mean of its tokens or of its bytes.
var Measures = []string{"sum", "token", "byte"}

// Suite is a file of questions and what is asked of the model about them.
type Suite struct {
	// File is JSONL, a JSON array, or for perplexity plain text; .gz too.
	File string `yaml:"file" json:"file"`
	// Kind is one of [Kinds], recognised from the rows if empty.
	Kind Kind `yaml:"kind,omitempty" json:"kind,omitempty"`
	// Format is auto, pair, messages, ...
	Format string `yaml:"format,omitempty" json:"format,omitempty"`
	// Fields maps temper's field names to the file's own.
	Fields map[string]string `yaml:"fields,omitempty" json:"fields,omitempty"`
	// Separator cuts plain text into documents; empty means one document.
	Separator string `yaml:"separator,omitempty" json:"separator,omitempty"`
	// BadRows is skip, or empty to stop at rows that cannot be used.
	BadRows string `yaml:"bad_rows,omitempty" json:"bad_rows,omitempty"`
	// Overlong is skip, or empty to stop at questions longer than a row; texts
	// whose perplexity is measured are read in windows.
	Overlong string `yaml:"overlong,omitempty" json:"overlong,omitempty"`
	// Limit takes the first rows only, 0 all.
	Limit int `yaml:"limit,omitempty" json:"limit,omitempty"`
	// Measure is the one of [Measures] that counts for choice and preference: sum
	// if empty. The others are measured too.
	Measure string `yaml:"measure,omitempty" json:"measure,omitempty"`

	// MaxTokens bounds what is generated: 256 if left out.
	MaxTokens int `yaml:"max_tokens,omitempty" json:"max_tokens,omitempty"`
	// Samples is how many answers are drawn to a question of pass@k: as many as the
	// largest of K if left out.
	Samples int `yaml:"samples,omitempty" json:"samples,omitempty"`
	// K are the numbers of attempts: 1 if left out.
	K []int `yaml:"k,omitempty" json:"k,omitempty"`
	// Temperature, TopP and Seed draw the answers. A single answer may be the most
	// likely one, at temperature 0.
	Temperature float32 `yaml:"temperature,omitempty" json:"temperature,omitempty"`
	TopP        float32 `yaml:"top_p,omitempty" json:"top_p,omitempty"`
	Seed        uint64  `yaml:"seed,omitempty" json:"seed,omitempty"`
	// Rewards judge an answer: it passes if they sum to Pass, 1 if left out.
	Rewards []reward.Spec `yaml:"rewards,omitempty" json:"rewards,omitempty"`
	Pass    float64       `yaml:"pass,omitempty" json:"pass,omitempty"`
	// Refusals are further phrases that begin a refusal.
	Refusals []string `yaml:"refusals,omitempty" json:"refusals,omitempty"`
}

const (
	defaultMaxTokens = 256
	maxSamples       = 1 << 12
)

// ours are the fields of rows that only suites read.
var ours = []string{"choices", "answer", "labels", "unsafe"}

// Check returns the first field that is missing or out of range; it reads no file.
// Its errors begin with the field's name.
func (s *Suite) Check() error {
	switch {
	case s.File == "":
		return fmt.Errorf("file: missing: give a file of questions")
	case s.Kind != Auto && !slices.Contains(kinds, s.Kind):
		return fmt.Errorf("kind: %q is not known: use %s, or leave it out where the rows' fields tell", s.Kind, strings.Join(Kinds(), ", "))
	case s.BadRows != "" && s.BadRows != "skip":
		return fmt.Errorf("bad_rows: %q is not known: use skip, or leave it out to refuse them", s.BadRows)
	case s.Overlong != "" && s.Overlong != "skip":
		return fmt.Errorf("overlong: %q is not known: use skip, or leave it out to refuse them", s.Overlong)
	case s.Limit < 0:
		return fmt.Errorf("limit: %d is negative: use a number of rows, or 0 for all", s.Limit)
	case s.Measure != "" && !slices.Contains(Measures, s.Measure):
		return fmt.Errorf("measure: %q is not known: use %s", s.Measure, strings.Join(Measures, ", "))
	case s.Measure != "" && s.Kind != Auto && !s.Kind.compares():
		return fmt.Errorf("measure: %s is for choice and preference, the kind is %s", s.Measure, s.Kind)
	}
	if _, err := source.ParseFormat(s.Format); err != nil {
		return fmt.Errorf("format: %w", err)
	}
	o := s.source()
	if err := o.Check(); err != nil {
		_, rule, _ := strings.Cut(err.Error(), ": ")
		return fmt.Errorf("fields: %s", rule)
	}
	return s.checkGeneration()
}

func (s *Suite) checkGeneration() error {
	if s.Kind.generates() {
		return s.checkSampling()
	}
	for _, f := range []struct {
		name  string
		given bool
	}{
		{"max_tokens", s.MaxTokens != 0},
		{"temperature", s.Temperature != 0},
		{"top_p", s.TopP != 0},
		{"samples", s.Samples != 0},
		{"k", len(s.K) > 0},
		{"rewards", len(s.Rewards) > 0},
		{"pass", s.Pass != 0},
		{"refusals", len(s.Refusals) > 0},
	} {
		if f.given {
			return fmt.Errorf("%s: only answers that are generated have it: give kind refusal or pass@k", f.name)
		}
	}
	return nil
}

func (s *Suite) checkSampling() error {
	sampling := s.sampling(0, 0)
	switch {
	case s.MaxTokens < 0 || s.MaxTokens > 1<<20:
		return fmt.Errorf("max_tokens: %d is outside [1, 1048576]", s.MaxTokens)
	case s.Kind == Refusal && (s.Samples != 0 || len(s.K) > 0 || len(s.Rewards) > 0 || s.Pass != 0):
		return fmt.Errorf("kind: refusal takes one answer and judges it by its words: samples, k, rewards and pass are for pass@k")
	case s.Kind == PassAtK && len(s.Refusals) > 0:
		return fmt.Errorf("refusals: pass@k judges by rewards: put them into a safety reward")
	case s.Kind == PassAtK && len(s.Rewards) == 0:
		return fmt.Errorf("rewards: missing: pass@k needs rules that judge an answer, such as [{numeric: {answer: answer}}]")
	case s.Samples < 0 || s.samples() > maxSamples:
		return fmt.Errorf("samples: %d is outside [1, %d]", s.samples(), maxSamples)
	case s.samples() > 1 && s.Temperature == 0:
		return fmt.Errorf("temperature: 0 makes all %d samples of a question the same: give one above 0", s.samples())
	}
	for _, k := range s.K {
		if k < 1 || k > s.samples() {
			return fmt.Errorf("k: %d is outside [1, %d], the samples of a question", k, s.samples())
		}
	}
	if err := sampling.Check(); err != nil {
		_, rule, _ := strings.Cut(err.Error(), ": ")
		name, _, _ := strings.Cut(rule, " ")
		return fmt.Errorf("%s: %s", name, rule)
	}
	if s.Kind == PassAtK {
		if _, err := reward.New(s.Rewards); err != nil {
			return asRewards(err)
		}
	}
	return nil
}

// asRewards gives an error of the rules the name of the field once.
func asRewards(err error) error {
	if strings.HasPrefix(err.Error(), "rewards") {
		return err
	}
	return fmt.Errorf("rewards: %w", err)
}

func (s *Suite) samples() int {
	if s.Samples == 0 {
		return max(1, slices.Max(s.attempts()))
	}
	return s.Samples
}

func (s *Suite) attempts() []int {
	if len(s.K) == 0 {
		return []int{1}
	}
	return s.K
}

func (s *Suite) maxTokens() int {
	if s.MaxTokens == 0 {
		return defaultMaxTokens
	}
	return s.MaxTokens
}

func (s *Suite) measure() string {
	if s.Measure == "" {
		return Measures[0]
	}
	return s.Measure
}

// source are the options of the file, without the fields that only suites read.
func (s *Suite) source() source.Options {
	o := source.Options{Format: source.Format(s.Format), Separator: s.Separator}
	if s.Format == "auto" {
		o.Format = source.Auto
	}
	for name, theirs := range s.Fields {
		if slices.Contains(ours, name) {
			continue
		}
		if o.Mapping == nil {
			o.Mapping = map[string]string{}
		}
		o.Mapping[name] = theirs
	}
	return o
}

// builder are the options of what is made of rows.
func (s *Suite) builder(r *Reader) data.Options {
	return data.Options{Source: s.source(), SkipReasoning: r.SkipReasoning}
}
