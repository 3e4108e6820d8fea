package verify

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/runlog"
)

// sequence follows the entries of a log, and refuses an order in which no run
// happens. It keeps in the log what stands.
type sequence struct {
	log    *Log
	at     Position // steps taken of the stage under way, stage -1 before the first
	paused bool
	ranks  int // the most that took part at once
	// counts for evidence
	entries, recoveries, again, pauses int64
	// dropped tells of a step that no longer stands.
	dropped func(Position, *step)
}

// entry takes the next entry.
func (s *sequence) entry(e *record.Entry, at runlog.Place) error {
	s.entries++
	if err := s.allowed(e); err != nil {
		return err
	}
	switch b := e.Body.(type) {
	case *record.Begin:
		s.log.Begin = b
		s.ranks = max(s.ranks, s.log.Manifest.Ranks)
	case *record.Stage:
		return s.stage(e, b)
	case *record.Step:
		return s.step(e, b, at)
	case *record.Checkpoint:
		return s.checkpoint(e, b)
	case *record.Evaluation:
		return s.evaluation(e, b)
	case *record.Recovery:
		return s.recovery(b)
	case *record.Pause:
		s.paused = true
		s.pauses++
		return s.here(b.Stage, b.Step)
	case *record.Resume:
		s.paused = false
		return s.here(b.Stage, b.Step)
	case *record.Rollout:
		return s.rollout(e, b)
	case *record.Routing:
		return s.routing(e, b)
	case *record.Times:
		return s.span(b.Stage, b.From, b.To)
	case *record.Ranks:
		s.ranks = max(s.ranks, b.Ranks)
	case *record.Fault:
		if b.Rank >= s.ranks {
			return fmt.Errorf("rank %d of %d", b.Rank, s.ranks)
		}
	case *record.End:
		s.log.End, s.log.EndIndex = b, e.Index
		return s.end(b)
	}
	return nil
}

// allowed refuses kinds that cannot come now.
func (s *sequence) allowed(e *record.Entry) error {
	_, begin := e.Body.(*record.Begin)
	switch {
	case s.log.End != nil:
		return fmt.Errorf("%s after the end of the run", e.Kind)
	case begin != (s.entries == 1):
		return fmt.Errorf("%s is entry %d: a run has one begin, its first entry", e.Kind, s.entries)
	}
	if !s.paused {
		if _, ok := e.Body.(*record.Resume); ok {
			return errors.New("resume without a pause before it")
		}
		return nil
	}
	switch e.Body.(type) {
	case *record.Resume, *record.Recovery, *record.Note, *record.Fault, *record.Ranks, *record.End:
		return nil
	}
	return fmt.Errorf("%s while the run is paused", e.Kind)
}

// here refuses a position other than the present one. The end of a stage is
// also the beginning of the next.
func (s *sequence) here(stage int, step int64) error {
	p := Position{stage, step}
	if p == s.at || s.complete() && p == (Position{s.at.Stage + 1, 0}) {
		return nil
	}
	return fmt.Errorf("at stage %d, step %d, while the run is at stage %d, step %d", stage, step, s.at.Stage, s.at.Step)
}

// complete reports whether the stage under way has all its steps; before the
// first stage nothing is missing.
func (s *sequence) complete() bool {
	return s.at.Stage < 0 || s.at.Step == s.log.Stages[s.at.Stage].Steps
}

