package campaign

import (
	"maps"
	"slices"
	"strings"

	"github.com/temper-ml/temper/internal/config"
)

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
	return firstOf(p.checkRows(path), p.checkGeneration(path))
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
		given := map[string]bool{
			"prompts": p.Prompts != 0, "group": p.Group != 0, "minibatches": p.Minibatches != 0, "prompt_length": p.PromptLength != 0, "max_length": p.MaxLength != 0, "spread": p.Spread != 0,
			"generation_dtype": p.GenerationDType != "", "generation_replica": p.Replica != 0, "placement": p.Placement != "", "train_share": p.TrainShare != 0, "off_policy": p.OffPolicy, "partial": p.Partial,
			"reference": p.Reference, "reward_seconds": p.RewardSeconds != 0, "teachers": p.Teachers != 0,
		}
		for _, name := range slices.Sorted(maps.Keys(given)) {
			if given[name] {
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
		config.Within(path+".generation_replica", float64(p.Replica), 0, 1<<24),
		config.Within(path+".minibatches", float64(p.Minibatches), 0, 1e4),
		config.Within(path+".prompt_length", p.PromptLength, 1, float64(p.Seq)),
		config.Within(path+".max_length", p.MaxLength, p.MeanLength, 1e7),
		config.Within(path+".spread", p.Spread, 0, 3),
		config.Within(path+".train_share", p.TrainShare, 0, 0.99),
		config.Within(path+".reward_seconds", p.RewardSeconds, 0, 1e6),
		config.Within(path+".teachers", float64(p.Teachers), teachers, 1000),
	)
}
