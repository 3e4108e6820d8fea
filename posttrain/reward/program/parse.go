package program

import (
	"math/big"
	"strings"
)

// Parse reads a program in the LP file format that CPLEX, Gurobi, HiGHS and
// others share: an objective, constraints, bounds, and the lists of integer and
// binary variables. A variable is at least 0 unless its bounds say otherwise.
//
// More is taken than the format strictly allows, since models write it: a sign
// for the product (3 * x), and variables on both sides. What is not linear
// (quadratic terms, special ordered sets, semi-continuous variables) is refused.
func Parse(src string) (*Program, error) {
	ts, err := lex(src)
	if err != nil {
		return nil, err
	}
	p := parser{tokens: ts, program: &Program{}, index: map[string]int{}}
	if err := p.objective(); err != nil {
		return nil, err
	}
	for !p.end() {
		if err := p.section(); err != nil {
			return nil, err
		}
	}
	if len(p.program.Variables) == 0 {
		return nil, refuse(p.line(), "the program has no variable")
	}
	return p.program, nil
}

type parser struct {
	tokens  []token
	at      int
	program *Program
	index   map[string]int
}

// end reports whether the program is over: at "End", or with the text.
func (p *parser) end() bool {
	return p.at >= len(p.tokens) || p.word("end")
}

func (p *parser) line() int {
	switch {
	case p.at < len(p.tokens):
		return p.tokens[p.at].line
	case len(p.tokens) > 0:
		return p.tokens[len(p.tokens)-1].line
	}
	return 1
}

// kind returns the kind of the token i places ahead, 0 behind the last.
func (p *parser) kind(i int) byte {
	if p.at+i >= len(p.tokens) {
		return 0
	}
	return p.tokens[p.at+i].kind
}

// word reports whether the next token is one of the words, in any case.
func (p *parser) word(words ...string) bool {
	if p.kind(0) != 'w' {
		return false
	}
	for _, w := range words {
		if strings.EqualFold(p.tokens[p.at].text, w) {
			return true
		}
	}
	return false
}

// headings are the words that begin a section, with the number of tokens.
func (p *parser) heading() (name string, tokens int) {
	two := ""
	if p.kind(1) == 'w' {
		two = strings.ToLower(p.tokens[p.at+1].text)
	}
	switch {
	case p.kind(0) != 'w' || p.kind(1) == ':':
		return "", 0
	case p.word("subject", "such") && (two == "to" || two == "that"):
		return "constraints", 2
	case p.word("st", "s.t.", "st."):
		return "constraints", 1
	case p.word("bounds", "bound"):
		return "bounds", 1
	case p.word("general", "generals", "gen", "integer", "integers", "int"):
		return "integers", 1
	case p.word("binary", "binaries", "bin"):
		return "binaries", 1
	case p.word("semi-continuous", "semis", "semi", "sos", "sos1", "sos2", "pwlobj"):
		return "unsupported", 1
	case p.word("end"):
		return "end", 1
	}
	return "", 0
}

func (p *parser) objective() error {
	switch {
	case p.word("minimize", "minimise", "minimum", "min"):
	case p.word("maximize", "maximise", "maximum", "max"):
		p.program.Maximize = true
	default:
		return refuse(p.line(), "want Minimize or Maximize first")
	}
	p.at++
	switch {
	case p.kind(0) == ':': // "min: x" is often written
		p.at++
	case p.kind(0) == 'w' && p.kind(1) == ':':
		p.at += 2
	}
	l, err := p.sum()
	p.program.Objective = l
	return err
}

func (p *parser) section() error {
	name, n := p.heading()
	line := p.line()
	p.at += n
	for name != "" && name != "unsupported" && !p.end() {
		if next, _ := p.heading(); next != "" {
			break
		}
		var err error
		switch name {
		case "constraints":
			err = p.constraint()
		case "bounds":
			err = p.bound()
		default:
			err = p.integer(name == "binaries")
		}
		if err != nil {
			return err
		}
	}
	switch name {
	case "":
		return refuse(line, "want a section: Subject To, Bounds, General, Binary or End")
	case "unsupported":
		return refuse(line, "%s is not supported: the program must be linear, with continuous, integer and binary variables", p.tokens[p.at-1].text)
	}
	return nil
}

// sum reads terms until the next token cannot continue the sum.
func (p *parser) sum() (Linear, error) {
	var s sums
	for n := 0; ; n++ {
		sign, signed := int64(1), false
		for p.kind(0) == '+' || p.kind(0) == '-' {
			if p.kind(0) == '-' {
				sign = -sign
			}
			signed = true
			p.at++
		}
		name, _ := p.heading()
		term := p.kind(0) == 'n' || p.kind(0) == 'w' && name == ""
		if signed && !term {
			return Linear{}, refuse(p.line(), "a sign without a term")
		}
		if !term || !signed && n > 0 {
			return s.linear(), nil
		}
		v, index, err := p.term()
		if err != nil {
			return Linear{}, err
		}
		s.add(index, v, sign)
	}
}

// sums collects terms, each variable once, in the order of their first occurrence.
type sums struct {
	order    []int
	by       map[int]*big.Rat
	constant big.Rat
}

// add adds sign * v times a variable, or to the constant if the index is negative.
func (s *sums) add(index int, v *big.Rat, sign int64) {
	to := &s.constant
	if index >= 0 {
		if s.by == nil {
			s.by = map[int]*big.Rat{}
		}
		if s.by[index] == nil {
			s.by[index] = new(big.Rat)
			s.order = append(s.order, index)
		}
		to = s.by[index]
	}
	to.Add(to, new(big.Rat).Mul(v, big.NewRat(sign, 1)))
}

func (s *sums) linear() Linear {
	l := Linear{Constant: new(big.Rat).Set(&s.constant)}
	for _, i := range s.order {
		if s.by[i].Sign() != 0 {
			l.Terms = append(l.Terms, Term{i, s.by[i]})
		}
	}
	return l
}

// term reads 3, x, 3 x or 3 * x; the index is -1 for a constant. A name at the
// beginning of a line, or one before a colon, does not continue a number.
func (p *parser) term() (*big.Rat, int, error) {
	v := big.NewRat(1, 1)
	if p.kind(0) == 'n' {
		v.Set(p.tokens[p.at].value)
		p.at++
		times := p.kind(0) == '*'
		if times {
			p.at++
		}
		name, _ := p.heading()
		if p.kind(0) != 'w' || !times && (name != "" || p.tokens[p.at].first || p.kind(1) == ':') {
			if times {
				return nil, 0, refuse(p.line(), "want a variable behind *")
			}
			return v, -1, nil
		}
	}
	i, err := p.variable()
	return v, i, err
}

// variable reads a name and returns its index.
func (p *parser) variable() (int, error) {
	if p.kind(0) != 'w' {
		return 0, refuse(p.line(), "want a variable's name")
	}
	t := p.tokens[p.at]
	if len(t.text) > 255 {
		return 0, refuse(t.line, "the name %.20s... has %d bytes, want at most 255", t.text, len(t.text))
	}
	p.at++
	i, ok := p.index[t.text]
	if !ok {
		if i = len(p.program.Variables); i == maxVariables {
			return 0, refuse(t.line, "more than %d variables", maxVariables)
		}
		p.index[t.text] = i
		p.program.Variables = append(p.program.Variables, Variable{Name: t.text, Lower: new(big.Rat)})
	}
	return i, nil
}
