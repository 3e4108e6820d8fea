package data

import (
	"cmp"
	"container/heap"
	"fmt"
	"slices"
)

// Balance divides items into k groups of equal size whose summed costs are close
// to each other: Karmarkar and Karp's differencing, on groups of k items at a
// time. It spreads rows of a step over ranks; the cost of a row is what the
// model's operation count says (its attention grows with what each query really
// attends). Ties go to the lower index, so the result is a function of its
// arguments; each group lists its items in ascending order. len(costs) must be a
// multiple of k.
func Balance(costs []int64, k int) ([][]int, error) {
	if k <= 0 || len(costs)%k != 0 {
		return nil, fmt.Errorf("data: %d rows cannot be divided into %d groups of equal size: make rows a multiple", len(costs), k)
	}
	if len(costs) == 0 {
		return make([][]int, k), nil
	}
	order := make([]int, len(costs))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Or(cmp.Compare(costs[b], costs[a]), cmp.Compare(a, b)) })
	q := &divisions{}
	for i := 0; i < len(order); i += k {
		d := division{}
		for _, item := range order[i : i+k] {
			d.groups = append(d.groups, group{cost: costs[item], items: []int{item}})
		}
		heap.Push(q, d)
	}
	for q.Len() > 1 {
		a, b := heap.Pop(q).(division), heap.Pop(q).(division)
		heap.Push(q, a.merge(b))
	}
	groups := heap.Pop(q).(division).groups
	result := make([][]int, k)
	for i := range groups {
		slices.Sort(groups[i].items)
		result[i] = groups[i].items
	}
	slices.SortFunc(result, slices.Compare[[]int])
	return result, nil
}

// group is a set of items.
type group struct {
	cost  int64
	items []int
}

// division is k groups, most costly first.
type division struct{ groups []group }

// spread is the difference that merging tries to cancel.
func (d division) spread() int64 { return d.groups[0].cost - d.groups[len(d.groups)-1].cost }

// merge joins the most costly group of one with the least costly of the other.
func (d division) merge(o division) division {
	k := len(d.groups)
	m := division{groups: make([]group, k)}
	for i := range k {
		a, b := d.groups[i], o.groups[k-1-i]
		m.groups[i] = group{a.cost + b.cost, append(slices.Clip(a.items), b.items...)}
	}
	slices.SortFunc(m.groups, func(a, b group) int {
		return cmp.Or(cmp.Compare(b.cost, a.cost), cmp.Compare(slices.Min(a.items), slices.Min(b.items)))
	})
	return m
}

// divisions is a heap: the largest spread first, then the lowest item.
type divisions []division

func (q divisions) Len() int      { return len(q) }
func (q divisions) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q divisions) Less(i, j int) bool {
	if a, b := q[i].spread(), q[j].spread(); a != b {
		return a > b
	}
	return slices.Min(q[i].groups[0].items) < slices.Min(q[j].groups[0].items)
}

// Push implements heap.Interface.
func (q *divisions) Push(x any) { *q = append(*q, x.(division)) }

// Pop implements heap.Interface.
func (q *divisions) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}
