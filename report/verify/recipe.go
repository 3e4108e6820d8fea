package verify

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/temper-ml/temper/internal/config"
	"github.com/temper-ml/temper/report/record"
)

// recipe is what the text of a recipe says, as far as it is recomputed here. A
// recorded recipe has all defaults written out.
type recipe struct {
	Name   string        `yaml:"name"`
	Seed   uint64        `yaml:"seed"`
	Model  recipeModel   `yaml:"model"`
	Stages []recipeStage `yaml:"stages"`
	Record struct {
		DigestPeriod *int64 `yaml:"digest_period"`
	} `yaml:"record"`
}

type recipeModel struct {
	Load string `yaml:"load"`
	Init string `yaml:"init"`
}

type recipeStage struct {
	Name   string `yaml:"name"`
	Method string `yaml:"method"`
	Data   struct {
		Sequence int64 `yaml:"sequence"`
		Rows     int64 `yaml:"rows"`
	} `yaml:"data"`
	Epochs    float64 `yaml:"epochs"`
	Steps     int64   `yaml:"steps"`
	Slots     int64   `yaml:"gradient_slots"`
	MicroRows int64   `yaml:"micro_rows"`
	Optimizer struct {
		Name string `yaml:"name"`
	} `yaml:"optimizer"`
	LR struct {
		Name   string  `yaml:"name"`
		Peak   float64 `yaml:"peak"`
		Final  float64 `yaml:"final"`
		Warmup int64   `yaml:"warmup"`
		Decay  int64   `yaml:"decay"`
	} `yaml:"lr"`
	Loss struct {
		MTP     float64 `yaml:"mtp"`
		Indexer float64 `yaml:"indexer"`
	} `yaml:"loss"`
	DPO struct {
		Kind string `yaml:"kind"`
	} `yaml:"dpo"`
	// Of stages that learn from the model's own answers.
	Rollout *recipeRollout `yaml:"rollout"`
	Rewards []recipeReward `yaml:"rewards"`
	GRPO    struct {
		Dynamic bool `yaml:"dynamic"`
		KL      struct {
			Weight float64 `yaml:"weight"`
		} `yaml:"kl"`
	} `yaml:"grpo"`
	NonFinite string `yaml:"non_finite"`
	Eval      struct {
		Every  int64          `yaml:"every"`
		Suites map[string]any `yaml:"suites"`
	} `yaml:"eval"`
}

type recipeRollout struct {
	Prompts   int64 `yaml:"prompts"`
	Group     int64 `yaml:"group"`
	MaxTokens int64 `yaml:"max_tokens"`
	Updates   int64 `yaml:"updates"`
	Epochs    int64 `yaml:"epochs"`
	Ahead     int64 `yaml:"ahead"`
	Waves     int64 `yaml:"waves"`
}

// recipeReward is a rule: its name and weight, and one more key, its kind.
type recipeReward map[string]any

// name is what the record calls the rule.
func (r recipeReward) name() string {
	if n, ok := r["name"].(string); ok && n != "" {
		return n
	}
	for kind := range r {
		if kind != "name" && kind != "weight" {
			return kind
		}
	}
	return ""
}

// weight is what multiplies its value.
func (r recipeReward) weight() float64 {
	switch w := r["weight"].(type) {
	case float64:
		return w
	case uint64:
		return float64(w)
	case int64:
		return float64(w)
	}
	return 1
}

// round is how many steps a round has, 0 where a stage has none.
func (s *recipeStage) round() int64 {
	r := s.Rollout
	if r == nil || r.Updates < 1 || r.Epochs < 1 || r.Updates > mostRows || r.Epochs > mostRows {
		return 0
	}
	return r.Updates * r.Epochs
}

// maxRecipe bounds the text, maxRecipeLine its lines: the YAML reader is not to
// be trusted with more.
const (
	maxRecipe     = 256 << 10
	maxRecipeLine = 32 << 10
)

