package scheduletest

import (
	"errors"
	"fmt"

	"github.com/temper-ml/temper/distributed/mesh"
	"github.com/temper-ml/temper/distributed/schedule"
)

// update is how far the end of a step has come.
type update struct {
	reduced    bool              // gradients are complete over their groups
	shared     *gradient         // of the embedding's matrix, from this stage
	tied       map[int]*gradient // the same from the other stages that hold it
	norm       num
	hasNorm    bool
	in, out    bool // offloads
	optimized  bool
	applied    bool // the device has the new values
	checkpoint map[Weight]state
}

// updates executes the instructions that end a step.
func (r *rank) updates(in schedule.Instruction) error {
	switch in.Op {
	case schedule.ReduceReplicated:
		return r.replicated()
	case schedule.ReduceTied:
		return r.reduceTied(in)
	case schedule.Norm:
		return r.globalNorm()
	case schedule.OffloadIn:
		if r.in = true; r.Spec.Offload == schedule.OffloadHost {
			r.apply()
		}
	case schedule.OffloadOut:
		r.out = true
	case schedule.Optimizer:
		return r.optimize()
	case schedule.Checkpoint:
		if !r.optimized {
			return errors.New("nothing has been updated yet")
		}
		r.checkpoint = map[Weight]state{}
		for w, s := range r.state {
			r.checkpoint[w] = *s
		}
	default:
		return fmt.Errorf("no rank can do this")
	}
	return nil
}

// each calls f for all buckets of a rank that hold weights.
func (r *rank) each(f func(chunk int, c class, b *bucket)) {
	for chunk, held := range r.chunks {
		for c := range held {
			if b := &held[c]; len(b.weights) > 0 {
				f(chunk, class(c), b)
			}
		}
	}
}

// complete waits for the reductions of gradients. What no other rank holds needs
// none.
func (r *rank) complete() error {
	if r.reduced {
		return nil
	}
	r.reduced = true
	r.each(func(_ int, _ class, b *bucket) {
		if b.n == 1 {
			b.total.add(b.local)
			b.local = newGradient(len(b.weights), r.micros*r.tokens)
		}
	})
	return r.finish(func(in schedule.Instruction) bool { return in.Op == schedule.ReduceGradients })
}

// gradients calls f for every weight that the rank updates, with its gradient.
func (r *rank) gradients(f func(chunk int, b *bucket, i int, w Weight, g *gradient) error) error {
	matrix := r.ofStage()
	if matrix != nil && len(r.tied) > 0 {
		matrix = matrix.clone()
		for stage := range r.Pipeline.Stages {
			if g := r.tied[stage]; g != nil {
				matrix.add(g)
			}
		}
	}
	var err error
	done := false
	r.each(func(chunk int, c class, b *bucket) {
		total := b.total
		if c == shared {
			if done {
				return
			}
			total, done = matrix, true
		}
		from, to := b.owned()
		for i, w := range b.weights[from:to] {
			if err == nil {
				err = f(chunk, b, i, w, total)
			}
		}
	})
	return err
}

// globalNorm adds up the squares of all gradients, each weight once.
func (r *rank) globalNorm() error {
	sum, err := r.squares()
	if err != nil {
		return err
	}
	sums, err := exchange(r, mesh.All, "norm", same(sum, r.Spec.Mesh.World()))()
	r.norm, r.hasNorm = 0, true
	for _, s := range sums {
		r.norm = r.norm.add(s)
	}
	return err
}

func (r *rank) squares() (sum num, err error) {
	if err := r.complete(); err != nil {
		return 0, err
	}
	holders := r.Holders()
	err = r.gradients(func(chunk int, b *bucket, i int, w Weight, g *gradient) error {
		repeated := b.at > 0 && r.Spec.Zero == 0 || w.replicated() && r.at.TP > 0
		if b == &r.chunks[chunk][shared] {
			repeated = repeated || holders[0][0] != r.stage
		} else {
			repeated = repeated || r.Spec.Kind == schedule.DualPipe && chunk == 1
		}
		if !repeated {
			sum = sum.add(g.sum[i].mul(g.sum[i]))
		}
		return nil
	})
	return sum, err
}

// optimize updates the weights that the rank owns. It refuses a gradient that
// has not seen every token of the global batch as often as it must.
func (r *rank) optimize() error {
	if r.optimized {
		return errors.New("a second time")
	}
	if err := r.complete(); err != nil {
		return err
	}
	if r.Spec.Mesh.World() == 1 {
		r.norm, _ = r.squares()
	} else if !r.hasNorm {
		return errors.New("the norm of the gradient is not known")
	}
	swap, host := r.Spec.Offload == schedule.OffloadSwap, r.Spec.Offload == schedule.OffloadHost
	if r.in != swap || r.out != host {
		return fmt.Errorf("optimizer state or gradients are not where offload %q wants them", r.Spec.Offload)
	}
	err := r.gradients(func(_ int, _ *bucket, i int, w Weight, g *gradient) error {
		if err := r.provenance(w, g.slice(i, i+1)); err != nil {
			return err
		}
		s := r.state[w]
		s.momentum = s.momentum.mul(3).add(g.sum[i].mul(r.norm.add(7)))
		s.value = s.value.sub(s.momentum.mul(5))
		return nil
	})
	if r.optimized = true; !host {
		r.apply()
	}
	r.each(func(_ int, _ class, b *bucket) { b.total = newGradient(len(b.total.sum), r.micros*r.tokens) })
	return err
}

// provenance checks which tokens a gradient has seen.
func (r *rank) provenance(w Weight, g *gradient) error {
	for micro := range r.micros {
		for token := range r.tokens {
			have, want := int(g.seen[micro*r.tokens+token]), r.uses(w, r.step, micro, token)
			if have != want {
				return fmt.Errorf("wrong provenance: the gradient of %v has seen token %d of microbatch %d %d times, must have %d times", w, token, micro, have, want)
			}
		}
	}
	return nil
}

// apply puts the new values where products and gathers read them.
func (r *rank) apply() {
	r.applied = true
	for _, s := range r.state {
		s.device = s.value
	}
	r.each(func(_ int, _ class, b *bucket) {
		from, to := b.owned()
		if b.sharded() {
			return
		}
		value := map[Weight]num{}
		for w, v := range b.value {
			value[w] = v
		}
		for _, w := range b.weights[from:to] {
			value[w] = r.state[w].value
		}
		b.value = value
	})
}

// endStep checks that nothing of the step is left.
func (r *rank) endStep() error {
	switch {
	case !r.optimized || !r.applied:
		return errors.New("the weights have not been updated")
	case r.Spec.Checkpoint && r.checkpoint == nil:
		return errors.New("there is no checkpoint")
	case (r.in && r.out) != (r.Spec.Offload == schedule.OffloadSwap || r.Spec.Offload == schedule.OffloadHost):
		return errors.New("offloaded state has not come back")
	case len(r.inbox)+len(r.outbox)+len(r.tapes) > 0:
		return fmt.Errorf("%d messages received and not used, %d computed and not sent, %d microbatches without their backward", len(r.inbox), len(r.outbox), len(r.tapes))
	}
	for w, s := range r.checkpoint {
		if *r.state[w] != s {
			return fmt.Errorf("the checkpoint has another value of %v", w)
		}
	}
	return nil
}
