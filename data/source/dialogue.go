package source

import (
	"strings"

	"github.com/temper-ml/temper/data/chat"
	"github.com/temper-ml/temper/internal/jsonvalue"
)

// dialogue reads a whole conversation that ends with the assistant.
func (r *record) dialogue(f Format) (Row, error) {
	row := Row{Kind: Supervised}
	var err error
	list := r.get(string(Messages))
	if f == ShareGPT {
		if list = r.get("conversations"); list == nil {
			return row, rule(nil, "", "a sharegpt row needs \"conversations\", the row has %s", r.keys())
		}
		row.Conversation.Messages, err = r.shareGPT(list, "conversations")
	} else {
		if list == nil {
			return row, rule(nil, "", "a messages row needs \"messages\", the row has %s", r.keys())
		}
		row.Conversation.Messages, err = chat.DecodeMessages(list, "messages", r.opts.IgnoreFields)
	}
	if err != nil {
		return row, err
	}
	if err := r.finish(&row.Conversation); err != nil {
		return row, err
	}
	return row, r.checkTurns(&row.Conversation, true)
}

// finish applies what a row says outside its messages: system text, tools,
// thinking mode, effort; and the reader's options.
func (r *record) finish(c *chat.Conversation) error {
	if err := r.addSystem(c); err != nil {
		return err
	}
	if tools := r.get("tools"); tools != nil && !(tools.Kind == jsonvalue.String && tools.Text == "") {
		schemas, err := chat.DecodeTools(tools, "tools")
		if err != nil {
			return err
		}
		c.AttachTools(schemas)
	}
	c.AttachResponseFormat(r.get("response_format"))
	if r.opts.SplitThink {
		for i := range c.Messages {
			if m := &c.Messages[i]; m.Role == chat.Assistant && m.Reasoning == "" {
				m.Reasoning, m.Content = splitThink(m.Content)
			}
		}
	}
	return r.mode(c)
}

func (r *record) addSystem(c *chat.Conversation) error {
	text, err := r.str("system")
	if err != nil {
		return err
	}
	has := len(c.Messages) > 0 && c.Messages[0].Role == chat.System
	if text != "" && has {
		return rule(r.get("system"), "keep one of them", "the row has a system text and a system message")
	}
	if text == "" {
		text = r.opts.System
	}
	if text != "" && !has {
		c.Messages = append([]chat.Message{{Role: chat.System, Content: text}}, c.Messages...)
	}
	return nil
}

// splitThink cuts <think>...</think> from the beginning of an answer, with the
// line ends around the reasoning and after it.
func splitThink(text string) (reasoning, content string) {
	body, ok := strings.CutPrefix(strings.TrimLeft(text, " \n"), "<think>")
	if !ok {
		return "", text
	}
	reasoning, content, ok = strings.Cut(body, "</think>")
	if !ok {
		return "", text
	}
	return strings.Trim(reasoning, "\n"), strings.TrimLeft(content, "\n")
}

// mode decides between chat and thinking mode.
func (r *record) mode(c *chat.Conversation) error {
	reasons := false
	for i := range c.Messages {
		reasons = reasons || c.Messages[i].Reasoning != ""
	}
	enabled, given, err := r.boolean("enable_thinking")
	if err != nil {
		return err
	}
	name, err := r.str("thinking_mode")
	if err != nil {
		return err
	}
	switch {
	case name != "" && name != "chat" && name != "thinking":
		return rule(r.get("thinking_mode"), "", "thinking_mode is %q, want chat or thinking", name)
	case name != "" && given && enabled != (name == "thinking"):
		return rule(r.get("thinking_mode"), "", "thinking_mode is %q but enable_thinking is %t", name, enabled)
	case name != "":
		c.Thinking = name == "thinking"
	case given:
		c.Thinking = enabled
	case r.opts.Thinking == ThinkRow:
		return rule(nil, "add \"thinking_mode\": \"chat\" or \"thinking\", or choose one for the whole file", "the row does not say whether the model thinks")
	default:
		c.Thinking = r.opts.Thinking == ThinkModel || r.opts.Thinking == ThinkAuto && reasons
	}
	if reasons && !c.Thinking {
		return rule(nil, "set thinking_mode to thinking, or remove the reasoning", "an assistant message has reasoning, which chat mode would leave out")
	}
	drop, given, err := r.boolean("drop_thinking")
	if err != nil {
		return err
	}
	c.KeepReasoning = given && !drop || !given && r.opts.KeepReasoning
	effort, err := r.str("reasoning_effort")
	c.Effort = chat.Effort(effort)
	return err
}

// checkTurns holds a conversation to what training needs. A completed one ends
// with the assistant, any other one before it.
func (r *record) checkTurns(c *chat.Conversation, completed bool) error {
	last := len(c.Messages) - 1
	for i := range c.Messages {
		m := &c.Messages[i]
		at := func(format string, args ...any) error {
			return rule(nil, "", "messages[%d]: "+format, append([]any{i}, args...)...)
		}
		switch m.Role {
		case chat.Assistant:
			if m.Content == "" && len(m.ToolCalls) == 0 {
				return at("the assistant says nothing: no content and no tool calls")
			}
			if i > 0 && c.Messages[i-1].Role == chat.Assistant && c.Messages[i-1].Task == "" {
				return at("an assistant message follows an assistant message: join them")
			}
			if m.Unfinished && i < last {
				return at("only the last message may be unfinished")
			}
		case chat.User:
			if strings.TrimSpace(m.Content) == "" {
				return at("the user message is empty")
			}
		case chat.Tool:
			if err := answersCall(c.Messages, i); err != "" {
				return at("%s", err)
			}
		}
	}
	ends := c.Messages[last].Role == chat.Assistant && c.Messages[last].Task == ""
	if completed && !ends {
		return rule(nil, "add the answer, or remove what follows the last one", "the conversation ends with a %s message: there is nothing to learn after it", c.Messages[last].Role)
	}
	if !completed && ends {
		return rule(nil, "remove the answer, or use the format messages", "the prompt ends with an assistant message")
	}
	return nil
}

// answersCall says what is wrong with tool message i, or "".
func answersCall(messages []chat.Message, i int) string {
	j := i - 1
	for j >= 0 && messages[j].Role == chat.Tool {
		j--
	}
	if j < 0 || messages[j].Role != chat.Assistant || len(messages[j].ToolCalls) == 0 {
		return "a tool result must follow an assistant message with tool calls"
	}
	id := messages[i].ToolCallID
	if id == "" {
		return ""
	}
	for _, call := range messages[j].ToolCalls {
		if call.ID == id || call.ID == "" {
			return ""
		}
	}
	return "tool_call_id " + id + " names no call of the assistant message before it"
}
