package pretoken

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// A Span is the half-open byte range [Start, End) of a text.
type Span struct{ Start, End int }

// A Behavior says what a Split does with the text its pattern matched.
type Behavior string

// The behaviors of Hugging Face's Split and Punctuation stages.
const (
	Isolated           Behavior = "Isolated"           // a piece of its own
	Removed            Behavior = "Removed"            // dropped
	MergedWithPrevious Behavior = "MergedWithPrevious" // the tail of the piece before it
	MergedWithNext     Behavior = "MergedWithNext"     // the head of the piece after it
	Contiguous         Behavior = "Contiguous"         // joined with adjoining matches
)

// Check returns an error unless b is one of the five behaviors.
func (b Behavior) Check() error {
	switch b {
	case Isolated, Removed, MergedWithPrevious, MergedWithNext, Contiguous:
		return nil
	}
	return fmt.Errorf("pretoken: behavior %q is not one of Isolated, Removed, MergedWithPrevious, MergedWithNext, Contiguous", string(b))
}

// A match is a span that the pattern either matched or left between two matches.
type match struct {
	Span
	hit bool
}

// A finder cuts all of s into alternating matched and unmatched spans.
type finder func(dst []match, s string) []match

// split turns the finder's spans into pieces as b asks.
func (b Behavior) split(dst []Span, found []match) []Span {
	if b == MergedWithNext {
		return mergeWithNext(dst, found)
	}
	base, previous := len(dst), false
	for _, m := range found {
		var join bool
		switch b {
		case Removed:
			if m.hit {
				continue
			}
		case Contiguous:
			join = m.hit == previous
		case MergedWithPrevious:
			join = m.hit && !previous
		}
		if join && len(dst) > base {
			dst[len(dst)-1].End = m.End
		} else {
			dst = append(dst, m.Span)
		}
		previous = m.hit
	}
	return dst
}

func mergeWithNext(dst []Span, found []match) []Span {
	base, previous := len(dst), false
	for _, m := range slices.Backward(found) {
		if m.hit && !previous && len(dst) > base {
			dst[len(dst)-1].Start = m.Start
		} else {
			dst = append(dst, m.Span)
		}
		previous = m.hit
	}
	slices.Reverse(dst[base:])
	return dst
}

// findRune is the finder of the characters for which is holds, each a match.
func findRune(is func(rune) bool) finder {
	return func(dst []match, s string) []match {
		last := 0
		for i := 0; i < len(s); {
			r, w := utf8.DecodeRuneInString(s[i:])
			if is(r) {
				if last < i {
					dst = append(dst, match{Span{last, i}, false})
				}
				dst = append(dst, match{Span{i, i + w}, true})
				last = i + w
			}
			i += w
		}
		if last < len(s) {
			dst = append(dst, match{Span{last, len(s)}, false})
		}
		return dst
	}
}

// findString is the finder of literal occurrences of pattern, which is not empty.
func findString(pattern string) finder {
	return func(dst []match, s string) []match {
		last := 0
		for {
			i := strings.Index(s[last:], pattern)
			if i < 0 {
				break
			}
			if i > 0 {
				dst = append(dst, match{Span{last, last + i}, false})
			}
			dst = append(dst, match{Span{last + i, last + i + len(pattern)}, true})
			last += i + len(pattern)
		}
		if last < len(s) {
			dst = append(dst, match{Span{last, len(s)}, false})
		}
		return dst
	}
}

// inverted swaps matched and unmatched.
func inverted(f finder) finder {
	return func(dst []match, s string) []match {
		base := len(dst)
		dst = f(dst, s)
		for i := base; i < len(dst); i++ {
			dst[i].hit = !dst[i].hit
		}
		return dst
	}
}
