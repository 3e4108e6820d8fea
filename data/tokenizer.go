package data

import (
	"crypto/sha256"
	"fmt"
	"strings"

	"github.com/temper-ml/temper/data/chat"
)

// Tokenizer is what the builder needs of a tokenizer. It must be safe for
// concurrent use.
type Tokenizer interface {
	// Encode returns the tokens of text. Unless special is set, names of special
	// tokens in text are text like any other.
	Encode(text string, special bool) []int32
	// Decode returns the text of ids, special tokens spelled out.
	Decode(ids []int32) string
	// Special returns the id of the special token called name.
	Special(name string) (id int32, ok bool)
	VocabSize() int
	// Digest names the tokenizer's behaviour: equal digests, equal tokens.
	Digest() [32]byte
}

// Bytes is the fallback tokenizer: ids 0 to 255 are the bytes, special tokens
// follow. It needs no file and loses nothing.
type Bytes struct {
	names []string
	ids   map[string]int32
}

// NewBytes returns a byte tokenizer with the special tokens of an encoding.
func NewBytes(e chat.Encoding) *Bytes {
	b := &Bytes{names: e.Specials(), ids: map[string]int32{}}
	for i, name := range b.names {
		b.ids[name] = int32(256 + i)
	}
	return b
}

// Encode returns the bytes of text as ids.
func (b *Bytes) Encode(text string, special bool) []int32 {
	ids := make([]int32, 0, len(text))
	pieces := []chat.Piece{{Text: text}}
	if special {
		pieces = chat.Split(text, b.names)
	}
	for _, p := range pieces {
		if p.Special {
			ids = append(ids, b.ids[p.Text])
			continue
		}
		for i := range len(p.Text) {
			ids = append(ids, int32(p.Text[i]))
		}
	}
	return ids
}

// Decode returns the text of ids.
func (b *Bytes) Decode(ids []int32) string {
	var text strings.Builder
	for _, id := range ids {
		switch {
		case id >= 0 && id < 256:
			text.WriteByte(byte(id))
		case id >= 256 && int(id) < 256+len(b.names):
			text.WriteString(b.names[id-256])
		}
	}
	return text.String()
}

// Special returns the id of a special token.
func (b *Bytes) Special(name string) (int32, bool) {
	id, ok := b.ids[name]
	return id, ok
}

// VocabSize returns 256 and the special tokens.
func (b *Bytes) VocabSize() int { return 256 + len(b.names) }

// Digest names the byte tokenizer with its special tokens.
func (b *Bytes) Digest() [32]byte {
	return sha256.Sum256(fmt.Appendf(nil, "temper bytes %q", b.names))
}
