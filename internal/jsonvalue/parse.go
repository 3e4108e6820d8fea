package jsonvalue

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// MaxDepth is how deeply arrays and objects may nest.
const MaxDepth = 512

// SyntaxError says what is wrong with a text and at which byte.
type SyntaxError struct {
	Offset int    // byte offset in the text
	Rule   string // what is wrong, lower case
}

// Error returns the rule and the offset.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("json: byte %d: %s", e.Offset, e.Rule)
}

// Parse reads exactly one JSON value from text, strictly (see the package
// comment). Strings without escapes share text's memory.
func Parse(text string) (Value, error) { return parse(text, false) }

// ParsePython reads what Python's json.loads would read from text.
func ParsePython(text string) (Value, error) { return parse(text, true) }

func parse(text string, python bool) (Value, error) {
	if !utf8.ValidString(text) {
		return Value{}, &SyntaxError{invalidUTF8(text), "invalid UTF-8"}
	}
	p := parser{text: text, python: python}
	p.space()
	v := p.value(0)
	if p.err == nil {
		if p.space(); p.at < len(text) {
			p.fail(p.at, "text after the end of the value")
		}
	}
	if p.err != nil {
		return Value{}, p.err
	}
	return v, nil
}

func invalidUTF8(s string) int {
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return len(s)
}

// parser is a recursive-descent reader; after the first error every method
// returns at once.
type parser struct {
	text   string
	at     int
	python bool
	err    error
}

func (p *parser) fail(at int, format string, args ...any) {
	if p.err == nil {
		p.err = &SyntaxError{at, fmt.Sprintf(format, args...)}
	}
}

func (p *parser) space() {
	for p.at < len(p.text) {
		switch p.text[p.at] {
		case ' ', '\t', '\n', '\r':
			p.at++
		default:
			return
		}
	}
}

func (p *parser) value(depth int) Value {
	if p.at >= len(p.text) {
		p.fail(p.at, "the text ends where a value is expected")
		return Value{}
	}
	if depth > MaxDepth {
		p.fail(p.at, "more than %d levels of nesting", MaxDepth)
		return Value{}
	}
	start := p.at
	switch c := p.text[p.at]; {
	case c == '"':
		return Value{Kind: String, Text: p.string(), Offset: start}
	case c == '{':
		return Value{Kind: Object, Members: p.object(depth), Offset: start}
	case c == '[':
		return Value{Kind: Array, Items: p.array(depth), Offset: start}
	case c == '-' || c >= '0' && c <= '9':
		return Value{Kind: Number, Text: p.number(), Offset: start}
	}
	return p.word()
}

var words = []struct {
	text   string
	kind   Kind
	python bool
}{
	{"true", True, false},
	{"false", False, false},
	{"null", Null, false},
	{"NaN", Number, true},
	{"Infinity", Number, true},
}

func (p *parser) word() Value {
	rest := p.text[p.at:]
	for _, w := range words {
		if strings.HasPrefix(rest, w.text) && (!w.python || p.python) {
			v := Value{Kind: w.kind, Offset: p.at}
			if w.kind == Number {
				v.Text = w.text
			}
			p.at += len(w.text)
			return v
		}
	}
	r, _ := utf8.DecodeRuneInString(rest)
	p.fail(p.at, "%q cannot begin a value", r)
	return Value{}
}

// number reads a number, keeping its spelling.
func (p *parser) number() string {
	start, s := p.at, p.text
	i := start
	if s[i] == '-' {
		i++
		if p.python && strings.HasPrefix(s[i:], "Infinity") {
			p.at = i + len("Infinity")
			return s[start:p.at]
		}
	}
	whole := digits(s, i)
	if whole == i {
		p.fail(i, "a number needs a digit here")
		return ""
	}
	if s[i] == '0' && whole > i+1 {
		p.fail(i, "a number cannot begin with 0")
		return ""
	}
	i = whole
	if i < len(s) && s[i] == '.' {
		end := digits(s, i+1)
		if end == i+1 {
			p.fail(end, "a number needs a digit after its point")
			return ""
		}
		i = end
	}
	if i < len(s) && (s[i] == 'e' || s[i] == 'E') {
		j := i + 1
		if j < len(s) && (s[j] == '+' || s[j] == '-') {
			j++
		}
		end := digits(s, j)
		if end == j {
			p.fail(j, "a number needs a digit in its exponent")
			return ""
		}
		i = end
	}
	p.at = i
	return s[start:i]
}

// digits returns the end of the run of decimal digits that begins at i.
func digits(s string, i int) int {
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	return i
}

func (p *parser) array(depth int) []Value {
	p.at++
	p.space()
	if p.take(']') {
		return nil
	}
	var items []Value
	for p.err == nil {
		items = append(items, p.value(depth+1))
		p.space()
		if p.err != nil || p.take(']') {
			break
		}
		if !p.take(',') {
			p.expected("',' or ']'")
			break
		}
		p.space()
	}
	return items
}

func (p *parser) object(depth int) []Member {
	p.at++
	p.space()
	if p.take('}') {
		return nil
	}
	var members []Member
	seen := keySet{}
	for p.err == nil {
		keyAt := p.at
		if p.at >= len(p.text) || p.text[p.at] != '"' {
			p.expected("a key in quotes")
			break
		}
		key := p.string()
		p.space()
		if p.err == nil && !p.take(':') {
			p.expected("':'")
		}
		p.space()
		if p.err != nil {
			break
		}
		v := p.value(depth + 1)
		switch at, dup := seen.find(members, key); {
		case !dup:
			members = append(members, Member{key, v})
		case p.python:
			members[at].Value = v
		default:
			p.fail(keyAt, "duplicate key %q", key)
		}
		p.space()
		if p.err != nil || p.take('}') {
			break
		}
		if !p.take(',') {
			p.expected("',' or '}'")
		}
		p.space()
	}
	return members
}

// keySet finds earlier members of the same key: by scanning while they are few,
// through an index once they are many.
type keySet struct{ index map[string]int }

func (k *keySet) find(members []Member, key string) (int, bool) {
	const few = 16
	if len(members) < few {
		for i := range members {
			if members[i].Key == key {
				return i, true
			}
		}
		return 0, false
	}
	if k.index == nil {
		k.index = make(map[string]int, 2*few)
		for i := range members {
			k.index[members[i].Key] = i
		}
	}
	at, ok := k.index[key]
	if !ok {
		k.index[key] = len(members)
	}
	return at, ok
}

func (p *parser) take(c byte) bool {
	if p.at < len(p.text) && p.text[p.at] == c {
		p.at++
		return true
	}
	return false
}

func (p *parser) expected(what string) {
	if p.at >= len(p.text) {
		p.fail(p.at, "the text ends where %s is expected", what)
		return
	}
	r, _ := utf8.DecodeRuneInString(p.text[p.at:])
	p.fail(p.at, "expected %s, got %q", what, r)
}
