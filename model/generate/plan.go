package generate

import (
	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/model/deepseek"
)

// Memory is what an engine takes besides its model, in bytes, at most.
type Memory struct {
	// Cache is what grows with sequences, Sequences what each takes whatever its length.
	Cache     int64 `json:"cache"`
	Sequences int64 `json:"sequences"`
	// Scratch is of a pass: the model's own scratch memory, which training uses too.
	Scratch int64 `json:"scratch"`
	Logits  int64 `json:"logits"`
}

// PlanMemory predicts the memory of an engine, without taking any. Context and
// Sequences must be given.
func PlanMemory(cfg *arch.Config, o Options) (Memory, error) {
	size, err := deepseek.CacheSizeOf(cfg, o.cache())
	if err != nil {
		return Memory{}, err
	}
	if o.CacheBytes == 0 {
		o.CacheBytes = o.roomFor(cfg, &size)
	}
	if o.StepTokens == 0 {
		o.StepTokens = 512 + o.Sequences*o.width()
	}
	rows := o.Sequences * o.width()
	m := Memory{
		Cache: o.CacheBytes, Sequences: int64(2*o.Sequences) * size.Sequence,
		Logits: 4 * int64(rows) * int64(cfg.VocabSize),
	}
	m.Scratch, err = deepseek.PlanPasses(cfg, o.cache(), o.StepTokens, o.Sequences, rows)
	return m, err
}
