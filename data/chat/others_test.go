package chat_test

import (
	"strings"
	"testing"

	"github.com/temper-ml/temper/data/chat"
)

func TestV3AndPlainLayout(t *testing.T) {
	two := []chat.Message{system("s"), user("u"), thinks("r", "a"), user("v"), thinks("q", "b")}
	plain := []chat.Message{user("Q: 1+1\nA:"), says(" 2")}
	for _, c := range []struct {
		enc  chat.Encoding
		conv chat.Conversation
		want string
	}{
		{chat.V3{}, chat.Conversation{Messages: two[:2]}, "[bos]s[user]u[assistant]"},
		{chat.V3{}, chat.Conversation{Messages: two[:2], Thinking: true}, "[bos]s[user]u[assistant]<think>\n"},
		{
			chat.V3{},
			chat.Conversation{Messages: two, Thinking: true},
			"[bos]s[user]u[assistant]a[eos][user]v[assistant]<think>\nq\n</think>\n\nb[eos]",
		},
		{
			chat.V3{},
			chat.Conversation{Messages: two, Thinking: true, KeepReasoning: true},
			"[bos]s[user]u[assistant]<think>\nr\n</think>\n\na[eos][user]v[assistant]<think>\nq\n</think>\n\nb[eos]",
		},
		{chat.Plain{}, chat.Conversation{Messages: plain}, "[bos]Q: 1+1\nA: 2[eos]"},
	} {
		if got := short.Replace(render(t, c.enc, &c.conv)); got != c.want {
			t.Errorf("%s:\n got %q\nwant %q", c.enc.Name(), got, c.want)
		}
	}
}

func TestV3AndPlainRefuse(t *testing.T) {
	for _, c := range []struct {
		enc  chat.Encoding
		conv chat.Conversation
		want string
	}{
		{chat.V3{}, chat.Conversation{Messages: []chat.Message{result("", "x")}}, `deepseek-v3 has no role "tool"`},
		{chat.V3{}, chat.Conversation{Messages: []chat.Message{user("u"), system("s")}}, "at the beginning only"},
		{chat.V3{}, chat.Conversation{Messages: []chat.Message{task(chat.TaskTitle, user("u"))}}, "use deepseek-v4"},
		{chat.V3{}, chat.Conversation{Messages: []chat.Message{user("u")}, Effort: chat.EffortMax}, "no reasoning effort"},
		{chat.Plain{}, chat.Conversation{Messages: []chat.Message{result("", "x")}}, `no role "tool"`},
		{chat.Plain{}, chat.Conversation{Messages: []chat.Message{thinks("r", "a")}}, "no reasoning"},
		{chat.Plain{}, chat.Conversation{Messages: []chat.Message{user("u")}, Thinking: true}, "no thinking mode"},
	} {
		if _, err := c.enc.Compile(&c.conv); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want it to say %q", c.enc.Name(), err, c.want)
		}
	}
}

func TestLookup(t *testing.T) {
	for _, name := range chat.Names() {
		e, err := chat.Lookup(name)
		if err != nil || e.Name() != name || e.Version() < 1 {
			t.Errorf("%s: %v, %v", name, e, err)
		}
	}
	if _, err := chat.Lookup("chatml"); err == nil || !strings.Contains(err.Error(), "deepseek-v4-0731") {
		t.Errorf("error %v does not list the encodings", err)
	}
}

func TestSplit(t *testing.T) {
	pieces := chat.Split("a<x>b<xx><x>", []string{"<x>", "<xx>", "<x"})
	var got []string
	for _, p := range pieces {
		mark := ""
		if p.Special {
			mark = "*"
		}
		got = append(got, mark+p.Text)
	}
	if s := strings.Join(got, " "); s != "a *<x> b *<xx> *<x>" {
		t.Errorf("got %s", s)
	}
}
