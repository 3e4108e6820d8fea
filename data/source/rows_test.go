package source_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/temper-ml/temper/data/chat"
	"github.com/temper-ml/temper/data/source"
)

// read returns all rows of a file, in a form that can be compared, or the error.
func read(name, text string, o source.Options) (rows []source.Row, err error) {
	f, err := source.NewFile(name, strings.NewReader(text), o)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for {
		line, ok, err := f.Next()
		if err != nil || !ok {
			return rows, err
		}
		more, err := f.Decoder().Decode(line)
		if err != nil {
			return rows, err
		}
		rows = append(rows, more...)
	}
}

// outline writes a conversation on one line.
func outline(c *chat.Conversation) string {
	var b strings.Builder
	if c.Thinking {
		b.WriteString("(thinking) ")
	}
	if c.KeepReasoning {
		b.WriteString("(keep) ")
	}
	if c.Effort != "" {
		fmt.Fprintf(&b, "(%s) ", c.Effort)
	}
	for i, m := range c.Messages {
		if i > 0 {
			b.WriteString(" | ")
		}
		b.WriteString(string(m.Role)[:1] + ":" + m.Content)
		if m.Reasoning != "" {
			b.WriteString(" <" + m.Reasoning + ">")
		}
		for _, call := range m.ToolCalls {
			b.WriteString(" " + call.Name + call.Arguments)
		}
		if m.ToolCallID != "" {
			b.WriteString(" #" + m.ToolCallID)
		}
		if len(m.Tools) > 0 {
			fmt.Fprintf(&b, " +%d tools", len(m.Tools))
		}
		if m.ResponseFormat != nil {
			b.WriteString(" +format")
		}
	}
	return b.String()
}

func TestFormats(t *testing.T) {
	for _, c := range []struct {
		row  string
		opts source.Options
		kind source.Kind
		want string
	}{
		{`{"instruction": "i", "output": "o"}`, source.Options{}, source.Supervised, "u:i | a:o"},
		{`{"instruction": "i", "input": "x", "output": "o", "system": "s", "history": [["q", "r"]]}`, source.Options{}, source.Supervised, "s:s | u:q | a:r | u:i\nx | a:o"},
		{`{"instruction": "i", "instances": [{"input": "", "output": "o"}]}`, source.Options{}, source.Supervised, "u:i | a:o"},
		{`{"conversations": [{"from": "human", "value": "h"}, {"from": "gpt", "value": "g"}], "system": "s"}`, source.Options{}, source.Supervised, "s:s | u:h | a:g"},
		{
			`{"conversations": [{"from": "human", "value": "h"}, {"from": "function_call", "value": "{\"name\": \"f\", \"arguments\": {\"x\": 1}}"}, {"from": "observation", "value": "r"}, {"from": "gpt", "value": "g"}], "tools": "[{\"name\": \"f\"}]"}`,
			source.Options{},
			source.Supervised, `s: +1 tools | u:h | a: f{"x": 1} | t:r | a:g`,
		},
		{`{"messages": [{"role": "user", "content": "u"}, {"role": "assistant", "content": "a", "reasoning_content": "r"}]}`, source.Options{}, source.Supervised, "(thinking) u:u | a:a <r>"},
		{
			`{"messages": [{"role": "user", "content": "u"}, {"role": "assistant", "content": "a"}], "thinking_mode": "thinking", "drop_thinking": false, "reasoning_effort": "max"}`,
			source.Options{},
			source.Supervised, "(thinking) (keep) (max) u:u | a:a",
		},
		{
			`{"messages": [{"role": "user", "content": "u"}, {"role": "assistant", "content": "a"}], "tools": [{"type": "function", "function": {"name": "f"}}], "response_format": {"type": "json"}}`,
			source.Options{},
			source.Supervised, "s: +1 tools +format | u:u | a:a",
		},
		{`{"prompt": "p", "completion": "c"}`, source.Options{}, source.Supervised, "u:p | a:c"},
		{`{"question": "p", "answer": "c"}`, source.Options{Mapping: map[string]string{"prompt": "question", "response": "answer"}, System: "s"}, source.Supervised, "s:s | u:p | a:c"},
		{`{"prompt": "p", "response": "<think>\nr\n</think>\n\nc"}`, source.Options{SplitThink: true}, source.Supervised, "(thinking) u:p | a:c <r>"},
		{`{"prompt": "p", "chosen": "c", "rejected": "r"}`, source.Options{}, source.Preference, "u:p | a:c // u:p | a:r"},
		{`{"prompt": [{"role": "user", "content": "p"}], "chosen": [{"role": "assistant", "content": "c"}], "rejected": {"role": "assistant", "content": "r"}}`, source.Options{}, source.Preference, "u:p | a:c // u:p | a:r"},
		{`{"chosen": [{"role": "user", "content": "p"}, {"role": "assistant", "content": "c"}], "rejected": [{"role": "user", "content": "p"}, {"role": "assistant", "content": "r"}]}`, source.Options{}, source.Preference, "u:p | a:c // u:p | a:r"},
		{`{"conversations": [{"from": "human", "value": "p"}], "chosen": {"from": "gpt", "value": "c"}, "rejected": {"from": "gpt", "value": "r"}}`, source.Options{}, source.Preference, "u:p | a:c // u:p | a:r"},
		{`{"chosen": "\n\nHuman: p\n\nAssistant: c", "rejected": "\n\nHuman: p\n\nAssistant: r"}`, source.Options{}, source.Preference, "u:p | a:c // u:p | a:r"},
		{`{"prompt": "p", "completion": "c", "label": true}`, source.Options{}, source.Feedback, "u:p | a:c yes"},
		{`{"messages": [{"role": "user", "content": "p"}, {"role": "assistant", "content": "c"}], "kto_tag": false}`, source.Options{}, source.Feedback, "u:p | a:c no"},
		{`{"prompt": "p", "answer": 7.50}`, source.Options{}, source.Prompt, "u:p = 7.5"},
		{`{"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "p"}]}`, source.Options{}, source.Prompt, "s:s | u:p"},
		{`{"text": "words"}`, source.Options{}, source.Text, "words"},
	} {
		for _, file := range []string{"a.jsonl", "a.json"} {
			text := c.row
			if file == "a.json" {
				text = " [\n" + c.row + "\n ,\n" + c.row + " ]\n"
			}
			rows, err := read(file, text, c.opts)
			if err != nil {
				t.Errorf("%s: %v", c.row, err)
				continue
			}
			r := rows[0]
			got := outline(&r.Conversation)
			switch r.Kind {
			case source.Preference:
				got += " // " + outline(&r.Rejected)
			case source.Feedback:
				got += map[bool]string{true: " yes", false: " no"}[r.Desirable]
			case source.Prompt:
				if r.Answer != "" {
					got += " = " + r.Answer
				}
			case source.Text:
				got = r.Text
			}
			if r.Kind != c.kind || got != c.want {
				t.Errorf("%s:\n got %s %s\nwant %s %s", c.row, r.Kind, got, c.kind, c.want)
			}
			if file == "a.json" && (len(rows) != 2 || rows[0].Line != 2 || rows[1].Line != 4) {
				t.Errorf("%s: an array of two gave %d rows, on lines %d and %d", c.row, len(rows), rows[0].Line, rows[len(rows)-1].Line)
			}
		}
	}
}

