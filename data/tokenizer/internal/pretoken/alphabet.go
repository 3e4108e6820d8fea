package pretoken

import "unicode/utf8"

// The byte-level alphabet of GPT-2 gives every byte a visible character: printable Latin-1 stands for
// itself, the other 68 bytes in ascending order are U+0100, U+0101, ...
var (
	byteRune [256]rune
	runeByte [0x144]int16 // -1 where the character stands for no byte
)

func init() {
	for i := range runeByte {
		runeByte[i] = -1
	}
	next := rune(0x100)
	for b := range 256 {
		r := rune(b)
		if !('!' <= r && r <= '~' || 0xA1 <= r && r <= 0xAC || 0xAE <= r) {
			r = next
			next++
		}
		byteRune[b] = r
		runeByte[r] = int16(b)
	}
}

// ByteRune returns the character that stands for b.
func ByteRune(b byte) rune { return byteRune[b] }

// RuneByte returns the byte that r stands for.
func RuneByte(r rune) (b byte, ok bool) {
	if uint32(r) >= uint32(len(runeByte)) || runeByte[r] < 0 {
		return 0, false
	}
	return byte(runeByte[r]), true
}

// MapBytes writes the bytes of s in the byte-level alphabet.
func MapBytes(s string) string {
	out := make([]byte, 0, len(s)+len(s)/4)
	for i := range len(s) {
		out = utf8.AppendRune(out, byteRune[s[i]])
	}
	return string(out)
}

// UnmapBytes is the inverse of MapBytes; ok is false when a character stands for no byte.
func UnmapBytes(s string) (bytes string, ok bool) {
	out := make([]byte, 0, len(s))
	for _, r := range s {
		b, ok := RuneByte(r)
		if !ok {
			return "", false
		}
		out = append(out, b)
	}
	return string(out), true
}
