// Package program reads linear and mixed-integer programs that a model wrote
// and solves them exactly, so that an answer in operations research can be
// rewarded for being right and not for looking right.
//
//	p, err := program.Parse(text)        // the LP file format
//	s := p.Solve(program.DefaultLimits())
//	s.Status, s.Objective, s.Values      // rational numbers, no rounding
//
// Everything is computed in rational numbers: a reward must not depend on the
// machine, and a feasible point is feasible or it is not. The solver is a
// simplex method on a tableau of integers with one common denominator
// (Edmonds 1967, Bareiss 1968), inside a depth-first branch and bound. It is
// made for the programs that fit in an answer, tens to a few hundred variables;
// [Limits] bound its work by counting, never by the clock.
package program
