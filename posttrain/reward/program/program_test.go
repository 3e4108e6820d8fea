package program_test

import (
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"os"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/temper-ml/temper/posttrain/reward/program"
)

// TestAgainstHiGHS solves programs that another solver has solved
// (testdata/highs.py). Its feasibility tolerance is 1e-7 absolute and the
// coefficients are below 30, so an objective that it reports may be off by
// about 1e-5.
func TestAgainstHiGHS(t *testing.T) {
	b, err := os.ReadFile("testdata/highs.json")
	if err != nil {
		t.Fatal(err)
	}
	var golden []struct {
		Program, Status string
		Objective       *float64
	}
	if err := json.Unmarshal(b, &golden); err != nil {
		t.Fatal(err)
	}
	for i, g := range golden {
		p, err := program.Parse(g.Program)
		if err != nil {
			t.Errorf("program %d: %v\n%s", i, err, g.Program)
			continue
		}
		s := p.Solve(program.DefaultLimits())
		if string(s.Status) != g.Status {
			t.Errorf("program %d: %s, HiGHS says %s\n%s", i, s.Status, g.Status, g.Program)
			continue
		}
		if g.Objective == nil {
			continue
		}
		if v, _ := s.Objective.Float64(); math.Abs(v-*g.Objective) > 1e-5 {
			t.Errorf("program %d: objective %v, HiGHS says %v\n%s", i, v, *g.Objective, g.Program)
		}
		if err := p.Violation(s.Values, new(big.Rat)); err != nil {
			t.Errorf("program %d: the best point is not feasible: %v", i, err)
		}
		if got := p.Objective.Value(s.Values); got.Cmp(s.Objective) != 0 {
			t.Errorf("program %d: objective %s, its point gives %s", i, s.Objective, got)
		}
	}
}

// TestBruteForce compares small integer programs with all their points.
func TestBruteForce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 4).Draw(t, "variables")
		p := &program.Program{Maximize: rapid.Bool().Draw(t, "maximize")}
		for range n {
			lo := rapid.Int64Range(-2, 1).Draw(t, "lower")
			p.Variables = append(p.Variables, program.Variable{
				Name: "x", Integer: true, Lower: big.NewRat(lo, 1), Upper: big.NewRat(lo+rapid.Int64Range(0, 3).Draw(t, "width"), 1),
			})
		}
		linear := func() program.Linear {
			l := program.Linear{Constant: new(big.Rat)}
			for i := range n {
				if c := rapid.Int64Range(-6, 6).Draw(t, "coefficient"); c != 0 {
					l.Terms = append(l.Terms, program.Term{Variable: i, Coefficient: big.NewRat(c, rapid.Int64Range(1, 3).Draw(t, "denominator"))})
				}
			}
			return l
		}
		p.Objective = linear()
		for range rapid.IntRange(0, 3).Draw(t, "constraints") {
			p.Constraints = append(p.Constraints, program.Constraint{
				Name: "c", Left: linear(), Right: big.NewRat(rapid.Int64Range(-8, 8).Draw(t, "right"), 1),
				Relation: rapid.SampledFrom([]program.Relation{program.AtMost, program.AtLeast, program.Equal}).Draw(t, "relation"),
			})
		}
		want := bruteForce(p)
		s := p.Solve(program.DefaultLimits())
		switch {
		case want == nil && s.Status != program.Infeasible:
			t.Fatalf("%s, no point is feasible", s.Status)
		case want != nil && (s.Status != program.Optimal || s.Objective.Cmp(want) != 0):
			t.Fatalf("%s %v, want %v", s.Status, s.Objective, want)
		}
	})
}

// bruteForce returns the best objective over all integer points, nil without one.
func bruteForce(p *program.Program) *big.Rat {
	at := make([]*big.Rat, len(p.Variables))
	var best *big.Rat
	var walk func(i int)
	walk = func(i int) {
		if i == len(at) {
			v := p.Objective.Value(at)
			if p.Violation(at, new(big.Rat)) == nil && (best == nil || (v.Cmp(best) > 0) == p.Maximize && v.Cmp(best) != 0) {
				best = v
			}
			return
		}
		for v := new(big.Rat).Set(p.Variables[i].Lower); v.Cmp(p.Variables[i].Upper) <= 0; v = new(big.Rat).Add(v, big.NewRat(1, 1)) {
			at[i] = v
			walk(i + 1)
		}
	}
	walk(0)
	return best
}

