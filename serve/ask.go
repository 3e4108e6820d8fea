package serve

import (
	"fmt"
	"math"

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
