package pretoken

import "unicode/utf8"

// A scanner returns the end of the piece that starts at s[pos]; pos is below len(s). The pieces tile
// the text. limit is the scanner's own memory between the calls over one text: 0 at the first, then what
// the call before returned.
type scanner func(s string, pos, limit int) (end, next int)

// The exact pattern texts that have a scanner of their own.
const (
	// GPT2 is the pattern of GPT-2, built into the ByteLevel stage.
	GPT2 = `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
	// Llama3 is the pattern of Llama-3, and of GPT-4 as converted for Hugging Face.
	Llama3 = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	// Qwen2 is Llama3 with every digit a piece of its own.
	Qwen2 = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	// DeepSeekDigits, DeepSeekCJK and DeepSeekWords are the three splits of DeepSeek-V3 and V4, in order.
	DeepSeekDigits = `\p{N}{1,3}`
	DeepSeekCJK    = `[一-龥぀-ゟ゠-ヿ]+`
	DeepSeekWords  = "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"
)

// scanners maps the pattern of an isolating Split to its scanner.
var scanners = map[string]scanner{
	GPT2:           scanGPT2,
	Llama3:         func(s string, pos, _ int) (int, int) { return scanLlama3(s, pos, 3), 0 },
	Qwen2:          func(s string, pos, _ int) (int, int) { return scanLlama3(s, pos, 1), 0 },
	DeepSeekDigits: scanDigits,
	DeepSeekCJK:    scanCJK,
	DeepSeekWords:  func(s string, pos, _ int) (int, int) { return scanWords(s, pos, len(s)), 0 },
}

// contraction returns the end of 's 't 're 've 'm 'll 'd at s[pos], which is an apostrophe, or pos.
// With fold, letters match without case; U+017F folds to s, as it does in Oniguruma.
func contraction(s string, pos int, fold bool) int {
	if pos+1 >= len(s) {
		return pos
	}
	lower := func(b byte) byte {
		if fold && 'A' <= b && b <= 'Z' {
			return b | 0x20
		}
		return b
	}
	switch first := lower(s[pos+1]); first {
	case 's', 't', 'm', 'd':
		return pos + 2
	case 'r', 'v', 'l':
		want := byte('e')
		if first == 'l' {
			want = 'l'
		}
		if pos+2 < len(s) && lower(s[pos+2]) == want {
			return pos + 3
		}
	case 0xC5:
		if fold && pos+2 < len(s) && s[pos+2] == 0xBF {
			return pos + 3
		}
	}
	return pos
}

// whitespace matches \s+(?!\S)|\s+ at s[pos], which is a space: a run up to the end of the text is one
// piece, otherwise its last character is left to what follows.
func whitespace(s string, pos, end int) int {
	e := run(s, pos, end, space)
	if e == end {
		return e
	}
	last := e - 1
	if s[last] >= utf8.RuneSelf {
		_, w := utf8.DecodeLastRuneInString(s[pos:e])
		last = e - w
	}
	if last > pos {
		return last
	}
	return e
}

// lines matches \s*[\r\n]+|\s+(?!\S)|\s+ at s[pos], which is a space.
func lines(s string, pos, end int) int {
	last := -1
	for i := pos; i < end; {
		c, w := classAt(s, i)
		if c&space == 0 {
			break
		}
		i += w
		if c&newline != 0 {
			last = i
		}
	}
	if last >= 0 {
		return last
	}
	return whitespace(s, pos, end)
}

func scanGPT2(s string, pos, _ int) (end, next int) {
	c, w := classAt(s, pos)
	if s[pos] == '\'' {
		if e := contraction(s, pos, false); e > pos {
			return e, 0
		}
	}
	i := pos
	if s[pos] == ' ' && pos+1 < len(s) { // " ?" takes the blank when something that is no space follows
		if n, nw := classAt(s, pos+1); n&space == 0 {
			c, w, i = n, nw, pos+1
		}
	}
	switch {
	case c&letter != 0:
		return run(s, i+w, len(s), letter), 0
	case c&number != 0:
		return run(s, i+w, len(s), number), 0
	case c&space == 0:
		return runNot(s, i+w, len(s), space|letter|number), 0
	}
	return whitespace(s, pos, len(s)), 0
}

func scanLlama3(s string, pos, digits int) int {
	c, w := classAt(s, pos)
	if c&letter != 0 {
		return run(s, pos+w, len(s), letter)
	}
	if s[pos] == '\'' {
		if e := contraction(s, pos, true); e > pos {
			return e
		}
	}
	if c&number != 0 {
		return upTo(s, pos, len(s), digits, number)
	}
	next := pos + w
	if c&newline == 0 && next < len(s) {
		n, nw := classAt(s, next)
		if n&letter != 0 {
			return run(s, next+nw, len(s), letter)
		}
		if s[pos] == ' ' && n&(space|letter|number) == 0 {
			e := runNot(s, next+nw, len(s), space|letter|number)
			return run(s, e, len(s), newline)
		}
	}
	if c&space == 0 {
		e := runNot(s, next, len(s), space|letter|number)
		return run(s, e, len(s), newline)
	}
	return lines(s, pos, len(s))
}

// upTo returns the end of the run of want at s[pos], at most n characters of it.
func upTo(s string, pos, end, n int, want class) int {
	for ; n > 0 && pos < end; n-- {
		c, w := classAt(s, pos)
		if c&want == 0 {
			break
		}
		pos += w
	}
	return pos
}
