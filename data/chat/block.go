package chat

import (
	"bytes"
	"strings"

	"github.com/temper-ml/temper/internal/jsonvalue"
)

// block reads a tool call block while it is written, by the rules of V4.Parse.
// DSML tokens cut it into segments; the text of a segment closes what the one
// before it opened and opens the next.
type block struct {
	state    blockState
	segment  []byte // text since the last DSML token that was not read yet
	raw      []byte // everything since the last complete call
	complete int    // calls
	begun    int    // calls whose name was given out
	names    map[string]bool
	param    string // name of the one being read
	out      []Delta
}

type blockState uint8

// What the segment is, after its DSML token.
const (
	opening      blockState = iota // tool_calls>\n and what follows
	invoking                       // invoke name="NAME">\n
	invoked                        // what follows the name: < or </ or \n</
	naming                         // parameter name="NAME" string="true|false">
	spelling                       // a string, up to </
	valuing                        // JSON, up to </
	endingParam                    // parameter>\n and what follows
	endingInvoke                   // invoke>\n and what follows
	endingBlock                    // tool_calls>
)

// closed reports whether the block is complete.
func (b *block) closed() bool { return b.state == endingBlock && string(b.segment) == blockEnd }

const (
	blockEnd    = "tool_calls>"
	invokeBegin = `invoke name="`
	paramBegin  = `parameter name="`
)

// text reads plain text. It reports whether the rules are kept so far.
func (b *block) text(text string) bool {
	b.segment = append(b.segment, text...)
	switch b.state {
	case invoking:
		return b.invoke(len(text))
	case naming:
		return b.name(len(text))
	case spelling:
		b.spell()
	case endingBlock:
		return strings.HasPrefix(blockEnd, string(b.segment[:min(len(b.segment), len(blockEnd)+1)]))
	}
	return true
}

// tag looks for a tag, from what it begins with to what it ends with, in a segment
// that became longer by some bytes. rest follows it; possible is false if no text
// can make the segment begin with one.
func (b *block) tag(begin, end string, added int) (tag string, rest []byte, found, possible bool) {
	if n := min(len(begin), len(b.segment)); string(b.segment[:n]) != begin[:n] {
		return "", nil, false, false
	}
	from := max(len(begin), len(b.segment)-added-len(end)+1)
	if from >= len(b.segment) {
		return "", nil, false, true
	}
	at := bytes.Index(b.segment[from:], []byte(end))
	if at < 0 {
		return "", nil, false, true
	}
	at += from
	return string(b.segment[len(begin):at]), b.segment[at+len(end):], true, true
}

// invoke reads the name of a call as soon as it is whole.
func (b *block) invoke(added int) bool {
	name, rest, found, possible := b.tag(invokeBegin, "\">\n", added)
	if !found {
		return possible
	}
	if name == "" {
		return false
	}
	b.out = append(b.out, Delta{Part: Calls, Call: b.begun, Name: name})
	b.begun++
	b.names = map[string]bool{}
	b.state, b.segment = invoked, rest
	return true
}

// name reads the opening tag of a parameter as soon as it is whole.
func (b *block) name(added int) bool {
	tag, rest, found, possible := b.tag(paramBegin, `">`, added)
	if !found {
		return possible
	}
	name, kind, ok := strings.Cut(tag, `" string="`)
	if !ok || kind != "true" && kind != "false" || b.names[name] {
		return false
	}
	b.names[name], b.param, b.segment = true, name, rest
	if kind == "false" {
		b.state = valuing
		return true
	}
	b.state = spelling
	b.argument(`"`)
	b.spell()
	return true
}

// argument gives out the name of a parameter and the beginning of its value.
func (b *block) argument(value string) {
	before := ", "
	if len(b.names) == 1 {
		before = "{"
	}
	b.give(before + jsonvalue.PythonString(b.param) + ": " + value)
}

func (b *block) give(text string) {
	if text != "" {
		b.out = append(b.out, Delta{Part: Calls, Call: b.begun - 1, Text: text})
	}
}

// spell gives out a string but for an end that may be the closing tag's.
func (b *block) spell() {
	keep := 0
	switch {
	case bytes.HasSuffix(b.segment, []byte("</")):
		keep = 2
	case bytes.HasSuffix(b.segment, []byte("<")):
		keep = 1
	}
	text := string(b.segment[:len(b.segment)-keep])
	b.segment = b.segment[len(text):]
	quoted := jsonvalue.PythonString(text)
	b.give(quoted[1 : len(quoted)-1])
}

// mark reads a DSML token: the segment before it is whole.
func (b *block) mark() bool {
	segment := string(b.segment)
	b.segment = b.segment[:0]
	switch b.state {
	case opening:
		return segment == "tool_calls>\n<" && b.to(invoking)
	case invoked:
		return b.next(segment, segment == "</" || segment == "\n</")
	case spelling:
		b.give(`"`)
		return segment == "</" && b.to(endingParam)
	case valuing:
		text, ok := strings.CutSuffix(segment, "</")
		value, err := jsonvalue.ParsePython(text)
		if !ok || err != nil {
			return false
		}
		b.argument(value.Python())
		return b.to(endingParam)
	case endingParam:
		rest, ok := strings.CutPrefix(segment, "parameter>\n")
		return ok && b.next(rest, rest == "</")
	case endingInvoke:
		rest, ok := strings.CutPrefix(segment, "invoke>\n")
		b.raw = append(append(b.raw[:0], rest...), dsmlToken...)
		switch {
		case ok && rest == "<":
			return b.to(invoking)
		case ok && rest == "</":
			return b.to(endingBlock)
		}
	}
	return false
}

// next goes on to a parameter, or to the end of the call if that is what comes.
func (b *block) next(opened string, ends bool) bool {
	switch {
	case opened == "<":
		return b.to(naming)
	case !ends:
		return false
	case len(b.names) == 0:
		b.give("{}")
	default:
		b.give("}")
	}
	b.complete++
	b.raw = append(append(b.raw[:0], opened...), dsmlToken...)
	return b.to(endingInvoke)
}

func (b *block) to(s blockState) bool {
	b.state = s
	return true
}
