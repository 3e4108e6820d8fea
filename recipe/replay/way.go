package replay

import (
	"fmt"
	"slices"
	"strings"

	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/recipe"
)

// Way is how steps are computed. It decides time and memory and no result,
// which is what a replay on another way than the run's puts to the test.
type Way struct {
	// SIMD is the instruction set, one of kernel.Paths.
	SIMD string `json:"simd"`
	// Threads are those that kernels use.
	Threads int `json:"threads"`
	// Micro is the rows of a micro-batch; 0 chooses another number than the
	// recipe's for each stage.
	Micro int `json:"micro,omitempty"`
	// Recompute is "none", "selective", "full", or empty for the recipe's.
	Recompute string `json:"recompute,omitempty"`
}

// Other completes w: what is left open becomes something else than what the run
// used, as far as this machine has something else. paths are the instruction
// sets that this machine has, slowest first; cores the threads it can run at once.
func (w Way) Other(run Way, paths []string, cores int) (Way, error) {
	if w.SIMD == "" {
		for _, p := range slices.Backward(paths) {
			if p != run.SIMD {
				w.SIMD = p
				break
			}
		}
		if w.SIMD == "" {
			w.SIMD = paths[0]
		}
	}
	if w.Threads == 0 {
		switch {
		case run.Threads != cores:
			w.Threads = cores
		case cores > 2:
			w.Threads = cores - 1
		default: // one thread too many costs little, half of them would double the time
			w.Threads = cores + 1
		}
	}
	switch {
	case !slices.Contains(paths, w.SIMD):
		return w, fmt.Errorf("simd: %q is not known to this machine: use one of %s", w.SIMD, strings.Join(paths, ", "))
	case w.Threads < 1 || w.Threads > 1024:
		return w, fmt.Errorf("threads: %d is outside [1, 1024]", w.Threads)
	case w.Micro < 0:
		return w, fmt.Errorf("micro: %d is negative: use a number of rows, or 0 to let temper choose", w.Micro)
	case !slices.Contains([]string{"", "none", "selective", "full"}, w.Recompute):
		return w, fmt.Errorf("recompute: %q is not known: use none, selective or full", w.Recompute)
	}
	return w, nil
}

// set makes kernels compute this way and returns what undoes it.
func (w Way) set() (undo func(), err error) {
	simd, err := kernel.SetPath(w.SIMD)
	if err != nil {
		return nil, err
	}
	threads := kernel.SetThreads(w.Threads)
	return func() {
		kernel.SetThreads(threads)
		_, _ = kernel.SetPath(simd) // it was in use before
	}, nil
}

// apply changes a stage to be computed this way.
func (w Way) apply(s *recipe.Stage) {
	rows := s.Data.Rows
	if s.Rollout != nil { // the answers decide how many there are
		rows = 2 * s.MicroRows * s.Slots
	}
	if w.Micro > 0 {
		s.MicroRows = min(w.Micro, rows)
	} else {
		s.MicroRows = otherMicro(s.MicroRows, rows, s.Slots)
	}
	if w.Recompute != "" {
		s.Recompute = w.Recompute
	}
}

// otherMicro returns another number of rows of a micro-batch than micro, which
// cuts the slots of a step of rows rows in another way, if there is one: half
// of it, since that needs less memory, or two instead of one.
func otherMicro(micro, rows, slots int) int {
	slot := (rows + slots - 1) / slots // rows of the largest slot
	switch micro = min(micro, slot); {
	case micro > 1:
		return (micro + 1) / 2
	case slot > 1:
		return 2
	}
	return micro
}

// String says the way in words; the rows of micro-batches are said by stage.
func (w Way) String() string {
	s := fmt.Sprintf("%s, %d threads", w.SIMD, w.Threads)
	if w.Threads == 1 {
		s = w.SIMD + ", 1 thread"
	}
	if w.Recompute != "" {
		s += ", recompute " + w.Recompute
	}
	return s
}
