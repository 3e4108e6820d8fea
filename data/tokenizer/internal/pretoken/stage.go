package pretoken

import (
	"errors"
	"unicode"
	"unicode/utf8"
)

// A Stage is one step of a Pipeline.
type Stage struct {
	scan    scanner                     // tiles a piece
	cut     func([]Span, string) []Span // cuts a piece; nil when scan is set
	prefix  bool                        // puts a blank before pieces that do not begin with one
	bytes   bool                        // from here on, later stages see the byte-level alphabet
	pattern string                      // the text of an isolating pattern, to recognise sequences
}

// ByteLevelStage is Hugging Face's ByteLevel: GPT-2's pattern when useRegex, then one symbol for each byte.
func ByteLevelStage(addPrefixSpace, useRegex bool) Stage {
	s := Stage{prefix: addPrefixSpace, bytes: true}
	if useRegex {
		s.scan, s.pattern = scanGPT2, GPT2
	}
	return s
}

// SplitStage is Hugging Face's Split on a regular expression.
func SplitStage(pattern string, b Behavior, invert bool) (Stage, error) {
	if err := b.Check(); err != nil {
		return Stage{}, err
	}
	if scan, ok := scanners[pattern]; ok && b == Isolated { // isolating, inverted or not, gives the same pieces
		return Stage{scan: scan, pattern: pattern}, nil
	}
	re, err := CompileRegex(pattern)
	if err != nil {
		return Stage{}, err
	}
	return cutStage(re.find, b, invert), nil
}

// LiteralStage is Hugging Face's Split on a literal string.
func LiteralStage(text string, b Behavior, invert bool) (Stage, error) {
	if err := b.Check(); err != nil {
		return Stage{}, err
	}
	if text == "" {
		return Stage{}, errors.New("pretoken: the text to split on is empty")
	}
	return cutStage(findString(text), b, invert), nil
}

// DigitsStage is Hugging Face's Digits: numeric characters one by one, or in runs.
func DigitsStage(individual bool) Stage {
	b := Contiguous
	if individual {
		b = Isolated
	}
	return cutStage(findRune(isNumber), b, false)
}

// PunctuationStage is Hugging Face's Punctuation.
func PunctuationStage(b Behavior) (Stage, error) {
	if err := b.Check(); err != nil {
		return Stage{}, err
	}
	return cutStage(findRune(isPunctuation), b, false), nil
}

func isNumber(r rune) bool { return classOf(r)&number != 0 }

func isPunctuation(r rune) bool {
	c := classOf(r)
	return c&punct != 0 || r < utf8.RuneSelf && c&symbol != 0
}

// IsSpace reports whether r is white space.
func IsSpace(r rune) bool { return classOf(r)&space != 0 }

// WhitespaceStage is Hugging Face's Whitespace: words and runs of other characters, blanks dropped.
func WhitespaceStage() Stage {
	return Stage{cut: func(dst []Span, s string) []Span {
		const blank, word, other = 0, 1, 2
		kind, start := blank, 0
		for i, r := range s {
			k := other
			if IsWord(r) {
				k = word
			} else if IsSpace(r) {
				k = blank
			}
			if k != kind {
				if kind != blank {
					dst = append(dst, Span{start, i})
				}
				kind, start = k, i
			}
		}
		if kind != blank {
			dst = append(dst, Span{start, len(s)})
		}
		return dst
	}}
}

// IsWord reports whether r is a word character as Rust's regex crate defines \w.
func IsWord(r rune) bool {
	return classOf(r)&(letter|mark) != 0 || unicode.In(r, unicode.Nd, unicode.Nl, unicode.Pc, unicode.Other_Alphabetic, unicode.Join_Control)
}

// WhitespaceSplitStage is Hugging Face's WhitespaceSplit: what stands between blanks.
func WhitespaceSplitStage() Stage { return cutStage(findRune(IsSpace), Removed, false) }

func cutStage(f finder, b Behavior, invert bool) Stage {
	if invert {
		f = inverted(f)
	}
	return Stage{cut: func(dst []Span, s string) []Span { return b.split(dst, f(nil, s)) }}
}

// IsMarkup reports whether r is punctuation or a symbol.
func IsMarkup(r rune) bool { return classOf(r)&(punct|symbol) != 0 }
