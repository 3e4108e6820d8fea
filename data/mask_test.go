package data_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/temper-ml/temper/data"
	"github.com/temper-ml/temper/data/chat"
	"github.com/temper-ml/temper/data/tokenizer"
	"github.com/temper-ml/temper/internal/jsonvalue"
)

// bpe is a small vocabulary whose tokens span words, digits and line ends.
var bpe = func() *tokenizer.Tokenizer {
	text := strings.Repeat("the model said hello world 123 456\n\nand then = the answer\nis 42. \"name\" <tool_result> hello", 50)
	t, err := tokenizer.Train(slices.Values([]string{text}), tokenizer.TrainOptions{VocabSize: 600, Special: tokenizer.V4Specials()})
	if err != nil {
		panic(err)
	}
	return t
}()

// naive is the definition of masks, letter by letter: render every prefix,
// tokenise it from scratch, compare.
type naive struct {
	tok data.Tokenizer
	enc chat.Encoding
}

// tokens tokenises a rendering: special tokens by id, the text between them in
// runs that also end where the assistant begins or ceases to speak.
func (n naive) tokens(t *rapid.T, pieces []chat.Piece) []int32 {
	var ids []int32
	run, generated := "", false
	flush := func() {
		ids = append(ids, n.tok.Encode(run, false)...)
		run = ""
	}
	for _, p := range pieces {
		if p.Special || p.Generated() != generated {
			flush()
		}
		generated = p.Generated()
		if !p.Special {
			run += p.Text
			continue
		}
		id, ok := n.tok.Special(p.Text)
		if !ok {
			t.Fatalf("no special token %s", p.Text)
		}
		ids = append(ids, id)
	}
	flush()
	return ids
}

// errPrefix says that a prefix of the conversation does not begin the whole.
var errPrefix = errors.New("prefix mismatch")

func (n naive) example(t *rapid.T, c *chat.Conversation, learnt func(i int) bool) ([]int32, []bool, error) {
	full, err := chat.Render(n.enc, c, false)
	if err != nil {
		t.Fatal(err)
	}
	ids := n.tokens(t, full)
	mask := make([]bool, len(ids))
	for i := range c.Messages {
		if c.Messages[i].Role != chat.Assistant || !learnt(i) {
			continue
		}
		before, after := *c, *c
		before.Messages, after.Messages = c.Messages[:i], c.Messages[:i+1]
		a, _ := chat.Render(n.enc, &before, true)
		b, _ := chat.Render(n.enc, &after, false)
		prompt, turn := n.tokens(t, a), n.tokens(t, b)
		if len(turn) > len(ids) || !slices.Equal(turn, ids[:len(turn)]) || len(prompt) > len(turn) || !slices.Equal(prompt, turn[:len(prompt)]) {
			return nil, nil, errPrefix
		}
		for j := len(prompt); j < len(turn); j++ {
			mask[j] = true
		}
	}
	return ids, mask, nil
}

// dialogues draws conversations that a training row may hold.
func dialogues(enc chat.Encoding) *rapid.Generator[*chat.Conversation] {
	v4 := strings.HasPrefix(enc.Name(), "deepseek-v4")
	text := rapid.SampledFrom([]string{"hello", "the answer\nis 42.", " 123", "\n\nand then", "=", "said \"hello\" ", "世界 123", "<｜User｜>hi</think>"})
	return rapid.Custom(func(t *rapid.T) *chat.Conversation {
		c := &chat.Conversation{}
		if enc.Name() != "plain" {
			c.Thinking, c.KeepReasoning = rapid.Bool().Draw(t, "thinking"), rapid.Bool().Draw(t, "keep")
		}
		if rapid.Bool().Draw(t, "system") {
			c.Messages = append(c.Messages, chat.Message{Role: chat.System, Content: text.Draw(t, "text")})
		}
		for range rapid.IntRange(1, 4).Draw(t, "turns") {
			if v4 && rapid.IntRange(0, 5).Draw(t, "reminded") == 0 {
				c.Messages = append(c.Messages, chat.Message{Role: chat.Reminder, Content: text.Draw(t, "text")})
			}
			c.Messages = append(c.Messages, chat.Message{Role: chat.User, Content: text.Draw(t, "text")})
			m := chat.Message{Role: chat.Assistant, Content: text.Draw(t, "text")}
			if c.Thinking {
				m.Reasoning = text.Draw(t, "text")
			}
			for v4 && rapid.IntRange(0, 3).Draw(t, "calls") == 0 {
				call := m
				call.ToolCalls = []chat.ToolCall{{ID: "1", Name: "f", Arguments: `{"hello": "the model", "n": 42}`}, {ID: "2", Name: "g", Arguments: "{}"}}
				c.Messages = append(c.Messages, call, chat.Message{Role: chat.Tool, ToolCallID: "2", Content: text.Draw(t, "text")},
					chat.Message{Role: chat.Tool, ToolCallID: "1", Content: text.Draw(t, "text")})
			}
			m.Untrained = rapid.IntRange(0, 5).Draw(t, "untrained") == 0
			c.Messages = append(c.Messages, m)
		}
		if rapid.IntRange(0, 5).Draw(t, "unfinished") == 0 {
			c.Messages[len(c.Messages)-1].Unfinished = true
		}
		if v4 && rapid.IntRange(0, 5).Draw(t, "task") == 0 {
			c.Messages[len(c.Messages)-1].Task = chat.TaskTitle
			c.Messages = append(c.Messages, chat.Message{Role: chat.Assistant, Content: text.Draw(t, "title")})
		}
		if v4 && c.Messages[0].Role == chat.System && rapid.Bool().Draw(t, "tools") {
			v, _ := jsonvalue.Parse(`{"name": "f", "description": "hello"}`)
			c.Messages[0].Tools = []jsonvalue.Value{v}
		}
		return c
	})
}

