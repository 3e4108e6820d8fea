package serve

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/temper-ml/temper/data/chat"
	"github.com/temper-ml/temper/internal/jsonvalue"
	"github.com/temper-ml/temper/serve/answer"
)

// ask is a request that was read.
type ask struct {
	model    string
	prompts  []answer.Prompt
	echo     []string // of each prompt, before the answers
	texts    []bool   // whether a prompt was text, before which a token was put
	scored   bool     // the echo has log-probabilities
	n        int      // answers to each prompt
	one      answer.Request
	stream   bool
	usage    bool // at the end of a stream
	seed     int64
	maxGiven bool
	ids      bool // of tokens are told
}

// maxStops is how many stop texts a request has, maxTop how many likely tokens it
// may ask for.
const maxStops, maxTop = 4, 20

// parse reads the body of a request as an object with bounded memory.
func (s *Server) parse(body []byte) (*fields, error) {
	if most := 1<<16 + 2*s.context; values(body) > most {
		return nil, &failure{status: 413, code: "request_too_large", message: fmt.Sprintf("the request has more than %d JSON values", most)}
	}
	v, err := jsonvalue.Parse(string(body))
	if err != nil {
		return nil, invalid("", "the request is not JSON: %v", err)
	}
	if v.Kind != jsonvalue.Object {
		return nil, invalid("", "the request is a JSON %s, want an object", v.Kind)
	}
	return &fields{object: &v}, nil
}

// values is how many values a JSON text can hold at most.
func values(text []byte) int {
	n, inside := 1, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case inside && c == '\\':
			i++
		case c == '"':
			inside = !inside
		case !inside && (c == ',' || c == '[' || c == '{' || c == ':'):
			n++
		}
	}
	return n
}

// decode reads what both kinds of requests have.
// least is the fewest tokens that an answer may be bounded to.
func (s *Server) decode(f *fields, least int64) *ask {
	a := &ask{model: s.o.Names[0], n: int(f.whole("n", 1, 1, int64(s.o.MaxChoices))), stream: f.flag("stream"), ids: f.flag("return_token_ids")}
	if name := f.text("model"); name != "" {
		if err := s.known(name); err != nil {
			f.fail(err)
		}
		a.model = name
	}
	if v := f.get("stream_options"); v != nil {
		if !a.stream {
			f.fail(invalid("stream_options", "stream_options is for requests with stream: true"))
		}
		o := f.inner("stream_options")
		if a.usage = o.flag("include_usage"); o.err != nil {
			o.err.param = "stream_options." + o.err.param
			f.fail(o.err)
		}
	}
	a.one.Stop = stops(f)
	a.one.MaxTokens = s.maxTokens(f, least)
	a.maxGiven = a.one.MaxTokens >= 0
	sampling(f, &a.one)
	a.seed = f.whole("seed", -1, math.MinInt64, math.MaxInt64)
	if f.get("seed") == nil {
		a.seed = int64(s.o.Seed())
	}
	a.one.Sampling.Seed = uint64(a.seed)
	refuseOthers(f)
	return a
}

// maxTokens returns the bound that the request gives, -1 if none.
func (s *Server) maxTokens(f *fields, least int64) int {
	old, now := f.whole("max_tokens", -1, least, math.MaxInt32), f.whole("max_completion_tokens", -1, least, math.MaxInt32)
	if old >= 0 && now >= 0 && old != now {
		f.fail(invalid("max_tokens", "max_tokens is %d and max_completion_tokens is %d: give one of them", old, now))
	}
	return int(min(max(old, now), int64(s.context)))
}

// stops reads stop: a text or up to four.
func stops(f *fields) []string {
	v := f.get("stop")
	if v == nil {
		return nil
	}
	list := []jsonvalue.Value{*v}
	if v.Kind == jsonvalue.Array {
		list = v.Items
	}
	if len(list) > maxStops {
		f.fail(invalid("stop", "stop has %d texts, want at most %d", len(list), maxStops))
	}
	var out []string
	for i := range list {
		switch t := &list[i]; {
		case t.Kind != jsonvalue.String:
			f.fail(invalid("stop", "stop: want a string or a list of strings, got %s", t.Kind))
		case t.Text == "" || len(t.Text) > answer.MaxStop:
			f.fail(invalid("stop", "stop: a text has %d bytes, want 1 to %d", len(t.Text), answer.MaxStop))
		default:
			out = append(out, t.Text)
		}
	}
	return out
}

