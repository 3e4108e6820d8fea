package answer_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/temper-ml/temper/data/chat"
	"github.com/temper-ml/temper/internal/jsonvalue"
	"github.com/temper-ml/temper/model/generate"
	"github.com/temper-ml/temper/serve/answer"
	"github.com/temper-ml/temper/serve/answer/answertest"
)

var long = strings.NewReplacer("[eos]", "<｜end▁of▁sentence｜>", "|D|", "｜DSML｜", "[user]", "<｜User｜>")

// said is a whole answer.
type said struct {
	reasoning, content string
	calls              []chat.ToolCall
	tokens             map[chat.Part][]int32
	finish             answer.Finish
	answered, reasoned int
}

func listen(t testing.TB, a *answer.Answer) said {
	t.Helper()
	s := said{tokens: map[chat.Part][]int32{}}
	for {
		e, err := a.Next(context.Background())
		if errors.Is(err, io.EOF) {
			s.finish = a.Finish()
			_, s.answered, s.reasoned = a.Tokens()
			return s
		}
		if err != nil {
			t.Fatal(err)
		}
		switch e.Part {
		case chat.Reasoning:
			s.reasoning += e.Text
		case chat.Content:
			s.content += e.Text
		case chat.Calls:
			if e.Name != "" {
				s.calls = append(s.calls, chat.ToolCall{Name: e.Name})
			}
			s.calls[e.Call].Arguments += e.Text
		}
		for _, k := range e.Tokens {
			s.tokens[e.Part] = append(s.tokens[e.Part], k.ID)
		}
	}
}

func ask(t testing.TB, text, encoding string, r answer.Request) said {
	t.Helper()
	m := answertest.Model(t, answertest.Says(long.Replace(text)), encoding)
	if r.Tokens == nil {
		r.Tokens = []int32{0}
	}
	if r.MaxTokens == 0 {
		r.MaxTokens = 1000
	}
	a, err := m.Submit(r)
	if err != nil {
		t.Fatal(err)
	}
	return listen(t, a)
}

func TestAnswers(t *testing.T) {
	const call = "\n\n<|D|tool_calls>\n<|D|invoke name=\"get\">\n<|D|parameter name=\"x\" string=\"true\">é\"</|D|parameter>\n</|D|invoke>\n"
	turn := answer.Prompt{Turn: true, Calls: true}
	for _, c := range []struct {
		name, text string
		r          answer.Request
		want       said
	}{
		{"an answer", "Hi, é你🌍[eos]more", answer.Request{Prompt: turn}, said{content: "Hi, é你🌍", finish: answer.Stop}},
		{"cut by the limit", "Hi", answer.Request{Prompt: turn, MaxTokens: 1}, said{content: "H", finish: answer.Length}},
		{"cut within a character", "你", answer.Request{Prompt: turn, MaxTokens: 2}, said{content: "\uFFFD", finish: answer.Length}},
		{"reasoning", "r \n\n</think>a[eos]", answer.Request{Prompt: answer.Prompt{Turn: true, Thinking: true}}, said{reasoning: "r \n\n", content: "a", finish: answer.Stop, reasoned: 1}},
		{"no reasoning but text", "r</think>a[eos]", answer.Request{Prompt: turn}, said{content: "r</think>a", finish: answer.Stop}},
		{"a call", "ok" + call + "</|D|tool_calls>[eos]", answer.Request{Prompt: turn}, said{content: "ok", calls: []chat.ToolCall{{Name: "get", Arguments: `{"x": "é\""}`}}, finish: answer.Tools}},
		{"calls that are not wanted", call + "</|D|tool_calls>[eos]", answer.Request{Prompt: answer.Prompt{Turn: true}}, said{content: long.Replace(call + "</|D|tool_calls>"), finish: answer.Stop}},
		{"one call only", call + "<|D|invoke name=\"b\">\n\n</|D|invoke>\n</|D|tool_calls>[eos]", answer.Request{Prompt: turn, OneCall: true}, said{calls: []chat.ToolCall{{Name: "get", Arguments: `{"x": "é\""}`}}, finish: answer.Tools}},
		{"a stop text", "one two three[eos]", answer.Request{Prompt: turn, Stop: []string{"o t", " three"}}, said{content: "one tw", finish: answer.Stop}},
		{"a stop text is not of the reasoning", "a b</think>c b d[eos]", answer.Request{Prompt: answer.Prompt{Turn: true, Thinking: true}, Stop: []string{" b"}}, said{reasoning: "a b", content: "c", finish: answer.Stop}},
		{"what begins a stop text only", "ab[eos]", answer.Request{Prompt: turn, Stop: []string{"bc"}}, said{content: "ab", finish: answer.Stop}},
		{"text", "<think>a</think>|D|[user][eos]", answer.Request{}, said{content: "<think>a</think>｜DSML｜<｜User｜>", finish: answer.Stop}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := ask(t, c.text, "deepseek-v4", c.r)
			if got.content != c.want.content || got.reasoning != c.want.reasoning || got.finish != c.want.finish || !slices.Equal(got.calls, c.want.calls) {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
			if (got.reasoned > 0) != (c.want.reasoning != "") {
				t.Errorf("%d tokens of reasoning", got.reasoned)
			}
		})
	}
}

