package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sort"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/runlog"
)

// Bounds of what a log may make this package keep. A step takes 72 bytes.
const (
	maxSteps  = 1 << 28
	maxEvents = 1 << 20 // checkpoints, evaluations
	maxStages = 1 << 12
)

// Log is what one pass over a record keeps: its manifest, the steps that stand
// (those that no recovery took back), checkpoints and evaluations.
type Log struct {
	// Dir is the run directory. Manifest is nil when it could not be read.
	Dir      string
	Manifest *record.Manifest
	// Summary says how far the log was read and signed.
	Summary runlog.Summary
	Begin   *record.Begin
	// Stages that were entered, and what stands of what happened in them.
	Stages      []Stage
	Checkpoints []Checkpoint
	Evaluations []Evaluation
	Routings    []Routing
	Rollouts    []Rollout
	// End is nil when the run has not ended.
	End      *record.End
	EndIndex int64
	// NotChecked says what no check looked at, and why.
	NotChecked []string

	trusted    bool
	complete   bool // read to its end, in an order that makes sense
	steps      []step
	arithmetic *arithmetic
}

// Stage is a stage entry, the first of its stage.
type Stage struct {
	record.Stage
	Index int64
	first int // of its steps, in Log.steps
}

// Checkpoint is a checkpoint entry.
type Checkpoint struct {
	record.Checkpoint
	Index int64
}

// Position is where the checkpoint was taken.
func (c *Checkpoint) Position() Position { return Position{c.Stage, c.Checkpoint.Step} }

// Evaluation is an evaluation entry.
type Evaluation struct {
	record.Evaluation
	Index int64
}

// Position is where the evaluation was made.
func (e *Evaluation) Position() Position { return Position{e.Stage, e.Evaluation.Step} }

// Rollout is a rollout entry.
type Rollout struct {
	record.Rollout
	Index int64
}

// Position is where the round was entered: before its first step.
func (r *Rollout) Position() Position { return Position{r.Stage, r.Step} }

// Round returns the standing rollout entry of a round, nil without one.
func (l *Log) Round(stage int, round int64) *Rollout {
	n := sort.Search(len(l.Rollouts), func(i int) bool {
		r := &l.Rollouts[i]
		return r.Stage > stage || r.Stage == stage && r.Round >= round
	})
	if n == len(l.Rollouts) || l.Rollouts[n].Stage != stage || l.Rollouts[n].Round != round {
		return nil
	}
	return &l.Rollouts[n]
}

// Routing is a routing entry: how the tokens of steps From <= s < To of a stage
// were routed.
type Routing struct {
	Stage    int
	From, To int64
	// Table is the digest of its counts.
	Table record.Digest
	Index int64
}

// RoutingTo returns the last standing routing entry that ends at a position, nil
// without one.
func (l *Log) RoutingTo(p Position) *Routing {
	n := sort.Search(len(l.Routings), func(i int) bool { r := &l.Routings[i]; return p.Before(Position{r.Stage, r.To}) })
	if n == 0 || l.Routings[n-1].Stage != p.Stage || l.Routings[n-1].To != p.Step {
		return nil
	}
	return &l.Routings[n-1]
}

// step is what is kept of a step that stands: where its entry is, a hash to know
// it again, and sums of its stage up to and with it.
type step struct {
	offset  int64
	index   int64
	sum     sums
	length  int32
	skipped bool
	hash    [16]byte
}

// Steps is the number of steps that stand.
func (l *Log) Steps() int64 { return int64(len(l.steps)) }

// Taken is how many steps of a stage stand, 0 for one that was not entered.
func (l *Log) Taken(stage int) int64 {
	if stage < 0 || stage >= len(l.Stages) {
		return 0
	}
	end := len(l.steps)
	if stage+1 < len(l.Stages) {
		end = l.Stages[stage+1].first
	}
	return int64(end - l.Stages[stage].first)
}

// between adds up the steps from <= s < to of a stage, which stand.
func (l *Log) between(stage int, from, to int64) sums {
	first := int64(l.Stages[stage].first)
	var out sums
	if to > 0 {
		out = l.steps[first+to-1].sum
	}
	if from > 0 {
		out.sub(l.steps[first+from-1].sum)
	}
	return out
}

// Step reads the standing entry of step p.Step of a stage again. It is an error
// if the log has changed since.
func (l *Log) Step(p Position) (*record.Step, int64, error) {
	if p.Step < 0 || p.Step >= l.Taken(p.Stage) {
		return nil, 0, fmt.Errorf("verify: no step %d of stage %d in the log: it has %d", p.Step, p.Stage, l.Taken(p.Stage))
	}
	k := &l.steps[int64(l.Stages[p.Stage].first)+p.Step]
	root, err := os.OpenRoot(l.Dir)
	if err != nil {
		return nil, 0, fmt.Errorf("verify: %w", err)
	}
	defer root.Close()
	f, err := openFile(&directory{root, context.Background()}, recordDir+"/"+runlog.LogName)
	if err != nil {
		return nil, 0, fmt.Errorf("verify: %w", err)
	}
	defer f.Close()
	s, err := k.read(f)
	return s, k.index, err
}

// read reads the entry of a step again.
func (k *step) read(f io.ReaderAt) (*record.Step, error) {
	text := make([]byte, k.length)
	if n, err := f.ReadAt(text, k.offset); n < len(text) {
		return nil, fmt.Errorf("verify: entry %d: %w", k.index, errors.Join(err, io.ErrUnexpectedEOF))
	}
	if h := tlog.RecordHash(text); [16]byte(h[:16]) != k.hash {
		return nil, fmt.Errorf("verify: entry %d: the log was changed while it was verified", k.index)
	}
	e := &record.Entry{}
	if err := record.Unmarshal(text, e); err != nil {
		return nil, fmt.Errorf("verify: entry %d: %w", k.index, err)
	}
	s, ok := e.Body.(*record.Step)
	if !ok {
		return nil, fmt.Errorf("verify: entry %d is a %s", k.index, e.Kind)
	}
	return s, nil
}

// At returns the last standing checkpoint of a position, nil without one.
func (l *Log) At(p Position) *Checkpoint {
	n := sort.Search(len(l.Checkpoints), func(i int) bool { return p.Before(l.Checkpoints[i].Position()) })
	if n == 0 || l.Checkpoints[n-1].Position() != p {
		return nil
	}
	return &l.Checkpoints[n-1]
}

// EvaluationAt returns the last standing evaluation of a position, nil without one.
func (l *Log) EvaluationAt(p Position) *Evaluation {
	n := sort.Search(len(l.Evaluations), func(i int) bool { return p.Before(l.Evaluations[i].Position()) })
	if n == 0 || l.Evaluations[n-1].Position() != p {
		return nil
	}
	return &l.Evaluations[n-1]
}
