package chat_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/temper-ml/temper/data/chat"
)

// collected is a message put together from deltas.
type collected struct {
	chat.Message
	t interface{ Fatalf(string, ...any) }
}

func (c *collected) add(ds []chat.Delta) {
	for _, d := range ds {
		switch d.Part {
		case chat.Reasoning:
			c.Reasoning += d.Text
		case chat.Content:
			c.Content += d.Text
		case chat.Calls:
			if d.Name != "" {
				c.ToolCalls = append(c.ToolCalls, chat.ToolCall{Name: d.Name})
			}
			if d.Call != len(c.ToolCalls)-1 {
				c.t.Fatalf("a delta of call %d after %d names", d.Call, len(c.ToolCalls))
			}
			c.ToolCalls[d.Call].Arguments += d.Text
		default:
			c.t.Fatalf("a delta of part %s", d.Part)
		}
	}
}

// read reads pieces, cut where cut says, through a Reader.
func read(t interface{ Fatalf(string, ...any) }, r *chat.Reader, pieces []chat.Piece, cut func(n int) int) chat.Message {
	c := collected{chat.Message{Role: chat.Assistant}, t}
	for _, p := range pieces {
		if p.Special {
			c.add(r.Push(p.Text, true))
			continue
		}
		runes := []rune(p.Text)
		for len(runes) > 0 {
			n := cut(len(runes))
			c.add(r.Push(string(runes[:n]), false))
			runes = runes[n:]
		}
	}
	c.add(r.Close())
	return c.Message
}

// However a completion comes in, what is read while it is written is what Parse
// reads at the end.
func TestReaderEqualsParse(t *testing.T) {
	for _, name := range chat.Names() {
		t.Run(name, func(t *testing.T) {
			enc, err := chat.Lookup(name)
			if err != nil {
				t.Fatal(err)
			}
			rapid.Check(t, func(t *rapid.T) {
				turn := assistantTurns(strings.HasPrefix(name, "deepseek-v4")).Draw(t, "turn")
				thinking := name != "plain" && rapid.Bool().Draw(t, "thinking")
				if !thinking {
					turn.Reasoning = ""
				}
				if rapid.Bool().Draw(t, "breaks") {
					turn.Reasoning, turn.Content = "\n\n"+turn.Reasoning+"\n", "\n"+turn.Content+"\n\n"
				}
				if !thinking {
					turn.Reasoning = ""
				}
				c := &chat.Conversation{Thinking: thinking, Messages: []chat.Message{{Role: chat.User, Content: "u"}, turn}}
				script, err := enc.Compile(c)
				if err != nil {
					t.Fatal(err)
				}
				completion := script.Render(nil, 2, false)[len(script.Render(nil, 1, true)):]
				want, err := enc.Parse(completion, thinking)
				if err != nil {
					t.Fatal(err)
				}
				r := chat.NewReader(enc, thinking, true)
				got := read(t, r, completion, func(n int) int { return rapid.IntRange(1, n).Draw(t, "cut") })
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatalf("%q (-want +got)\n%s", chat.Join(completion), diff)
				}
				if !r.Ended() || r.Calls() != len(want.ToolCalls) {
					t.Fatalf("ended %t, %d calls of %d", r.Ended(), r.Calls(), len(want.ToolCalls))
				}
			})
		})
	}
}

