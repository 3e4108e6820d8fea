package policy

import (
	"context"
	"fmt"

	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/posttrain/rollout"
	"github.com/temper-ml/temper/train"
)

// flight is a round that a goroutine samples with the behaviour weights.
type flight struct {
	kept
	cancel context.CancelFunc
	done   chan struct{} // closed when the rest is set
	round  *rollout.Round
	err    error
}

// goAhead begins to sample the round after r, by the weights at the beginning of r. If
// those are gone, because the stage is continued within r, the round must have been
// finished, or its weights kept.
func (s *Stage) goAhead(ctx context.Context, r *rollout.Round, begins bool) error {
	next := r.Number + 1
	if s.behaviour == nil || next >= s.rounds() {
		return nil
	}
	if !begins {
		whole, err := s.open(ctx, next, r)
		if err != nil {
			return s.resume(next, err)
		}
		s.flight = atGate(whole)
		return nil
	}
	copyParameters(s.behaviour, s.o.Policy)
	d, err := train.ParametersDigest(s.behaviour)
	if err != nil {
		return err
	}
	s.hold = &kept{next, r.First + r.Used, d}
	s.goOn(next)
	return nil
}

// goOn has the behaviour weights sample a round, if they are for it and nothing is
// being sampled.
func (s *Stage) goOn(number int64) {
	if s.flight != nil || s.hold == nil || s.hold.Round != number {
		return
	}
	ctx, cancel := context.WithCancel(context.Background()) // it outlives this call
	f := &flight{kept: *s.hold, cancel: cancel, done: make(chan struct{})}
	s.flight = f
	go func() {
		defer close(f.done)
		kernel.Beside(func() { f.round, f.err = s.o.Rounds.Sample(ctx, s.behaviour, f.Policy, f.Round, f.First) })
	}()
}

// wait returns when the round is sampled, or ctx has ended.
func (f *flight) wait(ctx context.Context) {
	kernel.Aside(func() {
		select {
		case <-f.done:
		case <-ctx.Done():
		}
	})
}

// landed reports whether the sampling has come to its end.
func (f *flight) landed() bool {
	select {
	case <-f.done:
		return true
	default:
		return false
	}
}

// atGate is the flight of a round that needs no sampling any more.
func atGate(r *rollout.Round) *flight {
	f := &flight{kept: kept{r.Number, r.First, r.Policy}, cancel: func() {}, done: make(chan struct{}), round: r}
	close(f.done)
	return f
}

// land waits for the round that is being sampled.
func (s *Stage) land(ctx context.Context) (*rollout.Round, error) {
	f := s.flight
	if f.wait(ctx); ctx.Err() != nil && !f.landed() {
		return nil, ctx.Err()
	}
	s.Idle()
	if f.err != nil {
		return nil, fmt.Errorf("policy: round %d, sampled ahead: %w", f.Round, f.err)
	}
	s.hold = nil
	return f.round, s.forget()
}

// copyParameters gives a model the weights of another of its kind.
func copyParameters(to, from *deepseek.Model) {
	for i, p := range from.Params() {
		dst := to.Params()[i].Data
		kernel.Parallel(len(dst), 1<<16, func(lo, hi int) { copy(dst[lo:hi], p.Data[lo:hi]) })
	}
}
