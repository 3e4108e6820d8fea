package chat_test

import (
	"strings"
	"testing"

	"github.com/temper-ml/temper/data/chat"
)

func TestDecodeMessagesNamesTheField(t *testing.T) {
	for in, want := range map[string]string{
		`{}`:                            "messages: want a list of messages, got object",
		`[]`:                            "messages: the list of messages is empty",
		`[1]`:                           "messages[0]: a message must be an object, got number",
		`[{"content":"x"}]`:             "messages[0]: the message has no role",
		`[{"role":"bot"}]`:              `messages[0].role: role "bot" is not one of`,
		`[{"role":1}]`:                  "messages[0].role: want a string, got number",
		`[{"role":"user","content":1}]`: "messages[0].content: want a string or a list of text parts, got number",
		`[{"role":"user","content":[{"type":"image_url"}]}]`:                               `messages[0].content[0]: want a part of type "text"`,
		`[{"role":"user","content":"x","thinking":"y"}]`:                                   `messages[0].thinking: a message has no field "thinking"`,
		`[{"role":"user","content":"x","weight":1}]`:                                       "messages[0].weight: weight 1 is on a user message",
		`[{"role":"assistant","weight":0.5}]`:                                              "messages[0].weight: weight must be 0",
		`[{"role":"assistant","tool_calls":[{"function":{"name":"f"}}]}]`:                  `messages[0].tool_calls[0].function: the call of "f" has no arguments`,
		`[{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":"{"}}]}]`:  `arguments: the arguments of "f" are not JSON`,
		`[{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":"[]"}}]}]`: `arguments: the arguments of "f" are a JSON array, want an object`,
		`[{"role":"assistant","tool_calls":[{"function":{"arguments":"{}"}}]}]`:            "a tool call needs a function name",
		`[{"role":"system","tools":[{"type":"function"}]}]`:                                `messages[0].tools[0]: a tool must be`,
	} {
		v := value(in)
		_, err := chat.DecodeMessages(&v, "messages", nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want it to say %q", in, err, want)
		}
	}
}

func TestDecodeMessagesReads(t *testing.T) {
	v := value(`[
		{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "name": null},
		{"role": "assistant", "content": null, "reasoning_content": "r", "weight": 0, "refusal": null, "stamp": 5,
		 "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": {"x": 1.0}}}]},
		{"role": "tool", "tool_call_id": "1", "content": "ok"},
		{"role": "assistant", "content": "half", "prefix": true}]`)
	ms, err := chat.DecodeMessages(&v, "messages", []string{"stamp"})
	if err != nil {
		t.Fatal(err)
	}
	if ms[0].Content != "a\n\nb" || ms[1].Reasoning != "r" || !ms[1].Untrained || ms[2].ToolCallID != "1" || !ms[3].Unfinished {
		t.Errorf("got %+v", ms)
	}
	if got := ms[1].ToolCalls[0].Arguments; got != `{"x": 1.0}` {
		t.Errorf("arguments given as an object are %s", got)
	}
}
