package dashboard

import (
	"math"
	"slices"
)

// kind says what a row of several steps knows of their values.
type kind int

const (
	spread kind = iota // mean, least and most
	total              // sum
)

// Limits of a table, so that a hostile log cannot take memory.
const (
	maxColumns = 64
	chunk      = 1024 // rows that are reserved at once
)

// column is one quantity of a run, a value for each row. Where a row is one
// step, lo and hi are nil and mean has the value itself.
type column struct {
	name         string
	kind         kind
	mean, lo, hi []float32
}

// table keeps the numbers of the steps that stand, a row for each. When the
// budget is spent, neighbouring rows are merged, so that a run of any length
// fits: what charts show of it keeps its extremes and loses detail.
type table struct {
	budget *budget
	steps  int64 // that stand
	width  int64 // steps of a row
	rows   int   // that are reserved
	// What the last step of a row came to: tokens up to it, and its time.
	tokens []int64
	time   []int64
	// mark is a fingerprint of the batch and the state after each step of a row.
	mark    []uint64
	columns []*column
	at      map[string]int
	dropped int // columns beyond the limit
}

func newTable(b *budget) *table { return &table{budget: b, width: 1, at: map[string]int{}} }

// free gives the memory back.
func (t *table) free() {
	t.budget.give(t.rowBytes() * int64(t.rows))
	*t = *newTable(t.budget)
}

// rowBytes is what one row takes.
func (t *table) rowBytes() int64 {
	n := int64(3 * 8)
	for _, c := range t.columns {
		n += c.bytes(t.width)
	}
	return n
}

func (c *column) bytes(width int64) int64 {
	if c.kind == spread && width > 1 {
		return 12
	}
	return 4
}

// value is a number under the name of its column.
type value struct {
	name string
	kind kind
	v    float64
}

// add appends a step.
func (t *table) add(tokens, ms int64, mark uint64, values []value) {
	before := int64(0)
	if n := len(t.tokens); n > 0 {
		before = t.tokens[n-1]
	}
	if t.steps%t.width == 0 {
		t.grow()
	}
	if t.steps%t.width == 0 { // still, if rows were merged
		t.tokens, t.time, t.mark = append(t.tokens, 0), append(t.time, 0), append(t.mark, 0)
		for _, c := range t.columns {
			c.extend(len(t.tokens), t.width)
		}
	}
	row := len(t.tokens) - 1
	t.tokens[row], t.time[row], t.mark[row] = before+tokens, ms, joinMarks(t.mark[row], mark)
	inRow := t.steps%t.width + 1
	for _, v := range values {
		if c := t.column(v.name, v.kind); c != nil {
			c.put(row, v.v, inRow)
		}
	}
	t.steps++
}

// grow makes room for a row, by merging rows when the budget has none.
func (t *table) grow() {
	if len(t.tokens) < t.rows {
		return
	}
	need := t.rowBytes() * chunk
	switch {
	case t.rows == 0:
		t.budget.force(need)
		t.rows = chunk
	case t.budget.take(need):
		t.rows += chunk
	default:
		t.merge()
	}
}

// merge makes rows twice as wide.
func (t *table) merge() {
	before := t.rowBytes() * int64(t.rows)
	n := len(t.tokens)
	for i := 0; i < n; i += 2 {
		j := min(i+1, n-1)
		t.tokens[i/2], t.time[i/2] = t.tokens[j], t.time[j]
		m := t.mark[i]
		if j > i {
			m = joinMarks(m, t.mark[j])
		}
		t.mark[i/2] = m
	}
	half := (n + 1) / 2
	t.tokens, t.time, t.mark = slices.Clone(t.tokens[:half]), slices.Clone(t.time[:half]), slices.Clone(t.mark[:half])
	for _, c := range t.columns {
		c.merge(t.width)
	}
	t.width *= 2
	t.rows = (half/chunk + 1) * chunk
	t.budget.force(t.rowBytes()*int64(t.rows) - before)
}

