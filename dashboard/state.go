package dashboard

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/temper-ml/temper/report/runlog"
)

// State is how a run stands, as far as its record tells.
type State string

// The states of a run.
const (
	Reading State = "reading" // not read to its end yet
	Live    State = "live"    // entries come
	Paused  State = "paused"  // stopped in good order, to go on later
	Ended   State = "ended"   // complete
	Failed  State = "failed"  // it said so itself
	Crashed State = "crashed" // no end, and no entry for long: crashed, killed or stuck
	Torn    State = "torn"    // the same, in the middle of an entry
	Refused State = "refused" // the record is not in good form
)

// quiet is how long a run may write nothing before it counts as crashed:
// several times the longest pause between its last entries, and at least this.
const quiet = 2 * time.Minute

// state judges the run, and says why in words.
func (r *run) state(now time.Time) (State, string) {
	switch {
	case r.failed != nil:
		return Refused, r.refusal()
	case r.log == nil:
		return Reading, "not read yet"
	case r.behind:
		return Reading, fmt.Sprintf("%d %% of %s read", 100*r.done/max(r.size, 1), bytesText(r.size))
	case r.end != nil && r.end.Status == "complete":
		return Ended, "complete"
	case r.end != nil:
		return Failed, "the run says that it failed: " + cutText(r.end.Reason, 200)
	case r.pause != nil:
		return Paused, "stopped in good order: " + cutText(r.pause.Reason, 200)
	}
	age := r.age(now)
	if limit := r.patience(); age <= limit {
		return Live, "entries come"
	}
	what := fmt.Sprintf("no end, and no entry for %s: crashed, killed or stuck", lasting(age))
	if torn := r.follower.Summary().Torn; torn > 0 {
		return Torn, fmt.Sprintf("%s; a last entry is incomplete (%d bytes)", what, torn)
	}
	return Crashed, what
}

// age is how long ago the last entry was written, by its own clock or, if it
// was seen to be written, by that of this machine.
func (r *run) age(now time.Time) time.Duration {
	last := r.time
	if last == 0 {
		last = r.manifest.Started
	}
	if last == 0 && r.log != nil {
		last = r.log.ModTime().UnixMilli()
	}
	age := max(now.Sub(time.UnixMilli(last)), 0)
	if !r.grew.IsZero() {
		age = min(age, max(now.Sub(r.grew), 0))
	}
	return age
}

// patience is the age from which a run counts as crashed.
func (r *run) patience() time.Duration {
	if len(r.gaps) == 0 {
		return 5 * quiet
	}
	longest := time.Duration(slices.Max(r.gaps)) * time.Millisecond
	return max(quiet, min(6*longest, 24*time.Hour))
}

// refusal says what was refused and where: file, entry, reason.
func (r *run) refusal() string {
	var e *runlog.Error
	if errors.As(r.failed, &e) {
		return cutText(e.Error(), 600)
	}
	return cutText(reason(r.failed), 600)
}