// Whatever a model writes is read without a panic; where Parse takes it, the
// messages are equal, and where there is no complete call, no text is lost.
func FuzzReader(f *testing.F) {
	f.Add("r</think>a[eos]", true, uint8(1))
	f.Add("\n\n<|D|tool_calls>\n<|D|invoke name=\"f\">\n<|D|parameter name=\"p\" string=\"true\">1</</|D|parameter>\n</|D|invoke>\n</|D|tool_calls>[eos]", false, uint8(3))
	f.Add("a\n\n<|D|tool_calls>\n<|D|invoke name=\"f\">\n<|D|parameter name=\"p\" string=\"false\">{</|D|parameter>[eos]", false, uint8(2))
	f.Add("\n\n<|D|tool_calls>\n<|D|invoke name=\"f\">\n\n</|D|invoke>\n</|D|tool_calls>x[eos]", false, uint8(2))
	f.Fuzz(func(t *testing.T, text string, thinking bool, cut uint8) {
		text = strings.ToValidUTF8(long.Replace(text), "")
		for _, name := range chat.Names() {
			enc, _ := chat.Lookup(name)
			thinking := thinking && name != "plain"
			pieces := chat.Split(text, enc.Specials())
			r := chat.NewReader(enc, thinking, true)
			got := read(t, r, pieces, func(n int) int { return min(n, int(cut)%7+1) })
			want, err := enc.Parse(pieces, thinking)
			if err == nil {
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatalf("%s: %q (-want +got)\n%s", name, text, diff)
				}
				continue
			}
			if name == "deepseek-v3" || r.Calls() > 0 || r.Part() == chat.Calls {
				continue
			}
			whole, _, _ := strings.Cut(text, enc.EOS())
			if thinking {
				whole = strings.Replace(whole, "</think>", "", 1)
			}
			if all := got.Reasoning + got.Content; all != whole && !strings.Contains(text, "｜DSML｜") {
				t.Fatalf("%s: %q became %q", name, whole, all)
			}
		}
	})
}

// What a tool choice demands is a turn that has begun.
func TestCallPrefix(t *testing.T) {
	for name, rest := range map[string]string{
		"":    "get\">\n<|D|parameter name=\"x\" string=\"false\">1</|D|parameter>\n</|D|invoke>\n</|D|tool_calls>[eos]",
		"get": "<|D|parameter name=\"x\" string=\"false\">1</|D|parameter>\n</|D|invoke>\n</|D|tool_calls>[eos]",
	} {
		pieces := append(chat.V4{}.CallPrefix(name), chat.Split(long.Replace(rest), chat.V4{}.Specials())...)
		m, err := chat.V4{}.Parse(pieces, false)
		if err != nil {
			t.Fatal(err)
		}
		got := read(t, chat.NewReader(chat.V4{}, false, true), pieces, func(int) int { return 1 })
		if diff := cmp.Diff(m, got); diff != "" || len(got.ToolCalls) != 1 || got.ToolCalls[0].Arguments != `{"x": 1}` {
			t.Errorf("%q: %+v\n%s", name, got, diff)
		}
	}
}

// A block that goes wrong is text from the call on that is not complete.
func TestReaderKeepsBrokenBlocks(t *testing.T) {
	const good = "\n\n<|D|tool_calls>\n<|D|invoke name=\"f\">\n\n</|D|invoke>\n"
	for _, c := range []struct {
		text, content string
		calls         []chat.ToolCall
	}{
		{"a<|D|tool_calls>\n[eos]", "a<|D|tool_calls>\n", nil},
		{"a\n\n<|D|function_calls>\n<|D|x[eos]", "a\n\n<|D|function_calls>\n<|D|x", nil},
		{good + "</|D|tool_calls>after[eos]", "</|D|tool_calls>after", []chat.ToolCall{{Name: "f", Arguments: "{}"}}},
		{good + "<|D|invoke nome=[eos]", "<|D|invoke nome=", []chat.ToolCall{{Name: "f", Arguments: "{}"}}},
		{good + "[eos]", "\n</|D|invoke>\n", []chat.ToolCall{{Name: "f", Arguments: "{}"}}},
	} {
		pieces := chat.Split(long.Replace(c.text), chat.V4{}.Specials())
		got := read(t, chat.NewReader(chat.V4{}, false, true), pieces, func(int) int { return 1 })
		if diff := cmp.Diff(chat.Message{Role: chat.Assistant, Content: long.Replace(c.content), ToolCalls: c.calls}, got); diff != "" {
			t.Errorf("%q (-want +got)\n%s", c.text, diff)
		}
	}
}
