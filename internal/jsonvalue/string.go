package jsonvalue

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// string reads a string in quotes. Without escapes it is a slice of the text.
func (p *parser) string() string {
	s := p.text
	start := p.at + 1
	i := start
	for i < len(s) && s[i] != '"' && s[i] != '\\' && s[i] >= 0x20 {
		i++
	}
	if i < len(s) && s[i] == '"' {
		p.at = i + 1
		return s[start:i]
	}
	var b strings.Builder
	b.Grow(i - start + 64)
	b.WriteString(s[start:i])
	for i < len(s) {
		switch c := s[i]; {
		case c == '"':
			p.at = i + 1
			return b.String()
		case c < 0x20:
			p.fail(i, "control character 0x%02x in a string: write it as an escape", c)
			return ""
		case c == '\\':
			r, next, ok := p.escape(i)
			if !ok {
				return ""
			}
			b.WriteRune(r)
			i = next
		default:
			from := i
			for i < len(s) && s[i] != '"' && s[i] != '\\' && s[i] >= 0x20 {
				i++
			}
			b.WriteString(s[from:i])
		}
	}
	p.fail(p.at, "the string that begins here is not closed")
	return ""
}

var escapes = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// escape returns the character that the escape at i stands for and the position
// after it.
func (p *parser) escape(i int) (r rune, next int, ok bool) {
	s := p.text
	if i+1 >= len(s) {
		p.fail(i, "the text ends within an escape")
		return 0, i, false
	}
	if c := escapes[s[i+1]]; c != 0 {
		return rune(c), i + 2, true
	}
	if s[i+1] != 'u' {
		r, _ := utf8.DecodeRuneInString(s[i+1:])
		p.fail(i, "unknown escape \\%c", r)
		return 0, i, false
	}
	if r, ok = hex4(s, i+2); !ok {
		p.fail(i, "\\u needs four hexadecimal digits")
		return 0, i, false
	}
	next = i + 6
	if utf16.IsSurrogate(r) {
		low := rune(-1)
		if next+6 <= len(s) && s[next] == '\\' && s[next+1] == 'u' {
			low, _ = hex4(s, next+2)
		}
		pair := utf16.DecodeRune(r, low)
		if pair == utf8.RuneError {
			p.fail(i, "surrogate \\u%04x without its other half", r)
			return 0, i, false
		}
		r, next = pair, next+6
	}
	return r, next, true
}

func hex4(s string, i int) (rune, bool) {
	if i+4 > len(s) {
		return -1, false
	}
	n, err := strconv.ParseUint(s[i:i+4], 16, 16)
	if err != nil {
		return -1, false
	}
	return rune(n), true
}
