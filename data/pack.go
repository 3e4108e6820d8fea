package data

import (
	"fmt"
	"math/bits"
)

// Pack puts sequences of the given lengths into as few rows of at most capacity
// tokens as best-fit decreasing finds: longest first, each into the fullest row
// that still takes it, else into a new row. No sequence is cut. A row lists the
// indices of its sequences. Equal lengths are placed in the order given, so the
// result is a function of lengths and capacity alone, and how full the rows are
// does not depend on that order at all.
//
// It takes time proportional to len(lengths) + capacity.
func Pack(lengths []int, capacity int) ([][]int, error) {
	order, err := longestFirst(lengths, capacity)
	if err != nil {
		return nil, err
	}
	free := newFreeRows(capacity, len(lengths))
	var rows [][]int
	var left []int // free tokens of each row
	for _, i := range order {
		row, ok := free.take(lengths[i])
		if !ok {
			row = len(rows)
			rows = append(rows, nil)
			left = append(left, capacity)
		}
		rows[row] = append(rows[row], i)
		left[row] -= lengths[i]
		free.put(row, left[row])
	}
	return rows, nil
}

// longestFirst is a stable counting sort by length, descending.
func longestFirst(lengths []int, capacity int) ([]int, error) {
	start := make([]int, capacity+2)
	for i, n := range lengths {
		if n <= 0 || n > capacity {
			return nil, fmt.Errorf("data: sequence %d has %d tokens, a row takes 1 to %d", i, n, capacity)
		}
		start[n]++
	}
	at := 0
	for n := capacity; n > 0; n-- {
		at, start[n] = at+start[n], at
	}
	order := make([]int, len(lengths))
	for i, n := range lengths {
		order[start[n]] = i
		start[n]++
	}
	return order, nil
}

// freeRows finds the fullest row with enough space: rows with the same free
// space form a stack, and a tree of bitmaps over the free space finds the first
// stack that is not empty.
type freeRows struct {
	top   []int32 // by free space: the row opened or filled last, or -1
	below []int32 // by row: the next row of its stack, or -1
	tree  [][]uint64
}

func newFreeRows(capacity, most int) *freeRows {
	f := &freeRows{top: make([]int32, capacity+1), below: make([]int32, most)}
	for i := range f.top {
		f.top[i] = -1
	}
	for n := capacity + 1; ; n = (n + 63) / 64 {
		f.tree = append(f.tree, make([]uint64, (n+63)/64))
		if n <= 64 {
			return f
		}
	}
}

func (f *freeRows) put(row, space int) {
	f.below[row] = f.top[space]
	f.top[space] = int32(row)
	for _, level := range f.tree {
		level[space/64] |= 1 << (space % 64)
		space /= 64
	}
}

// take removes and returns the row with the least free space of at least need.
func (f *freeRows) take(need int) (row int, ok bool) {
	space, ok := f.next(need)
	if !ok {
		return 0, false
	}
	row = int(f.top[space])
	f.top[space] = f.below[row]
	for i, at := 0, space; f.top[space] < 0 && i < len(f.tree); i++ {
		f.tree[i][at/64] &^= 1 << (at % 64)
		if f.tree[i][at/64] != 0 {
			break
		}
		at /= 64
	}
	return row, true
}

// next returns the least space of at least from whose stack is not empty.
func (f *freeRows) next(from int) (int, bool) {
	at := from
	for up := range f.tree {
		level := f.tree[up]
		if at/64 >= len(level) {
			return 0, false
		}
		if word := level[at/64] >> (at % 64) << (at % 64); word != 0 {
			at = at/64*64 + bits.TrailingZeros64(word)
			for down := up - 1; down >= 0; down-- {
				at = at*64 + bits.TrailingZeros64(f.tree[down][at])
			}
			return at, true
		}
		at = at/64 + 1
	}
	return 0, false
}
