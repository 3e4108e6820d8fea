package planner

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/temper-ml/temper/cluster/costmodel/operator"
	"github.com/temper-ml/temper/distributed/schedule"
)

// Refusal is one rule that layouts broke: how many, and the first of them.
type Refusal struct {
	Count   int64  `json:"count"`
	Example string `json:"example"` // the layout, as --layout takes it
	Text    string `json:"text"`    // what was wrong with it: rule, values, nearest legal value
}

// Rejections are the layouts that were refused, by rule.
type Rejections map[string]Refusal

// Total returns how many layouts were refused.
func (r Rejections) Total() int64 {
	var n int64
	for _, v := range r {
		n += v.Count
	}
	return n
}

// Rules returns the names of the broken rules, most frequent first.
func (r Rejections) Rules() []string {
	names := slices.Sorted(maps.Keys(r))
	slices.SortStableFunc(names, func(a, b string) int {
		return int(min(1, max(-1, r[b].Count-r[a].Count)))
	})
	return names
}

// rule is a reason to refuse a layout, as a small number: the inner loop counts
// rules and words them only once, for the first layout that broke each.
type rule uint8

// tally counts refusals of one worker: how many per rule, and the first place.
type tally struct {
	count [numRules]int64
	first [numRules]place
}

func (t *tally) refuse(r rule, n int64, at place) {
	if n <= 0 {
		return
	}
	if t.count[r] == 0 || at.order() < t.first[r].order() {
		t.first[r] = at
	}
	t.count[r] += n
}

func (t *tally) merge(o *tally) {
	for r := range o.count {
		t.refuse(rule(r), o.count[r], o.first[r])
	}
}

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
	switch e.Base() {
	case "megatron", "megatron-2021", "megatron-2022":
		return []schedule.Kind{schedule.OneFOneB, schedule.Interleaved}
	case "mindspeed":
		return []schedule.Kind{schedule.OneFOneB, schedule.Interleaved, schedule.DualPipeV}
	case "torchtitan", "torchtitan-2024", "torchtitan-eager":
		return []schedule.Kind{schedule.GPipe, schedule.OneFOneB, schedule.Interleaved, schedule.ZBV, schedule.DualPipeV}
	case "hai-llm":
		return []schedule.Kind{schedule.OneFOneB, schedule.DualPipe}
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
		return fmt.Sprintf("schedule is %s, which %s does not have: it has %s (--schedule searches others all the same)", k, e.Name, listed(r.schedules))
	}
	return fmt.Sprintf("zero is %d, which %s does not have: it has %s (--zero searches others all the same)", zero, e.Name, listed(r.levels))
}

// listed separates values by commas.
func listed[T any](values []T) string {
	words := make([]string, len(values))
	for i, v := range values {
		words[i] = fmt.Sprint(v)
	}
	return strings.Join(words, ", ")
}

// The rules that the inner loop counts. Their names and words come from the cost
// model, which is asked about the first layout that broke each.
const (
	ruleMesh     rule = iota // experts do not fold over the ranks of a stage
	ruleSharding             // a dimension does not divide
	ruleBatch                // the global batch does not divide
	ruleBlocks               // more positions than blocks
	ruleEngine               // the engine has no such schedule or ZeRO level
	ruleMemory
	ruleHost     // of memory, on the host
	ruleOffload  // to a host that nothing is known of
	ruleSchedule // and numKinds-1 after it: the shape of a schedule
	numRules     = ruleSchedule + numKinds
)