// column returns the column of a name, or nil where there are too many.
func (t *table) column(name string, k kind) *column {
	if i, ok := t.at[name]; ok {
		return t.columns[i]
	}
	if len(t.columns) == maxColumns {
		t.dropped++
		return nil
	}
	c := &column{name: name, kind: k}
	t.budget.force(c.bytes(t.width) * int64(t.rows))
	t.at[name] = len(t.columns)
	t.columns = append(t.columns, c)
	c.extend(len(t.tokens), t.width)
	return c
}

var nan32 = float32(math.NaN())

// extend makes a column n rows long, with nothing in the new ones.
func (c *column) extend(n int, width int64) {
	for len(c.mean) < n {
		c.mean = append(c.mean, nan32)
		if c.kind == spread && width > 1 {
			c.lo, c.hi = append(c.lo, nan32), append(c.hi, nan32)
		}
	}
}

// put adds a value to a row, the nth step of it.
func (c *column) put(row int, v float64, nth int64) {
	x := float32(v)
	old := c.mean[row]
	switch {
	case c.kind == total:
		c.mean[row] = plus(old, x)
	case c.lo == nil:
		c.mean[row] = x
	default:
		c.lo[row], c.hi[row] = least(c.lo[row], x), most(c.hi[row], x)
		if old != old {
			c.mean[row] = x
		} else if x == x {
			c.mean[row] = old + (x-old)/float32(nth)
		}
	}
}

// merge halves a column of rows of width steps.
func (c *column) merge(width int64) {
	n := len(c.mean)
	if c.kind == spread && width == 1 {
		c.lo, c.hi = slices.Clone(c.mean), slices.Clone(c.mean)
	}
	for i := 0; i < n; i += 2 {
		j := min(i+1, n-1)
		switch {
		case j == i:
			c.mean[i/2] = c.mean[i]
		case c.kind == total:
			c.mean[i/2] = plus(c.mean[i], c.mean[j])
		default:
			c.mean[i/2] = middle(c.mean[i], c.mean[j])
		}
		if c.lo != nil {
			c.lo[i/2], c.hi[i/2] = least(c.lo[i], c.lo[j]), most(c.hi[i], c.hi[j])
		}
	}
	half := (n + 1) / 2
	c.mean = slices.Clone(c.mean[:half])
	if c.lo != nil {
		c.lo, c.hi = slices.Clone(c.lo[:half]), slices.Clone(c.hi[:half])
	}
}

// cut forgets all steps but the first n. The last row that is left may still
// show the extremes of steps that it has no more.
func (t *table) cut(n int64) {
	if n >= t.steps {
		return
	}
	t.steps = max(n, 0)
	left := int((t.steps + t.width - 1) / t.width)
	t.tokens, t.time, t.mark = t.tokens[:left], t.time[:left], t.mark[:left]
	if t.steps%t.width != 0 {
		t.mark[left-1] = unknownMark
	}
	for _, c := range t.columns {
		c.mean = c.mean[:left]
		if c.lo != nil {
			c.lo, c.hi = c.lo[:left], c.hi[:left]
		}
	}
}

// unknownMark is the fingerprint of rows that some steps left.
const unknownMark = ^uint64(0)

// joinMarks is a fingerprint of two; those of steps have their number in them.
func joinMarks(a, b uint64) uint64 {
	if a == unknownMark || b == unknownMark {
		return unknownMark
	}
	return a + b
}

// The following leave out what is not a number.

func plus(a, b float32) float32 {
	switch {
	case a != a:
		return b
	case b != b:
		return a
	}
	return a + b
}

func middle(a, b float32) float32 {
	switch {
	case a != a:
		return b
	case b != b:
		return a
	}
	return a + (b-a)/2
}

func least(a, b float32) float32 {
	if a != a || b < a {
		return b
	}
	return a
}

func most(a, b float32) float32 {
	if a != a || b > a {
		return b
	}
	return a
}
