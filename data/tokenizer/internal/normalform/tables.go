package normalform

import (
	_ "embed" // the two tables
	"strconv"
	"strings"
	"sync"
)

var (
	//go:embed decompositions.txt
	decompositions string
	//go:embed classes.txt
	classes string
)

// data is what the tables say. Characters that are not in props have class 0 and do not decompose.
type data struct {
	props map[rune]props
	pairs map[[2]rune]rune
}

type props struct {
	class      uint8
	active     uint8 // forms in which the character may change or meet another
	canonical  []rune
	compatible []rune
}

var formBit = map[Form]uint8{NFC: 1, NFD: 2, NFKC: 4, NFKD: 8}

var tables = sync.OnceValue(func() *data {
	t := &data{map[rune]props{}, map[[2]rune]rune{}}
	var composed []rune
	for line := range body(decompositions) {
		i := strings.IndexAny(line, "=:~")
		r := points(line[:i])[0]
		p := t.props[r]
		switch to := points(line[i+1:]); line[i] {
		case '=':
			composed = append(composed, r)
			p.canonical = to
			p.active |= formBit[NFD] | formBit[NFKD]
		case ':':
			p.canonical = to
			p.active |= 0xFF
		case '~':
			p.compatible = to
			p.active |= formBit[NFKC] | formBit[NFKD]
		}
		t.props[r] = p
	}
	for line := range body(classes) {
		f := strings.Fields(line)
		class, err := strconv.ParseUint(f[0], 10, 8)
		if err != nil {
			panic("normalform: bad line in classes.txt")
		}
		for r := points(f[1])[0]; r <= points(f[2])[0]; r++ {
			p := t.props[r]
			p.class, p.active = uint8(class), 0xFF
			t.props[r] = p
		}
	}
	t.addPairs(composed)
	return t
})

// addPairs finds for every character that composes the two it is composed of: all of its decomposition
// but the last, composed, and the last.
func (t *data) addPairs(composed []rune) {
	whole := map[string]rune{}
	for _, r := range composed {
		whole[string(t.props[r].canonical)] = r
	}
	for _, r := range composed {
		parts := t.props[r].canonical
		first, second := parts[0], parts[len(parts)-1]
		if len(parts) > 2 {
			first = whole[string(parts[:len(parts)-1])]
		}
		t.pairs[[2]rune{first, second}] = r
		p := t.props[second]
		p.active |= formBit[NFC] | formBit[NFKC]
		t.props[second] = p
	}
	for r := rune(vowels); r < vowels+vowelCount; r++ {
		t.props[r] = props{active: formBit[NFC] | formBit[NFKC]}
	}
	for r := rune(trails + 1); r < trails+trailCount; r++ {
		t.props[r] = props{active: formBit[NFC] | formBit[NFKC]}
	}
}

// body yields the lines of a table but its comment.
func body(table string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for line := range strings.Lines(table) {
			if line = strings.TrimSpace(line); line != "" && line[0] != '#' && !yield(line) {
				return
			}
		}
	}
}

func points(s string) []rune {
	var out []rune
	for _, f := range strings.Fields(s) {
		v, err := strconv.ParseUint(f, 16, 32)
		if err != nil {
			panic("normalform: bad code point in decompositions.txt")
		}
		out = append(out, rune(v))
	}
	return out
}
