package verify

import (
	"context"
	"errors"
	"fmt"

	"github.com/temper-ml/temper/report/record"
)

// Replayed is what came of a replay.
type Replayed struct {
	Checks   []Check
	Segments []Segment
	// Steps are those that were taken again and agreed.
	Steps      int64
	Divergence *Divergence
}

// Replay has the steps that the plan draws taken again, and compares every
// quantity that does not depend on the machine, bit for bit. It stops at the
// first that differs. An error is one of the replayer, not of the record.
func Replay(ctx context.Context, l *Log, r Replayer, plan Plan) (*Replayed, error) {
	out := &Replayed{Segments: []Segment{}}
	var fs findings
	steps := fs.add("replay")
	defer func() { out.Checks = fs.checks() }()
	switch {
	case plan.None || r == nil:
		steps.skip(-1, "no step was to be taken again")
	case !l.complete:
		steps.skip(-1, "the log could not be read to its end")
	case l.Steps() == 0:
		steps.skip(-1, "the run has no steps")
	}
	if steps.result != Pass {
		return out, nil
	}
	states := fs.add("states loaded")
	starts, err := r.Starts(ctx)
	if err != nil {
		return nil, fmt.Errorf("verify: states to replay from: %w", err)
	}
	segments, unreached := plan.Segments(l, starts)
	if unreached > 0 {
		steps.skip(-1, "%d of the steps to take again have no state before them to begin at: neither checkpoint nor beginning is at hand", unreached)
	}
	c := &comparison{log: l, kept: map[Position]bool{}}
	for _, seg := range segments {
		done, err := c.segment(ctx, r, seg)
		out.Steps += done
		out.Segments = append(out.Segments, Segment{seg.From, seg.From.Step + done})
		switch {
		case errors.Is(err, ErrState):
			states.fail(l.indexBefore(seg.From), "%v", err)
			return out, nil
		case c.found != nil:
			out.Divergence = c.found
			steps.fail(c.found.Index, "%s", c.found)
			return out, nil
		case err != nil:
			return nil, fmt.Errorf("verify: replay from stage %d, step %d: %w", seg.From.Stage, seg.From.Step, err)
		}
	}
	if c.missed > 0 {
		steps.skip(-1, "%d evaluations, rounds of answers, tables and checkpoints in replayed segments were not computed again", c.missed)
	}
	states.saw("%s, checked against the record when loaded", many(len(segments), "state"))
	text := fmt.Sprintf("%d of %s, %s and %s computed again, equal in every bit", out.Steps, many(l.Steps(), "step"), many(c.evaluations, "evaluation"), many(c.states, "complete state"))
	if n := len(l.Rollouts); n > 0 {
		text += fmt.Sprintf("; %d of %s of answers sampled again, token by token", c.sampled, many(n, "round"))
		if len(c.kept) > 0 {
			text += fmt.Sprintf(", %s read from their files, which have the digests and sums on record", many(len(c.kept), "round"))
		}
		if read := len(c.kept); int64(n) > c.sampled {
			l.notChecked("%d of %s of answers were not sampled again; %s of rounds read that have the digests on record", int64(n)-c.sampled, many(n, "round"), many(read, "file"))
		}
	}
	steps.saw("%s", text)
	return out, nil
}

// indexBefore is the entry that names the state at a position.
func (l *Log) indexBefore(p Position) int64 {
	if c := l.At(p); c != nil {
		return c.Index
	}
	if p.Step == 0 && p.Stage > 0 && p.Stage <= len(l.Stages) {
		if c := l.At(Position{p.Stage - 1, l.Stages[p.Stage-1].Steps}); c != nil {
			return c.Index
		}
	}
	return -1
}

// errDiverged stops a replayer.
var errDiverged = errors.New("the replay got something else")

// comparison compares what a replayer computes with what stands in the log.
type comparison struct {
	log                 *Log
	found               *Divergence
	evaluations, states int64
	sampled             int64             // rounds
	kept                map[Position]bool // rounds that were read
	missed              int64
}

