package verify

import (
	"fmt"

	"github.com/temper-ml/temper/report/record"
)

// ticks compares the two clocks of a log: the times of entries, which are those
// of the system, and the wall times of steps, which are measured apart. Where
// one of them alone was changed they part.
//
// A step lies between the entry before it that the run waited for and its own,
// so its wall time is at most what passed between them. And between two steps
// that follow each other directly hardly anything else happens, so the wall time
// is most of what passed. A machine that sleeps, or is busy with something else,
// makes a few such gaps; a log whose wall times are short has them everywhere.
// Gaps are therefore counted in windows of about a second of the log.
type ticks struct {
	last      int64 // ms, of the last entry that the run waited for
	step      bool  // the entry before was a step
	allowance int64 // ns that the log says the clock went back by
	passed    int64 // of the window, ns
	wall      int64 // of the window, ns
	steps     int64 // of the window

	windows, short  int64
	longest         int64 // gap in ns
	longestAt       int64
	total, recorded int64 // of all windows, ns
}

// The bounds: a step may exceed what passed by the rounding of two entry times
// and by a clock that is being adjusted; windows are as long as they must be for
// rounding not to count.
const (
	millisecond  = int64(1e6)
	overRound    = 5 * millisecond
	overShare    = 100 // a hundredth
	windowPassed = 1000 * millisecond
	windowSteps  = 64
	mostMillis   = int64(1) << 52
)

// entry takes the next entry.
func (t *ticks) entry(f *finding, e *record.Entry) {
	if e.Time > mostMillis {
		f.fail(e.Index, "entry %d: time is %d ms", e.Index, e.Time)
		return
	}
	switch b := e.Body.(type) {
	case *record.Step:
		t.take(f, e, b)
		t.step = true
	case *record.Note:
		var ms int64
		if n, err := fmt.Sscanf(b.Text, "the clock went back by %d ms", &ms); n == 1 && err == nil && ms > 0 && ms < mostMillis/millisecond {
			t.allowance += ms * millisecond
		}
		t.step = false
		return
	case *record.Begin:
		if t.last > e.Time {
			f.fail(e.Index, "entry %d: begins at %d ms, the manifest says that the run was started at %d ms", e.Index, e.Time, t.last)
		}
		t.step = false
	case *record.Rollout:
		t.wait(f, e, b)
		t.step = false
	case *record.Stage, *record.Evaluation, *record.Recovery, *record.Pause, *record.Resume:
		t.step = false
	default: // may be written while a step is under way
		t.step = false
		return
	}
	t.last = e.Time
}

// wait compares how long a round was waited for with what passed since the entry before.
func (t *ticks) wait(f *finding, e *record.Entry, b *record.Rollout) {
	passed := (e.Time - t.last) * millisecond
	if over := b.Took - passed - overRound - b.Took/overShare; over > 0 && t.allowance == 0 {
		f.fail(e.Index, "entry %d: round %d took %.6g s; between its entry and the one before %.6g s passed", e.Index, b.Round, float64(b.Took)/1e9, float64(passed)/1e9)
	}
}

// take compares a step with what passed since the entry before.
func (t *ticks) take(f *finding, e *record.Entry, b *record.Step) {
	passed, wall := (e.Time-t.last)*millisecond, b.Time.Wall
	over := wall - passed - overRound - wall/overShare
	if over > 0 && t.allowance > 0 { // times stand still until the clock has caught up
		used := min(over, t.allowance)
		t.allowance -= used
		over -= used
	}
	if over > 0 {
		f.fail(e.Index, "%s: wall time %.6g s; between its entry and the one before %.6g s passed", say(e, b), float64(wall)/1e9, float64(passed)/1e9)
	}
	if !t.step {
		return
	}
	if gap := passed - wall; gap > t.longest {
		t.longest, t.longestAt = gap, e.Index
	}
	t.passed += passed
	t.wall += wall
	t.steps++
	if t.passed >= windowPassed || t.steps >= windowSteps {
		t.window()
	}
}

// window closes a window: it is short if its steps leave a third of it unexplained.
func (t *ticks) window() {
	gap := t.passed - t.wall
	t.windows++
	t.total += t.passed / 1000
	t.recorded += t.wall / 1000
	if gap > t.passed/3 && gap > 2*overRound {
		t.short++
	}
	t.passed, t.wall, t.steps = 0, 0, 0
}

// minWindows is how many short windows say something.
const minWindows = 3

// settle says what came out.
func (t *ticks) settle(f *finding) {
	if t.steps > 1 {
		t.window()
	}
	share := 1.0
	if t.total > 0 {
		share = float64(t.recorded) / float64(t.total)
	}
	if t.short >= minWindows && t.short > t.windows/5 {
		f.fail(t.longestAt, "in %d of %d stretches of steps the wall times leave more than a third of what passed between entries unexplained (%.1f %% in all): wall times are too short, or entry times too long",
			t.short, t.windows, 100*(1-share))
	}
	text := fmt.Sprintf("wall times of steps fill %.1f %% of what passed between their entries (%d stretches, %d with long gaps) and never exceed it", 100*share, t.windows, t.short)
	if t.longest > 1000*millisecond {
		text += fmt.Sprintf("; the longest gap is %.4g s before entry %d", float64(t.longest)/1e9, t.longestAt)
	}
	f.saw("%s", text)
}
