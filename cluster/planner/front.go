package planner

import (
	"cmp"
	"slices"
)

// paretoFront returns the plans that no other beats in both step time and
// memory headroom, fastest first.
func paretoFront(plans []Plan) []Plan {
	sorted := slices.Clone(plans)
	slices.SortStableFunc(sorted, func(a, b Plan) int {
		if c := cmp.Compare(a.StepSeconds, b.StepSeconds); c != 0 {
			return c
		}
		return cmp.Compare(a.MemoryBytes.Total, b.MemoryBytes.Total)
	})
	var front []Plan
	for _, p := range sorted {
		if len(front) == 0 || p.MemoryBytes.Total < front[len(front)-1].MemoryBytes.Total {
			front = append(front, p)
		}
	}
	return front
}
