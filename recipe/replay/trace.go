package replay

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"

	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/recipe/execution"
	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/record/trace"
	"github.com/temper-ml/temper/report/verify"
	"github.com/temper-ml/temper/train"
)

// Trace takes step at.Step of a stage and shows to what each of its operators
// computes. The state before it is reached from the last start.
func (r *Replayer) Trace(ctx context.Context, at verify.Position, to *train.Tracing) error {
	return r.on(r.way, func() error { return r.trace(ctx, at, to) })
}

func (r *Replayer) trace(ctx context.Context, at verify.Position, to *train.Tracing) error {
	if err := r.prepare(ctx); err != nil {
		return err
	}
	if err := r.reach(ctx, at); err != nil {
		return err
	}
	r.at = nil
	if _, err := r.round(ctx); err != nil {
		return err
	}
	if err := r.part.Prepare(ctx); err != nil {
		return unmet(ctx, r.part.Name, err)
	}
	to.Touch = r.touch
	r.part.Trainer.Trace(to)
	_, err := r.part.Trainer.Step(ctx)
	return errors.Join(err, to.Err)
}

// on calls f, which computes, while this replay computes in a way.
func (r *Replayer) on(way Way, f func() error) error {
	undo, err := way.set()
	if err != nil {
		return err
	}
	defer undo()
	if way != r.way {
		own := r.way
		r.close()
		r.way = way
		defer func() {
			r.close()
			r.way = own
		}()
	}
	// As a run does: nearly all memory is a few large slabs without pointers.
	defer debug.SetGCPercent(debug.SetGCPercent(execution.GarbagePercent))
	defer func() { r.part.Idle() }() // the next may compute in another way
	return f()
}

// close forgets the state of the machine.
func (r *Replayer) close() {
	_ = r.part.Close() // of a replay nothing is kept
	r.part, r.at = nil, nil
}

// unmet is an error of a stage by name, as something that is missing if its teachers are what
// failed: they are no part of the run, and without them, or with others, nothing follows
// about it.
func unmet(ctx context.Context, stage string, err error) error {
	err = fmt.Errorf("stage %s: %w", stage, err)
	var u *execution.Unmet
	if ctx.Err() == nil && errors.As(err, &u) {
		return missing("%w: the replay needs the models that the run learnt from: give the folder that has them with --data", err)
	}
	return err
}

// ran is how the run computed a stage, as far as this machine can; what it
// cannot is chosen other than this replay's.
func (r *Replayer) ran(stage int) Way {
	w := Way{Threads: r.run.Threads, Micro: r.recipe.Stages[stage].MicroRows}
	if slices.Contains(kernel.Paths(), r.run.SIMD) {
		w.SIMD = r.run.SIMD
	}
	if w.SIMD == r.way.SIMD {
		w.SIMD = ""
	}
	w, err := w.Other(r.way, kernel.Paths(), kernel.Threads())
	if err != nil { // a thread count that no machine has
		w.Threads = kernel.Threads()
	}
	return w
}

// Header is that of the trace of a step.
func (r *Replayer) Header(at verify.Position) (trace.Header, error) {
	text, err := record.Marshal(r.manifest)
	return trace.Header{
		Format: trace.Format, Run: r.manifest.Run, Manifest: record.SHA256(text), Stage: at.Stage, Step: at.Step,
		Program: execution.Program().Version, Path: r.way.SIMD, Threads: r.way.Threads,
	}, err
}

// Entries returns the trace of a step, 150 bytes an entry.
func (r *Replayer) Entries(ctx context.Context, at verify.Position) ([]trace.Entry, error) {
	var all []trace.Entry
	err := r.Trace(ctx, at, &train.Tracing{Each: func(e trace.Entry) error {
		all = append(all, e)
		return nil
	}})
	return all, err
}

// Values returns what an operator of a step computed, as bits.
func (r *Replayer) Values(ctx context.Context, at verify.Position, o trace.Operator) ([]uint32, error) {
	t := &train.Tracing{Want: &o}
	if err := r.Trace(ctx, at, t); err != nil {
		return nil, err
	}
	if t.Blocks == nil {
		return nil, fmt.Errorf("replay: step %d of stage %d has no operator %q", at.Step, at.Stage, o)
	}
	return t.Values, nil
}

// Contradiction is where this machine, computing a step in two ways, got two
// results: it is at fault, and nothing that it computes tells of a run.
type Contradiction struct {
	// Index is the place of the operator in the step's trace.
	Index    int64
	Operator trace.Operator
	// Element is the first that differs, First and Second are its bits, computed
	// in the two ways.
	Element       int64
	First, Second uint32
	Ways          [2]Way
	// Err is set instead where a way contradicts itself.
	Err error
}

// String says it in a sentence.
func (c *Contradiction) String() string {
	if c.Err != nil {
		return fmt.Sprintf("this machine contradicts itself on %s: %v", c.Ways[0], c.Err)
	}
	return fmt.Sprintf("this machine contradicts itself: %s, element %d, is %#08x on %s and %#08x on %s", c.Operator, c.Element, c.First, c.Ways[0], c.Second, c.Ways[1])
}

// Contradicts takes a step in two ways, that of this replay and that of the run
// as far as this machine has it, and returns the first operator on which they
// differ, nil if they agree. It keeps 32 bytes of each operator.
func (r *Replayer) Contradicts(ctx context.Context, at verify.Position) (*Contradiction, error) {
	ways := [2]Way{r.way, r.ran(at.Stage)}
	var first []record.Digest
	c := &Contradiction{Index: -1, Ways: ways}
	for i, way := range ways {
		n := 0
		t := &train.Tracing{Each: func(e trace.Entry) error {
			sum := record.SHA256(e.Append(nil))
			switch {
			case i == 0:
				first = append(first, sum)
			case n >= len(first) || first[n] != sum:
				c.Index, c.Operator = int64(n), e.Operator
				return errFound
			}
			n++
			return nil
		}}
		err := r.on(way, func() error { return r.trace(ctx, at, t) })
		var again *train.RecomputeError
		switch {
		case errors.As(err, &again):
			c.Err, c.Operator, c.Ways[0] = again, again.Operator, way
			return c, nil
		case errors.Is(err, errFound):
			return c, r.elements(ctx, at, c)
		case err != nil:
			return nil, err
		}
	}
	return nil, nil //nolint:nilnil // none was found
}

// errFound ends a trace of which the rest does not matter.
var errFound = errors.New("found")

// elements finds the first element on which the two ways differ.
func (r *Replayer) elements(ctx context.Context, at verify.Position, c *Contradiction) error {
	var values [2][]uint32
	for i, way := range c.Ways {
		err := r.on(way, func() (err error) {
			values[i], err = r.Values(ctx, at, c.Operator)
			return err
		})
		if err != nil {
			return err
		}
	}
	c.Element = firstDifference(values[0], values[1])
	if c.Element < int64(min(len(values[0]), len(values[1]))) {
		c.First, c.Second = values[0][c.Element], values[1][c.Element]
	}
	return nil
}

// firstDifference is the first place where two lists differ, the length of the
// shorter one if one begins with the other.
func firstDifference(a, b []uint32) int64 {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return int64(i)
		}
	}
	return int64(n)
}
