// Package normalform brings text into the four Unicode normalization forms or into lower case, as Hugging
// Face tokenizers does. Bytes that are not UTF-8 stay where they are.
//
// The tables are text files made by testdata/make_tables.py. A line of decompositions.txt gives a
// character and its full decomposition, in hexadecimal: "C0=41 300" is canonical and composes again,
// "212B:41 30A" is canonical one way, "FB01~66 69" is a compatibility decomposition. A line of
// classes.txt gives a combining class and a range of characters, one of lowercase.txt a character and its
// lower case. Hangul syllables go by arithmetic.
package normalform

import (
	"slices"
	"unicode/utf8"
)

// A Form is a Unicode normalization form.
type Form string

// The four normalization forms.
const (
	NFC  Form = "NFC"  // canonical decomposition, then composition
	NFD  Form = "NFD"  // canonical decomposition
	NFKC Form = "NFKC" // compatibility decomposition, then composition
	NFKD Form = "NFKD" // compatibility decomposition
)

// Hangul syllables: leads, vowels and trails, and how many of each.
const (
	syllables, leads, vowels, trails  = 0xAC00, 0x1100, 0x1161, 0x11A7
	leadCount, vowelCount, trailCount = 19, 21, 28
)

// invalid marks a byte that is not UTF-8: invalid + byte.
const invalid rune = utf8.MaxRune + 1

// String returns s in form f.
func (f Form) String(s string) string {
	t := tables()
	if t.settled(s, f) {
		return s
	}
	compose := f == NFC || f == NFKC
	runes := make([]rune, 0, len(s)+8)
	for i := 0; i < len(s); {
		r, w := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && w == 1 {
			r = invalid + rune(s[i])
		}
		i += w
		runes = t.decompose(runes, r, f == NFKC || f == NFKD)
	}
	t.reorder(runes)
	if compose {
		runes = t.compose(runes)
	}
	out := make([]byte, 0, len(s)+8)
	for _, r := range runes {
		if r >= invalid {
			out = append(out, byte(r-invalid))
		} else {
			out = utf8.AppendRune(out, r)
		}
	}
	return string(out)
}

// settled reports whether no character of s can change or meet another in form f.
func (t *data) settled(s string, f Form) bool {
	bit := formBit[f]
	for _, r := range s {
		if r < utf8.RuneSelf {
			continue
		}
		if f == NFC && r < 0x300 {
			continue
		}
		if isSyllable(r) {
			if f == NFD || f == NFKD {
				return false
			}
			continue
		}
		if t.props[r].active&bit != 0 {
			return false
		}
	}
	return true
}

func isSyllable(r rune) bool {
	return syllables <= r && r < syllables+leadCount*vowelCount*trailCount
}

// decompose appends the full decomposition of r.
func (t *data) decompose(dst []rune, r rune, compatible bool) []rune {
	if isSyllable(r) {
		n := r - syllables
		dst = append(dst, leads+n/(vowelCount*trailCount), vowels+n/trailCount%vowelCount)
		if n%trailCount != 0 {
			dst = append(dst, trails+n%trailCount)
		}
		return dst
	}
	p := t.props[r]
	switch {
	case compatible && p.compatible != nil:
		return append(dst, p.compatible...)
	case p.canonical != nil:
		return append(dst, p.canonical...)
	}
	return append(dst, r)
}

// reorder sorts each run of combining marks by class, equal classes staying in order.
func (t *data) reorder(runes []rune) {
	for i := 0; i < len(runes); {
		if t.props[runes[i]].class == 0 {
			i++
			continue
		}
		end := i + 1
		for end < len(runes) && t.props[runes[end]].class != 0 {
			end++
		}
		slices.SortStableFunc(runes[i:end], func(a, b rune) int {
			return int(t.props[a].class) - int(t.props[b].class)
		})
		i = end
	}
}

// compose joins each starter with the marks after it that are not blocked, in place.
func (t *data) compose(runes []rune) []rune {
	out := runes[:0]
	starter := -1 // index in out of the last character of class 0
	last := 0     // class of the last character kept behind the starter
	for _, r := range runes {
		class := int(t.props[r].class)
		if starter >= 0 && (last < class || len(out) == starter+1) {
			if c := t.pair(out[starter], r); c != 0 {
				out[starter] = c
				continue
			}
		}
		out = append(out, r)
		if class == 0 {
			starter = len(out) - 1
		}
		last = class
	}
	return out
}

// pair returns the character that a and b compose to, or 0.
func (t *data) pair(a, b rune) rune {
	if leads <= a && a < leads+leadCount && vowels <= b && b < vowels+vowelCount {
		return syllables + ((a-leads)*vowelCount+b-vowels)*trailCount
	}
	if isSyllable(a) && (a-syllables)%trailCount == 0 && trails < b && b < trails+trailCount {
		return a + b - trails
	}
	return t.pairs[[2]rune{a, b}]
}
