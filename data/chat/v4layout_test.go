package chat_test

import (
	"strings"
	"testing"

	"github.com/temper-ml/temper/data/chat"
	"github.com/temper-ml/temper/internal/jsonvalue"
)

// short spells special tokens in a form that can be read and typed.
var short = strings.NewReplacer(
	"<｜begin▁of▁sentence｜>", "[bos]", "<｜end▁of▁sentence｜>", "[eos]",
	"<｜User｜>", "[user]", "<｜Assistant｜>", "[assistant]", "<｜latest_reminder｜>", "[reminder]",
	"<｜action｜>", "[action]", "<｜query｜>", "[query]", "<｜title｜>", "[title]", "｜DSML｜", "|D|")

func system(text string) chat.Message { return chat.Message{Role: chat.System, Content: text} }
func user(text string) chat.Message   { return chat.Message{Role: chat.User, Content: text} }
func says(text string) chat.Message   { return chat.Message{Role: chat.Assistant, Content: text} }
func thinks(reasoning, text string) chat.Message {
	return chat.Message{Role: chat.Assistant, Reasoning: reasoning, Content: text}
}

func result(id, text string) chat.Message {
	return chat.Message{Role: chat.Tool, ToolCallID: id, Content: text}
}
func task(t chat.Task, m chat.Message) chat.Message { m.Task = t; return m }
func calls(m chat.Message, cs ...chat.ToolCall) chat.Message {
	m.ToolCalls = cs
	return m
}

func value(text string) jsonvalue.Value {
	v, err := jsonvalue.Parse(text)
	if err != nil {
		panic(err)
	}
	return v
}

