package deepseek

import (
	"fmt"

	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/nn"
)

// Segment is one isolated sequence of a batch.
type Segment = nn.Segment

// Batch is one micro-batch: T tokens in contiguous segments that do not see
// each other. Positions, attention windows, compression blocks and label shifts
// start anew in each segment.
type Batch struct {
	// Tokens are the ids of the inputs.
	Tokens []int32
	// Labels[i] is the token that position i is to predict, -1 where position i
	// is not supervised.
	Labels []int32
	// Segments cover [0, T) in order.
	Segments []Segment
	// MTPLabels[i] is the token that the first multi-token-prediction block is to
	// predict at position i, the one after Labels[i]. When nil it is Labels[i+1]
	// within the segment and -1 at its end.
	MTPLabels []int32
}

// check tells what is wrong with the batch for the given configuration.
func (b *Batch) check(cfg *arch.Config) error {
	n := len(b.Tokens)
	if n == 0 {
		return fmt.Errorf("deepseek: batch is empty, want at least one token")
	}
	if len(b.Labels) != n {
		return fmt.Errorf("deepseek: batch has %d labels for %d tokens", len(b.Labels), n)
	}
	if b.MTPLabels != nil && len(b.MTPLabels) != n {
		return fmt.Errorf("deepseek: batch has %d mtp labels for %d tokens", len(b.MTPLabels), n)
	}
	if err := nn.CheckSegments(b.Segments, n); err != nil {
		return fmt.Errorf("deepseek: batch: %w", err)
	}
	for i, s := range b.Segments {
		if s.Len() > cfg.MaxPositions {
			return fmt.Errorf("deepseek: segment %d has %d tokens, the model has %d positions", i, s.Len(), cfg.MaxPositions)
		}
	}
	for i, id := range b.Tokens {
		if id < 0 || int(id) >= cfg.VocabSize {
			return fmt.Errorf("deepseek: token %d at position %d is outside the vocabulary of %d", id, i, cfg.VocabSize)
		}
	}
	for _, labels := range [][]int32{b.Labels, b.MTPLabels} {
		for i, id := range labels {
			if id < -1 || int(id) >= cfg.VocabSize {
				return fmt.Errorf("deepseek: label %d at position %d is neither -1 nor in the vocabulary of %d", id, i, cfg.VocabSize)
			}
		}
	}
	return nil
}

// Supervised counts the labels that are not -1.
func (b *Batch) Supervised() int {
	n := 0
	for _, l := range b.Labels {
		if l >= 0 {
			n++
		}
	}
	return n
}

// Work describes the batch to [arch.Config.FLOPs]: what a step with these options
// processes.
func (b *Batch) Work(o StepOptions) arch.Work {
	w := arch.Work{MTP: o.MTPScale != 0, IndexerLoss: o.IndexerScale != 0}
	for _, s := range b.Segments {
		w.Lengths = append(w.Lengths, s.Len())
	}
	return w
}
