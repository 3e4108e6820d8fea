package chat_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/temper-ml/temper/data/chat"
)

var long = strings.NewReplacer("[eos]", "<｜end▁of▁sentence｜>", "[user]", "<｜User｜>", "|D|", "｜DSML｜")

func TestParseRefuses(t *testing.T) {
	const block = "\n\n<|D|tool_calls>\n<|D|invoke name=\"f\">\n"
	for _, c := range []struct {
		text       string
		thinking   bool
		want       string
		unfinished bool
	}{
		{"hmm", true, "the reasoning must end with </think>", true},
		{"hmm[eos]", true, "the reasoning must end with </think>, got <｜end▁of▁sentence｜>", false},
		{"hi", false, "the turn must end with <｜end▁of▁sentence｜>", true},
		{"hi[user]", false, "got <｜User｜>", false},
		{"hi</think>[eos]", false, "got </think>", false},
		{"hi[eos]more", false, "text after the end of the turn", false},
		{"hi <|D|tool_calls>", false, "must follow a blank line", false},
		{"\n\n<|D|tool_", false, "the tool call block is not closed", true},
		{"\n\n<|D|function_calls>\n<|D|", false, `expected "tool_calls>\n"`, false},
		{"\n\n<|D|tool_calls>\n</|D|tool_calls>[eos]", false, "holds no call", false},
		{block + "</|D|invoke>\n</|D|tool_calls>[eos]", false, "", false},
		{block + "x</|D|invoke>\n", false, `or </｜DSML｜invoke> in the call of "f"`, false},
		{block + `<|D|parameter name="p" string="maybe">1</|D|parameter>` + "\n</|D|invoke>\n", false, "a parameter must read", false},
		{block + `<|D|parameter name="p" string="false">{1</|D|parameter>` + "\n</|D|invoke>\n", false, `parameter "p" is not a string and its value is not JSON`, false},
		{block + strings.Repeat(`<|D|parameter name="p" string="true">1</|D|parameter>`+"\n", 2) + "</|D|invoke>\n", false, `parameter "p" is given twice`, false},
		{block + "\n</|D|invoke>\n</|D|tool_calls>after[eos]", false, `expected "tool_calls>" to close`, false},
		{block + "\n</|D|invoke>\n</|D|tool_calls>", false, "the turn must end with", true},
	} {
		_, err := chat.ParseText(chat.V4{}, long.Replace(c.text), c.thinking)
		if c.want == "" {
			if err != nil {
				t.Errorf("%q: %v", c.text, err)
			}
			continue
		}
		var parse *chat.ParseError
		if !errors.As(err, &parse) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: error %v, want it to say %q", c.text, err, c.want)
			continue
		}
		if got := errors.Is(err, chat.ErrUnfinished); got != c.unfinished {
			t.Errorf("%q: %v: unfinished is %t, want %t", c.text, err, got, c.unfinished)
		}
	}
}

// assistantTurns draws an assistant message with text that no encoding adds to.
func assistantTurns(tools bool) *rapid.Generator[chat.Message] {
	text := rapid.StringMatching(`[a-z<>/"{}\\é你]{0,3}( ?[A-Z|=\n]?[a-z0-9]){1,8}`)
	name := rapid.StringMatching(`[a-z_]{1,6}`)
	return rapid.Custom(func(t *rapid.T) chat.Message {
		m := chat.Message{Role: chat.Assistant, Content: text.Draw(t, "content"), Reasoning: text.Draw(t, "reasoning")}
		if !tools {
			return m
		}
		for range rapid.IntRange(0, 3).Draw(t, "calls") {
			args := rapid.SampledFrom([]string{`{}`, `{"a": "x\ny"}`, `{"a": 1, "b": [1.5, null], "c": {"d": "e"}}`, `{"long": "</x> \"q\""}`}).Draw(t, "arguments")
			m.ToolCalls = append(m.ToolCalls, chat.ToolCall{Name: name.Draw(t, "name"), Arguments: args})
		}
		return m
	})
}

// What an encoding writes for a turn, it reads back.
func TestParseReadsWhatRenderWrites(t *testing.T) {
	for _, name := range chat.Names() {
		t.Run(name, func(t *testing.T) {
			enc, err := chat.Lookup(name)
			if err != nil {
				t.Fatal(err)
			}
			rapid.Check(t, func(t *rapid.T) {
				v4 := strings.HasPrefix(name, "deepseek-v4")
				want := assistantTurns(v4).Draw(t, "turn")
				thinking := name != "plain" && rapid.Bool().Draw(t, "thinking")
				if !thinking {
					want.Reasoning = ""
				}
				if name == "deepseek-v3" {
					want.Reasoning = strings.Trim(want.Reasoning, "\n")
					want.Content = strings.TrimLeft(want.Content, "\n")
				}
				c := &chat.Conversation{Thinking: thinking, Messages: []chat.Message{{Role: chat.User, Content: "u"}, want}}
				script, err := enc.Compile(c)
				if err != nil {
					t.Fatal(err)
				}
				all, prompt := script.Render(nil, 2, false), script.Render(nil, 1, true)
				got, err := enc.Parse(all[len(prompt):], thinking)
				if err != nil {
					t.Fatalf("%v\n%q", err, chat.Join(all))
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatalf("(-want +got)\n%s", diff)
				}
			})
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add("r</think>a[eos]", true)
	f.Add("\n\n<|D|tool_calls>\n<|D|invoke name=\"f\">\n<|D|parameter name=\"p\" string=\"true\">1</|D|parameter>\n</|D|invoke>\n</|D|tool_calls>[eos]", false)
	f.Fuzz(func(t *testing.T, text string, thinking bool) {
		for _, name := range chat.Names() {
			enc, _ := chat.Lookup(name)
			m, err := chat.ParseText(enc, long.Replace(text), thinking)
			if err != nil {
				continue
			}
			thinking := thinking && name != "plain"
			c := &chat.Conversation{Thinking: thinking, Messages: []chat.Message{{Role: chat.User, Content: "u"}, m}}
			if _, err := chat.Render(enc, c, false); err != nil {
				t.Fatalf("%s: parsed message does not render: %v", name, err)
			}
		}
	})
}
