package normalform

import (
	_ "embed" // the table
	"strings"
	"sync"
	"unicode/utf8"
)

//go:embed lowercase.txt
var lowercaseText string

// lowercase maps a character to its lower case, two characters in one case (U+0130).
var lowercase = sync.OnceValue(func() map[rune]string {
	out := map[rune]string{}
	for line := range body(lowercaseText) {
		from, to, _ := strings.Cut(line, "=")
		out[points(from)[0]] = string(points(to))
	}
	return out
})

// Lowercase maps every character of s to its lower case, whatever stands around it.
func Lowercase(s string) string {
	table := lowercase()
	out := make([]byte, 0, len(s)+8)
	for i := 0; i < len(s); {
		if b := s[i]; b < utf8.RuneSelf {
			if 'A' <= b && b <= 'Z' {
				b |= 0x20
			}
			out = append(out, b)
			i++
			continue
		}
		r, w := utf8.DecodeRuneInString(s[i:])
		if lower, ok := table[r]; ok {
			out = append(out, lower...)
		} else {
			out = append(out, s[i:i+w]...)
		}
		i += w
	}
	return string(out)
}
