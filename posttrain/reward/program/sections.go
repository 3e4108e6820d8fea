package program

import (
	"fmt"
	"math/big"
)

// constraint reads [name:] sum relation sum [relation sum].
func (p *parser) constraint() error {
	line := p.line()
	name := fmt.Sprintf("R%d", len(p.program.Constraints)+1)
	if p.kind(0) == 'w' && p.kind(1) == ':' {
		name = p.tokens[p.at].text
		p.at += 2
	}
	left, err := p.sum()
	if err != nil {
		return err
	}
	terms := 0
	for n := 0; n < 2 && p.related() && (n == 0 || !p.tokens[p.at].first); n++ {
		r := Relation(p.kind(0))
		p.at++
		right, err := p.sum()
		if err != nil {
			return err
		}
		if len(p.program.Constraints) == maxRows {
			return refuse(line, "more than %d constraints", maxRows)
		}
		c := Constraint{Name: name, Left: minus(left, right), Relation: r}
		c.Right = new(big.Rat).Neg(c.Left.Constant)
		c.Left.Constant = new(big.Rat)
		terms += len(c.Left.Terms)
		p.program.Constraints = append(p.program.Constraints, c)
		left = right
	}
	if terms == 0 {
		return refuse(line, "constraint %s: want a sum of variables, <=, >= or =, and a number", name)
	}
	return nil
}

// related reports whether a relation comes next.
func (p *parser) related() bool {
	r := Relation(p.kind(0))
	return r == AtMost || r == AtLeast || r == Equal
}

// minus returns a - b.
func minus(a, b Linear) Linear {
	var s sums
	for _, t := range a.Terms {
		s.add(t.Variable, t.Coefficient, 1)
	}
	for _, t := range b.Terms {
		s.add(t.Variable, t.Coefficient, -1)
	}
	s.constant.Sub(a.Constant, b.Constant)
	return s.linear()
}

// limit is a side of a bound: a number, or an infinity.
type limit struct {
	value    *big.Rat
	infinite int // -1, 1, or 0 for a number
}

// limit reads a signed number or infinity, if there is one.
func (p *parser) limit() (l limit, ok bool) {
	n, sign := 0, 1
	for p.kind(n) == '+' || p.kind(n) == '-' {
		if p.kind(n) == '-' {
			sign = -sign
		}
		n++
	}
	at := p.at
	p.at += n
	switch {
	case p.kind(0) == 'n':
		l.value = new(big.Rat).Mul(p.tokens[p.at].value, big.NewRat(int64(sign), 1))
	case p.word("inf", "infinity", "infty"):
		l.infinite = sign
	default:
		p.at = at
		return l, false
	}
	p.at++
	return l, true
}

// relation reads a relation.
func (p *parser) relation() (Relation, error) {
	if !p.related() {
		return 0, refuse(p.line(), "bounds: want <=, >=, = or free")
	}
	p.at++
	return Relation(p.tokens[p.at-1].kind), nil
}

// bound reads 0 <= x <= 5, x >= 1, x = 3, x free.
func (p *parser) bound() error {
	low, left := p.limit()
	var first Relation
	var err error
	if left {
		if first, err = p.relation(); err != nil {
			return err
		}
	}
	line := p.line()
	i, err := p.variable()
	if err != nil {
		return err
	}
	v := &p.program.Variables[i]
	if left {
		if err := v.restrict(mirrored[first], low, line); err != nil {
			return err
		}
	}
	switch {
	case p.word("free") && !left:
		p.at++
		v.Lower, v.Upper = nil, nil
		return nil
	case left && (p.at >= len(p.tokens) || p.tokens[p.at].first):
		return nil
	}
	r, err := p.relation()
	if err != nil {
		return err
	}
	high, ok := p.limit()
	if !ok {
		return refuse(p.line(), "bounds: want a number or infinity behind %s %c", v.Name, r)
	}
	return v.restrict(r, high, line)
}

var mirrored = map[Relation]Relation{AtMost: AtLeast, AtLeast: AtMost, Equal: Equal}

// restrict sets the bound that "variable r l" says.
func (v *Variable) restrict(r Relation, l limit, line int) error {
	if l.infinite != 0 {
		switch {
		case r == AtMost && l.infinite > 0:
			v.Upper = nil
		case r == AtLeast && l.infinite < 0:
			v.Lower = nil
		default:
			return refuse(line, "bounds: %s cannot be infinite", v.Name)
		}
		return nil
	}
	if r != AtMost {
		v.Lower = l.value
	}
	if r != AtLeast {
		v.Upper = l.value
	}
	return nil
}

// integer reads a name of the list of integer or binary variables.
func (p *parser) integer(binary bool) error {
	line := p.line()
	known := len(p.program.Variables)
	i, err := p.variable()
	if err != nil {
		return err
	}
	v := &p.program.Variables[i]
	if i == known {
		return refuse(line, "%s is in neither the objective nor a constraint", v.Name)
	}
	v.Integer = true
	if binary {
		v.Lower, v.Upper = new(big.Rat), big.NewRat(1, 1)
	}
	return nil
}