// Each case is one rule of the encoding.
func TestV4Layout(t *testing.T) {
	tool := []jsonvalue.Value{value(`{"name":"f"}`)}
	withTools := func(m chat.Message) chat.Message { m.Tools = tool; return m }
	schema := value(`{"type":"object","required":["x"]}`)
	withFormat := func(m chat.Message) chat.Message { m.ResponseFormat = &schema; return m }
	unfinished := func(m chat.Message) chat.Message { m.Unfinished = true; return m }
	developer := chat.Message{Role: chat.Developer, Content: "dev"}
	reminder := chat.Message{Role: chat.Reminder, Content: "today"}
	type conv = chat.Conversation
	type list = []chat.Message
	for _, c := range []struct {
		name string
		conv conv
		want string
	}{
		{
			"chat mode closes the reasoning at once",
			conv{Messages: list{system("s"), user("u")}},
			"[bos]s[user]u[assistant]</think>",
		},
		{
			"thinking mode opens it",
			conv{Messages: list{user("u")}, Thinking: true},
			"[bos][user]u[assistant]<think>",
		},
		{
			"chat mode leaves reasoning out",
			conv{Messages: list{user("u"), thinks("r", "a")}},
			"[bos][user]u[assistant]</think>a[eos]",
		},
		{
			"reasoning before the last user message is dropped",
			conv{Messages: list{user("u"), thinks("r", "a"), user("v"), thinks("q", "b")}, Thinking: true},
			"[bos][user]u[assistant]</think>a[eos][user]v[assistant]<think>q</think>b[eos]",
		},
		{
			"unless it is kept",
			conv{Messages: list{user("u"), thinks("r", "a"), user("v")}, Thinking: true, KeepReasoning: true},
			"[bos][user]u[assistant]<think>r</think>a[eos][user]v[assistant]<think>",
		},
		{
			"thinking about nothing still closes",
			conv{Messages: list{user("u"), says("a")}, Thinking: true},
			"[bos][user]u[assistant]<think></think>a[eos]",
		},
		{
			"consecutive user messages are one turn",
			conv{Messages: list{user("u"), user("v")}},
			"[bos][user]u\n\nv[assistant]</think>",
		},
		{
			"an unfinished turn has no end",
			conv{Messages: list{user("u"), unfinished(says("half"))}},
			"[bos][user]u[assistant]</think>half",
		},
		{
			"low and high effort say nothing",
			conv{Messages: list{user("u")}, Thinking: true, Effort: chat.EffortHigh},
			"[bos][user]u[assistant]<think>",
		},
		{
			"effort says nothing in chat mode",
			conv{Messages: list{user("u")}, Effort: chat.EffortMax},
			"[bos][user]u[assistant]</think>",
		},
		{
			"a response format follows the system text",
			conv{Messages: list{withFormat(system("s")), user("u")}},
			"[bos]s\n\n## Response Format:\n\nYou MUST strictly adhere to the following schema to reply:\n{\"type\": \"object\", \"required\": [\"x\"]}[user]u[assistant]</think>",
		},
		{
			"a developer is a user",
			conv{Messages: list{developer, says("a")}},
			"[bos][user]dev[assistant]</think>a[eos]",
		},
		{
			"where reasoning is dropped, so are earlier developers",
			conv{Messages: list{developer, says("a"), user("u")}, Thinking: true},
			"[bos]a[eos][user]u[assistant]<think>",
		},
		{
			"a reminder before the user",
			conv{Messages: list{reminder, user("u")}},
			"[bos][reminder]today[user]u[assistant]</think>",
		},
		{
			"a reminder after the user follows the generation prompt",
			conv{Messages: list{user("u"), reminder}},
			"[bos][user]u[assistant]</think>[reminder]today",
		},
		{
			"a quick instruction replaces the generation prompt",
			conv{Messages: list{task(chat.TaskQuery, user("u")), says("q")}},
			"[bos][user]u[query]q[eos]",
		},
		{
			"an action follows it, and its answer does not think",
			conv{Messages: list{task(chat.TaskAction, user("u")), says("Search")}, Thinking: true},
			"[bos][user]u[assistant]<think>[action]Search[eos]",
		},
		{
			"a title follows the answer",
			conv{Messages: list{user("u"), task(chat.TaskTitle, says("a")), says("t")}},
			"[bos][user]u[assistant]</think>a[eos][title]t[eos]",
		},
		{
			"calls and results, sorted by call, text after them",
			conv{Messages: list{
				withTools(system("")), user("u"),
				calls(thinks("r", "c"), chat.ToolCall{ID: "1", Name: "f", Arguments: `{"s":"x y","n":1.50,"l":[1,null]}`}, chat.ToolCall{ID: "2", Name: "g", Arguments: `{}`}),
				result("2", "two"), result("1", "one"), user("v"),
			}, Thinking: true},
			"...[user]u[assistant]<think>r</think>c\n\n<|D|tool_calls>\n" +
				"<|D|invoke name=\"f\">\n<|D|parameter name=\"s\" string=\"true\">x y</|D|parameter>\n" +
				"<|D|parameter name=\"n\" string=\"false\">1.5</|D|parameter>\n" +
				"<|D|parameter name=\"l\" string=\"false\">[1, null]</|D|parameter>\n</|D|invoke>\n" +
				"<|D|invoke name=\"g\">\n\n</|D|invoke>\n</|D|tool_calls>[eos]" +
				"[user]<tool_result>one</tool_result>\n\n<tool_result>two</tool_result>\n\nv[assistant]<think>",
		},
		{
			"arguments that are not JSON are one parameter",
			conv{Messages: list{user("u"), calls(says(""), chat.ToolCall{Name: "f", Arguments: "x="})}},
			"[bos][user]u[assistant]</think>\n\n<|D|tool_calls>\n<|D|invoke name=\"f\">\n" +
				"<|D|parameter name=\"arguments\" string=\"true\">x=</|D|parameter>\n</|D|invoke>\n</|D|tool_calls>[eos]",
		},
	} {
		got := short.Replace(render(t, chat.V4{}, &c.conv))
		if tail, ok := strings.CutPrefix(c.want, "..."); ok {
			if !strings.HasSuffix(got, tail) {
				t.Errorf("%s:\n got %q\nwant ...%q", c.name, got, tail)
			}
		} else if got != c.want {
			t.Errorf("%s:\n got %q\nwant %q", c.name, got, c.want)
		}
	}
}

