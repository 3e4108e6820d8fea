package tokenizer

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A piece is what one id decodes to.
type piece struct {
	text    string
	special bool // left out by DecodeText
	byte    bool // a byte-fallback token: its byte means something only with its neighbours
}

// AppendDecode appends the bytes of ids, special tokens included. They are valid UTF-8 only if the ids
// do not end or begin within a character. Ids without a token decode to nothing.
func (t *Tokenizer) AppendDecode(dst []byte, ids []int32) []byte {
	start := len(dst)
	for _, id := range ids {
		if id >= 0 && int(id) < len(t.pieces) {
			dst = append(dst, t.pieces[id].text...)
		}
	}
	if t.decoder.strip != "" {
		kept := t.decoder.stripped(dst[start:])
		dst = append(dst[:start], kept...)
	}
	return dst
}

// stripped returns b without the characters that the decoder drops from the start of a text.
func (d *decoder) stripped(b []byte) []byte {
	for range d.stripMost {
		rest, ok := strings.CutPrefix(string(b[:min(len(d.strip), len(b))]), d.strip)
		if !ok || rest != "" {
			break
		}
		b = b[len(d.strip):]
	}
	return b
}

// Decode returns the text of ids, special tokens included. What is not valid UTF-8 becomes U+FFFD, one
// for each maximal part of a character. (With byte fallback, a run of byte tokens that is not valid
// becomes one U+FFFD for each byte, as Hugging Face has it.)
func (t *Tokenizer) Decode(ids []int32) string {
	if t.decoder.fallback {
		return string(t.decoder.stripped(t.appendFallback(nil, ids)))
	}
	return toValid(t.AppendDecode(nil, ids))
}

// appendFallback appends the text of ids, replacing invalid runs of byte tokens.
func (t *Tokenizer) appendFallback(dst []byte, ids []int32) []byte {
	run := len(dst) // where the running byte tokens begin
	end := func() {
		if bad := dst[run:]; !utf8.Valid(bad) {
			dst = append(dst[:run], strings.Repeat("\uFFFD", len(bad))...)
		}
	}
	for _, id := range ids {
		if id < 0 || int(id) >= len(t.pieces) {
			continue
		}
		if p := t.pieces[id]; p.byte {
			dst = append(dst, p.text...)
		} else {
			end()
			dst = append(dst, p.text...)
			run = len(dst)
		}
	}
	end()
	return dst
}

// DecodeText is Decode without the tokens marked special.
func (t *Tokenizer) DecodeText(ids []int32) string {
	kept := make([]int32, 0, len(ids))
	for _, id := range ids {
		if id >= 0 && int(id) < len(t.pieces) && !t.pieces[id].special {
			kept = append(kept, id)
		}
	}
	return t.Decode(kept)
}

// ParseIDs reads ids as people write them: decimal numbers between blanks, commas or brackets, so that a
// JSON array is fine. Every id must have a token.
func (t *Tokenizer) ParseIDs(text string) ([]int32, error) {
	fields := strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" \t\r\n,[]", r) })
	ids := make([]int32, len(fields))
	for i, f := range fields {
		id, err := strconv.ParseInt(f, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("tokenizer: id %d of the list: %q is not a number below 2^31", i, f)
		}
		if _, ok := t.Token(int32(id)); !ok {
			return nil, fmt.Errorf("tokenizer: id %d of the list: %d has no token, the vocabulary has %d", i, id, t.VocabSize())
		}
		ids[i] = int32(id)
	}
	return ids, nil
}

// toValid replaces each maximal invalid part of b by U+FFFD.
func toValid(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	var out strings.Builder
	for len(b) > 0 {
		if r, w := utf8.DecodeRune(b); r != utf8.RuneError || w > 1 {
			out.Write(b[:w])
			b = b[w:]
			continue
		}
		out.WriteString("\uFFFD")
		b = b[max(1, partial(b)):]
	}
	return out.String()
}

// partial returns how many bytes at the start of b begin a character without completing it; 0 when b
// begins with a complete character or with a byte that begins none.
func partial(b []byte) int {
	n := 0
	switch c := b[0]; {
	case 0xC2 <= c && c <= 0xDF:
		n = 2
	case 0xE0 <= c && c <= 0xEF:
		n = 3
	case 0xF0 <= c && c <= 0xF4:
		n = 4
	default:
		return 0
	}
	if len(b) > 1 && !second(b[0], b[1]) {
		return 1
	}
	for i := 2; i < n && i < len(b); i++ {
		if b[i]&0xC0 != 0x80 {
			return i
		}
	}
	if len(b) >= n {
		return 0
	}
	return len(b)
}

// second reports whether c may follow the first byte of a character of two or more.
func second(first, c byte) bool {
	switch first {
	case 0xE0:
		return 0xA0 <= c && c <= 0xBF
	case 0xED:
		return 0x80 <= c && c <= 0x9F
	case 0xF0:
		return 0x90 <= c && c <= 0xBF
	case 0xF4:
		return 0x80 <= c && c <= 0x8F
	}
	return c&0xC0 == 0x80
}