// Where a stop text is found is decided character by character, so not by tokens,
// and nothing that is given out is taken back. The tokens that are told are those
// whose text begins before the end.
func TestStopTextsAndTokens(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		text := rapid.StringMatching(`[ab the\n<é你]{0,24}`).Draw(rt, "text")
		stops := rapid.SliceOfN(rapid.StringMatching(`[ab the\n<é你]{1,4}`), 0, 4).Draw(rt, "stops")
		want, stopped := text, false
	search:
		for end := range len(text) + 1 {
			for start := range end {
				if slices.Contains(stops, text[start:end]) {
					want, stopped = text[:start], true
					break search
				}
			}
		}
		calls := rapid.Bool().Draw(rt, "calls")
		got := ask(t, text+"[eos]", "deepseek-v4", answer.Request{Prompt: answer.Prompt{Turn: true, Calls: calls}, Stop: stops, LogProbs: true})
		if got.content != want || got.finish != answer.Stop {
			rt.Fatalf("%q stopped by %q is %q, want %q", text, stops, got.content, want)
		}
		spelled := answertest.Tokenizer().Decode(got.tokens[chat.Content])
		if !stopped && spelled != text || !strings.HasPrefix(spelled, want) {
			rt.Fatalf("the tokens of %q are %q", want, spelled)
		}
		if ids := got.tokens[chat.Content]; stopped && len(ids) > 0 {
			before := answertest.Tokenizer().AppendDecode(nil, ids[:len(ids)-1])
			if len(strings.ToValidUTF8(string(before), "")) >= len(want) && len(want) > 0 {
				rt.Fatalf("%q stopped by %q has a token too many: %q", text, stops, spelled)
			}
		}
	})
}

func TestReasoningTokensAreTold(t *testing.T) {
	got := ask(t, "the</think>is[eos]", "deepseek-v4", answer.Request{Prompt: answer.Prompt{Turn: true, Thinking: true}, LogProbs: true})
	tok := answertest.Tokenizer()
	if tok.Decode(got.tokens[chat.Reasoning]) != "the" || tok.Decode(got.tokens[chat.Content]) != "is" {
		t.Errorf("got %v", got.tokens)
	}
	got = ask(t, "\nr\n\n</think>\n\nis[eos]", "deepseek-v3", answer.Request{Prompt: answer.Prompt{Turn: true, Thinking: true}, LogProbs: true})
	if got.reasoning != "r" || got.content != "is" || tok.Decode(got.tokens[chat.Reasoning]) != "\nr\n\n" || tok.Decode(got.tokens[chat.Content]) != "\n\nis" {
		t.Errorf("got %+v", got)
	}
}

