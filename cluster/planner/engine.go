package planner

import (
	"fmt"
	"slices"

	"github.com/temper-ml/temper/cluster/costmodel/operator"
	"github.com/temper-ml/temper/distributed/schedule"
)

// engineRuns says which schedules and ZeRO levels of a grid the engine has. A
// user who names some in [Space] gets them, whatever the engine.
type engineRuns struct {
	schedules []schedule.Kind // nil is all
	levels    []int           // nil is all
	zero      []bool          // by index into grid.zero
	highest   int             // highest level of those
	offload   bool            // the grid offloads the optimizer
}

// schedulesOf lists what the documentation of an engine offers for its pipeline.
func schedulesOf(e *operator.Engine) []schedule.Kind {
	switch e.Name {
	case "megatron", "megatron-2021":
		return []schedule.Kind{schedule.OneFOneB, schedule.Interleaved}
	case "mindspeed":
		return []schedule.Kind{schedule.OneFOneB, schedule.Interleaved, schedule.DualPipeV}
	case "torchtitan", "torchtitan-2024", "torchtitan-eager":
		return []schedule.Kind{schedule.GPipe, schedule.OneFOneB, schedule.Interleaved, schedule.ZBV, schedule.DualPipeV}
	}
	return nil
}

// levelsOf lists the ZeRO levels of an engine: a distributed optimizer shards
// its state; FSDP shards gradients, and weights too where it drops them after use.
func levelsOf(e *operator.Engine) []int {
	levels := []int{0}
	if e.DistributedOptim {
		levels = append(levels, 1)
	}
	if e.FSDP {
		levels = append(levels, 2, 3)
	}
	return levels
}

func runsOf(e *operator.Engine, s Space, g *grid) engineRuns {
	var r engineRuns
	if len(s.Schedules) == 0 {
		r.schedules = schedulesOf(e)
	}
	if len(s.Zero) == 0 {
		r.levels = levelsOf(e)
	}
	for _, z := range g.zero {
		has := r.levels == nil || slices.Contains(r.levels, z)
		r.zero = append(r.zero, has)
		if has {
			r.highest = max(r.highest, z)
		}
	}
	r.offload = slices.Contains(g.offload, "optimizer")
	return r
}

func (r *engineRuns) has(k schedule.Kind) bool {
	return r.schedules == nil || slices.Contains(r.schedules, k)
}

// refusal words why the engine cannot run a layout.
func (r *engineRuns) refusal(e *operator.Engine, k schedule.Kind, zero int) string {
	if !r.has(k) {
		return fmt.Sprintf("schedule is %s, which %s does not have: it has %v (--schedule searches others all the same)", k, e.Name, r.schedules)
	}
	return fmt.Sprintf("zero is %d, which %s does not have: it has %v (--zero searches others all the same)", zero, e.Name, r.levels)
}
