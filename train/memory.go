package train

import (
	"math/bits"

	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/train/optim"
)

// Memory is what the steps of a stage take, in bytes.
type Memory struct {
	Parameters  int64 `json:"parameters"`
	Gradients   int64 `json:"gradients"`   // the live ones and those of finished slots
	Optimizer   int64 `json:"optimizer"`   // its state
	Scratch     int64 `json:"scratch"`     // what Muon orthogonalises in
	Activations int64 `json:"activations"` // of the largest micro-batch
	Data        int64 `json:"data"`        // tokens and masks
	Program     int64 `json:"program"`     // the program itself: code, runtime, packing buffers
}

// programBytes is what a process holds before any model: measured, see docs/memory.md.
const programBytes = 40 << 20

// Total adds the parts up.
func (m *Memory) Total() int64 {
	return m.Parameters + m.Gradients + m.Optimizer + m.Scratch + m.Activations + m.Data + m.Program
}

// PlanMemory predicts the peak memory of a stage whose micro-batches look like
// the rows of the given steps, without allocating any of it. dataTokens is the
// number of tokens that are kept in memory. taught is the [Teaching.Shape] of a
// stage that has teachers, nil of others.
func PlanMemory(c Config, model *arch.Config, steps [][]Row, dataTokens int64, taught *deepseek.Distillation) (Memory, error) {
	recompute, err := deepseek.ParseRecompute(c.Recompute)
	if err != nil {
		return Memory{}, err
	}
	o := deepseek.StepOptions{
		LMScale: 1, MTPScale: float32(c.Loss.MTP), BalanceScale: float32(c.Loss.Balance),
		IndexerScale: float32(c.Loss.Indexer), Recompute: recompute, Distill: taught,
	}
	m := Memory{Data: 5 * dataTokens, Program: programBytes}
	plan := func(segments []deepseek.Segment) error {
		p, err := deepseek.PlanStep(model, segments, o)
		m.Parameters, m.Gradients = p.Parameters, p.Gradients
		m.Activations = max(m.Activations, p.Activations)
		return err
	}
	for _, b := range largest(c, steps) {
		// A micro-batch needs room for its own segments; the model reserves as
		// much as the same tokens need in one.
		if err := plan(b.Segments); err != nil {
			return m, err
		}
		if err := plan([]deepseek.Segment{{Start: 0, End: len(b.Tokens)}}); err != nil {
			return m, err
		}
	}
	m.Gradients *= int64(bits.Len(uint(c.Slots))) // one level of the tree for each doubling
	var params []*optim.Param
	for _, t := range model.Tensors() {
		if !t.Frozen && (t.Role != arch.Gate || c.Router.Train) {
			params = append(params, optimShape(&t))
		}
	}
	m.Optimizer, m.Scratch = optim.MemoryBytes(c.Optimizer, params)
	return m, nil
}

// largest returns the micro-batch with the most tokens of each step.
func largest(c Config, steps [][]Row) []*deepseek.Batch {
	var out []*deepseek.Batch
	for _, rows := range steps {
		var best *deepseek.Batch
		for slot := range c.Slots {
			lo, hi := slotRange(len(rows), c.Slots, slot)
			for ; lo < hi; lo += c.MicroRows {
				if b := microBatch(rows[lo:min(hi, lo+c.MicroRows)]); best == nil || len(b.Tokens) > len(best.Tokens) {
					best = b
				}
			}
		}
		out = append(out, best)
	}
	return out
}
