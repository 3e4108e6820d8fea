package reward

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"strings"

	"github.com/temper-ml/temper/posttrain/reward/program"
)

// Optimisation solves the linear or mixed-integer program that the completion
// holds, in the LP format, and compares its optimum with the reference. A point
// that the completion claims is best, lines "name = value" between <solution>
// and </solution> or in a block fenced as solution, is checked against the
// reference program: feasible, and as good as the best.
type Optimisation struct {
	// Objective is the row's field with the reference optimum, Program the field
	// with a reference program in the LP format; at least one of them.
	Objective string `yaml:"objective,omitempty" json:"objective,omitempty"`
	Program   string `yaml:"program,omitempty" json:"program,omitempty"`
	// Tolerance is relative, for people round: 1e-6 if left out.
	Tolerance float64 `yaml:"tolerance,omitempty" json:"tolerance,omitempty"`
	// Parsed and Solved are what a program gets that is well formed, or has an
	// optimum, but the wrong one.
	Parsed float64 `yaml:"parsed,omitempty" json:"parsed,omitempty"`
	Solved float64 `yaml:"solved,omitempty" json:"solved,omitempty"`
}

func (o *Optimisation) build() (Rule, error) {
	c := *o
	switch {
	case o.Objective == "" && o.Program == "":
		return nil, errors.New("objective: no field: name the row's field with the reference optimum, or with a reference program")
	case !(o.Tolerance >= 0 && o.Tolerance < 1):
		return nil, fmt.Errorf("tolerance: %v, want 0 to below 1", o.Tolerance)
	case !(o.Parsed >= 0 && o.Parsed <= o.Solved && o.Solved < 1) && (o.Parsed != 0 || o.Solved != 0):
		return nil, fmt.Errorf("parsed: %v and solved: %v, want 0 <= parsed <= solved < 1", o.Parsed, o.Solved)
	case o.Tolerance == 0:
		c.Tolerance = 1e-6
	}
	return &c, nil
}

// Judge gives 1 for the right optimum, and for a wrong one what Parsed and
// Solved say.
func (o *Optimisation) Judge(_ context.Context, s *Sample) (Score, error) {
	reference, want, err := o.reference(s)
	if err != nil {
		return Score{}, err
	}
	text, hasProgram := findProgram(s.Completion)
	point, hasPoint := findPoint(s.Completion)
	if !hasProgram && !(hasPoint && reference != nil) {
		return Score{0, "no program"}, nil
	}
	if hasPoint && reference != nil {
		if reason := o.wrongPoint(reference, want, point); reason != "" {
			return Score{0, reason}, nil
		}
	}
	if !hasProgram {
		return Score{1, ""}, nil
	}
	p, err := program.Parse(text)
	if err != nil {
		return Score{0, "program: " + err.Error()}, nil
	}
	switch got := p.Solve(program.DefaultLimits()); {
	case got.Status != program.Optimal:
		return Score{o.Parsed, "the program is " + string(got.Status)}, nil
	case !near(got.Objective, want, o.Tolerance):
		return Score{o.Solved, fmt.Sprintf("its optimum is %s, want %s", show(got.Objective), show(want))}, nil
	}
	return Score{1, ""}, nil
}

// reference returns the row's program, if it has one, and its optimum.
func (o *Optimisation) reference(s *Sample) (*program.Program, *big.Rat, error) {
	var p *program.Program
	var optimum *big.Rat
	if o.Program != "" {
		text, err := s.text(o.Program)
		if err != nil {
			return nil, nil, err
		}
		if p, err = program.Parse(text); err != nil {
			return nil, nil, fmt.Errorf("field %q: %w", o.Program, err)
		}
		best := p.Solve(program.DefaultLimits())
		if best.Status != program.Optimal {
			return nil, nil, fmt.Errorf("field %q: the reference program is %s", o.Program, best.Status)
		}
		optimum = best.Objective
	}
	if o.Objective != "" {
		text, err := s.text(o.Objective)
		if err != nil {
			return nil, nil, err
		}
		said, ok := finalNumber(text, "")
		if !ok {
			return nil, nil, fmt.Errorf("field %q holds no number: %.80q", o.Objective, text)
		}
		if optimum != nil && !near(optimum, said, o.Tolerance) {
			return nil, nil, fmt.Errorf("field %q is %s, the optimum of field %q is %s", o.Objective, show(said), o.Program, show(optimum))
		}
		optimum = said
	}
	return p, optimum, nil
}

// wrongPoint tells what is wrong with a claimed point, nothing if it is best.
func (o *Optimisation) wrongPoint(p *program.Program, want *big.Rat, point map[string]*big.Rat) string {
	at := make([]*big.Rat, len(p.Variables))
	for i := range p.Variables {
		v, ok := point[p.Variables[i].Name]
		if !ok {
			return "the solution says nothing of " + p.Variables[i].Name
		}
		at[i] = v
	}
	if err := p.Violation(at, new(big.Rat).SetFloat64(o.Tolerance)); err != nil {
		return "the solution is not feasible: " + err.Error()
	}
	if got := p.Objective.Value(at); !near(got, want, o.Tolerance) {
		return fmt.Sprintf("the solution gives %s, the best is %s", show(got), show(want))
	}
	return ""
}

var (
	programBlock  = regexp.MustCompile("(?is)(?:```lp\\b[^\n]*\n(.*?)```|<lp>(.*?)</lp>)")
	solutionBlock = regexp.MustCompile("(?is)(?:```solution\\b[^\n]*\n(.*?)```|<solution>(.*?)</solution>)")
	programHead   = regexp.MustCompile(`(?im)^[ \t]*(?:maximi[sz]e|minimi[sz]e|maximum|minimum|max|min)\b:?[ \t]*(?:$|[^\n]*)`)
	programTail   = regexp.MustCompile(`(?im)^[ \t]*end[ \t]*$`)
	assignment    = regexp.MustCompile(`(?m)^\s*([^\s=:]{1,255})\s*[=:]\s*([-+]?[0-9][0-9.eE/+-]{0,60})\s*$`)
)

// findProgram returns the last program of a text: in a block, or from a line
// that begins with Minimize or Maximize to a line "End".
func findProgram(text string) (string, bool) {
	if b, ok := lastBlock(programBlock, text); ok {
		return b, true
	}
	ends := programTail.FindAllStringIndex(text, -1)
	if len(ends) == 0 {
		return "", false
	}
	end := ends[len(ends)-1]
	heads := programHead.FindAllStringIndex(text[:end[0]], -1)
	if len(heads) == 0 {
		return "", false
	}
	return text[heads[len(heads)-1][0]:end[1]], true
}

func lastBlock(e *regexp.Regexp, text string) (string, bool) {
	all := e.FindAllStringSubmatch(text, -1)
	if len(all) == 0 {
		return "", false
	}
	last := all[len(all)-1]
	return last[1] + last[2], true
}

// findPoint returns the values of the last solution block.
func findPoint(text string) (map[string]*big.Rat, bool) {
	b, ok := lastBlock(solutionBlock, text)
	if !ok {
		return nil, false
	}
	point := map[string]*big.Rat{}
	for _, m := range assignment.FindAllStringSubmatch(b, -1) {
		if v, ok := number(strings.TrimSpace(m[2])); ok && len(m[2]) < 48 && smallExponent(m[2]) {
			point[m[1]] = v
		}
	}
	return point, len(point) > 0
}

// smallExponent refuses numbers whose digits would fill the memory.
func smallExponent(s string) bool {
	at := strings.IndexAny(s, "eE")
	return at < 0 || len(strings.TrimLeft(s[at+1:], "+-0")) <= 2
}
