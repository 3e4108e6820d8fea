package pretoken

import (
	"sync"
	"unicode"
	"unicode/utf8"
)

// class is a set of character properties, one bit each.
type class uint8

const (
	letter  class = 1 << iota // \p{L}
	mark                      // \p{M}
	number                    // \p{N}
	punct                     // \p{P}
	symbol                    // \p{S}
	space                     // \s
	newline                   // \r or \n
	cjk                       // [一-龥぀-ゟ゠-ヿ]
)

// ascii holds the classes of the first 128 code points.
var ascii [utf8.RuneSelf]class

// planes is a two-stage table: block r>>8 starts at planes.start[r>>8] in planes.class.
var planes struct {
	once  sync.Once
	start [(unicode.MaxRune + 1) >> 8]uint16 // block number; 0 is the block without any class
	class []class
}

// classRanges returns the characters of each class.
func classRanges() map[class]rangeSet {
	return map[class]rangeSet{
		letter:  property("L"),
		mark:    property("M"),
		number:  property("N"),
		punct:   property("P"),
		symbol:  property("S"),
		space:   property("space"),
		newline: {{'\n', '\n'}, {'\r', '\r'}},
		cjk:     {{0x3040, 0x30FF}, {0x4E00, 0x9FA5}},
	}
}

func init() {
	for r := range ascii { // the same in every version of Unicode
		for _, t := range []struct {
			bit class
			is  bool
		}{
			{letter, unicode.IsLetter(rune(r))},
			{number, unicode.IsNumber(rune(r))},
			{punct, unicode.IsPunct(rune(r))},
			{symbol, unicode.IsSymbol(rune(r))},
			{space, unicode.IsSpace(rune(r))},
			{newline, r == '\n' || r == '\r'},
		} {
			if t.is {
				ascii[r] |= t.bit
			}
		}
	}
}

// buildPlanes fills the two-stage table; blocks of equal content are stored once.
func buildPlanes() {
	blocks := make(map[rune]*[256]class)
	for bit, ranges := range classRanges() {
		for _, span := range ranges {
			for r := span[0]; r <= span[1]; r++ {
				b := blocks[r>>8]
				if b == nil {
					b = new([256]class)
					blocks[r>>8] = b
				}
				b[r&0xFF] |= bit
			}
		}
	}
	seen := map[[256]class]uint16{{}: 0}
	planes.class = make([]class, 256)
	for i := range planes.start {
		b, ok := blocks[rune(i)]
		if !ok {
			continue
		}
		n, ok := seen[*b]
		if !ok {
			n = uint16(len(planes.class) >> 8)
			seen[*b] = n
			planes.class = append(planes.class, b[:]...)
		}
		planes.start[i] = n
	}
}

// classOf returns the class of one character.
func classOf(r rune) class {
	if r < utf8.RuneSelf {
		return ascii[r]
	}
	planes.once.Do(buildPlanes)
	return planes.class[int(planes.start[r>>8])<<8|int(r&0xFF)]
}

// wideClass returns the class and the width of the character at s[i], which is not ASCII.
func wideClass(s string, i int) (class, int) {
	r, w := utf8.DecodeRuneInString(s[i:])
	return classOf(r), w
}

// classAt returns the class and the width of the character at s[i]. i must be below len(s).
func classAt(s string, i int) (class, int) {
	if b := s[i]; b < utf8.RuneSelf {
		return ascii[b], 1
	}
	return wideClass(s, i)
}

// run returns the first position from i on, at most end, whose character has no bit of want.
func run(s string, i, end int, want class) int {
	for i < end {
		b := s[i]
		if b < utf8.RuneSelf {
			if ascii[b]&want == 0 {
				return i
			}
			i++
			continue
		}
		c, w := wideClass(s, i)
		if c&want == 0 {
			return i
		}
		i += w
	}
	return end
}

// runNot is run for characters that have no bit of stop.
func runNot(s string, i, end int, stop class) int {
	for i < end {
		b := s[i]
		if b < utf8.RuneSelf {
			if ascii[b]&stop != 0 {
				return i
			}
			i++
			continue
		}
		c, w := wideClass(s, i)
		if c&stop != 0 {
			return i
		}
		i += w
	}
	return end
}
