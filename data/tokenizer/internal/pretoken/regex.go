package pretoken

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/dlclark/regexp2/v2"
)

// A Regex is a compiled pattern with the meaning it has in Hugging Face tokenizers (Oniguruma syntax).
type Regex struct {
	re *regexp2.Regexp
}

// CompileRegex compiles pattern. Constructs that Oniguruma and regexp2 read differently are translated
// or refused by name.
func CompileRegex(pattern string) (*Regex, error) {
	translated, err := translate(pattern)
	if err != nil {
		return nil, fmt.Errorf("pretoken: pattern %q: %w", pattern, err)
	}
	re, err := regexp2.Compile(translated, regexp2.OptionMaxBacktrackingStackSize(-1))
	if err != nil {
		return nil, fmt.Errorf("pretoken: pattern %q: %w", pattern, err)
	}
	return &Regex{re}, nil
}

// find is the finder of the pattern. An empty match cuts the text where it stands.
func (r *Regex) find(dst []match, s string) []match {
	last := 0
	for _, m := range r.spans(s) {
		if last < m.Start {
			dst = append(dst, match{Span{last, m.Start}, false})
		}
		dst = append(dst, match{m, true})
		last = m.End
	}
	if last < len(s) {
		dst = append(dst, match{Span{last, len(s)}, false})
	}
	return dst
}

// spans returns the matches in s as byte ranges. The engine works on runes; a byte that is not UTF-8 is
// one rune, so positions are counted here. The engine fails only on a time or stack limit, and has none.
func (r *Regex) spans(s string) []Span {
	runes := make([]rune, 0, len(s))
	starts := make([]int, 0, len(s)+1)
	for i := 0; i < len(s); {
		c, w := utf8.DecodeRuneInString(s[i:])
		runes = append(runes, c)
		starts = append(starts, i)
		i += w
	}
	starts = append(starts, len(s))
	found, err := r.re.FindAllRunesIndex(runes, -1)
	if err != nil {
		return nil
	}
	spans := make([]Span, len(found))
	for i, m := range found {
		spans[i] = Span{starts[m[0]], starts[m[1]]}
	}
	return spans
}

// Replace returns s with every match replaced by the literal text with.
func (r *Regex) Replace(s, with string) string {
	spans := r.spans(s)
	if len(spans) == 0 {
		return s
	}
	var b strings.Builder
	last := 0
	for _, m := range spans {
		b.WriteString(s[last:m.Start])
		b.WriteString(with)
		last = m.End
	}
	b.WriteString(s[last:])
	return b.String()
}
