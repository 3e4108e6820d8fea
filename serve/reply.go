package serve

import (
	"github.com/temper-ml/temper/data/chat"
	"github.com/temper-ml/temper/serve/answer"
)

// reply is a whole answer, or a part of a stream.
type reply struct {
	ID          string `json:"id"`
	Object      string `json:"object"`
	Created     int64  `json:"created"`
	Model       string `json:"model"`
	Fingerprint string `json:"system_fingerprint,omitempty"`
	Seed        int64  `json:"seed"`
	Choices     []any  `json:"choices"`
	Usage       *usage `json:"usage,omitzero"`
}

// part is a part of a stream that ends with the usage: the others have none.
type part struct {
	reply
	Usage *usage `json:"usage"`
}

type usage struct {
	Prompt     int `json:"prompt_tokens"`
	Completion int `json:"completion_tokens"`
	Total      int `json:"total_tokens"`
	Details    struct {
		Reasoning int `json:"reasoning_tokens"`
	} `json:"completion_tokens_details"`
}

// message is an assistant's turn, or in a stream what is added to it.
type message struct {
	Role      string      `json:"role,omitempty"`
	Content   *string     `json:"content,omitzero"`
	Reasoning string      `json:"reasoning_content,omitempty"`
	ToolCalls []*toolCall `json:"tool_calls,omitempty"`
}

// wholeMessage always says whether there is content.
type wholeMessage struct {
	message
	Content *string `json:"content"`
	Refusal *string `json:"refusal"`
}

// logProbs of a chat: of its content and, if it has one, its reasoning.
type logProbs struct {
	Content   []tokenLP `json:"content"`
	Refusal   []tokenLP `json:"refusal"`
	Reasoning []tokenLP `json:"reasoning_content,omitempty"`
}

type chatChoice struct {
	Index    int            `json:"index"`
	Message  *wholeMessage  `json:"message,omitempty"`
	Delta    *message       `json:"delta,omitempty"`
	LogProbs *logProbs      `json:"logprobs"`
	Finish   *answer.Finish `json:"finish_reason"`
	tokenIDs
}

type textChoice struct {
	Index    int            `json:"index"`
	Text     string         `json:"text"`
	LogProbs *textLP        `json:"logprobs"`
	Finish   *answer.Finish `json:"finish_reason"`
	tokenIDs
}

// head is a reply without choices.
func (x *exchange) head(object string) reply {
	id := "chatcmpl-" + x.id
	if x.kind == "text" {
		id = "cmpl-" + x.id
	}
	return reply{
		ID: id, Object: object, Created: x.began.Unix(), Model: x.ask.model, Fingerprint: x.s.o.Fingerprint, Seed: x.ask.seed, Choices: []any{},
	}
}

// usage is what the request took.
func (x *exchange) usage() *usage {
	p, w, r := x.tokens()
	u := &usage{Prompt: p, Completion: w, Total: p + w}
	u.Details.Reasoning = r
	return u
}

// reply is the answer as a whole.
func (x *exchange) reply() reply {
	r := x.head("chat.completion")
	if x.kind == "text" {
		r.Object = "text_completion"
	}
	for _, c := range x.choices {
		r.Choices = append(r.Choices, c.whole())
	}
	r.Usage = x.usage()
	return r
}

// whole is the choice at its end.
func (c *choice) whole() any {
	finish := c.a.Finish()
	content := c.content.String()
	ids := c.idsOf(true, c.tokens, c.a.Rest())
	if c.x.kind == "text" {
		c.textLP = c.textLP.with(c.scoreEcho())
		return textChoice{Index: c.index, Text: content, LogProbs: c.textLP, Finish: &finish, tokenIDs: ids}
	}
	calls := c.calls
	for i, call := range calls {
		call.Function.Arguments = c.arguments[i].String()
	}
	if finish != answer.Length { // one that went wrong is text of the content
		calls = calls[:c.a.Calls()]
	}
	m := &wholeMessage{message: message{Role: "assistant", Reasoning: c.reasoning.String(), ToolCalls: calls}, Content: &content}
	if content == "" && (len(calls) > 0 || m.Reasoning != "") {
		m.Content = nil
	}
	out := chatChoice{Index: c.index, Message: m, Finish: &finish, tokenIDs: ids}
	if c.x.ask.one.LogProbs {
		out.LogProbs = &logProbs{Content: c.contentLP, Reasoning: c.reasonLP}
		if out.LogProbs.Content == nil {
			out.LogProbs.Content = []tokenLP{}
		}
	}
	return out
}

// begin is the first part of a choice in a stream, nil if it has none.
func (c *choice) begin() any {
	empty := ""
	if c.x.kind == "chat" {
		return chatChoice{Index: c.index, Delta: &message{Role: "assistant", Content: &empty}, tokenIDs: c.idsOf(true)}
	}
	if c.x.ask.scored {
		return nil // once the prompt went through the model
	}
	if echo := c.x.ask.echo[c.prompt]; echo != "" || c.x.ask.ids {
		return textChoice{Index: c.index, Text: echo, tokenIDs: c.idsOf(true)}
	}
	return nil
}

// echoed is the part with the echo and its log-probabilities, nil if there is none
// or it was told.
func (c *choice) echoed() any {
	lp := c.scoreEcho()
	if lp == nil {
		return nil
	}
	return textChoice{Index: c.index, Text: c.x.ask.echo[c.prompt], LogProbs: lp, tokenIDs: c.idsOf(true)}
}

// delta is what an event adds to a choice in a stream.
func (c *choice) delta(e answer.Event) any {
	if c.x.kind == "text" {
		return textChoice{Index: c.index, Text: e.Text, LogProbs: c.textLPOf(e.Tokens), tokenIDs: c.idsOf(false, e.IDs)}
	}
	out := chatChoice{Index: c.index, Delta: &message{}, tokenIDs: c.idsOf(false, e.IDs)}
	switch e.Part {
	case chat.Reasoning:
		out.Delta.Reasoning = e.Text
	case chat.Content:
		out.Delta.Content = &e.Text
	case chat.Calls:
		n := e.Call
		call := &toolCall{Index: &n, Function: functionCall{Name: e.Name, Arguments: e.Text}}
		if e.Name != "" {
			call.ID, call.Type = c.callID(n), "function"
		}
		out.Delta.ToolCalls = []*toolCall{call}
	}
	if len(e.Tokens) > 0 {
		tokens := c.chatLP(e.Tokens)
		out.LogProbs = &logProbs{Content: []tokenLP{}}
		if e.Part == chat.Reasoning {
			out.LogProbs.Reasoning = tokens
		} else {
			out.LogProbs.Content = tokens
		}
	}
	return out
}

// end is the last part of a choice in a stream.
func (c *choice) end() any {
	finish := c.a.Finish()
	ids := c.idsOf(false, c.a.Rest())
	if c.x.kind == "text" {
		return textChoice{Index: c.index, Finish: &finish, tokenIDs: ids}
	}
	return chatChoice{Index: c.index, Delta: &message{}, Finish: &finish, tokenIDs: ids}
}
