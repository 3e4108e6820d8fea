package pretoken

import (
	_ "embed" // the table of categories
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// A rangeSet is a sorted list of ranges of characters.
type rangeSet [][2]rune

//go:embed categories.txt
var categoryText string

// categories maps Lu, Ll, ... and "space" to their characters. A line of categories.txt is a name and
// some of its ranges in hexadecimal; it is made by testdata/make_unicode.py.
var categories = sync.OnceValue(func() map[string]rangeSet {
	out := map[string]rangeSet{}
	for line := range strings.Lines(categoryText) {
		fields := strings.Fields(line)
		if fields[0] == "#" {
			continue
		}
		for _, f := range fields[1:] {
			from, to, ok := strings.Cut(f, "-")
			if !ok {
				to = from
			}
			lo, err1 := strconv.ParseUint(from, 16, 32)
			hi, err2 := strconv.ParseUint(to, 16, 32)
			if err1 != nil || err2 != nil {
				panic("pretoken: bad range in categories.txt")
			}
			out[fields[0]] = append(out[fields[0]], [2]rune{rune(lo), rune(hi)})
		}
	}
	return out
})

// properties remembers what property has found.
var properties sync.Map

// property returns the characters of a general category, of one letter or two, of "space" or of "word";
// nil if there is none of the name.
func property(name string) rangeSet {
	if known, ok := properties.Load(name); ok {
		return known.(rangeSet)
	}
	var out rangeSet
	switch {
	case name == "space":
		out = categories()[name]
	case name == "word":
		out = wordRanges()
	case len(name) == 1 || len(name) == 2:
		out = category(name)
	}
	if out != nil {
		properties.Store(name, out)
	}
	return out
}

// category returns the characters of the general categories whose names begin with name.
func category(name string) rangeSet {
	var out, assigned rangeSet
	for known, ranges := range categories() {
		if known == "space" {
			continue
		}
		assigned = append(assigned, ranges...)
		if strings.HasPrefix(known, name) {
			out = append(out, ranges...)
		}
	}
	if name == "C" || name == "Cn" {
		out = append(out, assigned.sorted().complement()...)
	}
	return out.sorted()
}

// wordRanges is Oniguruma's \w: Unicode's word characters without the joiners, and with the numbers of
// Latin-1.
func wordRanges() rangeSet {
	out := rangeSet{{0xB2, 0xB3}, {0xB9, 0xB9}, {0xBC, 0xBE}}
	for _, name := range []string{"L", "M", "Nd", "Nl", "Pc"} {
		out = append(out, property(name)...)
	}
	return append(out, circledLetters...).sorted()
}

// circledLetters are alphabetic, though symbols.
var circledLetters = rangeSet{{0x24B6, 0x24E9}, {0x1F130, 0x1F149}, {0x1F150, 0x1F169}, {0x1F170, 0x1F189}}

// sorted returns the ranges in order, adjoining ones joined.
func (s rangeSet) sorted() rangeSet {
	slices.SortFunc(s, func(a, b [2]rune) int { return int(a[0]) - int(b[0]) })
	var out rangeSet
	for _, r := range s {
		if n := len(out); n > 0 && r[0] <= out[n-1][1]+1 {
			out[n-1][1] = max(out[n-1][1], r[1])
		} else {
			out = append(out, r)
		}
	}
	return out
}

// complement returns all other characters; s is sorted.
func (s rangeSet) complement() rangeSet {
	var out rangeSet
	next := rune(0)
	for _, r := range s {
		if next < r[0] {
			out = append(out, [2]rune{next, r[0] - 1})
		}
		next = r[1] + 1
	}
	if next <= utf8.MaxRune {
		out = append(out, [2]rune{next, utf8.MaxRune})
	}
	return out
}

// pattern writes the ranges as they stand inside [ ] in a regular expression.
func (s rangeSet) pattern() string {
	var b strings.Builder
	write := func(r rune) {
		if r < 0x10000 {
			b.WriteString(`\u` + strings.ToUpper(strconv.FormatInt(0x10000|int64(r), 16)[1:]))
		} else {
			b.WriteRune(r)
		}
	}
	for _, r := range s {
		write(r[0])
		if r[1] > r[0] {
			b.WriteByte('-')
			write(r[1])
		}
	}
	return b.String()
}
