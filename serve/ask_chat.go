package serve

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/temper-ml/temper/data/chat"
	"github.com/temper-ml/temper/internal/jsonvalue"
	"github.com/temper-ml/temper/serve/answer"
)

// decodeChat reads a request for a turn of a conversation.
func (s *Server) decodeChat(f *fields) (*ask, error) {
	a := s.decode(f, 1)
	if f.flag("logprobs") {
		a.one.LogProbs, a.one.Top = true, int(f.whole("top_logprobs", 0, 0, maxTop))
	} else if f.whole("top_logprobs", 0, 0, maxTop) > 0 {
		f.fail(invalid("top_logprobs", "top_logprobs is for requests with logprobs: true"))
	}
	v := f.get("messages")
	if v == nil {
		f.fail(invalid("messages", "the request has no messages"))
	}
	if f.err != nil {
		return nil, f.err
	}
	c := &chat.Conversation{}
	var err error
	if c.Messages, err = messages(v); err != nil {
		return nil, err
	}
	choice := s.tools(f, c, a)
	s.think(f, c)
	if f.err != nil {
		return nil, f.err
	}
	p, err := s.m.Conversation(c, choice)
	switch {
	case errors.Is(err, answer.ErrThinkingCall):
		return nil, unsupported("tool_choice", "%v", err)
	case err != nil:
		bad := failureOf(err)
		if bad.param == "" {
			bad.param = "messages"
		}
		return nil, bad
	}
	a.prompts, a.echo = []answer.Prompt{p}, []string{""}
	if f := s.fit(a, "messages", "conversation"); f != nil {
		return nil, f
	}
	if !a.maxGiven {
		a.one.MaxTokens = s.context
	}
	return a, nil
}

// maxIgnored is how many kinds of fields of messages are ignored.
const maxIgnored = 64

// messageFields are what a message may have; other fields of it are ignored.
var messageFields = []string{
	"role", "name", "content", "reasoning_content", "tool_calls", "tool_call_id", "tools", "response_format", "task", "prefix", "wo_eos", "weight",
}

// messages reads messages. A developer's instructions are the system's: so OpenAI
// calls them now, while V4's own developer role is another thing.
func messages(v *jsonvalue.Value) ([]chat.Message, error) {
	var ignore []string
	for i := range v.Items {
		for j := range v.Items[i].Members {
			if key := v.Items[i].Members[j].Key; !slices.Contains(messageFields, key) && !slices.Contains(ignore, key) {
				ignore = append(ignore, key)
			}
			if len(ignore) > maxIgnored {
				return nil, invalid(fmt.Sprintf("messages[%d]", i), "messages have more than %d kinds of unknown fields", maxIgnored)
			}
		}
	}
	list, err := chat.DecodeMessages(v, "messages", ignore)
	for i := range list {
		if list[i].Role == chat.Developer {
			list[i].Role = chat.System
		}
	}
	return list, err
}

// tools reads the tools and how they are to be used.
func (s *Server) tools(f *fields, c *chat.Conversation, a *ask) (choice answer.Choice) {
	var names []string
	if v := f.of("tools", jsonvalue.Array); v != nil {
		for i := range v.Items {
			if kind := v.Items[i].Lookup("type"); kind != nil && kind.Text != "function" {
				f.fail(unsupported(fmt.Sprintf("tools[%d].type", i), "tools[%d].type is %q: there are functions only", i, cut(kind.Text)))
				return choice
			}
		}
		tools, err := chat.DecodeTools(v, "tools")
		if err != nil {
			f.fail(failureOf(err))
			return choice
		}
		for i := range tools {
			names = append(names, tools[i].Lookup("name").Text)
		}
		choice = toolChoice(f, names)
		if !choice.Never {
			c.AttachTools(tools)
		}
	} else {
		choice = toolChoice(f, nil)
	}
	if v := f.get("parallel_tool_calls"); v != nil {
		a.one.OneCall = !f.flag("parallel_tool_calls")
	}
	return choice
}

// toolChoice reads tool_choice.
func toolChoice(f *fields, names []string) (choice answer.Choice) {
	v := f.get("tool_choice")
	switch {
	case v == nil:
	case v.Kind == jsonvalue.String:
		switch v.Text {
		case "auto":
		case "none":
			choice.Never = true
		case "required":
			choice.Must = true
		default:
			f.fail(invalid("tool_choice", "tool_choice is %q, want none, auto, required, or a function", cut(v.Text)))
		}
	case v.Kind == jsonvalue.Object:
		kind, function := v.Lookup("type"), v.Lookup("function")
		if function == nil {
			function = &jsonvalue.Value{}
		}
		name := function.Lookup("name")
		if kind == nil || kind.Text != "function" || name == nil || name.Kind != jsonvalue.String {
			f.fail(invalid("tool_choice", "tool_choice must be {\"type\": \"function\", \"function\": {\"name\": ...}} to name a function"))
			return choice
		}
		choice.Must, choice.Name = true, name.Text
		if !slices.Contains(names, name.Text) {
			f.fail(invalid("tool_choice", "tool_choice names %q, which is not among the tools", cut(name.Text)))
		}
	default:
		f.fail(invalid("tool_choice", "tool_choice: want a string or an object, got %s", v.Kind))
	}
	if choice.Must && len(names) == 0 {
		f.fail(invalid("tool_choice", "tool_choice demands a call, and there are no tools"))
	}
	return choice
}

// think reads the thinking mode: thinking, as DeepSeek has it, and
// reasoning_effort.
func (s *Server) think(f *fields, c *chat.Conversation) {
	c.Thinking = s.o.Thinking
	given := false
	switch v := f.get("thinking"); {
	case v == nil:
	case v.Kind == jsonvalue.Object:
		given = true
		switch kind := f.inner("thinking").text("type"); kind {
		case "enabled", "disabled":
			c.Thinking = kind == "enabled"
		default:
			f.fail(invalid("thinking.type", "thinking.type is %q, want enabled or disabled", cut(kind)))
		}
	default:
		given, c.Thinking = true, f.flag("thinking")
	}
	effort := f.text("reasoning_effort")
	if effort == "" {
		return
	}
	if given && c.Thinking != (effort != "none") {
		f.fail(invalid("reasoning_effort", "reasoning_effort is %q, and thinking says otherwise: give one of them", cut(effort)))
	}
	c.Thinking = effort != "none"
	var ok bool
	if c.Effort, ok = s.m.Effort(effort); !ok {
		f.fail(invalid("reasoning_effort", "reasoning_effort is %q, want one of %s", cut(effort), strings.Join(answer.Efforts, ", ")))
	}
}