// stage opens the next stage, or continues the one under way.
func (s *sequence) stage(e *record.Entry, b *record.Stage) error {
	l := s.log
	if b.Stage == s.at.Stage {
		first := l.Stages[b.Stage].Stage
		now := *b
		now.From = first.From
		if !reflect.DeepEqual(now, first) {
			return fmt.Errorf("stage %d is continued as another than entry %d opened", b.Stage, l.Stages[b.Stage].Index)
		}
		return s.here(b.Stage, b.From)
	}
	switch {
	case b.Stage != s.at.Stage+1:
		return fmt.Errorf("stage %d follows stage %d", b.Stage, s.at.Stage)
	case !s.complete():
		return fmt.Errorf("stage %d begins when %d of %d steps of stage %d are taken", b.Stage, s.at.Step, l.Stages[s.at.Stage].Steps, s.at.Stage)
	case b.From != 0:
		return fmt.Errorf("stage %d begins at step %d", b.Stage, b.From)
	case len(l.Stages) >= maxStages:
		return fmt.Errorf("more than %d stages", maxStages)
	}
	l.Stages = append(l.Stages, Stage{Stage: *b, Index: e.Index, first: len(l.steps)})
	s.at = Position{b.Stage, 0}
	return nil
}

func (s *sequence) step(e *record.Entry, b *record.Step, at runlog.Place) error {
	l := s.log
	switch {
	case s.at.Stage < 0:
		return errors.New("step before the first stage")
	case b.Stage != s.at.Stage || b.Step != s.at.Step:
		return fmt.Errorf("step %d of stage %d, want step %d of stage %d: steps are missing, repeated or out of order", b.Step, b.Stage, s.at.Step, s.at.Stage)
	case b.Step >= l.Stages[b.Stage].Steps:
		return fmt.Errorf("step %d of stage %d, which has %d", b.Step, b.Stage, l.Stages[b.Stage].Steps)
	case l.Stages[b.Stage].Round > 0 && l.Round(b.Stage, b.Step/l.Stages[b.Stage].Round) == nil:
		return fmt.Errorf("step %d of stage %d, of whose round %d nothing is said", b.Step, b.Stage, b.Step/l.Stages[b.Stage].Round)
	case len(l.steps) >= maxSteps:
		return fmt.Errorf("more than %d steps", maxSteps)
	}
	sum := l.between(b.Stage, 0, b.Step)
	sum.add(sumOf(b))
	l.steps = append(l.steps, step{
		offset: at.Offset, length: int32(at.Bytes), hash: [16]byte(at.Hash[:16]), index: e.Index, sum: sum, skipped: b.Skipped != "",
	})
	s.at.Step++
	return nil
}

func (s *sequence) checkpoint(e *record.Entry, b *record.Checkpoint) error {
	if len(s.log.Checkpoints) >= maxEvents {
		return fmt.Errorf("more than %d checkpoints", maxEvents)
	}
	s.log.Checkpoints = append(s.log.Checkpoints, Checkpoint{*b, e.Index})
	return s.here(b.Stage, b.Step)
}

func (s *sequence) evaluation(e *record.Entry, b *record.Evaluation) error {
	if len(s.log.Evaluations) >= maxEvents {
		return fmt.Errorf("more than %d evaluations", maxEvents)
	}
	s.log.Evaluations = append(s.log.Evaluations, Evaluation{*b, e.Index})
	return s.here(b.Stage, b.Step)
}

// rollout takes a round: the next one of a stage that has some, before its first step.
func (s *sequence) rollout(e *record.Entry, b *record.Rollout) error {
	l := s.log
	if len(l.Rollouts) >= maxEvents {
		return fmt.Errorf("more than %d rounds", maxEvents)
	}
	if err := s.here(b.Stage, b.Step); err != nil {
		return err
	}
	if b.Stage >= len(l.Stages) || l.Stages[b.Stage].Round == 0 {
		return fmt.Errorf("round %d of stage %d, which has no rounds", b.Round, b.Stage)
	}
	next := int64(0)
	if n := len(l.Rollouts); n > 0 && l.Rollouts[n-1].Stage == b.Stage {
		next = l.Rollouts[n-1].Round + 1
	}
	if size := l.Stages[b.Stage].Round; b.Round != next || b.Step%size != 0 || b.Step/size != b.Round {
		return fmt.Errorf("round %d of stage %d before step %d; round %d is next, and each has %d steps", b.Round, b.Stage, b.Step, next, size)
	}
	l.Rollouts = append(l.Rollouts, Rollout{*b, e.Index})
	return nil
}

