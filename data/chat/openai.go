package chat

import (
	"fmt"
	"strconv"

	"github.com/temper-ml/temper/internal/jsonvalue"
)

// FieldError says which field of a JSON message is wrong, and where it stands.
type FieldError struct {
	Path   string // such as messages[2].tool_calls[0].function.name
	Offset int    // byte offset in the JSON text
	Rule   string // what is wrong, lower case
}

// Error returns the path and the rule.
func (e *FieldError) Error() string { return e.Path + ": " + e.Rule }

func fieldError(path string, v *jsonvalue.Value, format string, args ...any) error {
	e := &FieldError{Path: path, Rule: fmt.Sprintf(format, args...)}
	if v != nil {
		e.Offset = v.Offset
	}
	return e
}

// DecodeMessages reads a list of messages in OpenAI's form: role, content (text,
// or a list of text parts), reasoning_content, tool_calls, tool_call_id, and
// DeepSeek's additions tools, response_format, task and prefix (the turn is
// unfinished). weight 0 marks an assistant message that must not be trained on.
//
// Any other field is an error unless it is null, "name", or listed in ignore:
// text in a misspelt field would silently not be trained on.
func DecodeMessages(v *jsonvalue.Value, path string, ignore []string) ([]Message, error) {
	if v.Kind != jsonvalue.Array {
		return nil, fieldError(path, v, "want a list of messages, got %s", v.Kind)
	}
	if len(v.Items) == 0 {
		return nil, fieldError(path, v, "the list of messages is empty")
	}
	messages := make([]Message, len(v.Items))
	for i := range v.Items {
		at := path + "[" + strconv.Itoa(i) + "]"
		if err := decodeMessage(&messages[i], &v.Items[i], at, ignore); err != nil {
			return nil, err
		}
	}
	return messages, nil
}

func decodeMessage(m *Message, v *jsonvalue.Value, path string, ignore []string) error {
	if v.Kind != jsonvalue.Object {
		return fieldError(path, v, "a message must be an object, got %s", v.Kind)
	}
	role := v.Lookup("role")
	if role == nil {
		return fieldError(path, v, "the message has no role")
	}
	if role.Kind != jsonvalue.String {
		return fieldError(path+".role", role, "want a string, got %s", role.Kind)
	}
	m.Role = Role(role.Text)
	if !m.Role.known() {
		return fieldError(path+".role", role, "role %q is not one of system, user, assistant, tool, developer, latest_reminder", role.Text)
	}
	for i := range v.Members {
		f := &v.Members[i]
		if err := m.decodeField(f.Key, &f.Value, path+"."+f.Key, ignore); err != nil {
			return err
		}
	}
	return nil
}

func (r Role) known() bool {
	switch r {
	case System, User, Assistant, Tool, Developer, Reminder:
		return true
	}
	return false
}

func (m *Message) decodeField(key string, v *jsonvalue.Value, path string, ignore []string) (err error) {
	if v.Kind == jsonvalue.Null {
		return nil
	}
	switch key {
	case "role", "name":
	case "content":
		m.Content, err = DecodeText(v, path)
	case "reasoning_content":
		m.Reasoning, err = decodeString(v, path)
	case "tool_calls":
		m.ToolCalls, err = decodeCalls(v, path)
	case "tool_call_id":
		m.ToolCallID, err = decodeString(v, path)
	case "tools":
		m.Tools, err = DecodeTools(v, path)
	case "response_format":
		m.ResponseFormat = v
	case "task":
		var task string
		task, err = decodeString(v, path)
		m.Task = Task(task)
	case "prefix", "wo_eos":
		m.Unfinished, err = decodeBool(v, path)
	case "weight":
		err = m.decodeWeight(v, path)
	default:
		for _, name := range ignore {
			if name == key {
				return nil
			}
		}
		return fieldError(path, v, "a message has no field %q: rename it, remove it, or list it under ignore_fields", key)
	}
	return err
}

func (m *Message) decodeWeight(v *jsonvalue.Value, path string) error {
	switch {
	case v.Kind != jsonvalue.Number || v.Text != "0" && v.Text != "1":
		return fieldError(path, v, "weight must be 0 (do not train on this message) or 1")
	case m.Role != Assistant && v.Text == "1":
		return fieldError(path, v, "weight 1 is on a %s message: only assistant messages are trained on", m.Role)
	}
	m.Untrained = v.Text == "0" && m.Role == Assistant
	return nil
}

