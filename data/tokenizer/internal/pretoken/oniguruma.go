package pretoken

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Limits of a pattern. That of GPT-4o, about the longest in use, has 274 bytes, 81,308 written out.
const (
	maxPattern    = 4 << 10
	maxTranslated = 512 << 10
	maxGroups     = 64
)

// translate rewrites an Oniguruma pattern (Ruby syntax) for regexp2 (.NET syntax):
//
//   - possessive quantifiers X?+ X*+ X++ become (?>X?) (?>X*) (?>X+);
//   - ^ and $ match at line breaks, as they always do in Ruby;
//   - \x{1F600} becomes the character;
//   - \w \d \s and general categories such as \p{Lu} become the characters of this package's tables.
//
// What has another meaning or none in .NET is an error, and so is a pattern of a size that no tokenizer
// needs and that would take the engine long to compile.
func translate(pattern string) (string, error) {
	if len(pattern) > maxPattern {
		return "", fmt.Errorf("%d bytes are too long, want at most %d", len(pattern), maxPattern)
	}
	t := translator{in: pattern}
	for t.pos < len(t.in) {
		if err := t.step(); err != nil {
			return "", err
		}
		if len(t.groups) > maxGroups {
			return "", fmt.Errorf("groups are nested deeper than %d", maxGroups)
		}
		if len(t.out) > maxTranslated {
			return "", fmt.Errorf("too large with its character classes written out: more than %d bytes", maxTranslated)
		}
	}
	return string(t.out), nil
}

type translator struct {
	in     string
	pos    int
	out    []byte
	atom   int   // where in out the last atom starts
	groups []int // where in out the open groups start
}

// step moves one construct from in to out.
func (t *translator) step() error {
	switch c := t.in[t.pos]; c {
	case '\\':
		t.atom = len(t.out)
		return t.escape(false)
	case '[':
		t.atom = len(t.out)
		return t.set()
	case '(':
		return t.open()
	case ')':
		if len(t.groups) == 0 {
			return fmt.Errorf("unbalanced ) at byte %d", t.pos)
		}
		t.atom = t.groups[len(t.groups)-1]
		t.groups = t.groups[:len(t.groups)-1]
		t.copy(1)
	case '?', '*', '+':
		t.quantifier()
	case '^', '$':
		t.atom = len(t.out)
		t.out = append(t.out, "(?m:"+string(c)+")"...)
		t.pos++
	case '{': // an interval, or a literal brace: regexp2 reads it the same way
		n := strings.IndexByte(t.in[t.pos:], '}')
		if n > 0 && t.pos+n+1 < len(t.in) && t.in[t.pos+n+1] == '+' {
			return fmt.Errorf("unsupported repetition of an interval at byte %d", t.pos)
		}
		t.copy(1)
	case '}', '|', ',':
		if c != '}' {
			t.atom = len(t.out)
		}
		t.copy(1)
	default:
		if '0' > c || c > '9' { // digits may stand inside an interval: leave the atom alone
			t.atom = len(t.out)
		} else if !t.inInterval() {
			t.atom = len(t.out)
		}
		_, w := utf8.DecodeRuneInString(t.in[t.pos:])
		t.copy(w)
	}
	return nil
}

// inInterval reports whether pos stands inside {n,m}.
func (t *translator) inInterval() bool {
	for i := t.pos - 1; i >= 0; i-- {
		switch c := t.in[i]; {
		case c == '{':
			return true
		case c != ',' && (c < '0' || c > '9'):
			return false
		}
	}
	return false
}

func (t *translator) copy(n int) {
	t.out = append(t.out, t.in[t.pos:t.pos+n]...)
	t.pos += n
}

// quantifier copies ? * + with a lazy ? after it, and makes a group of a possessive one.
func (t *translator) quantifier() {
	t.copy(1)
	if t.pos == len(t.in) {
		return
	}
	switch t.in[t.pos] {
	case '?':
		t.copy(1)
	case '+':
		atom := string(t.out[t.atom:])
		t.out = append(t.out[:t.atom], "(?>"+atom+")"...)
		t.pos++
	}
}