func (s *sequence) routing(e *record.Entry, b *record.Routing) error {
	if len(s.log.Routings) >= maxEvents {
		return fmt.Errorf("more than %d tables of routed tokens", maxEvents)
	}
	s.log.Routings = append(s.log.Routings, Routing{b.Stage, b.From, b.To, record.TableDigest(b.Counts), e.Index})
	return s.span(b.Stage, b.From, b.To)
}

// recovery takes back what stands after its position.
func (s *sequence) recovery(b *record.Recovery) error {
	l := s.log
	to := Position{b.Stage, b.Step}
	s.recoveries++
	s.paused = false
	if err := s.reached(to); err != nil {
		return err
	}
	keep := s.stepsBefore(to)
	if again := int64(len(l.steps) - keep); again != b.Again {
		return fmt.Errorf("again: %d steps, %d stand after stage %d, step %d", b.Again, again, b.Stage, b.Step)
	}
	s.again += b.Again
	for i := keep; i < len(l.steps); i++ {
		s.dropped(l.position(int64(i)), &l.steps[i])
	}
	l.steps = l.steps[:keep]
	for n := len(l.Checkpoints); n > 0 && s.after(l.Checkpoints[n-1].Position(), to); n-- {
		l.Checkpoints = l.Checkpoints[:n-1]
	}
	for n := len(l.Evaluations); n > 0 && s.after(l.Evaluations[n-1].Position(), to); n-- {
		l.Evaluations = l.Evaluations[:n-1]
	}
	for n := len(l.Rollouts); n > 0 && s.after(l.Rollouts[n-1].Position(), to); n-- {
		l.Rollouts = l.Rollouts[:n-1]
	}
	for n := len(l.Routings); n > 0 && s.after(Position{l.Routings[n-1].Stage, l.Routings[n-1].To}, to); n-- {
		l.Routings = l.Routings[:n-1]
	}
	if b.Stage < len(l.Stages) {
		l.Stages = l.Stages[:b.Stage+1]
		s.at = to
	}
	return nil
}

// after reports whether a position of the log is one of another state than to,
// and later.
func (s *sequence) after(p, to Position) bool {
	return to.Before(p) && !(p == (Position{to.Stage + 1, 0}) && to.Step == s.log.Stages[to.Stage].Steps)
}

// reached refuses a position that the run has not been at.
func (s *sequence) reached(p Position) error {
	if p.Stage < s.at.Stage && p.Step <= s.log.Stages[p.Stage].Steps || p.Stage == s.at.Stage && p.Step <= s.at.Step {
		return nil
	}
	if s.complete() && p == (Position{s.at.Stage + 1, 0}) {
		return nil
	}
	return fmt.Errorf("recovery to stage %d, step %d: the run is at stage %d, step %d", p.Stage, p.Step, s.at.Stage, s.at.Step)
}

// stepsBefore counts the standing steps before a position that was reached.
func (s *sequence) stepsBefore(p Position) int {
	if p.Stage >= len(s.log.Stages) {
		return len(s.log.steps)
	}
	return s.log.Stages[p.Stage].first + int(p.Step)
}

// span refuses steps that the stage under way has not just taken.
func (s *sequence) span(stage int, from, to int64) error {
	if stage != s.at.Stage || to != s.at.Step {
		return fmt.Errorf("steps %d to %d of stage %d, while the run is at stage %d, step %d", from, to, stage, s.at.Stage, s.at.Step)
	}
	return nil
}

// end refuses the end of a run that is said to be complete and is not.
func (s *sequence) end(b *record.End) error {
	if b.Status == "complete" && (!s.complete() || s.at.Stage < 0) {
		return fmt.Errorf("the run is said to be complete at stage %d, step %d", s.at.Stage, s.at.Step)
	}
	return nil
}
