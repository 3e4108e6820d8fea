package bpe

import (
	"fmt"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/temper-ml/temper/data/tokenizer/internal/pretoken"
)

// A Config is what a model is built from. Tokens are written as in the vocabulary file: byte-level
// models write each byte as one character of the byte-level alphabet.
type Config struct {
	Vocab        map[string]int32
	Merges       [][2]string
	ByteLevel    bool   // words are bytes rather than characters
	Unknown      string // token for characters that have none; "" drops them
	FuseUnknown  bool   // adjoining unknown characters become one token
	ByteFallback bool   // an unknown character becomes its bytes, <0x0A>, when all of them are tokens
	Prefix       string // put before every character but the first of a word
	Suffix       string // put after the last character of a word
	IgnoreMerges bool   // a word that is itself a token is that token

	// Reserved tokens never come out of a word, whatever the merges say; nil reserves none.
	Reserved func(id int32) bool
}

// A Model encodes words. It is safe for concurrent use.
type Model struct {
	cfg     Config
	pairs   *pairTable
	whole   map[string]int32 // IgnoreMerges: words that are tokens, as they stand in the text
	byteID  *[256]int32      // byte-level without gaps, prefix or suffix: the id of each byte
	unknown int32            // -1: none
	cache   *cache
	scratch sync.Pool // *merger
}

// New returns the model of cfg, whose maps it keeps.
func New(cfg Config) (*Model, error) {
	m := &Model{cfg: cfg, unknown: -1, cache: newCache(), pairs: newPairTable(len(cfg.Merges))}
	m.scratch.New = func() any { return new(merger) }
	if cfg.Unknown != "" {
		id, ok := cfg.Vocab[cfg.Unknown]
		if !ok {
			return nil, fmt.Errorf("bpe: unknown token %q is not in the vocabulary", cfg.Unknown)
		}
		m.unknown = id
	}
	if err := m.addMerges(); err != nil {
		return nil, err
	}
	if cfg.IgnoreMerges {
		m.whole = make(map[string]int32, len(cfg.Vocab))
		for token, id := range cfg.Vocab {
			if word, ok := m.text(token); ok && !m.reserved(id) {
				m.whole[word] = id
			}
		}
	}
	m.byteID = m.byteTable()
	return m, nil
}

// text returns the token as it stands in the text.
func (m *Model) text(token string) (string, bool) {
	if m.cfg.ByteLevel {
		return pretoken.UnmapBytes(token)
	}
	return token, true
}

func (m *Model) addMerges() error {
	for rank, pair := range m.cfg.Merges {
		left, ok := m.cfg.Vocab[pair[0]]
		if !ok {
			return fmt.Errorf("bpe: merge %d: %q is not in the vocabulary", rank, pair[0])
		}
		right, ok := m.cfg.Vocab[pair[1]]
		if !ok {
			return fmt.Errorf("bpe: merge %d: %q is not in the vocabulary", rank, pair[1])
		}
		if len(pair[1]) < len(m.cfg.Prefix) {
			return fmt.Errorf("bpe: merge %d: %q is shorter than the continuing prefix %q", rank, pair[1], m.cfg.Prefix)
		}
		merged := pair[0] + pair[1][len(m.cfg.Prefix):]
		id, ok := m.cfg.Vocab[merged]
		if !ok {
			return fmt.Errorf("bpe: merge %d: %q + %q gives %q, which is not in the vocabulary", rank, pair[0], pair[1], merged)
		}
		if m.reserved(id) {
			continue
		}
		m.pairs.put(pairKey(left, right), uint64(rank)<<32|uint64(id))
	}
	return nil
}

func (m *Model) reserved(id int32) bool { return m.cfg.Reserved != nil && m.cfg.Reserved(id) }

