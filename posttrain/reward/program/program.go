package program

import (
	"fmt"
	"math/big"
)

// Program is a linear objective over variables, subject to linear constraints.
type Program struct {
	Maximize    bool
	Objective   Linear
	Constraints []Constraint
	Variables   []Variable
}

// Variable is a number to be found. Without a bound its limit is nil.
type Variable struct {
	Name         string
	Lower, Upper *big.Rat
	Integer      bool
}

// Linear is a sum of terms and a constant. No variable occurs in two terms.
type Linear struct {
	Terms    []Term
	Constant *big.Rat
}

// Term is Coefficient times the variable of that index.
type Term struct {
	Variable    int
	Coefficient *big.Rat
}

// Relation compares the two sides of a constraint.
type Relation byte

// The relations.
const (
	AtMost  Relation = '<'
	AtLeast Relation = '>'
	Equal   Relation = '='
)

// Constraint is Left Relation Right; the constant of Left is zero.
type Constraint struct {
	Name     string
	Left     Linear
	Relation Relation
	Right    *big.Rat
}

// Value returns the sum at a point, one value per variable of the program.
func (l *Linear) Value(at []*big.Rat) *big.Rat {
	sum := new(big.Rat)
	if l.Constant != nil {
		sum.Set(l.Constant)
	}
	var product big.Rat
	for _, t := range l.Terms {
		sum.Add(sum, product.Mul(t.Coefficient, at[t.Variable]))
	}
	return sum
}

// Violation tells what a point breaks, by more than the tolerance: a relative
// one, of the larger of 1 and the absolute right side. It is nil for a feasible
// point. Integer variables may be off by the tolerance too, since people print
// 2.9999999.
func (p *Program) Violation(at []*big.Rat, tolerance *big.Rat) error {
	if len(at) != len(p.Variables) {
		return fmt.Errorf("%d values for %d variables", len(at), len(p.Variables))
	}
	for i := range p.Variables {
		v := &p.Variables[i]
		switch {
		case v.Lower != nil && exceeds(v.Lower, at[i], v.Lower, tolerance):
			return fmt.Errorf("%s: %s is below %s", v.Name, text(at[i]), text(v.Lower))
		case v.Upper != nil && exceeds(at[i], v.Upper, v.Upper, tolerance):
			return fmt.Errorf("%s: %s is above %s", v.Name, text(at[i]), text(v.Upper))
		case v.Integer && exceeds(new(big.Rat).Abs(new(big.Rat).Sub(at[i], nearest(at[i]))), new(big.Rat), at[i], tolerance):
			return fmt.Errorf("%s: %s is no integer", v.Name, text(at[i]))
		}
	}
	for i := range p.Constraints {
		c := &p.Constraints[i]
		left := c.Left.Value(at)
		if c.Relation != AtLeast && exceeds(left, c.Right, c.Right, tolerance) ||
			c.Relation != AtMost && exceeds(c.Right, left, c.Right, tolerance) {
			return fmt.Errorf("constraint %s: %s %c %s does not hold", c.Name, text(left), c.Relation, text(c.Right))
		}
	}
	return nil
}

// exceeds reports whether a > b by more than the tolerance at scale.
func exceeds(a, b, scale, tolerance *big.Rat) bool {
	d := new(big.Rat).Sub(a, b)
	if d.Sign() <= 0 {
		return false
	}
	s := new(big.Rat).Abs(scale)
	if one := big.NewRat(1, 1); s.Cmp(one) < 0 {
		s = one
	}
	return d.Cmp(s.Mul(s, tolerance)) > 0
}

// nearest returns the integer nearest to x, halves upwards.
func nearest(x *big.Rat) *big.Rat {
	return floor(new(big.Rat).Add(x, big.NewRat(1, 2)))
}

// floor returns the largest integer that is not above x.
func floor(x *big.Rat) *big.Rat {
	q, m := new(big.Int), new(big.Int)
	q.DivMod(x.Num(), x.Denom(), m) // Euclidean: m >= 0, and the denominator is positive
	return new(big.Rat).SetInt(q)
}

// text is x for people: exact if it is short.
func text(x *big.Rat) string {
	if s := x.RatString(); len(s) <= 20 {
		return s
	}
	return x.FloatString(6)
}
