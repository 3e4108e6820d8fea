package render

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/temper-ml/temper/internal/config"
)

// Submission is what a submitter declares about a run and no record can hold.
type Submission struct {
	Org       string `yaml:"org"`
	Platform  string `yaml:"platform"`
	Division  string `yaml:"division"`
	Benchmark string `yaml:"benchmark"`
	// Metric names the evaluation value that decides, Target its goal; Lower says
	// that less is better. Stage is where it is measured, empty for the last stage
	// that has it.
	Metric string  `yaml:"metric"`
	Target float64 `yaml:"target"`
	Lower  bool    `yaml:"lower"`
	Stage  string  `yaml:"stage"`
	// CacheCleared declares that the caches of the machines were cleared before
	// the run began. Nothing in a record can show that, so the log says false
	// unless it is declared.
	CacheCleared bool `yaml:"cache_cleared"`
	// Settings are keys of the benchmark that the record does not hold.
	Settings map[string]any `yaml:"settings"`
}

// ParseSubmission reads a declaration from YAML, strictly.
func ParseSubmission(src []byte, name string) (Submission, error) {
	var s Submission
	err := config.Decode(src, name, &s)
	return s, err
}

// Check refuses what no submission can say. What is missing is for [MLLOG] to
// say, together with what the record lacks.
func (s *Submission) Check() error {
	if s.Division != "" && s.Division != "closed" && s.Division != "open" {
		return config.Bad("division", "%q is neither closed nor open", s.Division)
	}
	if math.IsNaN(s.Target) || math.IsInf(s.Target, 0) {
		return config.Bad("target", "%v is no number to reach", s.Target)
	}
	for _, key := range slices.Sorted(maps.Keys(s.Settings)) {
		if key == "" || strings.ContainsFunc(key, func(r rune) bool { return r < 'a' && (r < '0' || r > '9') && r != '_' || r > 'z' }) {
			return config.Bad("settings", "%.60q is no key of a log: want lower case letters, digits and _", key)
		}
		switch s.Settings[key].(type) {
		case string, bool, int, int64, uint64, float64:
		default:
			return config.Bad("settings", "%s: want a text, a number or a truth value", key)
		}
	}
	return nil
}

// stageOf is the stage whose evaluations decide, -1 if none has the metric.
func (s *Submission) stageOf(r *Run) int {
	stage := -1
	for i := range r.Events {
		e := &r.Events[i]
		if _, ok := e.value(s.Metric); e.Kind == Evaluation && ok && (s.Stage == "" || r.stageName(e.Stage) == s.Stage) {
			stage = e.Stage
		}
	}
	return stage
}

// settings are the benchmark's keys that the record says of the deciding stage.
// What the submitter declares beside them must be about something else.
func (l *mllog) settings() []Setting {
	out := slices.Clone(l.run.Settings)
	has := func(key string) bool { return slices.ContainsFunc(out, func(s Setting) bool { return s.Key == key }) }
	if l.stage >= 0 && l.stage < len(l.run.Stages) {
		for _, s := range recorded(&l.run.Stages[l.stage]) {
			if !has(s.Key) {
				out = append(out, s)
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(l.sub.Settings)) {
		if has(key) || slices.Contains(ours, key) {
			l.lack(false, fmt.Sprintf("room for the declared setting %s: the record says it already", key))
		}
	}
	return out
}

// ours are keys that no submission declares as settings.
var ours = []string{
	"submission_benchmark", "submission_org", "submission_division", "submission_platform", "seed", "train_samples", "eval_samples",
	"gradient_accumulation_steps", "lowest_numerical_precision_in_linear", "lowest_numerical_precision_in_attn",
	"lowest_numerical_precision_in_comm", "tensor_parallelism", "pipeline_parallelism", "context_parallelism", "expert_parallelism", "micro_batch_size", "config_filename",
	"cache_clear", "init_start", "init_stop", "run_start", "run_stop", "block_start", "block_stop", "epoch_start", "epoch_stop",
	"eval_start", "eval_stop", "eval_accuracy", "tracked_stats",
}

// recorded are the settings that a stage's entry holds.
func recorded(s *Stage) []Setting {
	var out []Setting
	whole := func(key string, n int64) {
		if n > 0 {
			out = append(out, Setting{key, n})
		}
	}
	whole("global_batch_size", s.Batch)
	whole("max_sequence_length", s.Sequence)
	whole("max_steps", s.Steps)
	if s.Optimizer != "" {
		out = append(out, Setting{"opt_name", s.Optimizer})
	}
	if s.LR.Kind == "" {
		return out
	}
	decay, how := s.LR.Decay, s.LR.Kind
	if how == "cosine" || how == "linear" {
		decay = s.Steps - s.LR.Warmup
	}
	if s.LR.Warmup > 0 {
		how += " with linear warmup"
	}
	return append(
		out, Setting{"opt_base_learning_rate", s.LR.Peak}, Setting{"opt_learning_rate_warmup_steps", s.LR.Warmup},
		Setting{"opt_learning_rate_decay_steps", decay}, Setting{"opt_learning_rate_decay_schedule", how},
	)
}

// mlperfName is a number format in MLPerf's words.
func mlperfName(dtype string) string {
	if dtype == "bf16" {
		return "bfloat16"
	}
	return dtype
}
