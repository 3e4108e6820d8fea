package planner

import (
	"maps"
	"slices"
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
