package reward

import (
	"context"
	"fmt"
	"math/big"
	"regexp"
	"strings"
)

// Exact compares final answers as text: spaces at the ends do not count, nor
// how many there are between words.
type Exact struct {
	// Answer is the row's field with the reference.
	Answer string `yaml:"answer" json:"answer"`
	// Mark is what the final answer follows, the last one if several. Empty
	// takes what follows ####, stands in \boxed{}, or follows "answer is"; else
	// the last line.
	Mark string `yaml:"mark,omitempty" json:"mark,omitempty"`
	// AnyCase makes upper and lower case equal.
	AnyCase bool `yaml:"any_case,omitempty" json:"any_case,omitempty"`
}

func (e *Exact) build() (Rule, error) {
	if e.Answer == "" {
		return nil, errNoField
	}
	return e, nil
}

// Judge gives 1 for the reference, else 0.
func (e *Exact) Judge(_ context.Context, s *Sample) (Score, error) {
	reference, err := s.text(e.Answer)
	if err != nil {
		return Score{}, err
	}
	want, ok := final(reference, e.Mark)
	if !ok {
		want = reference
	}
	got, ok := final(s.Completion, e.Mark)
	if !ok && e.Mark != "" {
		return Score{0, fmt.Sprintf("no %s", e.Mark)}, nil
	}
	if !ok {
		got = lastLine(s.Completion)
	}
	want, got = strings.Join(strings.Fields(want), " "), strings.Join(strings.Fields(got), " ")
	if got == want || e.AnyCase && strings.EqualFold(got, want) {
		return Score{1, ""}, nil
	}
	return Score{0, fmt.Sprintf("%.80q, want %.80q", got, want)}, nil
}

// Numeric compares final answers as numbers: 1,000 and 1000.0 are equal, as are
// 1/2, \frac{1}{2} and 0.5. Nothing is rounded.
type Numeric struct {
	// Answer is the row's field with the reference: a number, or a text whose
	// final answer is one.
	Answer string `yaml:"answer" json:"answer"`
	// Mark is as for exact; empty falls back on the last number of the text.
	Mark string `yaml:"mark,omitempty" json:"mark,omitempty"`
	// Tolerance is relative to the reference, 0 by default.
	Tolerance float64 `yaml:"tolerance,omitempty" json:"tolerance,omitempty"`
}

func (n *Numeric) build() (Rule, error) {
	if n.Answer == "" {
		return nil, errNoField
	}
	if !(n.Tolerance >= 0 && n.Tolerance < 1) {
		return nil, fmt.Errorf("tolerance: %v, want 0 to below 1", n.Tolerance)
	}
	return n, nil
}

// Judge gives 1 for the reference, else 0.
func (n *Numeric) Judge(_ context.Context, s *Sample) (Score, error) {
	reference, err := s.text(n.Answer)
	if err != nil {
		return Score{}, err
	}
	want, ok := finalNumber(reference, n.Mark)
	if !ok {
		if want, ok = finalNumber(reference, ""); !ok {
			return Score{}, fmt.Errorf("field %q holds no number: %.80q", n.Answer, reference)
		}
	}
	got, ok := finalNumber(s.Completion, n.Mark)
	switch {
	case !ok:
		return Score{0, "no number"}, nil
	case near(got, want, n.Tolerance):
		return Score{1, ""}, nil
	}
	return Score{0, fmt.Sprintf("%s, want %s", show(got), show(want))}, nil
}

// near reports whether |got - want| <= tolerance |want|, exactly.
func near(got, want *big.Rat, tolerance float64) bool {
	d := new(big.Rat).Sub(got, want)
	room := new(big.Rat).SetFloat64(tolerance)
	return d.Abs(d).Cmp(room.Mul(room, new(big.Rat).Abs(want))) <= 0
}

func show(x *big.Rat) string {
	if s := x.RatString(); len(s) <= 24 {
		return s
	}
	return x.FloatString(6)
}

var (
	phrase = regexp.MustCompile(`(?i)\banswer\s*(?:is|:|=)\s*([^\n]+)`)
	// numeral matches what people write: -$1,234.50, 3/4, \frac{3}{4}, 6.02e23, 50%.
	numeral = regexp.MustCompile(`[-−+]?[$€£]?(?:\\d?frac\{-?\d{1,40}\}\{\d{1,40}\}|(?:\d{1,3}(?:,\d{3})+|\d{1,40})(?:\.\d{1,40})?(?:[eE][-+]?\d{1,2}\b)?(?:\s?/\s?\d{1,40})?|\.\d{1,40})`)
	latex   = regexp.MustCompile(`\\d?frac\{(-?\d+)\}\{(\d+)\}`)
)

// final returns the final answer of a text: what follows the last mark on its
// line; without a mark, what the usual ways of saying it hold.
func final(text, mark string) (string, bool) {
	if mark != "" {
		return after(text, mark)
	}
	if a, ok := after(text, "####"); ok {
		return a, true
	}
	if a, ok := boxed(text); ok {
		return a, true
	}
	if all := phrase.FindAllStringSubmatch(text, -1); len(all) > 0 {
		return strings.TrimRight(strings.TrimSpace(all[len(all)-1][1]), "."), true
	}
	return "", false
}

func after(text, mark string) (string, bool) {
	at := strings.LastIndex(text, mark)
	if at < 0 {
		return "", false
	}
	line, _, _ := strings.Cut(strings.TrimLeft(text[at+len(mark):], " \t\r\n"), "\n")
	line = strings.TrimSpace(line)
	return line, line != ""
}

// boxed returns the content of the last \boxed{...}, braces inside balanced.
func boxed(text string) (string, bool) {
	const open = `\boxed{`
	at := strings.LastIndex(text, open)
	if at < 0 {
		return "", false
	}
	depth := 1
	for i, c := range text[at+len(open):] {
		switch c {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return text[at+len(open):][:i], true
			}
		}
	}
	return "", false
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

// finalNumber returns the number of the final answer; without a mark in the
// rule or the text, the last number of all.
func finalNumber(text, mark string) (*big.Rat, bool) {
	if a, ok := final(text, mark); ok {
		if m := numeral.FindString(a); m != "" {
			return number(m)
		}
	}
	if mark != "" {
		return nil, false
	}
	all := numeral.FindAllStringIndex(text, -1)
	if len(all) == 0 {
		return nil, false
	}
	last := all[len(all)-1]
	// In "5-3" the sign belongs to no number.
	if at := last[0]; at > 0 && strings.ContainsAny(text[at:at+1], "-+") && strings.ContainsAny(text[at-1:at], "0123456789)") {
		last[0]++
	}
	return number(text[last[0]:last[1]])
}

// number reads what numeral matches.
func number(s string) (*big.Rat, bool) {
	s = strings.NewReplacer(",", "", "$", "", "€", "", "£", "", "−", "-", " ", "", "\t", "", "\n", "", "\r", "", "\u00a0", "").Replace(s)
	if m := latex.FindStringSubmatch(s); m != nil {
		s = strings.Replace(s, m[0], m[1]+"/"+m[2], 1)
		s = strings.Replace(s, "--", "", 1)
	}
	if top, bottom, ok := strings.Cut(s, "/"); ok {
		a, okA := new(big.Rat).SetString(strings.TrimPrefix(top, "+"))
		b, okB := new(big.Rat).SetString(bottom)
		if !okA || !okB || b.Sign() == 0 {
			return nil, false
		}
		return a.Quo(a, b), true
	}
	return new(big.Rat).SetString(strings.TrimPrefix(s, "+"))
}
