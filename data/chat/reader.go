package chat

import "strings"

// Delta is what a piece of a completion adds to the message that it becomes.
type Delta struct {
	Part Part   // Reasoning, Content or Calls
	Text string // of the reasoning, the answer, or a call's arguments
	Call int    // which call, from 0
	Name string // of the call, with the first delta of it
}

// Reader reads a completion while it is written: the deltas put together are the
// message that Parse returns, whenever Parse takes the completion. Nothing is
// held back longer than it is undecided what it is.
//
// A completion that breaks the encoding's rules is not an error here: special
// tokens that do not belong where they stand are text, and a tool call block that
// goes wrong becomes text of the answer from the call on that is not complete.
type Reader struct {
	eos, thinkEnd string
	calls         bool // tool calls are recognised
	trim          bool // line breaks around reasoning and answer are layout (V3)

	part   Part
	begun  bool   // the part has text that was not trimmed
	held   string // the end of the part's text, undecided
	block  *block // the tool call block
	broken bool   // it went wrong
	ended  bool
	passed [End]int // bytes of each part: see Passed
	out    []Delta
}

// callsBefore is the text before the first DSML token of a tool call block.
const callsBefore = "\n\n<"

// NewReader returns a reader of one completion in an encoding. thinking says that
// its prompt opened the reasoning, calls that tool calls are looked for.
func NewReader(e Encoding, thinking, calls bool) *Reader {
	r := &Reader{eos: e.EOS(), part: Content}
	switch e.(type) {
	case V4:
		r.thinkEnd, r.calls = thinkEndToken, calls
	case V3:
		r.thinkEnd, r.trim = thinkEndToken, thinking
	default:
		return r
	}
	if thinking {
		r.part = Reasoning
	}
	return r
}

// Part returns what plain text would be part of next.
func (r *Reader) Part() Part { return r.part }

// Ended reports whether the end of the turn was read.
func (r *Reader) Ended() bool { return r.ended }

// Calls returns how many tool calls are complete.
func (r *Reader) Calls() int {
	if r.block == nil {
		return 0
	}
	return r.block.complete
}

// Passed returns how many bytes of the text of reasoning or answer are decided:
// given out, or layout.
func (r *Reader) Passed(p Part) int { return r.passed[p] }

// Push reads a piece: whole characters of plain text, or a special token by name.
// The deltas are valid until the next call.
func (r *Reader) Push(text string, special bool) []Delta {
	r.out = r.out[:0]
	switch {
	case r.ended || text == "":
	case special:
		r.special(text)
	case r.part == Calls:
		r.intoBlock(text, false)
	default:
		r.plain(text)
	}
	return r.out
}

// Close ends a completion that was cut: what is still held back is given out.
func (r *Reader) Close() []Delta {
	r.out = r.out[:0]
	if r.ended {
		return r.out
	}
	r.ended = true
	if r.part != Calls {
		r.flush()
	}
	return r.out
}

func (r *Reader) special(name string) {
	switch {
	case name == r.eos:
		if r.part == Calls && !r.block.closed() {
			r.breakBlock()
		}
		r.flush()
		r.ended = true
	case r.part == Reasoning && name == r.thinkEnd:
		r.leaveReasoning()
	case r.part == Content && name == dsmlToken && r.calls && !r.broken && r.held == callsBefore:
		r.held, r.part = "", Calls
		r.block = &block{raw: []byte(callsBefore + dsmlToken)}
	case r.part == Calls:
		r.intoBlock(name, true)
	default:
		r.plain(name)
	}
}

// leaveReasoning ends the reasoning; with trim, the line breaks before its end
// are layout.
func (r *Reader) leaveReasoning() {
	if r.trim {
		r.pass(len(r.held))
		r.held = ""
	}
	r.flush()
	r.part, r.begun = Content, false
}

// plain adds text to reasoning or answer, and holds back an end of it that may
// turn out to be layout.
func (r *Reader) plain(text string) {
	if r.trim && !r.begun {
		rest := strings.TrimLeft(text, "\n")
		r.pass(len(text) - len(rest))
		if text = rest; text == "" {
			return
		}
		r.begun = true
	}
	text = r.held + text
	r.held = text[len(text)-r.undecided(text):]
	r.give(text[:len(text)-len(r.held)])
}

// undecided returns how many bytes at the end of a part's text may be layout.
func (r *Reader) undecided(text string) int {
	switch {
	case r.part == Reasoning && r.trim:
		return len(text) - len(strings.TrimRight(text, "\n"))
	case r.part == Content && r.calls && !r.broken:
		for n := min(len(callsBefore), len(text)); n > 0; n-- {
			if text[len(text)-n:] == callsBefore[:n] {
				return n
			}
		}
	}
	return 0
}

// flush gives out what is held back.
func (r *Reader) flush() {
	r.give(r.held)
	r.held = ""
}

func (r *Reader) give(text string) {
	if text == "" {
		return
	}
	r.pass(len(text))
	r.out = append(r.out, Delta{Part: r.part, Text: text})
}

func (r *Reader) pass(n int) { r.passed[r.part] += n }

// intoBlock adds to the tool call block, and leaves it when it goes wrong.
func (r *Reader) intoBlock(text string, special bool) {
	b := r.block
	b.raw = append(b.raw, text...)
	ok := true
	switch {
	case !special:
		ok = b.text(text)
	case text == dsmlToken:
		ok = b.mark()
	default:
		ok = false
	}
	r.out = append(r.out, b.out...)
	b.out = b.out[:0]
	if !ok {
		r.breakBlock()
	}
}

// breakBlock makes what is not a complete call text of the answer.
func (r *Reader) breakBlock() {
	r.part, r.broken = Content, true
	r.give(string(r.block.raw))
}