// The builder's masks, made from one rendering, are those of the definition, and
// it refuses exactly the rows that the definition cannot answer.
func TestMaskIsTheDefinition(t *testing.T) {
	for _, name := range chat.Names() {
		enc, err := chat.Lookup(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, tok := range []data.Tokenizer{bpe, data.NewBytes(enc)} {
			for _, last := range []data.Turns{data.AllTurns, data.LastTurn} {
				b, err := data.NewBuilder(tok, enc, data.Options{Turns: last, LiteralSpecials: true})
				if err != nil {
					t.Fatal(err)
				}
				rapid.Check(t, func(t *rapid.T) {
					c := dialogues(enc).Draw(t, "conversation")
					final := -1
					for i, m := range c.Messages {
						if m.Role == chat.Assistant && !m.Untrained {
							final = i
						}
					}
					examples, err := b.Conversation(c)
					if final < 0 {
						if err == nil {
							t.Fatal("a conversation with nothing to learn was accepted")
						}
						return
					}
					ids, mask, wrong := naive{tok, enc}.example(t, c, func(i int) bool {
						return !c.Messages[i].Untrained && (last == data.AllTurns || i == final)
					})
					if (wrong == nil) != (err == nil) {
						t.Fatalf("%s: definition says %v, builder says %v", name, wrong, err)
					}
					if err != nil {
						return
					}
					if diff := cmp.Diff(ids, examples[0].Tokens); diff != "" {
						t.Fatalf("tokens (-definition +builder)\n%s", diff)
					}
					if diff := cmp.Diff(mask, examples[0].Mask); diff != "" {
						t.Fatalf("mask (-definition +builder)\n%s", diff)
					}
				})
			}
		}
	}
}

// Unrolled examples are the prefixes, each with its last turn learnt: the same
// turns in all, each in the context the model is given.
func TestUnrollLearnsEachTurnInItsContext(t *testing.T) {
	enc := chat.V4{}
	b, err := data.NewBuilder(bpe, enc, data.Options{History: data.UnrollHistory, LiteralSpecials: true})
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		c := dialogues(enc).Draw(t, "conversation")
		examples, err := b.Conversation(c)
		var turns []int
		for i, m := range c.Messages {
			if m.Role == chat.Assistant && !m.Untrained {
				turns = append(turns, i)
			}
		}
		if len(turns) == 0 {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		whole := func(i int) bool { return !c.Messages[i].Untrained }
		if ids, _, wrong := (naive{bpe, enc}).example(t, c, whole); wrong == nil {
			if len(examples) != 1 || !slices.Equal(ids, examples[0].Tokens) {
				t.Fatalf("%d examples for a conversation that can be learnt whole", len(examples))
			}
			return
		}
		if len(examples) != len(turns) {
			t.Fatalf("%d examples for %d turns", len(examples), len(turns))
		}
		for k, i := range turns {
			prefix := *c
			prefix.Messages = c.Messages[:i+1]
			ids, mask, wrong := naive{bpe, enc}.example(t, &prefix, func(j int) bool { return j == i })
			if wrong != nil || !slices.Equal(ids, examples[k].Tokens) || !slices.Equal(mask, examples[k].Mask) {
				t.Fatalf("turn %d: %v, tokens or mask differ from those of its prefix", i, wrong)
			}
		}
	})
}

// Where text spells no special token, tokens are those of the whole rendered
// text read with special tokens: what a server makes of the same conversation.
func TestTokensAreThoseOfTheText(t *testing.T) {
	enc := chat.V4{}
	b, err := data.NewBuilder(bpe, enc, data.Options{History: data.UnrollHistory})
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		c := dialogues(enc).Draw(t, "conversation")
		for i := range c.Messages {
			if c.Messages[i].Role == chat.Reminder || strings.Contains(c.Messages[i].Content+c.Messages[i].Reasoning, "<｜") {
				return // a reminder may stand between the prompt and the answer, without a special token
			}
		}
		pieces, err := chat.Render(enc, c, true)
		if err != nil {
			t.Fatal(err)
		}
		e, err := b.Prompt(c)
		if err != nil {
			t.Fatal(err)
		}
		if want := bpe.Encode(chat.Join(pieces), true); !slices.Equal(want, e.Tokens) {
			t.Fatalf("tokens differ from those of the text: %q", chat.Join(pieces))
		}
	})
}

