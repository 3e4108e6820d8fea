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

func init() {
	for r := rune(0); r < utf8.RuneSelf; r++ {
		ascii[r] = slowClass(r)
	}
}

// slowClass derives the class of r from the standard library's tables.
func slowClass(r rune) class {
	var c class
	for _, t := range classTables {
		if unicode.Is(t.table, r) {
			c |= t.bit
		}
	}
	if r == '\r' || r == '\n' {
		c |= newline
	}
	return c
}

var cjkTable = &unicode.RangeTable{R16: []unicode.Range16{
	{Lo: 0x3040, Hi: 0x30FF, Stride: 1},
	{Lo: 0x4E00, Hi: 0x9FA5, Stride: 1},
}}

var classTables = []struct {
	bit   class
	table *unicode.RangeTable
}{
	{letter, unicode.L},
	{mark, unicode.M},
	{number, unicode.N},
	{punct, unicode.P},
	{symbol, unicode.S},
	{space, unicode.White_Space},
	{cjk, cjkTable},
}

// buildPlanes fills the two-stage table by walking the ranges once.
func buildPlanes() {
	blocks := make(map[int][]class)
	set := func(lo, hi, stride rune, bit class) {
		for r := lo; r <= hi; r += stride {
			b := blocks[int(r>>8)]
			if b == nil {
				b = make([]class, 256)
				blocks[int(r>>8)] = b
			}
			b[r&0xFF] |= bit
		}
	}
	for _, t := range classTables {
		for _, r := range t.table.R16 {
			set(rune(r.Lo), rune(r.Hi), rune(r.Stride), t.bit)
		}
		for _, r := range t.table.R32 {
			set(rune(r.Lo), rune(r.Hi), rune(r.Stride), t.bit)
		}
	}
	seen := map[[256]class]uint16{{}: 0}
	planes.class = make([]class, 256)
	for i := range planes.start {
		b, ok := blocks[i]
		if !ok {
			continue
		}
		n, ok := seen[[256]class(b)]
		if !ok {
			n = uint16(len(planes.class) >> 8)
			seen[[256]class(b)] = n
			planes.class = append(planes.class, b...)
		}
		planes.start[i] = n
	}
}

// wideClass returns the class and the width of the character at s[i], which is not ASCII.
func wideClass(s string, i int) (class, int) {
	planes.once.Do(buildPlanes)
	r, w := utf8.DecodeRuneInString(s[i:])
	return planes.class[int(planes.start[r>>8])<<8|int(r&0xFF)], w
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
