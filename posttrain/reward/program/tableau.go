package program

import "math/big"

// tableau is a simplex tableau of integers: the true value of an entry is the
// entry over den. Row 0 is the cost, to be minimised; the last column is the
// right side, which is never negative below row 0.
type tableau struct {
	rows  [][]*big.Int
	basis []int // the basic column of each row from 1 on
	den   *big.Int
	cols  int // without the right side
	work  int64
	limit int64
	t, u  big.Int // scratch
}

// stalled is after how many steps without progress the rule that cannot cycle
// takes over.
const stalled = 50

// minimise pivots until the cost cannot fall. Columns from open on do not enter.
func (t *tableau) minimise(open int) Status {
	for still := 0; ; {
		c := t.entering(open, still > stalled)
		if c < 0 {
			return Optimal
		}
		r := t.leaving(c)
		if r < 0 {
			return Unbounded
		}
		if t.rows[r][t.cols].Sign() == 0 {
			still++
		} else {
			still = 0
		}
		t.pivot(r, c)
		if t.work > t.limit {
			return Exhausted
		}
	}
}

// entering returns the column whose cost falls fastest, or by Bland's rule the
// first whose cost falls at all; -1 at an optimum.
func (t *tableau) entering(open int, bland bool) int {
	best := -1
	for j, v := range t.rows[0][:open] {
		switch {
		case v.Sign() >= 0:
		case best < 0 || v.Cmp(t.rows[0][best]) < 0:
			if best = j; bland {
				return j
			}
		}
	}
	return best
}

// leaving returns the row that limits column c, the one of the lowest basic
// column of several; -1 if none does.
func (t *tableau) leaving(c int) int {
	best := -1
	for r := 1; r < len(t.rows); r++ {
		if t.rows[r][c].Sign() <= 0 {
			continue
		}
		if best > 0 {
			// b[r]/a[r] against b[best]/a[best]
			t.t.Mul(t.rows[r][t.cols], t.rows[best][c])
			t.u.Mul(t.rows[best][t.cols], t.rows[r][c])
			if d := t.t.Cmp(&t.u); d > 0 || d == 0 && t.basis[r-1] > t.basis[best-1] {
				continue
			}
		}
		best = r
	}
	return best
}

// pivot makes column c basic in row r. Every new entry is
// (a[i][j] p - a[i][c] a[r][j]) / den, which divides without remainder.
func (t *tableau) pivot(r, c int) {
	p := t.rows[r][c]
	if p.Sign() < 0 { // only where the right side is zero
		for _, v := range t.rows[r] {
			v.Neg(v)
		}
	}
	words := int64(len(p.Bits()) + 1)
	for i, row := range t.rows {
		f := row[c]
		if i == r || f.Sign() == 0 && p.Cmp(t.den) == 0 {
			continue
		}
		factor := new(big.Int).Set(f)
		for j, v := range row {
			if v.Sign() == 0 && (factor.Sign() == 0 || t.rows[r][j].Sign() == 0) {
				continue
			}
			t.t.Mul(v, p)
			t.u.Mul(factor, t.rows[r][j])
			v.Quo(t.t.Sub(&t.t, &t.u), t.den)
			t.work += words
		}
	}
	t.den = new(big.Int).Set(p)
	t.basis[r-1] = c
}