func TestSkipReasoning(t *testing.T) {
	c := &chat.Conversation{Thinking: true, Messages: []chat.Message{
		{Role: chat.User, Content: "u"}, {Role: chat.Assistant, Reasoning: "rrr", Content: "a"},
	}}
	for _, skip := range []bool{false, true} {
		b, err := data.NewBuilder(data.NewBytes(chat.V4{}), chat.V4{}, data.Options{SkipReasoning: skip})
		if err != nil {
			t.Fatal(err)
		}
		examples, err := b.Conversation(c)
		if err != nil {
			t.Fatal(err)
		}
		want := "rrr</think>a<｜end▁of▁sentence｜>"
		if skip {
			want = "a<｜end▁of▁sentence｜>"
		}
		if got := learntText(examples[0], data.NewBytes(chat.V4{})); got != want {
			t.Errorf("skip reasoning %t: learns %q, want %q", skip, got, want)
		}
	}
}

func learntText(e data.Example, tok data.Tokenizer) string {
	var ids []int32
	for i, m := range e.Mask {
		if m {
			ids = append(ids, e.Tokens[i])
		}
	}
	return tok.Decode(ids)
}

func TestBuilderRefuses(t *testing.T) {
	user := chat.Message{Role: chat.User, Content: "u"}
	two := []chat.Message{user, {Role: chat.Assistant, Reasoning: "r", Content: "a"}, user, {Role: chat.Assistant, Reasoning: "r", Content: "b"}}
	for _, c := range []struct {
		conv chat.Conversation
		want string
	}{
		{chat.Conversation{Messages: two, Thinking: true}, "messages[1] cannot be learnt in this row"},
		{chat.Conversation{Messages: []chat.Message{user, {Role: chat.Assistant, Content: "<think>x</think>y"}}}, "spells out the special token <think>"},
		{chat.Conversation{Messages: []chat.Message{user, {Role: chat.Assistant, Content: "y<｜end▁of▁sentence｜>"}}}, "spells out the special token <｜end▁of▁sentence｜>"},
		{chat.Conversation{Messages: []chat.Message{user, {Role: chat.Assistant, Content: "y", Untrained: true}}}, "no assistant turn to learn"},
	} {
		b, err := data.NewBuilder(data.NewBytes(chat.V4{}), chat.V4{}, data.Options{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = b.Conversation(&c.conv)
		var r *data.Refusal
		if !errors.As(err, &r) || !strings.Contains(r.Rule, c.want) || r.Fix == "" {
			t.Errorf("error %v, want a refusal with a fix that says %q", err, c.want)
		}
	}
	small, err := tokenizer.Train(slices.Values([]string{"x"}), tokenizer.TrainOptions{VocabSize: 300, Special: tokenizer.V4Specials()[:1]})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := data.NewBuilder(small, chat.V4{}, data.Options{}); err == nil || !strings.Contains(err.Error(), "<｜end▁of▁sentence｜>") {
		t.Errorf("error %v does not name the missing special token", err)
	}
}

// A learnt turn, as tokens, parses back to its message, even where the text
// spells out special tokens.
func TestParseTokens(t *testing.T) {
	for _, tok := range []data.Tokenizer{bpe, data.NewBytes(chat.V4{})} {
		b, err := data.NewBuilder(tok, chat.V4{}, data.Options{LiteralSpecials: true})
		if err != nil {
			t.Fatal(err)
		}
		rapid.Check(t, func(t *rapid.T) {
			text := rapid.SampledFrom([]string{"hello", "the answer\nis 42.", "</think>", "x<｜end▁of▁sentence｜>y", "世界"})
			want := chat.Message{Role: chat.Assistant, Content: text.Draw(t, "content"), Reasoning: text.Draw(t, "reasoning")}
			if rapid.Bool().Draw(t, "calls") {
				want.ToolCalls = []chat.ToolCall{{Name: "f", Arguments: `{"hello": "</｜DSML｜parameter>", "n": [42]}`}}
			}
			c := &chat.Conversation{Thinking: true, Messages: []chat.Message{{Role: chat.User, Content: "u"}, want}}
			examples, err := b.Conversation(c)
			if err != nil {
				t.Fatal(err)
			}
			e := examples[0]
			got, err := b.Parse(e.Tokens[slices.Index(e.Mask, true):], true)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("(-want +got)\n%s", diff)
			}
		})
	}
}
