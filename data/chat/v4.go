package chat

import (
	"fmt"

	"github.com/temper-ml/temper/internal/jsonvalue"
)

// V4 is the encoding of DeepSeek-V4, without a template language: the published
// encoding is code, and so is this.
//
// A sequence is BOS, the system text without a role token, and then turns:
//
//	<｜User｜>text<｜Assistant｜></think>answer<｜end▁of▁sentence｜>                (chat mode)
//	<｜User｜>text<｜Assistant｜><think>reasoning</think>answer<｜end▁of▁sentence｜> (thinking mode)
//
// In thinking mode the reasoning of turns before the last user message is
// dropped (they render as in chat mode), unless KeepReasoning is set or any
// message lists tools. A tool call is written in DSML after the answer; tool
// results become <tool_result> blocks of a user turn, in the order of the calls.
//
// Two things are stricter than the published code, because it drops them
// silently: tools, response_format, reasoning or calls on a message whose role
// cannot carry them, and a Task on a user message that is merged into the one
// before it.
type V4 struct {
	// Efforts0731 selects the effort texts of the checkpoints from V4-Flash-0731
	// on: low says nothing, high is the preview's max, max goes beyond it.
	Efforts0731 bool
}

// Name returns "deepseek-v4" or "deepseek-v4-0731".
func (e V4) Name() string {
	if e.Efforts0731 {
		return "deepseek-v4-0731"
	}
	return "deepseek-v4"
}

// Version returns 1.
func (V4) Version() int { return 1 }

// BOS returns the token every sequence begins with.
func (V4) BOS() string { return bosToken }

// EOS returns the token that ends every assistant turn.
func (V4) EOS() string { return eosToken }

// Specials lists the tokens V4 can write.
func (V4) Specials() []string {
	return []string{
		bosToken, eosToken, userToken, assistToken, thinkToken, thinkEndToken, dsmlToken, reminderToken,
		taskTokens[TaskAction], taskTokens[TaskQuery], taskTokens[TaskAuthority], taskTokens[TaskDomain],
		taskTokens[TaskTitle], taskTokens[TaskReadURL],
	}
}

// effortText returns the paragraph after BOS that asks for an effort.
func (e V4) effortText(effort Effort) (string, error) {
	switch {
	case effort == "", effort == EffortHigh && !e.Efforts0731, effort == EffortLow && e.Efforts0731:
		return "", nil
	case effort == EffortMax && !e.Efforts0731, effort == EffortHigh:
		return effortAbsolute, nil
	case effort == EffortMax:
		return effortBeyond, nil
	case effort == EffortLow:
		return "", fmt.Errorf("chat: reasoning effort %q does not exist in deepseek-v4: use none, high or max, or the encoding deepseek-v4-0731", effort)
	}
	return "", fmt.Errorf("chat: reasoning effort %q is not known: use low, high or max", effort)
}

// v4Script is a compiled conversation: what does not depend on the prefix being
// rendered is made once.
type v4Script struct {
	conv   *Conversation
	effort string
	bodies [][]Piece // per message: tools and response format, or tool calls
}

// Compile checks the conversation and writes its tool texts.
func (e V4) Compile(c *Conversation) (Script, error) {
	s := &v4Script{conv: c}
	var err error
	if s.effort, err = e.effortText(c.Effort); err != nil {
		return nil, err
	}
	for i := range c.Messages {
		if err := s.check(i); err != nil {
			return nil, err
		}
		body, err := s.body(i)
		if err != nil {
			return nil, messageError(i, "%w", err)
		}
		if body != nil && s.bodies == nil {
			s.bodies = make([][]Piece, len(c.Messages))
		}
		if body != nil {
			s.bodies[i] = body
		}
	}
	return s, nil
}

