// Package tokenizertest makes the mixed text on which tokenizers are compared with each other.
package tokenizertest

import (
	"strings"
	"unicode/utf8"

	"github.com/temper-ml/temper/internal/detrand"
)

// BlockBytes is the least size of a block of mixed text.
const BlockBytes = 64 << 10

// Mixed returns a block of text that has about everything a tokenizer may trip over: Latin prose with
// contractions, CJK, kana, digits of many scripts, source code, emoji sequences, odd white space,
// combining marks, right-to-left scripts, control characters and the names of special tokens. It
// depends on the block number only and is valid UTF-8.
func Mixed(block uint64) string {
	w := &writer{rng: detrand.Key(20260101, "tokenizertest", block)}
	for w.Len() < BlockBytes {
		w.kind()
	}
	return w.String()
}

type writer struct {
	strings.Builder
	rng detrand.Stream
	at  uint64
}

// below returns the next random number in [0, n).
func (w *writer) below(n int) int {
	w.at++
	return int(w.rng.Uint64nAt(w.at, uint64(n)))
}

func (w *writer) pick(from []string) string { return from[w.below(len(from))] }

// runes writes between 1 and most characters out of ranges of code points (first and last, in turn).
func (w *writer) runes(most int, ranges ...rune) {
	for range 1 + w.below(most) {
		i := 2 * w.below(len(ranges)/2)
		if r := ranges[i] + rune(w.below(int(ranges[i+1]-ranges[i])+1)); utf8.ValidRune(r) {
			w.WriteRune(r)
		}
	}
}

// kind writes a stretch of one kind of text.
func (w *writer) kind() {
	switch w.below(16) {
	case 0, 1, 2:
		w.prose(latin)
	case 3:
		w.prose(english)
	case 4:
		w.cjk()
	case 5:
		w.kana()
	case 6:
		w.numbers()
	case 7, 8:
		w.WriteString(w.pick(code))
	case 9:
		w.prose(emoji)
	case 10:
		w.blanks()
	case 11:
		w.marks()
	case 12:
		w.prose(rightToLeft)
	case 13:
		w.controls()
	case 14:
		w.punctuation()
	case 15:
		w.anything()
	}
	if w.below(3) == 0 {
		w.WriteString(w.pick(separators))
	}
}

func (w *writer) prose(words []string) {
	for range 3 + w.below(20) {
		word := w.pick(words)
		if w.below(12) == 0 {
			word = strings.ToUpper(word)
		}
		w.WriteString(word)
		if w.below(6) == 0 {
			w.WriteString(w.pick(contractions))
		}
		if w.below(7) == 0 {
			w.WriteString(w.pick(stops))
		}
		w.WriteByte(' ')
	}
}

func (w *writer) cjk() {
	for range 1 + w.below(6) {
		w.runes(12, 0x4E00, 0x9FA5, 0x4E00, 0x57FF)
		w.WriteString(w.pick(cjkStops))
		if w.below(4) == 0 {
			w.runes(3, 0x9FA6, 0x9FEF, 0x3400, 0x4DB5, 0x20000, 0x2A6D6, 0xF900, 0xFA6D, 0xAC00, 0xD7A3)
		}
	}
}

func (w *writer) kana() {
	for range 1 + w.below(6) {
		w.runes(8, 0x3041, 0x3096)
		w.runes(8, 0x30A0, 0x30FF, 0x30A1, 0x30FA)
		if w.below(3) == 0 {
			w.runes(3, 0x3040, 0x309F, 0xFF61, 0xFF9F, 0x31F0, 0x31FF)
		}
		w.WriteString(w.pick(cjkStops))
	}
}

func (w *writer) numbers() {
	for range 1 + w.below(8) {
		switch w.below(6) {
		case 0:
			w.runes(4, 0x0660, 0x0669, 0x0966, 0x096F, 0xFF10, 0xFF19, 0x1D7CE, 0x1D7FF)
		case 1:
			w.WriteString(w.pick([]string{"²", "³¼", "Ⅷ", "〇", "①②", "½", "١٢٣٤", "２０２６", "1st", "3.14159", "1,234,567.89", "0x1F", "1e-5", "$5.00"}))
		default:
			w.runes(11, '0', '9')
		}
		w.WriteString(w.pick([]string{" ", "", ".", ",", " + ", "-", "a", "年", "\n"}))
	}
}

func (w *writer) blanks() {
	for range 1 + w.below(6) {
		w.WriteString(w.pick(blank))
	}
}

func (w *writer) marks() {
	for range 1 + w.below(5) {
		w.WriteString(w.pick(marked))
		if w.below(3) == 0 {
			w.runes(4, 0x0300, 0x036F, 0x0483, 0x0487, 0x20D0, 0x20F0)
		}
	}
	w.WriteByte(' ')
}

func (w *writer) controls() {
	w.runes(3, 0, 0x1F, 0x7F, 0x9F, 0x200B, 0x200F, 0x202A, 0x202E, 0xFEFF, 0xFEFF)
	if w.below(2) == 0 {
		w.WriteString(w.pick(latin))
	}
}

func (w *writer) punctuation() {
	w.runes(6, '!', '/', ':', '@', '[', '`', '{', '~', 0xA1, 0xBF, 0x2010, 0x205E, 0x3001, 0x3020, 0xFF01, 0xFF0F)
	w.WriteString(w.pick([]string{"", " ", "\n", "\r\n", "\n\n", "word", "7"}))
}

// anything writes characters of many scripts, private and unassigned ones included.
func (w *writer) anything() {
	w.runes(12, 0, 0x2FFF, 0xA000, 0xD7FF, 0xE000, 0xFFFF, 0x10000, 0x10FFF, 0x1F000, 0x1FAFF, 0xE0000, 0xE01EF, 0x10FF00, 0x10FFFF)
}
