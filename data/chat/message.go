package chat

import (
	"fmt"

	"github.com/temper-ml/temper/internal/jsonvalue"
)

// Role says who speaks in a message.
type Role string

// The roles. Tool results become part of a user turn where the model has no
// role for them; Developer and Reminder exist in DeepSeek-V4 only.
const (
	System    Role = "system"
	User      Role = "user"
	Assistant Role = "assistant"
	Tool      Role = "tool"
	Developer Role = "developer"
	Reminder  Role = "latest_reminder"
)

// Task is a quick instruction: one special token that asks for a short
// classification or a title instead of an answer. The empty Task is none.
type Task string

// The quick instructions of DeepSeek-V4.
const (
	TaskAction    Task = "action"
	TaskQuery     Task = "query"
	TaskAuthority Task = "authority"
	TaskDomain    Task = "domain"
	TaskTitle     Task = "title"
	TaskReadURL   Task = "read_url"
)

// Effort is how hard the model is told to think. The empty Effort says nothing.
type Effort string

// The reasoning efforts; EffortLow exists from the 0731 checkpoints on.
const (
	EffortLow  Effort = "low"
	EffortHigh Effort = "high"
	EffortMax  Effort = "max"
)

// Message is one turn of a conversation. Fields that do not belong to its role
// must be empty.
type Message struct {
	Role    Role
	Content string

	// Of an assistant.
	Reasoning  string     // what it thought before answering
	ToolCalls  []ToolCall // the calls that end the turn
	Unfinished bool       // no end of turn follows: the model continues this text
	Untrained  bool       // never supervised, whatever the options say

	// Of a tool.
	ToolCallID string // the call this is the result of

	// Of a system or developer message.
	Tools          []jsonvalue.Value // function schemas: {"name", "description", "parameters"}
	ResponseFormat *jsonvalue.Value  // the schema replies must follow

	Task Task // a quick instruction after this message
}

// ToolCall is one call of a tool by the assistant.
type ToolCall struct {
	ID        string // pairs the call with its result; not shown to the model
	Name      string
	Arguments string // a JSON object, as text
}

// Conversation is a list of messages and how the model is asked to think.
type Conversation struct {
	Messages []Message

	// Thinking selects thinking mode: a turn opens with reasoning. Without it the
	// reasoning in Messages is not rendered (chat mode).
	Thinking bool
	// KeepReasoning keeps the reasoning of earlier turns in thinking mode. By
	// default it is dropped before the last user message, unless tools are given.
	KeepReasoning bool
	Effort        Effort
}

// AttachTools puts function schemas where the model reads them: on the first
// message when it is a system or developer message, else on an empty system
// message inserted before it.
func (c *Conversation) AttachTools(tools []jsonvalue.Value) {
	if len(tools) == 0 {
		return
	}
	c.systemMessage().Tools = tools
}

// AttachResponseFormat puts a reply schema where the model reads it, as
// AttachTools does.
func (c *Conversation) AttachResponseFormat(schema *jsonvalue.Value) {
	if schema != nil {
		c.systemMessage().ResponseFormat = schema
	}
}

func (c *Conversation) systemMessage() *Message {
	if len(c.Messages) == 0 || c.Messages[0].Role != System && c.Messages[0].Role != Developer {
		c.Messages = append([]Message{{Role: System}}, c.Messages...)
	}
	return &c.Messages[0]
}

// messageError reports a rule that message i breaks.
func messageError(i int, format string, args ...any) error {
	return fmt.Errorf("chat: messages[%d]: %w", i, fmt.Errorf(format, args...))
}

// checkFields refuses fields that do not belong to the message's role.
func (m *Message) checkFields() error {
	switch {
	case m.Role != Assistant && m.Reasoning != "":
		return fmt.Errorf("a %s message has reasoning: only assistant messages may", m.Role)
	case m.Role != Assistant && len(m.ToolCalls) > 0:
		return fmt.Errorf("a %s message has tool calls: only assistant messages may", m.Role)
	case m.Role != Assistant && m.Unfinished:
		return fmt.Errorf("a %s message is marked as unfinished: only assistant messages may be", m.Role)
	case m.Role != Tool && m.ToolCallID != "":
		return fmt.Errorf("a %s message has a tool_call_id: only tool messages may", m.Role)
	case m.Role != System && m.Role != Developer && len(m.Tools) > 0:
		return fmt.Errorf("a %s message lists tools: only system and developer messages may", m.Role)
	case m.Role != System && m.Role != Developer && m.ResponseFormat != nil:
		return fmt.Errorf("a %s message has a response_format: only system and developer messages may", m.Role)
	}
	return nil
}
