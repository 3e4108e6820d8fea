package replay

import (
	"context"
	"fmt"
	"math"
	"strings"

	"github.com/temper-ml/temper/report/verify"
	"github.com/temper-ml/temper/train/checkpoint"
)

// Explanation is what a search after a divergence came to. One of its parts is
// set at most.
type Explanation struct {
	// Machine is where this machine contradicts itself: then the divergence says
	// nothing about the run.
	Machine *Contradiction
	// State is where the next checkpoint that the run keeps differs from the state
	// that this machine comes to.
	State *StateDifference
	// Same is the position of such a checkpoint that is equal in every bit: the
	// training was as it is here, and what the record says of the step is not.
	Same *verify.Position
	// NotSearched says why none of the others is known.
	NotSearched string
}

// StateDifference is the first value of a checkpoint that is another here.
type StateDifference struct {
	At verify.Position
	// Tensor is the first that differs, of Tensors that do; Element its first
	// value, Recorded and Computed the two values.
	Tensor             string
	Tensors            int
	Element            int64
	Recorded, Computed float32
}

// String says in sentences what was found.
func (e *Explanation) String() string {
	switch {
	case e.Machine != nil:
		return e.Machine.String() + ": nothing follows about the run"
	case e.State != nil:
		s := e.State
		return fmt.Sprintf("two ways of computing agree here; the checkpoint after %d steps of stage %d has other values in %d tensors, the first %s, element %d: %v there, %v here",
			s.At.Step, s.At.Stage, s.Tensors, s.Tensor, s.Element, s.Recorded, s.Computed)
	case e.Same != nil:
		return fmt.Sprintf("two ways of computing agree here; the checkpoint after %d steps of stage %d is the state that this machine comes to, in every bit: the steps were taken as here, and the record says something else of them", e.Same.Step, e.Same.Stage)
	}
	return e.NotSearched
}

// Explain searches on after a replay that diverged. It takes the step twice on
// this machine, in two ways, and compares operator by operator; if they agree,
// it goes on to the next checkpoint that the run keeps and compares it value by
// value, for which it needs as much memory again as parameters and optimizer.
func (r *Replayer) Explain(ctx context.Context, d *verify.Divergence) (*Explanation, error) {
	at := verify.Position{Stage: d.Stage, Step: d.Step}
	if !ofStep(d.Quantity) { // of the state after so many steps
		if at.Step == 0 {
			return &Explanation{NotSearched: "it was computed before any step: there is none to look into"}, nil
		}
		at.Step--
	}
	e := &Explanation{}
	var err error
	if e.Machine, err = r.Contradicts(ctx, at); err != nil || e.Machine != nil {
		return e, err
	}
	next := r.next(at)
	if next == nil {
		e.NotSearched = fmt.Sprintf("two ways of computing step %d of stage %d agree here; the run keeps no checkpoint after it to compare with", at.Step, at.Stage)
		return e, nil
	}
	err = r.on(r.way, func() error { return r.compareState(ctx, at, next, e) })
	return e, err
}

// ofStep tells quantities of a step's entry from those of other entries.
func ofStep(quantity string) bool {
	for _, p := range []string{"evaluation.", "checkpoint.", "end."} {
		if strings.HasPrefix(quantity, p) {
			return false
		}
	}
	return true
}

// next is the first save of a stage after a step.
func (r *Replayer) next(at verify.Position) *save {
	var next *save
	for p, s := range r.saves {
		if p.Stage == at.Stage && p.Step > at.Step && (next == nil || p.Step < next.at().Step) {
			next = s
		}
	}
	return next
}

// compareState takes steps from a position to a save and compares the states.
func (r *Replayer) compareState(ctx context.Context, from verify.Position, to *save, e *Explanation) error {
	if err := r.reach(ctx, from); err != nil {
		return err
	}
	defer r.close() // the state may not be the record's
	for at := from; at.Step < to.at().Step; at.Step++ {
		if err := r.step(ctx, nil); err != nil {
			return err
		}
	}
	here := r.part.State()
	there := make([]checkpoint.Tensor, len(here))
	for i, t := range here {
		there[i] = checkpoint.Tensor{Name: t.Name, Shape: t.Shape, Data: make([]float32, len(t.Data))}
	}
	if _, err := to.Load(there); err != nil {
		return fmt.Errorf("%w: %s: %w", verify.ErrState, to.Checkpoint.Path, err)
	}
	d := StateDifference{At: to.at()}
	for i := range here {
		n := differs(there[i].Data, here[i].Data)
		if n < 0 {
			continue
		}
		if d.Tensors == 0 {
			d.Tensor, d.Element, d.Recorded, d.Computed = here[i].Name, n, there[i].Data[n], here[i].Data[n]
		}
		d.Tensors++
	}
	if d.Tensors > 0 {
		e.State = &d
	} else {
		e.Same = &d.At
	}
	return nil
}

// differs returns the first place where bits differ, -1 if none.
func differs(a, b []float32) int64 {
	for i := range a {
		if math.Float32bits(a[i]) != math.Float32bits(b[i]) {
			return int64(i)
		}
	}
	return -1
}