// Every hostile row is an error that says where, what and, where there is a
// choice, what to do.
func TestHostileRows(t *testing.T) {
	const ok = `{"prompt": "p", "response": "r"}`
	dialogue := func(messages string) string { return `{"messages": [` + messages + `]}` }
	for _, c := range []struct {
		name, text string
		opts       source.Options
		want       string
	}{
		{"a.jsonl", "", source.Options{}, "a.jsonl: the file is empty"},
		{"a.json", " [ ] ", source.Options{}, "a.json: the file holds no rows"},
		{"a.jsonl", ok + "\n\n" + ok, source.Options{}, "a.jsonl:2: the line is empty (remove it"},
		{"a.jsonl", ok + "\n{\"prompt\": \"p\",, }", source.Options{}, "a.jsonl:2:16: not valid JSON: expected a key in quotes, got ','"},
		{"a.jsonl", ok + "\n{\"prompt\": \"\xff\"}", source.Options{}, "a.jsonl:2:13: not valid JSON: invalid UTF-8"},
		{"a.jsonl", ok + "\n[1]", source.Options{}, "a.jsonl:2:1: a row must be a JSON object, got array"},
		{"a.jsonl", ok + "\n{}", source.Options{}, "a.jsonl:2:1: the row has no fields"},
		{"a.jsonl", ok + "\n" + `{"prompt": "p", "prompt": "q", "response": "r"}`, source.Options{}, `a.jsonl:2:17: not valid JSON: duplicate key "prompt"`},
		{"a.jsonl", ok + "\n" + `{"prompt": "p"}`, source.Options{}, `a.jsonl:2: the row has no response: its fields are "prompt"`},
		{"a.jsonl", ok + "\n" + `{"prompt": "p", "response": " "}`, source.Options{}, "a.jsonl:2:29: response is empty"},
		{"a.jsonl", ok + "\n" + `{"prompt": 5, "response": "r"}`, source.Options{}, "a.jsonl:2:12: prompt must be a string, got number"},
		{"a.jsonl", `{"q": 1, "a": 2}`, source.Options{}, `a.jsonl:1: the fields "a", "q" fit no known format (give the format`},
		{"a.jsonl", `{"q": "1", "a": "2"}`, source.Options{Mapping: map[string]string{"prompt": "x", "response": "a"}}, `a.jsonl:1: the mapping reads prompt from "x", the row has "a", "q" (correct the mapping)`},
		{"a.jsonl", strings.Repeat("x", 300), source.Options{MaxRowBytes: 200}, "a.jsonl:1: the row is longer than 200 bytes"},
		{"a.json", `[{"prompt": "p", "response": "` + strings.Repeat("x", 300), source.Options{MaxRowBytes: 200}, "a.json:1: the row is longer than 200 bytes"},
		{"a.json", `[` + ok, source.Options{}, "the file ends within the array of rows"},
		{"a.json", `[` + ok + "\n" + ok + "]", source.Options{}, "a.json:2:1: not valid JSON: expected ',' or ']' between rows, got '{'"},
		{"a.json", "[\n" + ok + ",\n  {\"prompt\": \"p\",\n   \"response\": 7}]", source.Options{}, "a.json:4:16: response must be a string, got number"},
		{"a.json", `[` + ok + `] x`, source.Options{}, "text after the array of rows"},
		{"a.jsonl", dialogue(""), source.Options{}, "a.jsonl:1:14: messages: the list of messages is empty"},
		{"a.jsonl", dialogue(`{"role": "robot", "content": "x"}`), source.Options{Format: source.Messages}, `a.jsonl:1:24: messages[0].role: role "robot" is not one of`},
		{"a.jsonl", dialogue(`{"role": "user", "content": "x"}, {"role": "assistant", "content": ""}`), source.Options{}, "messages[1]: the assistant says nothing"},
		{"a.jsonl", dialogue(`{"role": "user", "content": ""}, {"role": "assistant", "content": "a"}`), source.Options{}, "messages[0]: the user message is empty"},
		{"a.jsonl", dialogue(`{"role": "user", "content": "u"}, {"role": "assistant", "content": "a"}, {"role": "assistant", "content": "b"}`), source.Options{}, "messages[2]: an assistant message follows an assistant message"},
		{"a.jsonl", dialogue(`{"role": "user", "content": "u"}`), source.Options{Format: source.Messages}, "the conversation ends with a user message"},
		{"a.jsonl", dialogue(`{"role": "tool", "content": "u"}, {"role": "assistant", "content": "a"}`), source.Options{}, "a tool result must follow an assistant message with tool calls"},
		{
			"a.jsonl", dialogue(`{"role": "user", "content": "u"}, {"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{}"}}]}, {"role": "tool", "tool_call_id": "2", "content": "r"}, {"role": "assistant", "content": "a"}`),
			source.Options{},
			"messages[2]: tool_call_id 2 names no call",
		},
		{"a.jsonl", dialogue(`{"role": "user", "content": "u"}, {"role": "assistant", "content": "a", "thoughts": "t"}`), source.Options{}, `messages[1].thoughts: a message has no field "thoughts"`},
		{"a.jsonl", `{"messages": [{"role": "user", "content": "u"}, {"role": "assistant", "content": "a", "reasoning_content": "r"}], "thinking_mode": "chat"}`, source.Options{}, "chat mode would leave out (set thinking_mode to thinking"},
		{"a.jsonl", `{"messages": [{"role": "user", "content": "u"}, {"role": "assistant", "content": "a"}], "thinking_mode": "deep"}`, source.Options{}, `thinking_mode is "deep", want chat or thinking`},
		{"a.jsonl", `{"messages": [{"role": "user", "content": "u"}, {"role": "assistant", "content": "a"}], "thinking_mode": "chat", "enable_thinking": true}`, source.Options{}, "but enable_thinking is true"},
		{"a.jsonl", ok, source.Options{Thinking: source.ThinkRow}, "the row does not say whether the model thinks (add"},
		{"a.jsonl", `{"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}, {"role": "assistant", "content": "a"}], "system": "t"}`, source.Options{}, "a system text and a system message"},
		{"a.jsonl", `{"conversations": [{"from": "alien", "value": "x"}]}`, source.Options{}, `role "alien" is not one of human, gpt`},
		{"a.jsonl", `{"conversations": [{"from": "human", "value": 5}]}`, source.Options{}, `a message needs "from" and a string in "value"`},
		{"a.jsonl", `{"conversations": [{"from": "human", "value": "x"}, {"from": "function_call", "value": "f()"}]}`, source.Options{}, "a function_call must be JSON"},
		{"a.jsonl", `{"instruction": "i", "output": "o", "history": [["q"]]}`, source.Options{}, "history[0] must be a question and an answer"},
		{"a.jsonl", `{"instruction": "i", "instances": []}`, source.Options{}, "instances must be a list that is not empty"},
		{"a.jsonl", `{"prompt": "p", "chosen": "c", "rejected": "c"}`, source.Options{}, "chosen and rejected are the same (remove the row)"},
		{"a.jsonl", `{"chosen": "c", "rejected": "r"}`, source.Options{}, "there is no prompt, and chosen is not a"},
		{"a.jsonl", `{"chosen": "\n\nHuman: p\n\nAssistant: c", "rejected": "\n\nHuman: q\n\nAssistant: r"}`, source.Options{}, "chosen and rejected answer different prompts"},
		{"a.jsonl", `{"prompt": "p", "completion": "c", "label": 1}`, source.Options{Format: source.KTO}, `a kto row needs "label" or "kto_tag": true or false`},
		{"a.txt", "good\nbad \xff\n", source.Options{}, "a.txt:2:5: invalid UTF-8 (convert the file to UTF-8)"},
		{"a.txt", strings.Repeat("x", 300<<10), source.Options{MaxRowBytes: 200}, "a.txt:1: the document is longer than 200 bytes (give a separator"},
		{"a.jsonl", ok, source.Options{Separator: "\n"}, "is for plain text"},
	} {
		_, err := read(c.name, c.text, c.opts)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.60q:\n got %v\nwant %s", c.text, err, c.want)
		}
	}
}

