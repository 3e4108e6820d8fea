package scheduletest

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/temper-ml/temper/distributed/mesh"
	"github.com/temper-ml/temper/distributed/schedule"
)

// Value is what two steps make of a weight and of the optimizer's state for it.
type Value struct{ Weight, Momentum uint64 }

// Result is what a run leaves.
type Result struct {
	// Weights holds the value of every weight of the model, which all ranks that
	// hold it agree on.
	Weights map[Weight]Value
	// InFlight is the most microbatches, of one chunk each, that a rank of each
	// stage has held between forward and backward.
	InFlight []int
}

// steps is how often a run repeats the program: the second step computes with
// what the first has updated and gathered.
const steps = 2

// Run executes a program on one goroutine per rank. It returns an error as soon
// as all ranks have ended or wait: the first fault of the lowest rank, or who
// waits for whom. When the context is done first, the error says the same of
// that moment.
func Run(ctx context.Context, p *schedule.Program) (*Result, error) { return run(ctx, p, 0) }

func run(ctx context.Context, p *schedule.Program, tokens int) (*Result, error) {
	t, err := newToy(p, tokens)
	if err != nil {
		return nil, err
	}
	world := p.Spec.Mesh.World()
	n := newNetwork(world)
	ranks, faults := make([]*rank, world), make([]error, world)
	for id := range ranks {
		ranks[id] = newRank(t, n, id)
	}
	release := context.AfterFunc(ctx, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.stop(fmt.Sprintf("%v after: %s", ctx.Err(), n.deadlock()))
	})
	defer release()
	var group sync.WaitGroup
	for id, r := range ranks {
		group.Go(func() {
			faults[id] = r.run(steps)
			how := "has ended"
			if faults[id] != nil {
				how = "has failed"
			}
			n.end(id, how)
		})
	}
	group.Wait()
	for _, err := range faults {
		if err != nil && !errors.Is(err, errStopped) {
			return nil, err
		}
	}
	if n.cause != "" {
		return nil, errors.New(n.cause)
	}
	if r, ok := n.left(); ok {
		return nil, fmt.Errorf("scheduletest: rank %d has not taken what rank %d sent it", r.to, r.from)
	}
	return collect(t, ranks)
}

// collect puts the weights of all ranks together.
func collect(t *toy, ranks []*rank) (*Result, error) {
	out := &Result{Weights: map[Weight]Value{}, InFlight: make([]int, t.Pipeline.Stages)}
	holder := map[Weight]int{}
	note := func(w Weight, v Value, id int) error {
		if was, ok := out.Weights[w]; ok && was != v {
			return fmt.Errorf("scheduletest: ranks %d and %d have different values of %v", holder[w], id, w)
		}
		out.Weights[w], holder[w] = v, id
		return nil
	}
	for _, r := range ranks {
		out.InFlight[r.stage] = max(out.InFlight[r.stage], r.most)
		for w, s := range r.state {
			if err := note(w, Value{uint64(s.value), uint64(s.momentum)}, r.id); err != nil {
				return nil, err
			}
		}
	}
	for _, r := range ranks { // what was gathered
		var err error
		r.each(func(_ int, _ class, b *bucket) {
			for i, w := range b.weights {
				v, ok := b.value[w]
				if _, known := out.Weights[w]; err == nil && (!known || ok && uint64(v) != out.Weights[w].Weight || !ok && !b.sharded()) {
					err = fmt.Errorf("scheduletest: rank %d: weight %d of %d, %v, has not been gathered", r.id, i, len(b.weights), w)
				}
			}
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Reference returns the program of one rank that trains the same model on the
// same global batch, one microbatch after the other.
func Reference(p *schedule.Program) (*schedule.Program, error) {
	s := schedule.Spec{
		Mesh: mesh.Mesh{TP: 1, CP: 1, DP: 1, PP: 1, EP: 1, ETP: 1}, Kind: schedule.OneFOneB,
		Chunks: 1, Micro: p.Spec.Mesh.DP * p.Spec.Micro, Experts: p.Spec.Experts, Tied: p.Spec.Tied,
		Split: schedule.Split{Parts: []schedule.Part{{Blocks: p.Spec.Split.Blocks(), Embedding: true, MTP: p.Spec.Split.MTP(), Head: true}}},
	}
	return schedule.NewProgram(s)
}

// Check runs a program and its reference, and reports the first fault: one that
// Run finds, or a weight in which two steps of the two differ.
func Check(ctx context.Context, p *schedule.Program) error {
	reference, err := Reference(p)
	if err != nil {
		return err
	}
	t, err := newToy(p, 0)
	if err != nil {
		return err
	}
	want, err := run(ctx, reference, t.tokens)
	if err != nil {
		return fmt.Errorf("scheduletest: reference: %w", err)
	}
	have, err := run(ctx, p, t.tokens)
	if err != nil {
		return err
	}
	for w, v := range want.Weights {
		if have.Weights[w] != v {
			return fmt.Errorf("scheduletest: %v is %+v, must be %+v", w, have.Weights[w], v)
		}
	}
	if len(have.Weights) != len(want.Weights) {
		return fmt.Errorf("scheduletest: %d weights, must be %d", len(have.Weights), len(want.Weights))
	}
	return nil
}
