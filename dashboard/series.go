package dashboard

import (
	"encoding/json"
	"math"
	"strconv"
)

// floats are numbers as JSON has them, null for what it cannot write.
type floats []float32

// MarshalJSON writes the shortest digits that read back as the same float32.
func (f floats) MarshalJSON() ([]byte, error) {
	b := make([]byte, 0, 2+8*len(f))
	b = append(b, '[')
	for i, x := range f {
		if i > 0 {
			b = append(b, ',')
		}
		if v := float64(x); math.IsNaN(v) || math.IsInf(v, 0) {
			b = append(b, "null"...)
		} else {
			b = strconv.AppendFloat(b, v, 'g', -1, 32)
		}
	}
	return append(b, ']'), nil
}

// lines are the values of one column. Where a point is several steps, Lo and Hi
// hold their extremes.
type lines struct {
	Mean floats `json:"mean"`
	Lo   floats `json:"lo,omitempty"`
	Hi   floats `json:"hi,omitempty"`
}

// series is a part of a table in at most so many points.
type series struct {
	// Steps stand in the run; the points cover From < step <= To, Width each.
	Steps int64 `json:"steps"`
	From  int64 `json:"from"`
	To    int64 `json:"to"`
	Width int64 `json:"width"`
	// Step, Tokens and Time are what had been taken at the end of each point.
	Step   []int64 `json:"step"`
	Tokens []int64 `json:"tokens"`
	Time   []int64 `json:"time"`
	// Columns are losses, rates and so on; of times, seconds of a step.
	Columns map[string]lines `json:"columns"`
}

// view is the steps from < step <= to in at most points points.
func (t *table) view(from, to int64, points int) *series {
	from, to = max(from, 0), min(to, t.steps)
	s := &series{Steps: t.steps, From: from, To: max(to, from), Width: t.width, Columns: map[string]lines{}, Step: []int64{}, Tokens: []int64{}, Time: []int64{}}
	if to <= from || points < 1 {
		return s
	}
	first, last := int(from/t.width), int((to-1)/t.width) // rows
	group := (last-first)/points + 1
	s.Width *= int64(group)
	s.From, s.To = int64(first)*t.width, min(int64(last+1)*t.width, t.steps)
	for r := first; r <= last; r += group {
		end := min(r+group-1, last)
		s.Step = append(s.Step, min(int64(end+1)*t.width, t.steps))
		s.Tokens = append(s.Tokens, t.tokens[end])
		s.Time = append(s.Time, t.time[end])
	}
	for _, c := range t.columns {
		s.Columns[c.name] = c.view(first, last, group, t)
	}
	return s
}

func (c *column) view(first, last, group int, t *table) lines {
	var l lines
	apart := c.kind == spread && (group > 1 || c.lo != nil)
	for r := first; r <= last; r += group {
		end := min(r+group-1, last)
		sum, n, lo, hi := 0.0, 0.0, nan32, nan32
		for i := r; i <= end; i++ {
			x := c.mean[i]
			if x == x {
				sum += float64(x)
				n++
			}
			if c.lo != nil {
				lo, hi = least(lo, c.lo[i]), most(hi, c.hi[i])
			} else {
				lo, hi = least(lo, x), most(hi, x)
			}
		}
		if c.kind == total { // a mean over steps, not over rows
			n = float64(min(int64(end+1)*t.width, t.steps) - int64(r)*t.width)
		}
		l.Mean = append(l.Mean, float32(sum/n))
		if apart {
			l.Lo, l.Hi = append(l.Lo, lo), append(l.Hi, hi)
		}
	}
	return l
}

// last is the value of a column at the last step, NaN without any.
func (t *table) last(name string) float64 {
	if i, ok := t.at[name]; ok && len(t.columns[i].mean) > 0 {
		return float64(t.columns[i].mean[len(t.columns[i].mean)-1])
	}
	return math.NaN()
}

// extremes are the first and last, least and greatest values of a column, and
// the step each is at.
type extremes struct {
	First, Last, Least, Most float64
	LeastAt, MostAt          int64
}

func (t *table) extremes(name string) (e extremes, ok bool) {
	i, known := t.at[name]
	if !known {
		return e, false
	}
	c := t.columns[i]
	for r, x := range c.mean {
		if x != x {
			continue
		}
		lo, hi := x, x
		if c.lo != nil {
			lo, hi = c.lo[r], c.hi[r]
		}
		step := min(int64(r+1)*t.width, t.steps)
		if !ok {
			e = extremes{First: float64(x), Least: float64(lo), Most: float64(hi), LeastAt: step, MostAt: step}
			ok = true
		}
		e.Last = float64(x)
		if float64(lo) < e.Least {
			e.Least, e.LeastAt = float64(lo), step
		}
		if float64(hi) > e.Most {
			e.Most, e.MostAt = float64(hi), step
		}
	}
	return e, ok
}

// marks are the fingerprints of rows of width steps, which the table's width
// divides.
func (t *table) marks(width int64) []uint64 {
	group := int(width / t.width)
	var out []uint64
	for r := 0; r < len(t.mark); r += group {
		m := uint64(0)
		for i := r; i < min(r+group, len(t.mark)); i++ {
			m = joinMarks(m, t.mark[i])
		}
		out = append(out, m)
	}
	return out
}

// parting is where two runs part: the steps before agree in batch and state, as
// far as they are on record; found is false if no step is known to differ.
func parting(a, b *table) (agree, width int64, found bool) {
	width = max(a.width, b.width)
	x, y := a.marks(width), b.marks(width)
	both := min(a.steps, b.steps)
	for i := range min(len(x), len(y)) {
		if int64(i+1)*width > both {
			break // rows of different lengths do not compare
		}
		if x[i] == 0 || y[i] == 0 || x[i] == unknownMark || y[i] == unknownMark {
			continue
		}
		if x[i] != y[i] {
			return int64(i) * width, width, true
		}
		agree = int64(i+1) * width
	}
	return agree, width, false
}

var _ json.Marshaler = floats{}
