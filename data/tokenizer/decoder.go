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
		return d, errors.New("the use of ByteLevel together with Replace, ByteFallback or Strip is not supported")
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
			return errors.New("for Replace only a literal pattern is supported")
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
			return fmt.Errorf("for Strip content %q, start %d, stop %d: want one character, 0 or more, 0", s.Content, s.Start, s.Stop)
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
			return fmt.Errorf("a Sequence is nested deeper than %d", maxDepth)
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