func TestParse(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"format", "Maximize\n obj: 3 x + 2 y\nSubject To\n c1: x + y <= 4\n c2: x + 3 y <= 6\nBounds\n x <= 3\nEnd", "11"},
		{"one line", "max 2x+y st x+y<=3 c2: x<=2 end", "5"},
		{"both sides", "min x + y\nst\n x >= 2 * y + 1\n y ≥ 1\n", "4"},
		{"range", "min: x\nst\n 2 <= x + y <= 5\n y <= 1\n", "1"},
		{"free", "min x\nst\n x + y >= -3\n y <= 1\nbounds\n x free\n", "-4"},
		{"negative upper", "max x\nst\n x + y <= 0\nbounds\n -inf <= x <= -2\n", "-2"},
		{"integer", "max x\nst\n 2 x <= 7\ngeneral\n x\n", "3"},
		{"binary", "max 5 a + 4 b + 3 c\nst\n 2 a + 3 b + c <= 5\nbinary\n a b c\n", "9"},
		{"comment and constant", "\\ a comment\nmax x + 10 \\ more\nst\n c: x <= 2\n", "12"},
		{"exponent", "max 1e1 x\nst\n 2e0 x <= 3\n", "15"},
		{"lines", "min 3 x\n + 2 y\nst\n c1: x\n + y\n >= 2\n c2: x >= 0.5\n", "9/2"},
		{"no constraint on a bounded variable", "max x\nst\n y <= 1\nbounds\n x <= 7\n", "7"},
	} {
		p, err := program.Parse(c.text)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if s := p.Solve(program.DefaultLimits()); s.Status != program.Optimal || s.Objective.RatString() != c.want {
			t.Errorf("%s: %s %v, want %s", c.name, s.Status, s.Objective, c.want)
		}
	}
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "line 1: want Minimize or Maximize first"},
		{"find x", "line 1: want Minimize"},
		{"max x * y\nst\n x<=1", "line 1"},
		{"max [ x ^2 ]\nst\n x <= 1", "must be linear"},
		{"max x\nst\n x + \n", "a sign without a term"},
		{"max x\nst\n c: x\n", "line 3: constraint c: want a sum"},
		{"max x\nst\n 3 <= 4\n", "want a sum of variables"},
		{"max x\nst\n x <= 1e999999999\n", "too long"},
		{"max x\nst\n x <= " + strings.Repeat("9", 100), "too long"},
		{"max x\nst\n x <= 1\nbinary\n z\n", "z is in neither"},
		{"max x\nst\n x <= 1\nbounds\n x >= inf\n", "cannot be infinite"},
		{"max x\nst\n x <= 1\nsos\n x\n", "not supported"},
		{"max 3\nst\n", "no variable"},
		{strings.Repeat("x", 2<<20), "bytes"},
	} {
		_, err := program.Parse(c.text)
		var syntax *program.SyntaxError
		if !errors.As(err, &syntax) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.40q: %v, want %q", c.text, err, c.want)
		}
	}
}

func TestEnds(t *testing.T) {
	for _, c := range []struct {
		text string
		want program.Status
	}{
		{"max x\nst\n x >= 1\n", program.Unbounded},
		{"max x\nst\n x >= 3\n x <= 2\n", program.Infeasible},
		{"max x\nst\n 2 x = 3\ngeneral\n x\n", program.Infeasible},
		{"max x\nst\n x <= 3\nbounds\n 5 <= x <= 4\n", program.Infeasible},
		// Beale's program, on which the textbook rule cycles.
		{"min -0.75 a + 150 b - 0.02 c + 6 d\nst\n 0.25 a - 60 b - 0.04 c + 9 d <= 0\n 0.5 a - 90 b - 0.02 c + 3 d <= 0\n c <= 1\n", program.Optimal},
	} {
		p, err := program.Parse(c.text)
		if err != nil {
			t.Fatal(err)
		}
		if s := p.Solve(program.DefaultLimits()); s.Status != c.want {
			t.Errorf("%q: %s, want %s", c.text, s.Status, c.want)
		}
	}
}

// TestLimits: a program that branch and bound cannot settle ends by counting.
func TestLimits(t *testing.T) {
	text := "max x0\nst\n"
	var sum strings.Builder
	for i := range 30 {
		sum.WriteString(" + 2 x" + string(rune('a'+i%26)) + strings.Repeat("'", i/26))
	}
	text += sum.String() + " = 31\n x0 <= 1\nbinary\n"
	for i := range 30 {
		text += " x" + string(rune('a'+i%26)) + strings.Repeat("'", i/26)
	}
	p, err := program.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	s := p.Solve(program.Limits{Nodes: 300, Work: 1 << 40})
	if s.Status != program.Exhausted || s.Nodes != 300 {
		t.Errorf("%s after %d nodes, want exhausted after 300", s.Status, s.Nodes)
	}
	if s := p.Solve(program.Limits{Nodes: 1 << 30, Work: 1 << 16}); s.Status != program.Exhausted {
		t.Errorf("%s, want exhausted", s.Status)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("Maximize\n obj: 3 x + 2 y\nSubject To\n c1: x + y <= 4\nBounds\n x <= 3\nGeneral\n x\nEnd")
	f.Add("min: - - x\nst\n -inf <= x <= 2\n x free\nbin\n x")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := program.Parse(text)
		if err != nil {
			return
		}
		s := p.Solve(program.Limits{Nodes: 20, Work: 1 << 16})
		if s.Status == program.Optimal && p.Violation(s.Values, new(big.Rat)) != nil {
			t.Errorf("%q: the best point is not feasible", text)
		}
	})
}