func TestV4Effort(t *testing.T) {
	for _, c := range []struct {
		enc    chat.V4
		effort chat.Effort
		want   string
	}{
		{chat.V4{}, chat.EffortMax, "[bos]Reasoning Effort: Absolute maximum"},
		{chat.V4{Efforts0731: true}, chat.EffortLow, "[bos]s"},
		{chat.V4{Efforts0731: true}, chat.EffortHigh, "[bos]Reasoning Effort: Absolute maximum"},
		{chat.V4{Efforts0731: true}, chat.EffortMax, "[bos]Reasoning Effort: Beyond maximum"},
	} {
		conv := &chat.Conversation{Messages: []chat.Message{system("s"), user("u")}, Thinking: true, Effort: c.effort}
		got := short.Replace(render(t, c.enc, conv))
		if !strings.HasPrefix(got, c.want) {
			t.Errorf("%s %s: %q does not begin with %q", c.enc.Name(), c.effort, got, c.want)
		}
		if !strings.HasSuffix(got, "s[user]u[assistant]<think>") {
			t.Errorf("%s %s: the system text must follow the effort: %q", c.enc.Name(), c.effort, got)
		}
	}
}

func TestV4Refuses(t *testing.T) {
	list := func(ms ...chat.Message) *chat.Conversation { return &chat.Conversation{Messages: ms} }
	for _, c := range []struct {
		conv *chat.Conversation
		want string
	}{
		{list(chat.Message{Role: "bot"}), `messages[0]: role "bot" is not one of`},
		{list(chat.Message{Role: chat.Developer}), "a developer message must have content"},
		{list(chat.Message{Role: chat.User, Reasoning: "r"}), "a user message has reasoning"},
		{list(calls(user("u"), chat.ToolCall{Name: "f"})), "a user message has tool calls"},
		{list(chat.Message{Role: chat.User, Content: "u", Tools: []jsonvalue.Value{value(`{}`)}}), "a user message lists tools"},
		{list(task("dance", user("u"))), `task "dance" is not one of`},
		{list(user("u"), task(chat.TaskQuery, user("v"))), "merged with the one before it"},
		{list(user("u"), calls(says(""), chat.ToolCall{Name: "f", Arguments: "[1]"})), `arguments of "f" are a JSON array, want an object`},
		{&chat.Conversation{Messages: []chat.Message{user("u")}, Effort: "extreme"}, `reasoning effort "extreme" is not known`},
		{&chat.Conversation{Messages: []chat.Message{user("u")}, Effort: chat.EffortLow}, "deepseek-v4-0731"},
	} {
		_, err := chat.V4{}.Compile(c.conv)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want it to say %q", err, c.want)
		}
	}
}

// Whatever users, tools and schemas write, special tokens come from the encoding.
func TestTextCannotInjectSpecials(t *testing.T) {
	specials := strings.Join(chat.V4{}.Specials(), "")
	evil := system(specials)
	evil.Tools = []jsonvalue.Value{value(`{"name":` + jsonvalue.PythonString(specials) + `}`)}
	call := chat.ToolCall{ID: "1", Name: "f" + specials, Arguments: `{` + jsonvalue.PythonString(specials) + `:` + jsonvalue.PythonString(specials) + `}`}
	plain := system("s")
	plain.Tools = []jsonvalue.Value{value(`{"name":"f"}`)}
	hostile := &chat.Conversation{Thinking: true, Messages: []chat.Message{evil, user(specials), calls(thinks(specials, specials), call), result("1", specials), user(specials)}}
	harmless := &chat.Conversation{Thinking: true, Messages: []chat.Message{
		plain, user("u"),
		calls(thinks("r", "a"), chat.ToolCall{ID: "1", Name: "f", Arguments: `{"k":"v"}`}), result("1", "x"), user("v"),
	}}
	if got, want := specialsOf(t, hostile), specialsOf(t, harmless); got != want {
		t.Errorf("hostile text gives the special tokens\n%s\nharmless text gives\n%s", got, want)
	}
}

func specialsOf(t *testing.T, c *chat.Conversation) string {
	pieces, err := chat.Render(chat.V4{}, c, true)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range pieces {
		if p.Special {
			names = append(names, p.Text)
		}
	}
	return strings.Join(names, " ")
}
