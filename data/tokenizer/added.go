package tokenizer

import (
	"strings"
	"unicode/utf8"

	"github.com/temper-ml/temper/data/tokenizer/internal/pretoken"
)

// An AddedToken is a string that is one token wherever it stands in the text.
type AddedToken struct {
	ID         int32  `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"` // only between characters that are not of a word
	LStrip     bool   `json:"lstrip"`      // takes the blanks before it
	RStrip     bool   `json:"rstrip"`      // takes the blanks after it
	Normalized bool   `json:"normalized"`  // looked for in the normalized text
	Special    bool   `json:"special"`     // left out by DecodeText
}

// control reports whether text from users must not be able to produce the token.
func (a AddedToken) control() bool {
	return a.Special || strings.ContainsFunc(a.Content, pretoken.IsMarkup)
}

// matchers find one set of added tokens, in the raw text first, then in the normalized text between.
type matchers struct{ raw, normalized *matcher }

func newMatchers(tokens []AddedToken, normalize func(string) string, keep func(AddedToken) bool) matchers {
	var m matchers
	for i := range tokens {
		a := &tokens[i]
		switch {
		case !keep(*a):
		case a.Normalized:
			text := a.Content
			if normalize != nil {
				text = normalize(text)
			}
			m.normalized = m.normalized.with(text, a)
		default:
			m.raw = m.raw.with(a.Content, a)
		}
	}
	return m
}

// A matcher finds the leftmost, then longest of a set of strings: a trie over bytes.
type matcher struct {
	first [256]bool
	nodes []trieNode
}

type trieNode struct {
	token *AddedToken
	edges []trieEdge
}

type trieEdge struct {
	label byte
	to    int32
}

// with adds a string to m, which is nil at first.
func (m *matcher) with(text string, a *AddedToken) *matcher {
	if text == "" {
		return m
	}
	if m == nil {
		m = &matcher{nodes: make([]trieNode, 1)}
	}
	m.first[text[0]] = true
	at := int32(0)
	for i := range len(text) {
		to := m.follow(at, text[i])
		if to < 0 {
			to = int32(len(m.nodes))
			m.nodes = append(m.nodes, trieNode{})
			m.nodes[at].edges = append(m.nodes[at].edges, trieEdge{text[i], to})
		}
		at = to
	}
	m.nodes[at].token = a
	return m
}

func (m *matcher) follow(at int32, label byte) int32 {
	for _, e := range m.nodes[at].edges {
		if e.label == label {
			return e.to
		}
	}
	return -1
}

// find returns the first match in text[from:].
func (m *matcher) find(text string, from int) (start, end int, a *AddedToken) {
	for ; from < len(text); from++ {
		if !m.first[text[from]] {
			continue
		}
		at := int32(0)
		for i := from; i < len(text); i++ {
			if at = m.follow(at, text[i]); at < 0 {
				break
			}
			if t := m.nodes[at].token; t != nil {
				end, a = i+1, t
			}
		}
		if a != nil {
			return from, end, a
		}
	}
	return 0, 0, nil
}

// A walk goes through the added tokens of one text.
type walk struct {
	m    *matcher
	text string
	pos  int // where the next search begins
	done int // everything before is consumed
}

// next returns the text before the next added token and that token; at the end, the rest and nil.
func (w *walk) next() (gap string, a *AddedToken) {
	for w.m != nil {
		start, end, a := w.m.find(w.text, w.pos)
		if a == nil {
			break
		}
		w.pos = end
		if a.SingleWord && !alone(w.text, start, end) {
			continue
		}
		if a.LStrip {
			start = len(strings.TrimRightFunc(w.text[:start], pretoken.IsSpace))
		}
		if a.RStrip {
			end = len(w.text) - len(strings.TrimLeftFunc(w.text[end:], pretoken.IsSpace))
		}
		if start > w.done {
			gap = w.text[w.done:start]
		}
		w.done = end
		return gap, a
	}
	gap, w.done = w.text[min(w.done, len(w.text)):], len(w.text)
	w.pos = len(w.text)
	return gap, nil
}

// alone reports whether no word character adjoins text[start:end].
func alone(text string, start, end int) bool {
	before, _ := utf8.DecodeLastRuneInString(text[:start])
	after, _ := utf8.DecodeRuneInString(text[end:])
	return (start == 0 || !pretoken.IsWord(before)) && (end == len(text) || !pretoken.IsWord(after))
}
