package verify

import (
	"context"
	"errors"

	"github.com/temper-ml/temper/report/record"
)

// Replayer takes steps of a recorded run again, on this machine.
type Replayer interface {
	// Starts are the positions whose complete state is at hand, in order: the
	// beginning of the run ({0, 0}), kept checkpoints. The end of a stage is
	// also the beginning of the next, {Stage+1, 0}, and is given as that too.
	Starts(ctx context.Context) ([]Position, error)
	// Replay takes the steps of seg, which begins at a start, and hands over
	// what this machine computes, in order, as the record has it:
	//
	//   - a [Kept] for rounds of the stage that the run keeps, the first time;
	//   - a *record.Rollout before the first step of a round that was sampled again,
	//     or a [Kept] where only its file can be had;
	//   - a *record.Step for each step, its times, MFU, memory and energy empty;
	//   - a *record.Evaluation, Took empty, after the steps where the record has
	//     one (those at the beginning of the segment first);
	//   - a *record.Routing where the record has one of steps that are all in the
	//     segment;
	//   - a *record.Checkpoint with the position and the digests of the complete
	//     state where the record has one, except at the beginning;
	//   - a *record.End with Weights at the end of the last stage.
	//
	// The state that it loads must be checked against the record's digests: an
	// error that wraps [ErrState] says that it is not what the record names.
	// Replay stops and returns the error when each returns one.
	Replay(ctx context.Context, seg Segment, each func(record.Body) error) error
}

// Plan says which steps are replayed.
type Plan struct {
	// All asks for every step, None for no step.
	All, None bool
	// Steps is how many steps to draw, 0 for one in a hundred; a stage that gets
	// none gets one.
	Steps int64
	// Seed is the verifier's: who made the run must not be able to guess it.
	Seed uint64
}

// ErrState says that a state that was loaded is not the one that the record names.
var ErrState = errors.New("not the state that the record names")

// Kept is a round as its file has it: what its steps learn need not be counted.
type Kept struct{ record.Rollout }
