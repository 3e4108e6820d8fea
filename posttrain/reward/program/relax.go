package program

import "math/big"

// column is how a variable appears in the tableau: offset + sign * column, or
// for a free one the difference of two columns.
type column struct {
	index  int
	offset *big.Rat
	sign   int64
	free   bool // index+1 is the negative part
}

// maxEntries bounds a tableau, which is dense: about 100 MB.
const maxEntries = 1 << 21

// relax solves a node's program without the demand for integers.
func (s *search) relax(n *node) (Status, []*big.Rat, *big.Rat) {
	columns, count, ok := s.columns(n)
	if !ok {
		return Infeasible, nil, nil
	}
	if m := len(s.Constraints) + len(columns); m*(count+2*m) > maxEntries {
		return Exhausted, nil, nil
	}
	t, artificial := newTableau(s.rows(n, columns, count), count)
	t.limit = s.limits.Work - s.best.Work
	defer func() { s.best.Work += t.work }()
	if artificial < t.cols {
		if status := t.minimise(t.cols); status != Optimal {
			return status, nil, nil // the first phase is bounded by zero
		}
		if t.rows[0][t.cols].Sign() != 0 {
			return Infeasible, nil, nil
		}
		t.expel(artificial)
	}
	t.setCost(s.cost, columns)
	if status := t.minimise(artificial); status != Optimal {
		return status, nil, nil
	}
	at := t.point(columns)
	return Optimal, at, s.cost.Value(at)
}

// columns says how the node's variables become columns that are at least 0, and
// how many there are; not ok if a variable's bounds cross.
func (s *search) columns(n *node) (columns []column, count int, ok bool) {
	columns = make([]column, len(s.Variables))
	for i := range columns {
		c := &columns[i]
		*c = column{index: count, sign: 1}
		switch lo, hi := n.lower[i], n.upper[i]; {
		case lo != nil && hi != nil && lo.Cmp(hi) > 0:
			return nil, 0, false
		case lo != nil:
			c.offset = lo
		case hi != nil:
			c.offset, c.sign = hi, -1
		default:
			c.offset, c.free = new(big.Rat), true
			count++
		}
		count++
	}
	return columns, count, true
}

// rows returns the constraints, and the upper bounds of columns that have one.
func (s *search) rows(n *node, columns []column, count int) []row {
	var rows []row
	for i := range s.Constraints {
		c := &s.Constraints[i]
		rows = append(rows, newRow(count, c.Left.Terms, c.Relation, c.Right, columns))
	}
	for i := range columns {
		if n.lower[i] != nil && n.upper[i] != nil {
			rows = append(rows, newRow(count, []Term{{i, big.NewRat(1, 1)}}, AtMost, n.upper[i], columns))
		}
	}
	return rows
}

// row is a constraint over the columns, its right side not negative.
type row struct {
	left     []*big.Rat
	relation Relation
	right    *big.Rat
}

func newRow(count int, terms []Term, relation Relation, right *big.Rat, columns []column) row {
	r := row{make([]*big.Rat, count), relation, new(big.Rat).Set(right)}
	for i := range r.left {
		r.left[i] = new(big.Rat)
	}
	var v big.Rat
	for _, t := range terms {
		c := &columns[t.Variable]
		r.right.Sub(r.right, v.Mul(t.Coefficient, c.offset))
		v.Mul(t.Coefficient, big.NewRat(c.sign, 1))
		r.left[c.index].Add(r.left[c.index], &v)
		if c.free {
			r.left[c.index+1].Sub(r.left[c.index+1], &v)
		}
	}
	if r.right.Sign() < 0 {
		r.right.Neg(r.right)
		for _, l := range r.left {
			l.Neg(l)
		}
		r.relation = mirrored[r.relation]
	}
	return r
}