// DecodeText reads content: a string, or a list of {"type": "text", "text": ...}
// parts, which are joined by a blank line as V4 joins the blocks of a turn.
func DecodeText(v *jsonvalue.Value, path string) (string, error) {
	if v.Kind == jsonvalue.String {
		return v.Text, nil
	}
	if v.Kind != jsonvalue.Array {
		return "", fieldError(path, v, "want a string or a list of text parts, got %s", v.Kind)
	}
	var text string
	for i := range v.Items {
		part := &v.Items[i]
		at := path + "[" + strconv.Itoa(i) + "]"
		kind := part.Lookup("type")
		if kind == nil || kind.Text != "text" {
			return "", fieldError(at, part, "want a part of type \"text\": the encodings have no other kinds of content")
		}
		body := part.Lookup("text")
		if body == nil || body.Kind != jsonvalue.String {
			return "", fieldError(at, part, "a text part needs a string in \"text\"")
		}
		if i > 0 {
			text += "\n\n"
		}
		text += body.Text
	}
	return text, nil
}

// DecodeTools reads tool schemas: OpenAI's {"type": "function", "function": F},
// or the functions themselves; a string holds the same as JSON text.
func DecodeTools(v *jsonvalue.Value, path string) ([]jsonvalue.Value, error) {
	if v.Kind == jsonvalue.String {
		inner, err := jsonvalue.ParsePython(v.Text)
		if err != nil {
			return nil, fieldError(path, v, "the string is not JSON: %v", err)
		}
		inner.Offset = v.Offset
		v = &inner
	}
	if v.Kind != jsonvalue.Array {
		return nil, fieldError(path, v, "want a list of tools, got %s", v.Kind)
	}
	var tools []jsonvalue.Value
	for i := range v.Items {
		tool := &v.Items[i]
		if f := tool.Lookup("function"); f != nil {
			tool = f
		}
		if name := tool.Lookup("name"); name == nil || name.Kind != jsonvalue.String {
			return nil, fieldError(path+"["+strconv.Itoa(i)+"]", &v.Items[i], "a tool must be {\"type\": \"function\", \"function\": {\"name\": ...}}")
		}
		tools = append(tools, *tool)
	}
	return tools, nil
}

func decodeCalls(v *jsonvalue.Value, path string) ([]ToolCall, error) {
	if v.Kind != jsonvalue.Array {
		return nil, fieldError(path, v, "want a list of tool calls, got %s", v.Kind)
	}
	var calls []ToolCall
	for i := range v.Items {
		call, err := DecodeCall(&v.Items[i], path+"["+strconv.Itoa(i)+"]")
		if err != nil {
			return nil, err
		}
		calls = append(calls, call)
	}
	return calls, nil
}

// DecodeCall reads one tool call: {"id", "function": {"name", "arguments"}}, or
// the function itself. Arguments are an object, or a string that holds one.
func DecodeCall(v *jsonvalue.Value, path string) (ToolCall, error) {
	var call ToolCall
	if id := v.Lookup("id"); id != nil {
		call.ID = id.Text
	}
	f := v
	if inner := v.Lookup("function"); inner != nil {
		f, path = inner, path+".function"
		if id := f.Lookup("id"); id != nil && call.ID == "" {
			call.ID = id.Text
		}
	}
	name, args := f.Lookup("name"), f.Lookup("arguments")
	if name == nil || name.Kind != jsonvalue.String || name.Text == "" {
		return call, fieldError(path, f, "a tool call needs a function name")
	}
	call.Name = name.Text
	if args == nil {
		return call, fieldError(path, f, "the call of %q has no arguments: write {} when there are none", call.Name)
	}
	path += ".arguments"
	parsed := *args
	switch args.Kind {
	case jsonvalue.Object:
		call.Arguments = args.Python()
	case jsonvalue.String:
		var err error
		if parsed, err = jsonvalue.ParsePython(args.Text); err != nil {
			return call, fieldError(path, args, "the arguments of %q are not JSON: %v", call.Name, err)
		}
		call.Arguments = args.Text
	}
	if parsed.Kind != jsonvalue.Object {
		return call, fieldError(path, args, "the arguments of %q are a JSON %s, want an object", call.Name, parsed.Kind)
	}
	return call, nil
}

func decodeString(v *jsonvalue.Value, path string) (string, error) {
	if v.Kind != jsonvalue.String {
		return "", fieldError(path, v, "want a string, got %s", v.Kind)
	}
	return v.Text, nil
}

func decodeBool(v *jsonvalue.Value, path string) (bool, error) {
	if v.Kind != jsonvalue.True && v.Kind != jsonvalue.False {
		return false, fieldError(path, v, "want true or false, got %s", v.Kind)
	}
	return v.Kind == jsonvalue.True, nil
}
