package execution

import (
	"fmt"
	"path/filepath"
	"slices"

	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/runlog"
)

// standing is what stands of a run's record: steps that were taken again, and
// what was measured among them, are not in it.
type standing struct {
	begin       *record.Begin
	stages      []record.Stage // the first entry of each
	steps       []takenStep
	evaluations []*record.Evaluation
	rollouts    []*record.Rollout
	saved       map[string]bool // checkpoints by path
	end         *record.End

	// pause and fault are the last entry, notes aside, if it is one.
	pause *record.Pause
	fault *record.Fault

	peak float64 // FLOP/s of the devices
	last int64   // time of the last entry, ms
	wall int64   // ms in which a process worked on the run
}

// takenStep is what is kept of a step.
type takenStep struct {
	position                     // before it
	examples, tokens, supervised int64
	wall                         int64 // ns
	flops, loss                  float64
	skipped                      bool
}

// position is a place in a run: steps taken of a stage.
type position struct {
	stage int
	step  int64
}

func (p position) before(q position) bool {
	return p.stage < q.stage || p.stage == q.stage && p.step < q.step
}

// newStanding begins with what the manifest says.
func newStanding(m *record.Manifest) *standing {
	return &standing{saved: map[string]bool{}, peak: peakOf(m.Devices), last: m.Started}
}

// peakOf is what all devices can do together, in the data type of each that is fastest.
func peakOf(devices []record.Device) float64 {
	sum := 0.0
	for _, d := range devices {
		most := 0.0
		for _, p := range d.Peak {
			most = max(most, p)
		}
		sum += float64(most * float64(len(d.Ranks)))
	}
	return sum
}

// read reads the record of a run directory.
func read(dir string) (*record.Manifest, *standing, error) {
	log, err := runlog.OpenReader(filepath.Join(dir, RecordName), runlog.Trust{})
	if err != nil {
		return nil, nil, err
	}
	defer log.Close()
	s := newStanding(&log.Manifest)
	m, _, err := runlog.Read(filepath.Join(dir, RecordName), runlog.Trust{}, s.add)
	return m, s, err
}

// add takes the next entry.
func (s *standing) add(e *record.Entry) error {
	if !reopens(e.Body) {
		s.wall += e.Time - s.last
	}
	s.last = e.Time
	if _, ok := e.Body.(*record.Note); !ok {
		s.pause, s.fault = nil, nil
	}
	switch b := e.Body.(type) {
	case *record.Begin:
		s.begin = b
	case *record.Stage:
		if b.Stage > len(s.stages) {
			return fmt.Errorf("entry %d (stage): stage %d follows %d stages", e.Index, b.Stage, len(s.stages))
		}
		if b.Stage == len(s.stages) {
			s.stages = append(s.stages, *b)
		}
	case *record.Step:
		return s.step(e.Index, b)
	case *record.Evaluation:
		s.evaluations = append(s.evaluations, b)
	case *record.Rollout:
		if b.Stage >= len(s.stages) {
			return fmt.Errorf("entry %d (rollout): stage %d of %d", e.Index, b.Stage, len(s.stages))
		}
		s.rollouts = append(s.rollouts, b)
	case *record.Checkpoint:
		s.saved[b.Path] = true
	case *record.Fault:
		s.fault = b
	case *record.Pause:
		s.pause = b
	case *record.Ranks:
		s.devices(b.Devices)
	case *record.Resume:
		s.devices(b.Devices)
	case *record.Recovery:
		s.devices(b.Devices)
		return s.recover(e.Index, b)
	case *record.End:
		s.end = b
	}
	return nil
}

// crash is the fault of a process that ended without saying so. It is seen by
// the next process.
const crash = "crash"

// reopens reports whether a body is the first entry of another process: nobody
// worked on the run before it.
func reopens(body record.Body) bool {
	switch b := body.(type) {
	case *record.Resume:
		return true
	case *record.Recovery:
		return b.Host != nil
	case *record.Fault:
		return b.Fault == crash
	}
	return false
}

func (s *standing) devices(ds []record.Device) {
	if len(ds) > 0 {
		s.peak = peakOf(ds)
	}
}

func (s *standing) step(index int64, b *record.Step) error {
	at := position{b.Stage, b.Step}
	if next := s.next(); at != next && at != (position{next.stage + 1, 0}) || b.Stage >= len(s.stages) {
		return fmt.Errorf("entry %d (step): step %d of stage %d, want step %d of stage %d, or the beginning of the one after", index, at.step, at.stage, next.step, next.stage)
	}
	t := takenStep{
		position: at, examples: b.Examples, tokens: b.Tokens, supervised: b.Supervised,
		wall: b.Time.Wall, flops: b.FLOPs, loss: minimised(b.Losses), skipped: b.Skipped != "",
	}
	s.steps = append(s.steps, t)
	return nil
}

// next is the step that follows the last one in its stage.
func (s *standing) next() position {
	if len(s.steps) == 0 {
		return position{}
	}
	p := s.steps[len(s.steps)-1].position
	p.step++
	return p
}

// from returns how many steps stand before a position.
func (s *standing) from(at position) int {
	i, _ := slices.BinarySearchFunc(s.steps, at, func(t takenStep, p position) int {
		switch {
		case t.before(p):
			return -1
		case p.before(t.position):
			return 1
		}
		return 0
	})
	return i
}

func (s *standing) recover(index int64, b *record.Recovery) error {
	at := position{b.Stage, b.Step}
	keep := s.from(at)
	if again := int64(len(s.steps) - keep); again != b.Again {
		return fmt.Errorf("entry %d (recovery): again: %d, but %d steps are taken again from step %d of stage %d", index, b.Again, again, b.Step, b.Stage)
	}
	s.steps = s.steps[:keep]
	undone := func(p position) bool { return at.before(p) && !s.same(at, p) }
	s.evaluations = slices.DeleteFunc(s.evaluations, func(e *record.Evaluation) bool { return undone(position{e.Stage, e.Step}) })
	s.rollouts = slices.DeleteFunc(s.rollouts, func(r *record.Rollout) bool { return undone(position{r.Stage, r.Step}) })
	return nil
}

// rollout returns what stands of a round, nil if nothing does.
func (s *standing) rollout(stage int, round int64) *record.Rollout {
	for _, r := range slices.Backward(s.rollouts) { // they are in order
		switch {
		case r.Stage == stage && r.Round == round:
			return r
		case r.Stage < stage || r.Stage == stage && r.Round < round:
			return nil
		}
	}
	return nil
}

// same reports whether the training state is the same at two positions: the end
// of a stage is the beginning of the next.
func (s *standing) same(p, q position) bool {
	if q.before(p) {
		p, q = q, p
	}
	return p == q || q == position{p.stage + 1, 0} && p.stage < len(s.stages) && p.step == s.stages[p.stage].Steps
}

// measured reports whether an evaluation after so many steps of a stage stands.
func (s *standing) measured(at position) bool {
	return slices.ContainsFunc(s.evaluations, func(e *record.Evaluation) bool { return e.Stage == at.stage && e.Step == at.step })
}