// newTableau lays rows out: columns, slacks, then artificial columns from the
// returned one on, with the sum of the artificial ones as the cost.
func newTableau(rows []row, count int) (t *tableau, artificial int) {
	artificial = count
	total := 0
	for _, r := range rows {
		if r.relation != Equal {
			artificial++
		}
		if r.relation != AtMost {
			total++
		}
	}
	total += artificial
	t = &tableau{cols: total, den: big.NewInt(1), rows: [][]*big.Int{zeros(total + 1)}}
	slack, extra := count, artificial
	for _, r := range rows {
		line := zeros(total + 1)
		scale := denominator(append(r.left[:count:count], r.right))
		for j, v := range r.left {
			integer(line[j], v, scale)
		}
		integer(line[total], r.right, scale)
		basic := slack
		if r.relation != Equal {
			line[slack].SetInt64(map[Relation]int64{AtMost: 1, AtLeast: -1}[r.relation])
			slack++
		}
		if r.relation != AtMost {
			line[extra].SetInt64(1)
			basic = extra
			extra++
			for j, v := range line {
				if j < artificial || j == total {
					t.rows[0][j].Sub(t.rows[0][j], v)
				}
			}
		}
		t.rows = append(t.rows, line)
		t.basis = append(t.basis, basic)
	}
	return t, artificial
}

func zeros(n int) []*big.Int {
	block, list := make([]big.Int, n), make([]*big.Int, n)
	for i := range list {
		list[i] = &block[i]
	}
	return list
}

// denominator returns the least common one.
func denominator(list []*big.Rat) *big.Int {
	d, g := big.NewInt(1), new(big.Int)
	for _, v := range list {
		g.GCD(nil, nil, d, v.Denom())
		d.Mul(d, new(big.Int).Quo(v.Denom(), g))
	}
	return d
}

// integer sets z to v * scale, which is one.
func integer(z *big.Int, v *big.Rat, scale *big.Int) {
	z.Mul(v.Num(), z.Quo(scale, v.Denom()))
}

// expel makes every artificial column leave the basis, at value zero; a row
// where nothing else can enter says 0 = 0 and goes.
func (t *tableau) expel(artificial int) {
	for r := 1; r < len(t.rows); r++ {
		if t.basis[r-1] < artificial {
			continue
		}
		enter := -1
		for j := 0; j < artificial && enter < 0; j++ {
			if t.rows[r][j].Sign() != 0 {
				enter = j
			}
		}
		if enter >= 0 {
			t.pivot(r, enter)
			continue
		}
		t.rows = append(t.rows[:r], t.rows[r+1:]...)
		t.basis = append(t.basis[:r-1], t.basis[r:]...)
		r--
	}
}

// setCost replaces row 0 by the program's cost, in terms of the columns that
// are not basic. Its scale does not matter to the pivots.
func (t *tableau) setCost(cost Linear, columns []column) {
	r := newRow(t.cols, cost.Terms, AtMost, new(big.Rat), columns)
	list := r.left
	scale := denominator(list)
	flipped := r.relation != AtMost // newRow keeps the right side from being negative
	for j := range t.rows[0] {
		v := t.rows[0][j].SetInt64(0)
		if j < len(list) {
			integer(v, list[j], scale)
			if flipped {
				v.Neg(v)
			}
			v.Mul(v, t.den)
		}
	}
	factor := new(big.Int)
	for i, b := range t.basis {
		factor.Quo(t.rows[0][b], t.den)
		if factor.Sign() == 0 {
			continue
		}
		for j, v := range t.rows[0] {
			v.Sub(v, t.t.Mul(factor, t.rows[i+1][j]))
		}
	}
}

// point returns the values of the variables.
func (t *tableau) point(columns []column) []*big.Rat {
	value := make([]*big.Rat, t.cols)
	for i, b := range t.basis {
		value[b] = new(big.Rat).SetFrac(t.rows[i+1][t.cols], t.den)
	}
	get := func(j int) *big.Rat {
		if value[j] == nil {
			return new(big.Rat)
		}
		return value[j]
	}
	at := make([]*big.Rat, len(columns))
	for i, c := range columns {
		v := new(big.Rat).Mul(get(c.index), big.NewRat(c.sign, 1))
		if c.free {
			v.Sub(v, get(c.index+1))
		}
		at[i] = v.Add(v, c.offset)
	}
	return at
}