func TestDocuments(t *testing.T) {
	for _, c := range []struct {
		text, separator, want string
	}{
		{"one\ntwo\n", "", "1:one\ntwo\n"},
		{"one\n\ntwo\nthree\n\n\n\nfour", "\n\n", "1:one|3:two\nthree|8:four"},
		{"a<eot>b<eot>", "<eot>", "1:a|1:b"},
		{"<eot> \n<eot>x", "<eot>", "2:x"},
	} {
		rows, err := read("a.txt", c.text, source.Options{Separator: c.separator})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range rows {
			got = append(got, fmt.Sprintf("%d:%s", r.Line, r.Text))
		}
		if s := strings.Join(got, "|"); s != c.want {
			t.Errorf("%q cut at %q: got %q, want %q", c.text, c.separator, s, c.want)
		}
	}
	// A separator that falls on the edge of what is read at once is still found.
	for pad := range 8 {
		text := strings.Repeat("x", 64<<10-pad) + "<eot>" + strings.Repeat("y", 70<<10)
		if rows, err := read("a.txt", text, source.Options{Separator: "<eot>"}); err != nil || len(rows) != 2 {
			t.Errorf("separator %d bytes before the edge: %d documents, %v", pad, len(rows), err)
		}
	}
}

// FuzzRows: no input makes the reader panic or hold more than a row may have;
// what it accepts can be rendered.
func FuzzRows(f *testing.F) {
	f.Add("a.jsonl", `{"messages": [{"role": "user", "content": "u"}, {"role": "assistant", "content": "a", "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{}"}}]}]}`)
	f.Add("a.json", `[{"prompt": "p", "chosen": "c", "rejected": "r"}, {"prompt": "p", "chosen": "c", "rejected": "r"}]`)
	f.Add("a.jsonl", `{"conversations": [{"from": "human", "value": "h"}, {"from": "gpt", "value": "g"}]}`)
	f.Add("a.jsonl", `{"instruction": "i", "instances": [{"input": "x", "output": "o"}], "history": [["q", "r"]]}`)
	f.Add("a.jsonl", `{"chosen": "\n\nHuman: p\n\nAssistant: c", "rejected": "\n\nHuman: p\n\nAssistant: r"}`)
	f.Add("a.txt", "one\n\ntwo")
	f.Fuzz(func(t *testing.T, name, text string) {
		const most = 1 << 16
		rows, _ := read(name, text, source.Options{MaxRowBytes: most, SplitThink: len(text)%2 == 0})
		for _, r := range rows {
			if r.Kind == source.Text {
				continue
			}
			for _, c := range []*chat.Conversation{&r.Conversation, &r.Rejected} {
				if _, err := (chat.V4{}).Compile(c); err != nil && !strings.Contains(err.Error(), "effort") && !strings.Contains(err.Error(), "task") && !strings.Contains(err.Error(), "developer") && !strings.Contains(err.Error(), "message ") {
					t.Fatalf("an accepted row does not render: %v\n%s", err, text)
				}
			}
		}
	})
}
