package program

import (
	"fmt"
	"math/big"
	"strings"
)

// Bounds on what is read, far beyond what an answer holds.
const (
	maxBytes     = 1 << 20
	maxVariables = 4096
	maxRows      = 4096
	maxDigits    = 40
	maxExponent  = 99
)

// token is a word, a number or a sign.
type token struct {
	kind  byte // 'w' word, 'n' number, '<' '>' '=' relation, or the sign itself
	text  string
	value *big.Rat // of a number
	line  int
	first bool // the first of its line
}

// SyntaxError refuses a text.
type SyntaxError struct {
	Line int
	Rule string
}

// Error returns line and rule.
func (e *SyntaxError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Rule) }

func refuse(line int, format string, args ...any) error {
	return &SyntaxError{line, fmt.Sprintf(format, args...)}
}

// lex cuts a text into tokens. A backslash begins a comment.
func lex(src string) ([]token, error) {
	if len(src) > maxBytes {
		return nil, refuse(1, "%d bytes, want at most %d", len(src), maxBytes)
	}
	var all []token
	for i, line := range strings.Split(src, "\n") {
		if at := strings.IndexByte(line, '\\'); at >= 0 {
			line = line[:at]
		}
		ts, err := lexLine(line, i+1)
		if err != nil {
			return nil, err
		}
		if len(ts) > 0 {
			ts[0].first = true
		}
		all = append(all, ts...)
	}
	return all, nil
}

func lexLine(s string, line int) ([]token, error) {
	var ts []token
	for s = strings.TrimSpace(s); s != ""; s = strings.TrimSpace(s) {
		t := token{line: line}
		n := 1
		switch c := s[0]; {
		case digit(c) || c == '.' && len(s) > 1 && digit(s[1]):
			n = numberLen(s)
			v, err := number(s[:n], line)
			if err != nil {
				return nil, err
			}
			t.kind, t.value = 'n', v
		case strings.HasPrefix(s, "≤") || strings.HasPrefix(s, "≥"):
			n = len("≤")
			t.kind = relations[s[:n]]
		case wordByte(c):
			for n < len(s) && wordByte(s[n]) {
				n++
			}
			t.kind = 'w'
		case c == '<' || c == '>' || c == '=':
			if n < len(s) && strings.IndexByte("<>=", s[n]) >= 0 {
				n++
			}
			var ok bool
			if t.kind, ok = relations[s[:n]]; !ok {
				return nil, refuse(line, "%q is no relation, want <=, >= or =", s[:n])
			}
		case strings.IndexByte("+-*:", c) >= 0:
			t.kind = c
		case c == '[' || c == '^':
			return nil, refuse(line, "%q: the program must be linear", c)
		default:
			return nil, refuse(line, "%q is not of the LP format", firstRune(s))
		}
		t.text = s[:n]
		s = s[n:]
		ts = append(ts, t)
	}
	return ts, nil
}

var relations = map[string]byte{
	"<": '<', "<=": '<', "=<": '<', "≤": '<', ">": '>', ">=": '>', "=>": '>', "≥": '>', "=": '=', "==": '=',
}

func firstRune(s string) string {
	for _, r := range s {
		return string(r)
	}
	return ""
}

func digit(c byte) bool { return '0' <= c && c <= '9' }

// wordByte reports whether c may be in a name, as the LP format has it.
func wordByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || digit(c) || c >= 0x80 || strings.IndexByte("!\"#$%&(),.;?@_`'{}~/", c) >= 0
}

// numberLen returns the length of the number that s begins with: an exponent
// belongs to it only if digits follow.
func numberLen(s string) int {
	n := 0
	for n < len(s) && (digit(s[n]) || s[n] == '.') {
		n++
	}
	if n < len(s) && (s[n] == 'e' || s[n] == 'E') {
		e := n + 1
		if e < len(s) && (s[e] == '+' || s[e] == '-') {
			e++
		}
		if e < len(s) && digit(s[e]) {
			for e < len(s) && digit(s[e]) {
				e++
			}
			return e
		}
	}
	return n
}

// number reads a decimal exactly; its size is bounded, since 1e999999999 would
// fill the memory.
func number(s string, line int) (*big.Rat, error) {
	mantissa, exponent := s, ""
	if at := strings.IndexAny(s, "eE"); at >= 0 {
		mantissa, exponent = s[:at], strings.TrimLeft(s[at+1:], "+-0")
	}
	if len(mantissa) > maxDigits || len(exponent) > 2 {
		return nil, refuse(line, "the number %.20s is too long: at most %d digits and an exponent of %d", s, maxDigits, maxExponent)
	}
	v, ok := new(big.Rat).SetString(s)
	if !ok {
		return nil, refuse(line, "%q is no number", s)
	}
	return v, nil
}
