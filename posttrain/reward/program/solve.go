package program

import "math/big"

// Status is how a search ended.
type Status string

// The statuses.
const (
	Optimal    Status = "optimal"
	Infeasible Status = "infeasible"
	Unbounded  Status = "unbounded" // of the continuous relaxation, for programs with integers
	Exhausted  Status = "exhausted" // the limits were reached first
)

// Solution is what Solve found. Objective and Values belong to an Optimal one.
type Solution struct {
	Status    Status
	Objective *big.Rat
	Values    []*big.Rat
	Nodes     int
	Work      int64
}

// Limits bound a search by counts, so that it ends at the same place everywhere.
type Limits struct {
	// Nodes of the branch and bound, Work in products of 64-bit words.
	Nodes int
	Work  int64
}

// DefaultLimits are about a second of work.
func DefaultLimits() Limits { return Limits{Nodes: 20000, Work: 1 << 27} }

// node is a subproblem: the program with other bounds.
type node struct {
	lower, upper []*big.Rat
	bound        *big.Rat // no solution below is better; nil at the root
}

// search is a branch and bound in progress. It minimises.
type search struct {
	*Program
	cost     Linear // to be minimised, constant included
	limits   Limits
	integral bool // the objective of an integer solution is an integer
	best     Solution
}

// Solve finds the best point of a program, exactly. Programs without integer
// variables take one node.
func (p *Program) Solve(limits Limits) Solution {
	s := &search{Program: p, limits: limits, cost: p.minimised(), integral: p.integralObjective()}
	s.best.Status = Infeasible
	root := node{}
	for i := range p.Variables {
		root.lower, root.upper = append(root.lower, p.Variables[i].Lower), append(root.upper, p.Variables[i].Upper)
	}
	for open := []node{root}; len(open) > 0; {
		n := open[len(open)-1]
		open = open[:len(open)-1]
		if s.worse(n.bound) {
			continue
		}
		if s.best.Nodes == limits.Nodes || s.best.Work >= limits.Work {
			s.best.Status = Exhausted
			break
		}
		s.best.Nodes++
		status, at, value := s.relax(&n)
		switch {
		case status == Exhausted || status == Unbounded:
			s.best.Status = status
			open = nil
		case status == Optimal && !s.worse(value):
			open = append(open, s.branch(&n, at, value)...)
		}
	}
	return s.finish()
}

// minimised returns the objective as something to be minimised.
func (p *Program) minimised() Linear {
	if !p.Maximize {
		return p.Objective
	}
	return minus(Linear{Constant: new(big.Rat)}, p.Objective)
}

func (s *search) finish() Solution {
	b := s.best
	if b.Status != Optimal {
		b.Objective, b.Values = nil, nil
	} else if s.Maximize {
		b.Objective = new(big.Rat).Neg(b.Objective)
	}
	return b
}

// worse reports whether nothing better than the best can have this bound.
func (s *search) worse(bound *big.Rat) bool {
	return bound != nil && s.best.Objective != nil && bound.Cmp(s.best.Objective) >= 0
}

// branch keeps a point that has integers where it should, or splits the node at
// the first variable that has not. The side nearer to the point comes last, to
// be taken first.
func (s *search) branch(n *node, at []*big.Rat, value *big.Rat) []node {
	for i := range s.Variables {
		if !s.Variables[i].Integer || at[i].IsInt() {
			continue
		}
		if s.integral {
			value = ceil(value)
		}
		below := floor(at[i])
		down := node{n.lower, replaced(n.upper, i, below), value}
		up := node{replaced(n.lower, i, new(big.Rat).Add(below, big.NewRat(1, 1))), n.upper, value}
		if nearest(at[i]).Cmp(below) == 0 {
			return []node{up, down}
		}
		return []node{down, up}
	}
	s.best.Status, s.best.Objective, s.best.Values = Optimal, value, at
	return nil
}

func replaced(list []*big.Rat, i int, v *big.Rat) []*big.Rat {
	c := append([]*big.Rat(nil), list...)
	c[i] = v
	return c
}

func ceil(x *big.Rat) *big.Rat {
	f := floor(new(big.Rat).Neg(x))
	return f.Neg(f)
}

// integralObjective reports whether every term of the objective is an integer
// times an integer variable, and so is the constant.
func (p *Program) integralObjective() bool {
	for _, t := range p.Objective.Terms {
		if !p.Variables[t.Variable].Integer || !t.Coefficient.IsInt() {
			return false
		}
	}
	return p.Objective.Constant.IsInt()
}