// open copies the head of a group and refuses the options whose letter means something else.
func (t *translator) open() error {
	t.groups = append(t.groups, len(t.out))
	n := 1
	if strings.HasPrefix(t.in[t.pos:], "(?") {
		n = 2
		if len(t.in) == t.pos+2 {
			return fmt.Errorf("unfinished group at byte %d", t.pos)
		}
		switch c := t.in[t.pos+2]; {
		case strings.IndexByte(":=!>", c) >= 0:
			n = 3
		case c == '<':
			n = 3
		case c == 'i', c == '-':
			end := strings.IndexAny(t.in[t.pos:], ":)")
			if end < 0 || strings.Trim(t.in[t.pos+2:t.pos+end], "i-") != "" {
				return fmt.Errorf("unsupported group option at byte %d", t.pos)
			}
			n = end
			if t.in[t.pos+end] == ':' {
				n++
			}
		default:
			return fmt.Errorf("unsupported group (?%c at byte %d", c, t.pos)
		}
	}
	t.copy(n)
	t.atom = len(t.out)
	return nil
}

// escape copies one escape, the same inside and outside of a set.
func (t *translator) escape(inSet bool) error {
	rest := t.in[t.pos:]
	if len(rest) < 2 {
		return fmt.Errorf("trailing backslash")
	}
	switch c := rest[1]; c {
	case 'h', 'H', 'R', 'X', 'K', 'G', 'y', 'Y', 'O', 'N', 'g', 'k', 'M', 'C', 'c':
		return fmt.Errorf(`unsupported escape \%c at byte %d`, c, t.pos)
	case 'x':
		return t.hex()
	case 'w', 'W':
		t.class(property("word"), c == 'W', inSet, 2)
	case 'd', 'D':
		t.class(property("Nd"), c == 'D', inSet, 2)
	case 's', 'S':
		t.class(property("space"), c == 'S', inSet, 2)
	case 'p', 'P':
		return t.property(inSet)
	default:
		_, w := utf8.DecodeRuneInString(rest[1:])
		t.copy(1 + w)
	}
	return nil
}

// class replaces an escape of length n by the characters it stands for.
func (t *translator) class(ranges rangeSet, negated, inSet bool, n int) {
	if negated {
		ranges = ranges.complement()
	}
	if inSet {
		t.out = append(t.out, ranges.pattern()...)
	} else {
		t.out = append(t.out, "["+ranges.pattern()+"]"...)
	}
	t.pos += n
}

// property replaces \p{Lu} and \P{Lu}; scripts and the like are left to the engine.
func (t *translator) property(inSet bool) error {
	rest := t.in[t.pos:]
	end := strings.IndexByte(rest, '}')
	if len(rest) < 3 || rest[2] != '{' || end < 0 || strings.HasPrefix(rest[3:], "^") {
		return fmt.Errorf(`unsupported property at byte %d: want \%c{Name}`, t.pos, rest[1])
	}
	if ranges := property(rest[3:end]); ranges != nil {
		t.class(ranges, rest[1] == 'P', inSet, end+1)
	} else {
		t.copy(end + 1)
	}
	return nil
}

// hex copies \xHH and turns \x{H...} into the escaped character.
func (t *translator) hex() error {
	rest := t.in[t.pos:]
	if !strings.HasPrefix(rest, `\x{`) {
		t.copy(2)
		return nil
	}
	end := strings.IndexByte(rest, '}')
	if end < 0 {
		return fmt.Errorf(`unfinished \x{ at byte %d`, t.pos)
	}
	v, err := strconv.ParseUint(rest[3:end], 16, 32)
	if err != nil || !utf8.ValidRune(rune(v)) {
		return fmt.Errorf(`%s at byte %d is no code point`, rest[:end+1], t.pos)
	}
	if v < 0x10000 {
		t.out = fmt.Appendf(t.out, `\u%04X`, v)
	} else {
		t.out = utf8.AppendRune(t.out, rune(v))
	}
	t.pos += end + 1
	return nil
}

// set copies a character set; nested sets, POSIX brackets and intersections have no .NET form.
func (t *translator) set() error {
	start := t.pos
	t.copy(1)
	if strings.HasPrefix(t.in[t.pos:], "^") {
		t.copy(1)
	}
	for first := true; t.pos < len(t.in); first = false {
		switch c := t.in[t.pos]; {
		case c == '\\':
			if err := t.escape(true); err != nil {
				return err
			}
		case c == ']' && !first:
			t.copy(1)
			return nil
		case c == '[':
			return fmt.Errorf("unsupported set inside a set at byte %d", t.pos)
		case strings.HasPrefix(t.in[t.pos:], "&&"):
			return fmt.Errorf("unsupported intersection && at byte %d", t.pos)
		default:
			t.copy(1)
		}
	}
	return fmt.Errorf("unfinished set at byte %d", start)
}
