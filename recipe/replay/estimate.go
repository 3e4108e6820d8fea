package replay

import (
	"fmt"
	"strings"
	"time"

	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/report/verify"
)

// Estimate says how many steps the segments take, those on the way to them
// included, and about how long: as long as the run took for them, but for the
// share that its multiply-add units were busy, which takes as much longer as they
// are slower now, in the way of this replay. The time is 0 where the record does
// not tell enough.
func (r *Replayer) Estimate(segments []verify.Segment) (steps int64, d time.Duration, err error) {
	var wall, work float64
	for i, seg := range segments {
		var on []verify.Segment
		if i == 0 || segments[i-1].From.Stage+1 != seg.From.Stage || segments[i-1].To != r.steps(seg.From.Stage-1) {
			on = r.detour(seg.From)
		}
		for _, s := range append(on, seg) {
			steps += s.Steps()
			wall += r.sampling(s)
			for step := s.From.Step; step < s.To; step++ {
				e, _, err := r.log.Step(verify.Position{Stage: s.From.Stage, Step: step})
				if err != nil {
					return 0, 0, err
				}
				wall += float64(e.Time.Wall)
				work += e.FLOPs
			}
		}
	}
	then := 0.0
	for _, d := range r.manifest.Devices {
		for _, p := range d.Peak {
			then = max(then, p)
		}
	}
	now, err := kernel.PeakFMA(r.way.SIMD, r.way.Threads, 30*time.Millisecond)
	if err != nil || !(then > 0) || !(now > 0) {
		return steps, 0, err
	}
	busy := min(work/then*1e9, wall)
	return steps, time.Duration(min(wall-busy+float64(busy*then/now), 1<<62)), nil
}

// sampling is how long the run waited for the rounds of a segment, in nanoseconds.
func (r *Replayer) sampling(s verify.Segment) (wall float64) {
	for i := range r.log.Rollouts {
		if e := &r.log.Rollouts[i]; e.Stage == s.From.Stage && e.Step >= s.From.Step && e.Step < s.To {
			wall += float64(e.Took)
		}
	}
	return wall
}

// detour lists the steps on the way to a start whose checkpoint is not kept.
func (r *Replayer) detour(at verify.Position) []verify.Segment {
	if at.Step > 0 || at.Stage == 0 {
		return nil
	}
	last := verify.Position{Stage: at.Stage - 1, Step: r.steps(at.Stage - 1)}
	from := r.nearest(last)
	return append(r.detour(from), verify.Segment{From: from, To: last.Step})
}

// nearest is the last position at or before another in its stage that needs no
// step of the stage: that of a save, or the beginning.
func (r *Replayer) nearest(at verify.Position) verify.Position {
	from := verify.Position{Stage: at.Stage}
	for p := range r.saves {
		if p.Stage == at.Stage && p.Step <= at.Step && p.Step > from.Step {
			from = p
		}
	}
	return from
}

// Describe says in words how the replay computes, and how the run did.
func (r *Replayer) Describe() string {
	var here, there []string
	for i := range r.recipe.Stages {
		s := r.recipe.Stages[i]
		there = append(there, fmt.Sprint(s.MicroRows))
		r.way.apply(&s)
		here = append(here, fmt.Sprint(s.MicroRows))
	}
	run := "not recorded"
	if r.run.SIMD != "" {
		run = r.run.String()
	}
	return fmt.Sprintf("%s, micro-batches of %s rows; the run: %s, %s rows", r.way, strings.Join(here, " and "), run, strings.Join(there, " and "))
}