func (s *v4Script) check(i int) error {
	m := &s.conv.Messages[i]
	switch m.Role {
	case System, User, Assistant, Tool, Developer, Reminder:
	default:
		return messageError(i, "role %q is not one of system, user, assistant, tool, developer, latest_reminder", m.Role)
	}
	if err := m.checkFields(); err != nil {
		return messageError(i, "%w", err)
	}
	if m.Role == Developer && m.Content == "" {
		return messageError(i, "a developer message must have content")
	}
	if m.Task == "" {
		return nil
	}
	if taskTokens[m.Task] == "" {
		return messageError(i, "task %q is not one of action, query, authority, domain, title, read_url", m.Task)
	}
	if m.Role == Tool {
		return messageError(i, "a tool message cannot carry task %q: put it on a user message", m.Task)
	}
	if m.Role == User && s.mergesBack(i) {
		return messageError(i, "task %q is on a user message that is merged with the one before it, where it would be lost", m.Task)
	}
	return nil
}

// mergesBack reports whether user message i becomes part of the turn before it.
func (s *v4Script) mergesBack(i int) bool {
	for j := i - 1; j >= 0; j-- {
		switch before := &s.conv.Messages[j]; before.Role {
		case Tool: // part of the turn that begins before it
		case User:
			return before.Task == ""
		default:
			return j+1 < i
		}
	}
	return i > 0
}

func (s *v4Script) body(i int) ([]Piece, error) {
	m := &s.conv.Messages[i]
	w := writer{message: i}
	if len(m.Tools) > 0 {
		w.plain(Frame, "\n\n")
		w.template(Frame, toolsBefore, dsmlToken, thinkToken, thinkEndToken)
		for j := range m.Tools {
			if j > 0 {
				w.plain(Frame, "\n")
			}
			w.plain(Text, m.Tools[j].Python())
		}
		w.plain(Frame, toolsAfter)
	}
	if m.ResponseFormat != nil {
		w.plain(Frame, "\n\n"+responseFormatBefore)
		w.plain(Text, m.ResponseFormat.Python())
	}
	if len(m.ToolCalls) > 0 {
		w.plain(Calls, "\n\n")
		w.template(Calls, "<"+dsmlToken+"tool_calls>\n", dsmlToken)
		for j := range m.ToolCalls {
			if err := w.call(&m.ToolCalls[j]); err != nil {
				return nil, fmt.Errorf("tool_calls[%d]: %w", j, err)
			}
		}
		w.template(Calls, "</"+dsmlToken+"tool_calls>", dsmlToken)
	}
	return w.pieces, nil
}

// call writes one invocation. Arguments that are not JSON at all become one
// parameter named "arguments" that holds the text, as in the published encoding.
func (w *writer) call(c *ToolCall) error {
	args, err := jsonvalue.ParsePython(c.Arguments)
	if err != nil {
		args = jsonvalue.Value{Kind: jsonvalue.Object, Members: []jsonvalue.Member{
			{Key: "arguments", Value: jsonvalue.StringValue(c.Arguments)},
		}}
	}
	if args.Kind != jsonvalue.Object {
		return fmt.Errorf("arguments of %q are a JSON %s, want an object", c.Name, args.Kind)
	}
	tag := func(before, name string) {
		w.plain(Calls, before)
		w.special(Calls, dsmlToken)
		w.plain(Calls, name)
	}
	tag("<", `invoke name="`+c.Name+"\">\n")
	for i := range args.Members {
		m := &args.Members[i]
		value, isString := m.Value.Text, "true"
		if m.Value.Kind != jsonvalue.String {
			value, isString = m.Value.Python(), "false"
		}
		tag("<", `parameter name="`+m.Key+`" string="`+isString+`">`)
		w.plain(Calls, value)
		tag("</", "parameter>\n")
	}
	if len(args.Members) == 0 {
		w.plain(Calls, "\n")
	}
	tag("</", "invoke>\n")
	return nil
}

// CallPrefix returns what makes a turn call a tool when the model continues it:
// the named one, or any if the name is empty. It follows a prompt outside
// thinking mode, and a [Reader] must be given it before the completion.
func (V4) CallPrefix(name string) []Piece {
	w := writer{message: -1}
	w.plain(Calls, "\n\n")
	w.template(Calls, "<"+dsmlToken+"tool_calls>\n<"+dsmlToken+invokeBegin, dsmlToken)
	if name != "" {
		w.pieces[len(w.pieces)-1].Text += name + "\">\n"
	}
	return w.pieces
}
