package source

import (
	"reflect"
	"strings"

	"github.com/temper-ml/temper/data/chat"
	"github.com/temper-ml/temper/internal/jsonvalue"
)

// preference reads a row with a chosen and a rejected completion, of a prompt
// that is given or that both dialogues begin with.
func (r *record) preference() (Row, error) {
	row := Row{Kind: Preference}
	chosen, rejected := r.get("chosen"), r.get("rejected")
	if chosen == nil || rejected == nil {
		return row, rule(nil, "", "a preference row needs \"chosen\" and \"rejected\", the row has %s", r.keys())
	}
	prompt, err := r.promptMessages()
	if err != nil {
		return row, err
	}
	a, err := r.completion(chosen, "chosen", prompt)
	if err != nil {
		return row, err
	}
	b, err := r.completion(rejected, "rejected", prompt)
	if err != nil {
		return row, err
	}
	shared := sharedPrefix(a, b)
	switch {
	case shared == len(a) && shared == len(b):
		return row, rule(rejected, "remove the row", "chosen and rejected are the same")
	case shared < len(prompt) || shared == 0:
		return row, rule(rejected, "", "chosen and rejected answer different prompts")
	case shared >= len(a) || shared >= len(b) || a[shared].Role != chat.Assistant || b[shared].Role != chat.Assistant:
		return row, rule(rejected, "", "chosen and rejected must part at an assistant message, they part at messages[%d]", shared)
	}
	row.Conversation.Messages, row.Rejected.Messages, row.PromptLen = a, b, shared
	for _, c := range []*chat.Conversation{&row.Conversation, &row.Rejected} {
		before := len(c.Messages)
		if err := r.finish(c); err != nil {
			return row, err
		}
		if err := r.checkTurns(c, true); err != nil {
			return row, err
		}
		row.PromptLen = shared + len(c.Messages) - before
	}
	thinking := row.Conversation.Thinking || row.Rejected.Thinking
	row.Conversation.Thinking, row.Rejected.Thinking = thinking, thinking
	return row, nil
}

// promptMessages reads an explicit prompt: text, messages, alpaca's instruction
// and input, or a sharegpt dialogue. Without one it returns nothing.
func (r *record) promptMessages() ([]chat.Message, error) {
	if list := r.get("conversations"); list != nil {
		return r.shareGPT(list, "conversations")
	}
	if list := r.get(string(Messages)); list != nil {
		return chat.DecodeMessages(list, "messages", r.opts.IgnoreFields)
	}
	v := r.promptField()
	if v == nil {
		return nil, nil
	}
	if v.Kind == jsonvalue.Array {
		return chat.DecodeMessages(v, "prompt", r.opts.IgnoreFields)
	}
	text, err := r.needText("prompt", v)
	if err != nil {
		return nil, err
	}
	input, err := r.str("input")
	if err != nil {
		return nil, err
	}
	if input != "" {
		text += "\n" + input
	}
	history, err := r.history()
	return append(history, chat.Message{Role: chat.User, Content: text}), err
}

// completion reads one side: text, one message, or a list of messages. A list
// may repeat the prompt; without a prompt, text must be a "\n\nHuman: ...
// \n\nAssistant: ..." dialogue.
func (r *record) completion(v *jsonvalue.Value, name string, prompt []chat.Message) ([]chat.Message, error) {
	var tail []chat.Message
	var err error
	switch v.Kind {
	case jsonvalue.String:
		if len(prompt) == 0 {
			return humanAssistant(v, name)
		}
		if strings.TrimSpace(v.Text) == "" {
			return nil, rule(v, "remove the row or fill it in", "%s is empty", name)
		}
		tail = []chat.Message{{Role: chat.Assistant, Content: v.Text}}
	case jsonvalue.Object:
		list := &jsonvalue.Value{Kind: jsonvalue.Array, Items: []jsonvalue.Value{*v}, Offset: v.Offset}
		if v.Lookup("from") != nil {
			tail, err = r.shareGPT(list, name)
		} else {
			tail, err = chat.DecodeMessages(list, name, r.opts.IgnoreFields)
		}
	default:
		tail, err = chat.DecodeMessages(v, name, r.opts.IgnoreFields)
	}
	if err != nil {
		return nil, err
	}
	if len(prompt) > 0 && len(tail) > len(prompt) && sharedPrefix(prompt, tail) == len(prompt) {
		return tail, nil
	}
	return append(append([]chat.Message(nil), prompt...), tail...), nil
}