// segment replays one segment and returns how many of its steps agreed.
func (c *comparison) segment(ctx context.Context, r Replayer, seg Segment) (done int64, err error) {
	next := seg.From
	due := c.due(seg)
	err = r.Replay(ctx, seg, func(b record.Body) error {
		switch b := b.(type) {
		case *record.Step:
			if got := (Position{b.Stage, b.Step}); got != next || b.Step >= seg.To {
				return fmt.Errorf("the replayer took step %d of stage %d, want step %d of stage %d", b.Step, b.Stage, next.Step, next.Stage)
			}
			next.Step++
			return c.step(b)
		case *record.Rollout:
			delete(due, event{"rollout", Position{b.Stage, b.Step}})
			c.sampled++
			return c.rollout(b)
		case *Kept:
			delete(due, event{"rollout", Position{b.Stage, b.Step}})
			c.kept[Position{b.Stage, b.Step}] = true
			return c.rollout(&b.Rollout)
		case *record.Evaluation:
			delete(due, event{"evaluation", Position{b.Stage, b.Step}})
			return c.evaluation(b)
		case *record.Routing:
			delete(due, event{"routing", Position{b.Stage, b.To}})
			return c.routing(b)
		case *record.Checkpoint:
			delete(due, event{"checkpoint", Position{b.Stage, b.Step}})
			return c.checkpoint(b)
		case *record.End:
			return c.end(b)
		}
		return fmt.Errorf("the replayer computed a %s", b.Kind())
	})
	done = next.Step - seg.From.Step
	switch {
	case c.found != nil:
		return max(0, min(done, c.found.Step-seg.From.Step)), errDiverged
	case err != nil:
		return done, err
	case next.Step != seg.To:
		return done, fmt.Errorf("the replayer stopped at step %d of %d", next.Step, seg.To)
	}
	c.missed += int64(len(due))
	return done, nil
}

// event is something of a segment that is compared beside steps.
type event struct {
	kind string
	at   Position
}

// due lists what the log has in a segment beside steps.
func (c *comparison) due(seg Segment) map[event]bool {
	due := map[event]bool{}
	within := func(p Position) bool {
		return p.Stage == seg.From.Stage && p.Step > seg.From.Step && p.Step <= seg.To
	}
	for i := range c.log.Evaluations {
		if p := c.log.Evaluations[i].Position(); within(p) {
			due[event{"evaluation", p}] = true
		}
	}
	for i := range c.log.Rollouts {
		if p := c.log.Rollouts[i].Position(); p.Stage == seg.From.Stage && p.Step >= seg.From.Step && p.Step < seg.To {
			due[event{"rollout", p}] = true
		}
	}
	for i := range c.log.Routings {
		if r := &c.log.Routings[i]; within(Position{r.Stage, r.To}) && r.From >= seg.From.Step {
			due[event{"routing", Position{r.Stage, r.To}}] = true
		}
	}
	for i := range c.log.Checkpoints {
		if k := &c.log.Checkpoints[i]; within(k.Position()) && k.Parameters != "" {
			due[event{"checkpoint", k.Position()}] = true
		}
	}
	return due
}

// differ notes the first quantity that differs.
func (c *comparison) differ(index int64, at Position, qs []quantity) error {
	for _, q := range qs {
		if q.recorded != q.computed {
			c.found = &Divergence{Index: index, Stage: at.Stage, Step: at.Step, Quantity: q.name, Recorded: q.recorded, Computed: q.computed}
			return errDiverged
		}
	}
	return nil
}

func (c *comparison) step(b *record.Step) error {
	p := Position{b.Stage, b.Step}
	said, index, err := c.log.Step(p)
	if err != nil {
		return err
	}
	return c.differ(index, p, quantities(said, b))
}

func (c *comparison) evaluation(b *record.Evaluation) error {
	p := Position{b.Stage, b.Step}
	e := c.log.EvaluationAt(p)
	if e == nil {
		return nil // of more than was recorded nothing follows
	}
	c.evaluations++
	return c.differ(e.Index, p, scores(&e.Evaluation, b))
}

func (c *comparison) rollout(b *record.Rollout) error {
	said := c.log.Round(b.Stage, b.Round)
	if said == nil {
		return nil
	}
	return c.differ(said.Index, Position{b.Stage, b.Step}, answers(&said.Rollout, b))
}

func (c *comparison) routing(b *record.Routing) error {
	r := c.log.RoutingTo(Position{b.Stage, b.To})
	if r == nil || r.From != b.From {
		return nil
	}
	return c.differ(r.Index, Position{b.Stage, b.To}, digestsOf("routing.counts", r.Table, record.TableDigest(b.Counts)))
}

func (c *comparison) checkpoint(b *record.Checkpoint) error {
	p := Position{b.Stage, b.Step}
	k := c.log.At(p)
	if k == nil {
		return nil
	}
	c.states++
	return c.differ(k.Index, p, digestsOf(
		"checkpoint.parameters", k.Parameters, b.Parameters, "checkpoint.optimizer", k.Optimizer, b.Optimizer,
	))
}

func (c *comparison) end(b *record.End) error {
	end := c.log.End
	if end == nil {
		return nil
	}
	at := Position{len(c.log.Stages) - 1, c.log.Taken(len(c.log.Stages) - 1)}
	c.states++
	return c.differ(c.log.EndIndex, at, digestsOf("end.weights", end.Weights, b.Weights))
}

// String says it in a sentence.
func (d *Divergence) String() string {
	s := fmt.Sprintf("step %d of stage %d: %s is %s on record and %s here", d.Step, d.Stage, d.Quantity, d.Recorded, d.Computed)
	if d.Operator != "" {
		s += fmt.Sprintf("; first in %s, %s, element %d", d.Operator, d.Tensor, d.Element)
	}
	return s
}
