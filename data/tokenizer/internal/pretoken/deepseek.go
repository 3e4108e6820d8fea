package pretoken

import "unicode/utf8"

// scanDeepSeek is the three DeepSeek splits in one pass. Numbers go in threes; what is left is cut where
// runs of CJK and kana begin and end; each part is then cut by scanWords, for which its end is the end
// of the text. limit is the end of the part that the last call was in.
func scanDeepSeek(s string, pos, limit int) (end, next int) {
	if pos >= limit {
		c, w := classAt(s, pos)
		switch {
		case c&number != 0:
			return upTo(s, pos, len(s), 3, number), limit
		case c&cjk != 0:
			limit = run(s, pos+w, len(s), cjk)
		default:
			limit = runNot(s, pos+w, len(s), number|cjk)
		}
	}
	return scanWords(s, pos, limit), limit
}

// scanDigits matches \p{N}{1,3}, and what lies between two matches.
func scanDigits(s string, pos, _ int) (end, next int) {
	if c, w := classAt(s, pos); c&number == 0 {
		return runNot(s, pos+w, len(s), number), 0
	}
	return upTo(s, pos, len(s), 3, number), 0
}

// scanCJK matches [一-龥぀-ゟ゠-ヿ]+, and what lies between two matches.
func scanCJK(s string, pos, _ int) (end, next int) {
	c, w := classAt(s, pos)
	if c&cjk == 0 {
		return runNot(s, pos+w, len(s), cjk), 0
	}
	return run(s, pos+w, len(s), cjk), 0
}

// scanWords matches DeepSeekWords in s[pos:end], and what lies between two matches (numbers, control
// and unassigned characters without a letter after them).
func scanWords(s string, pos, end int) int {
	c, w := classAt(s, pos)
	next := pos + w
	if c&(letter|mark) != 0 {
		return run(s, next, end, letter|mark)
	}
	if c&(punct|symbol) != 0 {
		if w == 1 && s[pos] < utf8.RuneSelf {
			if e := asciiLetters(s, next, end); e > next {
				return e
			}
		}
		return run(s, run(s, next, end, punct|symbol), end, newline)
	}
	if c&newline == 0 && next < end {
		n, nw := classAt(s, next)
		if n&(letter|mark) != 0 {
			return run(s, next+nw, end, letter|mark)
		}
		if s[pos] == ' ' && n&(punct|symbol) != 0 {
			return run(s, run(s, next+nw, end, punct|symbol), end, newline)
		}
	}
	if c&space != 0 {
		return lines(s, pos, end)
	}
	return gap(s, pos, end)
}

// gap returns where the unmatched run at s[pos] ends: before the first character that starts a match,
// by itself or as the one character allowed before a word.
func gap(s string, pos, end int) int {
	const starts = letter | mark | punct | symbol | space
	_, w := classAt(s, pos)
	for i := pos + w; i < end; i += w {
		var c class
		c, w = classAt(s, i)
		if c&starts != 0 {
			return i
		}
		if i+w < end {
			if n, _ := classAt(s, i+w); n&(letter|mark) != 0 {
				return i
			}
		}
	}
	return end
}

// asciiLetters returns the end of the run of [A-Za-z] at s[i], at most end.
func asciiLetters(s string, i, end int) int {
	for i < end && 'a' <= s[i]|0x20 && s[i]|0x20 <= 'z' {
		i++
	}
	return i
}
