package pretoken

import (
	"fmt"
	"strings"
)

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
