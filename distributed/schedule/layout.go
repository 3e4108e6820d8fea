package schedule

import (
	"fmt"
	"strconv"
	"strings"
)

// ParseSplit reads a split in the form of Megatron's and MindSpeed's
// --pipeline-model-parallel-layout:
//
//	E       the embedding
//	t       a block
//	m       an MTP module
//	L       the head and the loss
//	|       the next part
//	x*N     N times the letter x
//	(...)*N N times the text in parentheses
//	,       nothing
//
// Parts follow the forward pass: "Et*4|(tttt|)*14tmL" is 16 parts, for 16 stages
// of one chunk or 8 stages of two. A part may be empty.
func ParseSplit(text string) (Split, error) {
	r := &layoutReader{text: text}
	letters, err := r.sequence(0)
	if err != nil {
		return Split{}, err
	}
	s := Split{Parts: []Part{{}}}
	for _, letter := range letters {
		p := &s.Parts[len(s.Parts)-1]
		if letter != '|' && p.Head {
			return Split{}, fmt.Errorf("schedule: layout %q: %q follows the head L in the same part, and L must be the last letter", text, letter)
		}
		switch letter {
		case 'E':
			if p.Embedding || p.Blocks > 0 {
				return Split{}, fmt.Errorf("schedule: layout %q: E must be the first letter, and only there", text)
			}
			p.Embedding = true
		case 't':
			if p.MTP > 0 {
				return Split{}, fmt.Errorf("schedule: layout %q: t follows m in one part, and MTP modules must come after the last block", text)
			}
			p.Blocks++
		case 'm':
			p.MTP++
		case 'L':
			p.Head = true
		case '|':
			s.Parts = append(s.Parts, Part{First: p.First + p.Blocks})
		}
	}
	if err := s.Check(); err != nil {
		return Split{}, fmt.Errorf("%w (layout %q)", err, text)
	}
	return s, nil
}

const (
	maxLetters = 1 << 17 // of an expanded layout
	maxDepth   = 8       // of parentheses
)

// layoutReader expands repetitions, left to right.
type layoutReader struct {
	text string
	at   int
}

func (r *layoutReader) fail(format string, args ...any) error {
	return fmt.Errorf("schedule: layout %q, column %d: %s", r.text, r.at+1, fmt.Sprintf(format, args...))
}

// sequence reads up to the closing parenthesis of its depth, or the end.
func (r *layoutReader) sequence(depth int) ([]byte, error) {
	var out []byte
	for r.at < len(r.text) {
		var unit []byte
		switch c := r.text[r.at]; c {
		case ',', ' ':
			r.at++
			continue
		case ')':
			if depth == 0 {
				return nil, r.fail(") closes nothing")
			}
			return out, nil
		case '(':
			if depth == maxDepth {
				return nil, r.fail("parentheses are %d deep, must be at most %d", depth+1, maxDepth)
			}
			open := r.at
			r.at++
			inner, err := r.sequence(depth + 1)
			if err != nil {
				return nil, err
			}
			if r.at >= len(r.text) {
				r.at = open
				return nil, r.fail("( is never closed")
			}
			unit = inner
		case 'E', 't', 'm', 'L', '|':
			unit = []byte{c}
		default:
			return nil, r.fail("%q is no layer, must be one of E t m L | , ( ) *", c)
		}
		r.at++
		times, err := r.times()
		if err != nil {
			return nil, err
		}
		if len(unit) > 0 && times > (maxLetters-len(out))/len(unit) {
			return nil, r.fail("the layout has more than %d letters", maxLetters)
		}
		for range times {
			out = append(out, unit...)
		}
	}
	return out, nil
}

// times reads "*N", or nothing, which is once.
func (r *layoutReader) times() (int, error) {
	if r.at >= len(r.text) || r.text[r.at] != '*' {
		return 1, nil
	}
	r.at++
	from := r.at
	for r.at < len(r.text) && r.text[r.at] >= '0' && r.text[r.at] <= '9' {
		r.at++
	}
	n, err := strconv.Atoi(r.text[from:r.at])
	if err != nil || n < 1 || n > maxLetters {
		r.at = from
		return 0, r.fail("* must be followed by a number in 1..%d", maxLetters)
	}
	return n, nil
}

// String writes the split as ParseSplit reads it, repeated parts once.
func (s Split) String() string {
	var b strings.Builder
	for q := 0; q < len(s.Parts); {
		same := 1
		for q+same < len(s.Parts)-1 && s.Parts[q+same].like(s.Parts[q]) {
			same++
		}
		if same >= 3 {
			fmt.Fprintf(&b, "(%s|)*%d", s.Parts[q].text(0), same)
		} else {
			same = 1
			b.WriteString(s.Parts[q].text(4))
			if q < len(s.Parts)-1 {
				b.WriteByte('|')
			}
		}
		q += same
	}
	return b.String()
}

// like reports whether two parts are written alike.
func (p Part) like(q Part) bool {
	p.First = q.First
	return p == q
}

// text writes a part; runs of at least short equal letters are counted, 0
// writes them out.
func (p Part) text(short int) string {
	run := func(letter string, n int) string {
		if short > 0 && n >= short {
			return letter + "*" + strconv.Itoa(n)
		}
		return strings.Repeat(letter, n)
	}
	return strings.Repeat("E", count(p.Embedding)) + run("t", p.Blocks) + run("m", p.MTP) + strings.Repeat("L", count(p.Head))
}
