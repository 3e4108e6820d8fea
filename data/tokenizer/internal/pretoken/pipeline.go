package pretoken

import (
	"errors"
	"fmt"
	"strings"
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

// A Pipeline cuts text by a sequence of stages. It is safe for concurrent use.
type Pipeline struct {
	stages []Stage
	fast   scanner // the whole pipeline in one scanner, when there is one
	bytes  bool
}

// NewPipeline returns the pipeline of the stages in order. No stage at all leaves the text whole.
func NewPipeline(stages []Stage) (*Pipeline, error) {
	p := &Pipeline{stages: stages}
	var patterns []string
	plain := true
	for i, s := range stages {
		if s.bytes && p.bytes {
			return nil, fmt.Errorf("pretoken: stage %d is a second ByteLevel", i)
		}
		plain = plain && !s.prefix && (s.scan != nil || s.cut == nil) && !(p.bytes && s.scan != nil)
		p.bytes = p.bytes || s.bytes
		if s.scan != nil {
			patterns = append(patterns, s.pattern)
		}
	}
	switch {
	case !plain:
	case len(patterns) == 1:
		for _, s := range stages {
			if s.scan != nil {
				p.fast = s.scan
			}
		}
	case strings.Join(patterns, "\x00") == strings.Join([]string{DeepSeekDigits, DeepSeekCJK, DeepSeekWords}, "\x00"):
		p.fast = scanDeepSeek
	}
	return p, nil
}

// ByteLevel reports whether the pieces are sequences of bytes for the model, rather than of characters.
func (p *Pipeline) ByteLevel() bool { return p.bytes }

// Scanned reports whether the pipeline is a single scanner, so that Next may be used; Split always may.
func (p *Pipeline) Scanned() bool { return p.fast != nil }

// Next returns the end of the piece of s that starts at pos. limit is 0 at the first call over a text,
// then the second result of the call before.
func (p *Pipeline) Next(s string, pos, limit int) (end, next int) { return p.fast(s, pos, limit) }

// Split appends the pieces of s, none of them empty.
func (p *Pipeline) Split(dst []string, s string) []string {
	if s == "" {
		return dst
	}
	pieces := []string{s}
	mapped := false
	var spans []Span
	for _, st := range p.stages {
		next := make([]string, 0, len(pieces))
		for _, piece := range pieces {
			if st.prefix && !strings.HasPrefix(piece, " ") {
				piece = " " + piece
			}
			spans = st.spans(spans[:0], piece, mapped)
			for _, sp := range spans {
				if sp.Start < sp.End {
					next = append(next, piece[sp.Start:sp.End])
				}
			}
		}
		pieces, mapped = next, mapped || st.bytes
	}
	return append(dst, pieces...)
}

// spans cuts one piece; mapped says that the stage sees the byte-level alphabet instead of the piece.
func (st Stage) spans(dst []Span, piece string, mapped bool) []Span {
	if !mapped {
		return st.cutText(dst, piece)
	}
	base := len(dst)
	text := MapBytes(piece)
	dst = st.cutText(dst, text)
	// Each character of text stands for one byte of piece.
	at, count := 0, 0
	index := func(to int) int {
		for ; at < to; count++ {
			if text[at] < 0x80 {
				at++
			} else {
				at += 2
			}
		}
		return count
	}
	for i := base; i < len(dst); i++ {
		dst[i].Start = index(dst[i].Start)
		dst[i].End = index(dst[i].End)
	}
	return dst
}

func (st Stage) cutText(dst []Span, text string) []Span {
	switch {
	case st.scan != nil:
		for pos, limit := 0, 0; pos < len(text); {
			start := pos
			pos, limit = st.scan(text, pos, limit)
			dst = append(dst, Span{start, pos})
		}
		return dst
	case st.cut != nil:
		return st.cut(dst, text)
	}
	return append(dst, Span{0, len(text)})
}