// sampling reads how tokens are drawn.
func sampling(f *fields, r *answer.Request) {
	s := &r.Sampling
	s.Temperature = float32(f.number("temperature", 1, 0, 2))
	if s.Temperature > 0 && s.Temperature < 1e-3 {
		f.fail(invalid("temperature", "temperature is %v, want 0 or 0.001 to 2", s.Temperature))
	}
	s.TopP = float32(f.number("top_p", 1, 0, 1))
	if f.get("top_p") != nil && s.TopP == 0 {
		s.TopP = math.SmallestNonzeroFloat32 // the most likely token only
	}
	s.TopK = max(0, int(f.whole("top_k", 0, -1, math.MaxInt32)))
}

// neutral are the fields that would change what is drawn, with the value that
// changes nothing.
var neutral = []struct {
	name  string
	value float64
}{
	{"frequency_penalty", 0}, {"presence_penalty", 0}, {"repetition_penalty", 1}, {"min_p", 0}, {"typical_p", 1},
}

// absent are fields that ask for what there is not.
var absent = map[string]string{
	"functions": "use tools", "function_call": "use tool_choice", "audio": "there is text only",
	"web_search_options": "there is no search", "suffix": "the model continues texts only",
	"guided_json": "there is no constrained decoding", "guided_regex": "there is no constrained decoding",
	"guided_choice": "there is no constrained decoding", "guided_grammar": "there is no constrained decoding",
}

// empty reports whether a value asks for nothing: clients send such for fields
// that they do not use.
func empty(v *jsonvalue.Value) bool {
	return v.Kind == jsonvalue.Null || v.Kind == jsonvalue.False || v.Kind != jsonvalue.True && v.Text == "" && len(v.Items) == 0 && len(v.Members) == 0
}

// refuseOthers refuses what would be ignored silently.
func refuseOthers(f *fields) {
	for _, n := range neutral {
		if v := f.number(n.name, n.value, -math.MaxFloat64, math.MaxFloat64); v != n.value {
			f.fail(unsupported(n.name, "%s is %v: tokens are drawn from the model's own distribution, by temperature, top_p and top_k only", n.name, v))
		}
	}
	if v := f.of("logit_bias", jsonvalue.Object); v != nil && len(v.Members) > 0 {
		f.fail(unsupported("logit_bias", "logit_bias is not supported: tokens are drawn from the model's own distribution, by temperature, top_p and top_k only"))
	}
	for i := range f.object.Members {
		if m := &f.object.Members[i]; absent[m.Key] != "" && !empty(&m.Value) {
			f.fail(unsupported(m.Key, "%s is not supported: %s", m.Key, absent[m.Key]))
		}
	}
	if v := f.get("response_format"); v != nil {
		if kind := f.inner("response_format").text("type"); kind != "text" {
			f.fail(unsupported("response_format", "response_format %q is not supported: there is no constrained decoding, so nothing could promise it; ask for the form in a message", cut(kind)))
		}
	}
	if v := f.of("modalities", jsonvalue.Array); v != nil {
		for i := range v.Items {
			if v.Items[i].Text != "text" {
				f.fail(unsupported("modalities", "modalities: there is text only"))
			}
		}
	}
	if v := f.get("best_of"); v != nil {
		if best, n := f.whole("best_of", 1, 1, math.MaxInt32), f.whole("n", 1, 1, math.MaxInt32); best != n {
			f.fail(unsupported("best_of", "best_of is %d and n is %d: every answer that is written is returned, so they must be equal", best, n))
		}
	}
}

// fit gives every prompt room for an answer.
func (s *Server) fit(a *ask, param, what string) *failure {
	for _, p := range a.prompts {
		if n := len(p.Tokens); n > s.context || n == s.context && a.one.MaxTokens != 0 {
			f := invalid(param, "this model's context length is %d tokens, and the %s has %d: shorten it, so that there is room for an answer", s.context, what, n)
			f.code = "context_length_exceeded"
			return f
		}
	}
	return nil
}

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
		f.fail(invalid("reasoning_effort", "reasoning_effort is %q, want none, minimal, low, medium, high, xhigh or max", cut(effort)))
	}
}
