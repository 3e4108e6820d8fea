package chat

import (
	"strings"

	"github.com/temper-ml/temper/internal/jsonvalue"
)

// Parse reads an assistant turn: reasoning up to </think> when thinking, the
// answer, tool calls, and the end of turn. Every rule it holds a completion to
// is the encoding's own; a completion that ends too early is ErrUnfinished.
func (V4) Parse(completion []Piece, thinking bool) (Message, error) {
	c := cursor{pieces: completion}
	m := Message{Role: Assistant}
	if thinking {
		var stop string
		m.Reasoning, stop = c.until()
		if stop != thinkEndToken {
			return m, c.unexpected(stop, "the reasoning must end with "+thinkEndToken)
		}
	}
	text, stop := c.until()
	m.Content = text
	if stop == dsmlToken {
		content, ok := strings.CutSuffix(text, "\n\n<")
		if !ok {
			return m, c.errorf("a tool call block must follow a blank line and '<', it follows %q", tail(text))
		}
		m.Content = content
		if err := c.calls(&m); err != nil {
			return m, err
		}
		_, stop = c.until()
	}
	if stop != eosToken {
		return m, c.unexpected(stop, "the turn must end with "+eosToken)
	}
	if !c.done() {
		return m, c.errorf("text after the end of the turn")
	}
	return m, nil
}

// calls reads a tool call block, of which the first DSML token has been read.
// Between DSML tokens stands plain text that closes one tag and opens the next.
func (c *cursor) calls(m *Message) error {
	segment, err := c.segment("tool_calls>\n")
	if err != nil {
		return err
	}
	for segment == "<" {
		call, err := c.call()
		if err != nil {
			return err
		}
		m.ToolCalls = append(m.ToolCalls, call)
		if segment, err = c.segment("invoke>\n"); err != nil {
			return err
		}
	}
	if segment != "</" {
		return c.errorf("expected <%sinvoke or </%stool_calls>, got %q", dsmlToken, dsmlToken, tail(segment))
	}
	if len(m.ToolCalls) == 0 {
		return c.errorf("the tool call block holds no call")
	}
	return c.close("tool_calls>")
}

// call reads one invocation up to the DSML token of its closing tag.
func (c *cursor) call() (ToolCall, error) {
	segment, err := c.segment(`invoke name="`)
	if err != nil {
		return ToolCall{}, err
	}
	name, rest, ok := strings.Cut(segment, "\">\n")
	if !ok || name == "" {
		return ToolCall{}, c.errorf("a call must read invoke name=\"NAME\"> and a new line, got %q", tail(segment))
	}
	call := ToolCall{Name: name}
	args := jsonvalue.Value{Kind: jsonvalue.Object}
	for rest == "<" {
		if rest, err = c.parameter(&args); err != nil {
			return call, err
		}
	}
	if rest != "</" && (rest != "\n</" || len(args.Members) > 0) {
		return call, c.errorf("expected <%sparameter or </%sinvoke> in the call of %q, got %q", dsmlToken, dsmlToken, name, tail(rest))
	}
	call.Arguments = args.Python()
	return call, nil
}

// parameter reads one parameter and returns the text before the next DSML token.
func (c *cursor) parameter(args *jsonvalue.Value) (string, error) {
	segment, err := c.segment(`parameter name="`)
	if err != nil {
		return "", err
	}
	tag, text, ok := strings.Cut(segment, `">`)
	name, kind, ok2 := strings.Cut(tag, `" string="`)
	if !ok || !ok2 || kind != "true" && kind != "false" {
		return "", c.errorf("a parameter must read parameter name=\"NAME\" string=\"true|false\">, got %q", tail(segment))
	}
	if text, ok = strings.CutSuffix(text, "</"); !ok {
		return "", c.errorf("parameter %q is not closed", name)
	}
	if args.Lookup(name) != nil {
		return "", c.errorf("parameter %q is given twice", name)
	}
	value := jsonvalue.StringValue(text)
	if kind == "false" {
		if value, err = jsonvalue.ParsePython(text); err != nil {
			return "", c.errorf("parameter %q is not a string and its value is not JSON: %v", name, err)
		}
	}
	args.Members = append(args.Members, jsonvalue.Member{Key: name, Value: value})
	return c.segment("parameter>\n")
}

// segment reads text up to the next DSML token and cuts the prefix it must have.
func (c *cursor) segment(prefix string) (string, error) {
	text, stop := c.until()
	rest, ok := strings.CutPrefix(text, prefix)
	if !ok && (stop == dsmlToken || len(text) >= len(prefix)) {
		return "", c.errorf("expected %q after %s, got %q", prefix, dsmlToken, tail(text))
	}
	if stop != dsmlToken {
		return "", c.unexpected(stop, "the tool call block is not closed")
	}
	return rest, nil
}

// close reads the rest of the block's closing tag, which nothing may follow but
// the end of the turn.
func (c *cursor) close(tag string) error {
	at := c.at
	text, _ := c.until()
	if text != tag {
		return c.errorf("expected %q to close the tool call block, got %q", tag, tail(text))
	}
	if c.at > at {
		c.back()
	}
	return nil
}
