package generate

import (
	"errors"
	"fmt"

	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/model/deepseek"
)

// Options bound what an engine takes on. Zero values stand for defaults.
type Options struct {
	// Context is the most tokens of a sequence: the model's.
	Context int
	// Sequences is the most that run at a time: 16.
	Sequences int
	// StepTokens is the most tokens of a pass, of prompts and answers together: 512
	// more than all running sequences may add.
	StepTokens int
	// Queue is the most requests that wait: 1024.
	Queue int
	// CacheBytes bounds the memory of what grows with sequences, and of snapshots: room
	// for Sequences of Context tokens and a snapshot of each. It is taken from the heap
	// when it is used.
	CacheBytes int64
	// Latent makes V3's attention keep latent vectors only: see
	// [deepseek.CacheOptions].
	Latent bool
	// Speculate drafts a token with the model's MTP block, and keeps it if it is
	// what sampling gives. The tokens are the same, in fewer passes.
	Speculate bool
	// Share is how many tokens more than what is at hand prompts must have in common
	// to be worth a snapshot, and waiting for each other: 32. Equal prompts always are.
	Share int
	// Keep keeps snapshots when no request needs them any more, for requests to come:
	// of each sequence at its end, which the next turn of a conversation continues, and
	// where prompts part. They are given up, the least recently used first, when the
	// cache needs room.
	Keep bool
}

// width returns how many tokens a running sequence adds in a step, at most.
func (o *Options) width() int {
	if o.Speculate {
		return 2
	}
	return 1
}

// fill completes o for a model.
func (o *Options) fill(m *deepseek.Model) error {
	def := func(v *int, to int) {
		if *v == 0 {
			*v = to
		}
	}
	def(&o.Context, m.Config().MaxPositions)
	def(&o.Sequences, 16)
	def(&o.Queue, 1024)
	def(&o.Share, 32)
	def(&o.StepTokens, 512+o.Sequences*o.width())
	switch {
	case o.Sequences < 1 || o.Sequences > 1<<16:
		return fmt.Errorf("generate: sequences is %d, want 1 to %d", o.Sequences, 1<<16)
	case o.Queue < 1:
		return fmt.Errorf("generate: queue is %d, want at least 1", o.Queue)
	case o.StepTokens <= o.Sequences*o.width():
		return fmt.Errorf("generate: step tokens is %d, but %d running sequences may add %d a step: want more, so that prompts get on", o.StepTokens, o.Sequences, o.Sequences*o.width())
	case o.Share < 1:
		return fmt.Errorf("generate: share is %d, want at least 1", o.Share)
	case o.CacheBytes < 0:
		return fmt.Errorf("generate: cache bytes is %d, want 0 or more", o.CacheBytes)
	case o.Speculate && m.Config().NumMTP == 0:
		return fmt.Errorf("generate: speculation needs an mtp block, the model has none")
	}
	if o.CacheBytes > 0 {
		return nil
	}
	size, err := deepseek.CacheSizeOf(m.Config(), o.cache())
	if err != nil {
		return err
	}
	o.CacheBytes = o.roomFor(m.Config(), &size)
	return nil
}

// roomFor is what the cache has if nothing else is said: one prompt's snapshot for each
// sequence, besides the sequence.
func (o *Options) roomFor(cfg *arch.Config, size *deepseek.CacheSize) int64 {
	each := 2*size.Pages(o.Context) + snapshotPages(cfg, size)
	return max(int64(o.Sequences)*int64(each)*size.PageBytes, size.PageBytes)
}

// snapshotPages returns how many pages a snapshot counts for besides its own: what is
// newest of a sequence, and logits.
func snapshotPages(cfg *arch.Config, size *deepseek.CacheSize) int {
	return int((size.Sequence + 4*int64(cfg.VocabSize) + size.PageBytes - 1) / size.PageBytes)
}

func (o *Options) cache() deepseek.CacheOptions {
	return deepseek.CacheOptions{Context: o.Context, Back: o.width() - 1, Latent: o.Latent, Predict: o.Speculate, Bytes: o.CacheBytes}
}

// ErrFull is what every [FullError] is.
var ErrFull = errors.New("full")

// FullError refuses a request that may be submitted again later.
type FullError struct {
	Waiting, Queue   int // requests that wait, and may wait
	Running          int
	FreePages, Pages int // of the cache
}

// Error says what is free.
func (e *FullError) Error() string {
	return fmt.Sprintf("generate: full: %d of %d requests wait, %d run, %d of %d pages of the cache are free: submit again later",
		e.Waiting, e.Queue, e.Running, e.FreePages, e.Pages)
}

// Is makes errors.Is(err, ErrFull) true.
func (e *FullError) Is(target error) bool { return target == ErrFull }
