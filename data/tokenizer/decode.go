package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/temper-ml/temper/data/tokenizer/internal/bpe"
	"github.com/temper-ml/temper/data/tokenizer/internal/pretoken"
)

// A piece is what one id decodes to.
type piece struct {
	text    string
	special bool // left out by DecodeText
	byte    bool // a byte-fallback token: its byte means something only with its neighbours
}

// A decoder says how tokens become text.
type decoder struct {
	byteLevel bool        // tokens are written in the byte-level alphabet
	replace   [][2]string // literal replacements in each token
	fallback  bool        // tokens like <0x0A> are bytes
	strip     string      // a character that is dropped from the start of the text,
	stripMost int         // at most this many times
}

func parseDecoder(raw json.RawMessage, byteLevel bool) (decoder, error) {
	d := decoder{byteLevel: byteLevel}
	if absent(raw) {
		if !byteLevel {
			return d, errors.New("null is supported only with a ByteLevel pre-tokenizer")
		}
		return d, nil
	}
	d.byteLevel = false
	if err := d.add(raw, 0); err != nil {
		return d, err
	}
	if d.byteLevel && (d.replace != nil || d.fallback || d.strip != "") {
		return d, errors.New("ByteLevel together with Replace, ByteFallback or Strip is not supported")
	}
	return d, nil
}

// add reads one decoder into d.
func (d *decoder) add(raw json.RawMessage, depth int) error {
	kind, err := kindOf(raw)
	if err != nil {
		return err
	}
	switch kind {
	case "ByteLevel":
		d.byteLevel = true
		return strict(raw, new(byteLevelFile))
	case "ByteFallback":
		d.fallback = true
		return strict(raw, new(bareFile))
	case "Fuse": // tokens are always joined
		return strict(raw, new(bareFile))
	case "Replace":
		var r replaceFile
		if err := strict(raw, &r); err != nil {
			return err
		}
		if r.Pattern.String == nil || *r.Pattern.String == "" {
			return errors.New("Replace: only a literal pattern is supported")
		}
		d.replace = append(d.replace, [2]string{*r.Pattern.String, r.Content})
	case "Strip":
		var s struct {
			bareFile
			Content     string `json:"content"`
			Start, Stop int
		}
		if err := strict(raw, &s); err != nil {
			return err
		}
		if s.Stop != 0 || s.Start < 0 || utf8.RuneCountInString(s.Content) != 1 {
			return fmt.Errorf("Strip: content %q, start %d, stop %d: want one character, 0 or more, 0", s.Content, s.Start, s.Stop)
		}
		d.strip, d.stripMost = s.Content, s.Start
	case "Sequence":
		var s struct {
			bareFile
			Decoders []json.RawMessage `json:"decoders"`
		}
		if err := strict(raw, &s); err != nil {
			return err
		}
		if depth == maxDepth {
			return fmt.Errorf("Sequence nested deeper than %d", maxDepth)
		}
		for _, part := range s.Decoders {
			if err := d.add(part, depth+1); err != nil {
				return err
			}
		}
	default:
		return fmt.Errorf("type %q is not supported for BPE here: want ByteLevel, ByteFallback, Fuse, Replace, Strip or Sequence", kind)
	}
	return nil
}

// pieces returns what every id decodes to.
func (d *decoder) pieces(tokens []string, added map[string]*AddedToken) []piece {
	out := make([]piece, len(tokens))
	for id, token := range tokens {
		if a := added[token]; a != nil {
			out[id] = piece{text: token, special: a.Special}
			continue
		}
		out[id] = d.piece(token)
	}
	return out
}

func (d *decoder) piece(token string) piece {
	if d.byteLevel {
		if bytes, ok := pretoken.UnmapBytes(token); ok {
			return piece{text: bytes}
		}
		return piece{text: token}
	}
	for _, r := range d.replace {
		token = strings.ReplaceAll(token, r[0], r[1])
	}
	if b, ok := bpe.IsByteToken(token); ok && d.fallback {
		return piece{text: string([]byte{b}), byte: true}
	}
	return piece{text: token}
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
