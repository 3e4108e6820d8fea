package chat_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/temper-ml/temper/data/chat"
	"github.com/temper-ml/temper/internal/jsonvalue"
)

// published returns a file of the published golden pairs.
func published(t *testing.T, name string) string {
	t.Helper()
	dir := os.Getenv("TEMPER_DATA")
	if dir == "" {
		t.Skip("TEMPER_DATA is not set: it names the directory with the published golden pairs")
	}
	b, err := os.ReadFile(filepath.Join(dir, "deepseek-v4", name))
	if err != nil {
		t.Skipf("no published golden pair: %v", err)
	}
	return string(b)
}

// conversation reads {"messages", "tools"} or a bare list of messages.
func conversation(t *testing.T, text string) *chat.Conversation {
	t.Helper()
	v, err := jsonvalue.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	messages := &v
	if m := v.Lookup("messages"); m != nil {
		messages = m
	}
	c := &chat.Conversation{}
	if c.Messages, err = chat.DecodeMessages(messages, "messages", []string{"mask"}); err != nil {
		t.Fatal(err)
	}
	if tools := v.Lookup("tools"); tools != nil {
		schemas, err := chat.DecodeTools(tools, "tools")
		if err != nil {
			t.Fatal(err)
		}
		c.AttachTools(schemas)
	}
	return c
}

func render(t *testing.T, e chat.Encoding, c *chat.Conversation) string {
	t.Helper()
	pieces, err := chat.Render(e, c, true)
	if err != nil {
		t.Fatal(err)
	}
	return chat.Join(pieces)
}

func TestPublishedPairs(t *testing.T) {
	for _, n := range []string{"1", "2"} {
		t.Run(n, func(t *testing.T) {
			c := conversation(t, published(t, "encoding_input_"+n+".json"))
			c.Thinking = true
			want := published(t, "encoding_output_"+n+".txt")
			if diff := cmp.Diff(want, render(t, chat.V4{}, c)); diff != "" {
				t.Errorf("rendering differs from the published text (-want +got):\n%s", diff)
			}
		})
	}
}

// Every assistant turn of the published texts parses back to its message.
func TestPublishedPairsParse(t *testing.T) {
	for _, n := range []string{"1", "2"} {
		c := conversation(t, published(t, "encoding_input_"+n+".json"))
		text := published(t, "encoding_output_"+n+".txt")
		var turns []chat.Message
		for _, m := range c.Messages {
			if m.Role == chat.Assistant {
				turns = append(turns, m)
			}
		}
		for i, completion := range strings.Split(text, "<｜Assistant｜>")[1:] {
			completion, _, _ = strings.Cut(completion, "<｜User｜>")
			body, thinking := strings.CutPrefix(completion, "<think>")
			body = strings.TrimPrefix(body, "</think>")
			got, err := chat.ParseText(chat.V4{}, body, thinking)
			if err != nil {
				t.Fatalf("pair %s, turn %d: %v", n, i, err)
			}
			want := turns[i]
			if !thinking {
				want.Reasoning = ""
			}
			for j := range want.ToolCalls {
				want.ToolCalls[j].ID = "" // not part of the text
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("pair %s, turn %d (-want +got):\n%s", n, i, diff)
			}
		}
	}
}