// readRecipe reads the text of a manifest.
func readRecipe(text string) (r *recipe, err error) {
	defer func() { // the YAML reader gives up on some malformed texts by panicking
		if p := recover(); p != nil {
			r, err = nil, fmt.Errorf("not understood as YAML (%v)", p)
		}
	}()
	if len(text) > maxRecipe {
		return nil, fmt.Errorf("%d bytes, at most %d are read", len(text), maxRecipe)
	}
	if line, rule := config.Tangled([]byte(text), maxRecipeLine); rule != "" {
		return nil, fmt.Errorf("line %d %s", line, rule)
	}
	r = &recipe{}
	d := yaml.NewDecoder(bytes.NewReader([]byte(text)))
	if err := d.Decode(r); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, errors.New("it is empty")
		}
		first, _, _ := strings.Cut(yaml.FormatError(err, false, false), "\n")
		return nil, errors.New(first)
	}
	return r, nil
}

// stageSteps is how many steps a recipe's stage has over so many rows an epoch:
// what it says, or as many as cover its epochs.
func (s *recipeStage) stageSteps(rows int64) int64 {
	if s.Epochs == 0 || s.Data.Rows < 1 {
		return s.Steps
	}
	all := float64(s.Epochs) * float64(rows)
	steps := int64(all) / s.Data.Rows
	if float64(steps)*float64(s.Data.Rows) < all {
		steps++
	}
	return steps
}

// accumulation is how many micro-batches a step has: each gradient slot's rows
// are cut apart, the rows of n slots being shared as evenly as they can be.
func (s *recipeStage) accumulation() int64 {
	rows, slots, micro := s.Data.Rows, s.Slots, s.MicroRows
	if rows < 1 || rows > mostRows || slots < 1 || slots > rows || micro < 1 {
		return 0
	}
	var n int64
	for i := range slots {
		n += ((i+1)*rows/slots - i*rows/slots + micro - 1) / micro
	}
	return n
}

// mostRows bounds the rows of a step, so that counting its slots takes no time.
const mostRows = 1 << 24

// schedule is the recipe's, as a record has it.
func (s *recipeStage) schedule() record.Schedule {
	return record.Schedule{Kind: s.LR.Name, Peak: s.LR.Peak, Final: s.LR.Final, Warmup: s.LR.Warmup, Decay: s.LR.Decay}
}

// contradicts returns the first field in which a stage entry is not what the
// recipe says, "" if it is in all of them.
func (s *recipeStage) contradicts(b *record.Stage) string {
	rows, micro := s.Data.Rows, s.MicroRows
	if s.round() > 0 { // the answers decide
		rows, micro = 0, 0
	}
	for _, f := range []struct {
		field      string
		said, want any
	}{
		{"name", b.Name, s.Name},
		{"method", b.Method, s.Method},
		{"steps", b.Steps, s.stageSteps(b.Rows)},
		{"batch", b.Batch, rows},
		{"sequence", b.Sequence, s.Data.Sequence},
		{"micro", b.Micro, micro},
		{"round", b.Round, s.round()},
		{"a divergence from an anchor", b.Anchor != "", s.GRPO.KL.Weight > 0},
		{"accumulation", b.Accumulation, s.accumulation()},
		{"optimizer", b.Optimizer, s.Optimizer.Name},
		{"lr.kind", b.LR.Kind, s.LR.Name},
		{"lr.peak", b.LR.Peak, s.LR.Peak},
		{"lr.final", b.LR.Final, s.LR.Final},
		{"lr.warmup", b.LR.Warmup, s.LR.Warmup},
		{"lr.decay", b.LR.Decay, s.LR.Decay},
		{"mtp", b.MTP, s.Loss.MTP > 0},
		{"indexer", b.Indexer, s.Loss.Indexer > 0},
	} {
		if f.said != f.want {
			return fmt.Sprintf("%s: %v, the recipe makes it %v", f.field, f.said, f.want)
		}
	}
	return ""
}