func TestPrompts(t *testing.T) {
	m := answertest.Model(t, answertest.Says(""), "deepseek-v4")
	user := chat.Message{Role: chat.User, Content: "<think>"}
	spell := func(p answer.Prompt) string { return m.Text(p.Tokens) }
	p, err := m.Conversation(&chat.Conversation{Messages: []chat.Message{user}, Thinking: true}, answer.Choice{})
	if err != nil || !p.Thinking || p.Calls || spell(p) != "<｜begin▁of▁sentence｜><｜User｜><think><｜Assistant｜><think>" {
		t.Errorf("%+v %q %v", p, spell(p), err)
	}
	c := &chat.Conversation{Messages: []chat.Message{user, {Role: chat.Assistant, Content: "so", Unfinished: true}}}
	if p, err = m.Conversation(c, answer.Choice{}); err != nil || p.Thinking || !strings.HasSuffix(spell(p), "</think>so") {
		t.Errorf("%+v %q %v", p, spell(p), err)
	}
	c = &chat.Conversation{Messages: []chat.Message{user}}
	c.AttachTools([]jsonvalue.Value{{Kind: jsonvalue.Object, Members: []jsonvalue.Member{{Key: "name", Value: jsonvalue.StringValue("get")}}}})
	if p, err = m.Conversation(c, answer.Choice{Must: true, Name: "get"}); err != nil || !strings.HasSuffix(spell(p), "invoke name=\"get\">\n") || !p.Calls {
		t.Errorf("%+v %q %v", p, spell(p), err)
	}
	s := answertest.Says(long.Replace("\n</|D|invoke>\n</|D|tool_calls>[eos]"))
	a, err := answertest.Model(t, s, "deepseek-v4").Submit(answer.Request{Prompt: p, MaxTokens: 99})
	if err != nil {
		t.Fatal(err)
	}
	if got := listen(t, a); len(got.calls) != 1 || got.calls[0].Name != "get" || got.calls[0].Arguments != "{}" || got.finish != answer.Tools {
		t.Errorf("%+v", got)
	}
	c.Thinking = true
	if _, err = m.Conversation(c, answer.Choice{Must: true}); !errors.Is(err, answer.ErrThinkingCall) {
		t.Error(err)
	}
	if p := m.Continuation("<think>the"); spell(p) != "<｜begin▁of▁sentence｜><think>the" || len(p.Tokens) < 4 {
		t.Errorf("%v", p.Tokens)
	}
	for _, messages := range [][]chat.Message{nil, {user, {Role: chat.Assistant, Content: "x"}}, {{Role: chat.System, Content: "x"}}} {
		if _, err := m.Conversation(&chat.Conversation{Messages: messages}, answer.Choice{}); err == nil {
			t.Errorf("%v is answered", messages)
		}
	}
}

// An answer that ends before the engine's does frees what it holds.
func TestEndsAreTold(t *testing.T) {
	for _, stop := range []string{"", "b"} {
		s := answertest.Says("abc[eos]")
		a, err := answertest.Model(t, s, "deepseek-v4").Submit(answer.Request{Prompt: answer.Prompt{Tokens: []int32{0}}, MaxTokens: 9, Stop: slices.DeleteFunc([]string{stop}, func(s string) bool { return s == "" })})
		if err != nil {
			t.Fatal(err)
		}
		listen(t, a)
		if got := s.Cancelled(); got != len(stop) {
			t.Errorf("stop %q: %d cancelled", stop, got)
		}
	}
	s := answertest.Says("abc")
	s.Fail = errors.New("broken")
	a, _ := answertest.Model(t, s, "deepseek-v4").Submit(answer.Request{Prompt: answer.Prompt{Tokens: []int32{0}}, MaxTokens: 9})
	for err := error(nil); ; {
		if _, err = a.Next(context.Background()); err != nil {
			if err.Error() != "broken" {
				t.Error(err)
			}
			break
		}
	}
	s = answertest.Says("abc")
	s.Refuse = &generate.FullError{}
	if _, err := answertest.Model(t, s, "deepseek-v4").Submit(answer.Request{Prompt: answer.Prompt{Tokens: []int32{0}}, MaxTokens: 9}); !errors.Is(err, generate.ErrFull) {
		t.Error(err)
	}
}