// humanAssistant reads a dialogue written as "\n\nHuman: ...\n\nAssistant: ...".
// Turns of the same speaker in a row are one turn.
func humanAssistant(v *jsonvalue.Value, name string) ([]chat.Message, error) {
	const human, assistant = "\n\nHuman:", "\n\nAssistant:"
	rest := v.Text
	if !strings.HasPrefix(rest, human) && !strings.HasPrefix(rest, assistant) {
		return nil, rule(v, "add a prompt field, or write the dialogue as messages",
			"there is no prompt, and %s is not a \"\\n\\nHuman: ...\\n\\nAssistant: ...\" dialogue", name)
	}
	var messages []chat.Message
	for rest != "" {
		role := chat.User
		body, ok := strings.CutPrefix(rest, human)
		if !ok {
			role, body = chat.Assistant, rest[len(assistant):]
		}
		end := len(body)
		for _, mark := range []string{human, assistant} {
			if i := strings.Index(body[:end], mark); i >= 0 {
				end = i
			}
		}
		text := strings.TrimSpace(body[:end])
		rest = body[end:]
		if n := len(messages); n > 0 && messages[n-1].Role == role {
			messages[n-1].Content += "\n\n" + text
			continue
		}
		messages = append(messages, chat.Message{Role: role, Content: text})
	}
	return messages, nil
}

// sharedPrefix counts the messages that a and b begin with.
func sharedPrefix(a, b []chat.Message) int {
	n := 0
	for n < len(a) && n < len(b) && reflect.DeepEqual(a[n], b[n]) {
		n++
	}
	return n
}

// feedback reads a completion with a judgement.
func (r *record) feedback() (Row, error) {
	row := Row{Kind: Feedback}
	label := r.labelField()
	if label == nil || label.Kind != jsonvalue.True && label.Kind != jsonvalue.False {
		return row, rule(label, "", "a kto row needs \"label\" or \"kto_tag\": true or false")
	}
	row.Desirable = label.Kind == jsonvalue.True
	prompt, err := r.promptMessages()
	if err != nil {
		return row, err
	}
	c := &row.Conversation
	if answer := r.responseField(); answer != nil {
		if len(prompt) == 0 {
			return row, rule(nil, "", "a kto row needs a prompt, the row has %s", r.keys())
		}
		if c.Messages, err = r.completion(answer, "response", prompt); err != nil {
			return row, err
		}
	} else {
		c.Messages = prompt
	}
	if len(c.Messages) == 0 {
		return row, rule(nil, "", "a kto row needs a prompt and a completion, the row has %s", r.keys())
	}
	if err := r.finish(c); err != nil {
		return row, err
	}
	if err := r.checkTurns(c, true); err != nil {
		return row, err
	}
	row.PromptLen = len(c.Messages) - 1
	return row, nil
}

// prompt reads a prompt to complete.
func (r *record) prompt() (Row, error) {
	row := Row{Kind: Prompt}
	messages, err := r.promptMessages()
	if err != nil {
		return row, err
	}
	if len(messages) == 0 {
		return row, rule(nil, "", "a prompt row needs \"prompt\" or \"messages\", the row has %s", r.keys())
	}
	row.Conversation.Messages = messages
	if v := r.get("answer"); v != nil {
		if row.Answer = v.Text; v.Kind != jsonvalue.String {
			row.Answer = v.Python()
		}
	}
	if err := r.finish(&row.Conversation); err != nil {
		return row, err
	}
	return row, r.checkTurns(&row.Conversation, false)
}
