package source

import (
	"strconv"
	"strings"

	"github.com/temper-ml/temper/data/chat"
	"github.com/temper-ml/temper/internal/jsonvalue"
)

// pairs reads alpaca and pair rows: an instruction with an optional input, an
// answer, earlier turns; or several instances of one instruction.
func (r *record) pairs() ([]Row, error) {
	if list := r.get("instances"); list != nil {
		return r.instances(list)
	}
	instruction, err := r.needText("prompt", r.promptField())
	if err != nil {
		return nil, err
	}
	input, err := r.str("input")
	if err != nil {
		return nil, err
	}
	answer, err := r.needText("response", r.responseField())
	if err != nil {
		return nil, err
	}
	return one(r.turn(instruction, input, answer))
}

// needText returns a field that must be a string that says something.
func (r *record) needText(name string, v *jsonvalue.Value) (string, error) {
	switch {
	case v == nil:
		return "", rule(nil, "rename it or give a mapping", "the row has no %s: its fields are %s", name, r.keys())
	case v.Kind != jsonvalue.String:
		return "", rule(v, "", "%s must be a string, got %s", name, v.Kind)
	case strings.TrimSpace(v.Text) == "":
		return "", rule(v, "remove the row or fill it in", "%s is empty", name)
	}
	return v.Text, nil
}

func (r *record) instances(list *jsonvalue.Value) ([]Row, error) {
	if list.Kind != jsonvalue.Array || len(list.Items) == 0 {
		return nil, rule(list, "", "instances must be a list that is not empty, got %s", list.Kind)
	}
	instruction, err := r.needText("prompt", r.promptField())
	if err != nil {
		return nil, err
	}
	var rows []Row
	for i := range list.Items {
		item := &record{opts: &Options{}, v: list.Items[i]}
		input, err := item.str("input")
		if err != nil {
			return nil, err
		}
		answer, err := item.needText("output of instances["+strconv.Itoa(i)+"]", item.get("output"))
		if err != nil {
			return nil, err
		}
		row, err := r.turn(instruction, input, answer)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// turn builds a conversation from an instruction and its answer. The input
// follows the instruction on a new line.
func (r *record) turn(instruction, input, answer string) (Row, error) {
	row := Row{Kind: Supervised}
	c := &row.Conversation
	history, err := r.history()
	if err != nil {
		return row, err
	}
	if input != "" {
		instruction += "\n" + input
	}
	reasoning, err := r.str("reasoning", "reasoning_content")
	if err != nil {
		return row, err
	}
	c.Messages = append(history, chat.Message{Role: chat.User, Content: instruction},
		chat.Message{Role: chat.Assistant, Content: answer, Reasoning: reasoning})
	if err := r.finish(c); err != nil {
		return row, err
	}
	return row, r.checkTurns(c, true)
}

// history reads [[question, answer], ...].
func (r *record) history() ([]chat.Message, error) {
	v := r.get("history")
	if v == nil {
		return nil, nil
	}
	if v.Kind != jsonvalue.Array {
		return nil, rule(v, "", "history must be a list of [question, answer], got %s", v.Kind)
	}
	var messages []chat.Message
	for i := range v.Items {
		turn := v.Items[i].Items
		if len(turn) != 2 || turn[0].Kind != jsonvalue.String || turn[1].Kind != jsonvalue.String {
			return nil, rule(&v.Items[i], "", "history[%d] must be a question and an answer, two strings", i)
		}
		messages = append(messages, chat.Message{Role: chat.User, Content: turn[0].Text},
			chat.Message{Role: chat.Assistant, Content: turn[1].Text})
	}
	return messages, nil
}

var shareRoles = map[string]chat.Role{
	"human": chat.User, "user": chat.User, "gpt": chat.Assistant, "assistant": chat.Assistant,
	"system": chat.System, "observation": chat.Tool, "tool": chat.Tool, "function_call": chat.Assistant,
}

// shareGPT reads [{"from", "value"}]; a function_call's value is one call or a
// list of calls as JSON text.
func (r *record) shareGPT(list *jsonvalue.Value, path string) ([]chat.Message, error) {
	if list.Kind != jsonvalue.Array || len(list.Items) == 0 {
		return nil, rule(list, "", "%s must be a list of messages that is not empty, got %s", path, list.Kind)
	}
	messages := make([]chat.Message, len(list.Items))
	for i := range list.Items {
		item := &list.Items[i]
		at := path + "[" + strconv.Itoa(i) + "]"
		from, value := item.Lookup("from"), item.Lookup("value")
		if from == nil || value == nil || value.Kind != jsonvalue.String {
			return nil, rule(item, "", "%s: a message needs \"from\" and a string in \"value\"", at)
		}
		role, ok := shareRoles[from.Text]
		if !ok {
			return nil, rule(from, "", "%s: role %q is not one of human, gpt, system, observation, function_call", at, from.Text)
		}
		messages[i] = chat.Message{Role: role, Content: value.Text}
		if from.Text != "function_call" {
			continue
		}
		calls, err := shareCalls(value, at)
		if err != nil {
			return nil, err
		}
		messages[i].Content, messages[i].ToolCalls = "", calls
	}
	return messages, nil
}

func shareCalls(value *jsonvalue.Value, path string) ([]chat.ToolCall, error) {
	v, err := jsonvalue.ParsePython(value.Text)
	if err != nil {
		return nil, rule(value, "", "%s: a function_call must be JSON: %v", path, err)
	}
	items := v.Items
	if v.Kind == jsonvalue.Object {
		items = []jsonvalue.Value{v}
	}
	var calls []chat.ToolCall
	for i := range items {
		call, err := chat.DecodeCall(&items[i], path)
		if err != nil {
			return nil, rule(value, "", "%v", err)
		}
		calls = append(calls, call)
	}
	if len(calls) == 0 {
		return nil, rule(value, "", "%s: the function_call holds no call", path)
	}
	return calls, nil
}