// byteTable returns the ids of the 256 bytes, or nil when symbols need more care.
func (m *Model) byteTable() *[256]int32 {
	if !m.cfg.ByteLevel || m.cfg.Prefix != "" || m.cfg.Suffix != "" {
		return nil
	}
	var t [256]int32
	for b := range t {
		id, ok := m.cfg.Vocab[string(pretoken.ByteRune(byte(b)))]
		if !ok {
			return nil
		}
		t[b] = id
	}
	return &t
}

// AppendWord appends the ids of one word (a piece of the pre-tokenizer).
func (m *Model) AppendWord(dst []int32, word string) []int32 {
	if len(word) > cacheLongest {
		return m.merge(dst, word)
	}
	e, slot := m.cache.get(word)
	if e != nil {
		if len(e.ids) == 1 {
			return append(dst, e.ids[0])
		}
		return append(dst, e.ids...)
	}
	start := len(dst)
	dst = m.merge(dst, word)
	m.cache.put(slot, word, dst[start:])
	return dst
}

// merge appends the ids of word without looking into the cache.
func (m *Model) merge(dst []int32, word string) []int32 {
	if m.whole != nil {
		if id, ok := m.whole[word]; ok {
			return append(dst, id)
		}
	}
	g := m.scratch.Get().(*merger)
	if m.byteID != nil {
		g.ids = g.ids[:0]
		for i := range len(word) {
			g.ids = append(g.ids, m.byteID[word[i]])
		}
	} else {
		g.ids = m.symbols(g.ids[:0], word)
	}
	dst = append(dst, g.merge(m.pairs)...)
	g.shrink()
	m.scratch.Put(g)
	return dst
}

// symbols appends the ids of the characters of word, with prefix, suffix, byte fallback and unknowns.
func (m *Model) symbols(ids []int32, word string) []int32 {
	pending := false // an unknown token that may still swallow the next unknown character
	for i := 0; i < len(word); {
		token, width := m.char(word[i:])
		if i > 0 {
			token = m.cfg.Prefix + token
		}
		i += width
		if i == len(word) {
			token += m.cfg.Suffix
		}
		if id, ok := m.cfg.Vocab[token]; ok {
			if pending {
				ids, pending = append(ids, m.unknown), false
			}
			ids = append(ids, id)
			continue
		}
		if m.cfg.ByteFallback {
			var ok bool
			if ids, ok = m.fallback(ids, token); ok {
				continue
			}
		}
		if m.unknown >= 0 {
			if pending && !m.cfg.FuseUnknown {
				ids = append(ids, m.unknown)
			}
			pending = true
		}
	}
	if pending {
		ids = append(ids, m.unknown)
	}
	return ids
}

// char returns the first character of s as the vocabulary writes it, and its width in s.
func (m *Model) char(s string) (string, int) {
	if m.cfg.ByteLevel {
		return string(pretoken.ByteRune(s[0])), 1
	}
	_, w := utf8.DecodeRuneInString(s)
	return s[:w], w
}

// fallback appends the byte tokens of token if there is one for each byte.
func (m *Model) fallback(ids []int32, token string) ([]int32, bool) {
	start := len(ids)
	for i := range len(token) {
		id, ok := m.cfg.Vocab[ByteToken(token[i])]
		if !ok {
			return ids[:start], false
		}
		ids = append(ids, id)
	}
	return ids, true
}

// ByteToken returns the name of the fallback token of b, like <0x0A>.
func ByteToken(b byte) string {
	const hex = "0123456789ABCDEF"
	return "<0x" + string(hex[b>>4]) + string(hex[b&15]) + ">"
}

// IsByteToken returns the byte of a fallback token.
func IsByteToken(token string) (byte, bool) {
	if len(token) != 6 || !strings.HasPrefix(token, "<0x") || token[5] != '>' {
		return 0, false
	}
	hi, lo := hexDigit(token[3]), hexDigit(token[4])
	return byte(hi<<4 | lo), hi >= 0 && lo >= 0
}

func hexDigit(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	}
	return -1
}
