// Package preview shows what will be trained on: the text of examples and packed
// rows, token by token where asked, with what is supervised marked.
package preview

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/temper-ml/temper/data"
)

// Decoder is what a preview needs of a tokenizer.
type Decoder interface {
	Decode(ids []int32) string
}

// Style is how marks are written.
type Style struct {
	Color  bool // ANSI colours instead of brackets
	Tokens bool // show where tokens end
}

// The marks of the two styles: supervised text stands between them.
const (
	green, dim, reset  = "\x1b[32m", "\x1b[2m", "\x1b[0m"
	opening, closing   = "⟦", "⟧"
	tokenEnd, tokenDim = "·", dim + "·" + reset
)

// Span is a run of tokens that are all supervised or all not.
type Span struct {
	Text       string   `json:"text"`
	Supervised bool     `json:"supervised"`
	Tokens     []string `json:"tokens,omitempty"` // the text of each token
	IDs        []int32  `json:"ids,omitempty"`
}

// Spans cuts an example at the changes of its mask. With tokens each span also
// lists its tokens.
func Spans(d Decoder, e data.Example, tokens bool) []Span {
	var spans []Span
	for lo := 0; lo < len(e.Tokens); {
		hi := lo + 1
		for hi < len(e.Tokens) && e.Mask[hi] == e.Mask[lo] {
			hi++
		}
		s := Span{Text: d.Decode(e.Tokens[lo:hi]), Supervised: e.Mask[lo]}
		if tokens {
			s.IDs = e.Tokens[lo:hi:hi]
			for i := lo; i < hi; i++ {
				s.Tokens = append(s.Tokens, d.Decode(e.Tokens[i:i+1]))
			}
		}
		spans = append(spans, s)
		lo = hi
	}
	return spans
}

// Example is the JSON form of one example.
type Example struct {
	Source     data.Source `json:"source"`
	Tokens     int         `json:"tokens"`
	Supervised int         `json:"supervised"`
	Role       string      `json:"role,omitempty"`   // chosen, rejected, desirable, undesirable, prompt
	Answer     string      `json:"answer,omitempty"` // the reference answer of a prompt
	Spans      []Span      `json:"spans"`
}

// Describe returns the JSON form of example i of d.
func Describe(dec Decoder, d *data.Dataset, i int, tokens bool) Example {
	e := d.Example(i)
	return Example{
		Source: e.Source, Tokens: len(e.Tokens), Supervised: e.Supervised(),
		Role: role(d, i), Answer: d.Answer(i), Spans: Spans(dec, e, tokens),
	}
}

func role(d *data.Dataset, i int) string {
	switch d.Kind().String() {
	case "preference":
		return [...]string{"chosen", "rejected"}[i%2]
	case "feedback":
		if d.Desirable(i) {
			return "desirable"
		}
		return "undesirable"
	case "prompt":
		return "prompt"
	}
	return ""
}

// Write prints an example for people: a heading, then its text with the
// supervised part marked.
func (x *Example) Write(w io.Writer, s Style) error {
	share := 0.0
	if x.Tokens > 0 {
		share = 100 * float64(x.Supervised) / float64(x.Tokens)
	}
	heading := fmt.Sprintf("%s  %d tokens, %d supervised (%.1f %%)", x.Source, x.Tokens, x.Supervised, share)
	if x.Role != "" {
		heading += ", " + x.Role
	}
	if x.Answer != "" {
		heading += fmt.Sprintf(", answer %q", x.Answer)
	}
	_, err := fmt.Fprintf(w, "%s\n%s\n\n", heading, Text(x.Spans, s))
	return err
}

// Text writes spans one after the other, marked. Control characters other than
// line ends and tabs are shown as escapes, so that data cannot drive a terminal.
func Text(spans []Span, s Style) string {
	var b strings.Builder
	for _, span := range spans {
		open, close := "", ""
		switch {
		case span.Supervised && s.Color:
			open, close = green, reset
		case span.Supervised:
			open, close = opening, closing
		}
		b.WriteString(open)
		if !s.Tokens {
			b.WriteString(visible(span.Text))
		}
		for _, token := range span.Tokens {
			if !s.Tokens {
				break
			}
			b.WriteString(visible(token))
			if !s.Color {
				b.WriteString(tokenEnd)
				continue
			}
			b.WriteString(tokenDim + open)
		}
		b.WriteString(close)
	}
	return b.String()
}

// visible replaces control characters by escapes.
func visible(text string) string {
	clean := func(r rune) bool { return r < 0x20 && r != '\n' && r != '\t' || r >= 0x7f && r < 0xa0 }
	if !strings.ContainsFunc(text, clean) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if clean(r) {
			fmt.Fprintf(&b, "\\x%02x", r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// Summary is the JSON form of what a file holds.
type Summary struct {
	Kind     string       `json:"kind"`
	Digest   string       `json:"digest"`
	Report   *data.Report `json:"report"`
	Shortest int          `json:"shortest"`
	Median   int          `json:"median"`
	P90      int          `json:"p90"`
	Longest  int          `json:"longest"`
}

// Summarise describes a data set.
func Summarise(d *data.Dataset, r *data.Report) Summary {
	s := Summary{Kind: d.Kind().String(), Digest: fmt.Sprintf("sha256:%x", d.Digest()), Report: r}
	s.Shortest, s.Median, s.P90, s.Longest = d.Quantiles()
	return s
}

// Write prints the summary for people.
func (s *Summary) Write(w io.Writer) error {
	r := s.Report
	lines := []string{
		fmt.Sprintf("%d rows, %d examples of kind %s", r.Rows, r.Examples, s.Kind),
		fmt.Sprintf("%d tokens, %d supervised (%.1f %%)", r.Tokens, r.Supervised, 100*float64(r.Supervised)/float64(max(1, r.Tokens))),
		fmt.Sprintf("example lengths: %d shortest, %d median, %d 90th percentile, %d longest", s.Shortest, s.Median, s.P90, s.Longest),
	}
	for _, left := range []struct {
		n    int64
		what string
	}{
		{r.Truncated, fmt.Sprintf("truncated (%d tokens cut off)", r.CutTokens)},
		{r.Split, "documents split"},
		{r.TooLong, "left out: too long"},
		{r.Unlearnt, "left out: nothing to learn after the cut"},
		{r.Bad, "left out: bad rows"},
	} {
		if left.n > 0 {
			lines = append(lines, fmt.Sprintf("%d %s", left.n, left.what))
		}
	}
	for _, bad := range slices.Concat(r.FirstLong, r.FirstBad) {
		lines = append(lines, "  "+bad)
	}
	lines = append(lines, "digest "+s.Digest)
	_, err := fmt.Fprintln(w, strings.Join(lines, "\n"))
	return err
}

// Encode writes v as indented JSON.
func Encode(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
