package rollout

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/temper-ml/temper/data"
	"github.com/temper-ml/temper/data/chat"
	"github.com/temper-ml/temper/posttrain"
)

// bytesOf is a tokenizer of an encoding that needs no file.
func bytesOf(t testing.TB, encoding string) data.Tokenizer {
	t.Helper()
	enc, err := chat.Lookup(encoding)
	if err != nil {
		t.Fatal(err)
	}
	return data.NewBytes(enc)
}

// written writes lines to a file.
func written(t testing.TB, name string, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestEveryFormatAsks: questions are what comes before the last answer, with the
// prompt of the right mode, and keep their row's fields.
func TestEveryFormatAsks(t *testing.T) {
	tok := bytesOf(t, "deepseek-v4")
	for name, c := range map[string]struct {
		row, prompt, asked string
	}{
		"prompt":     {`{"prompt": "2+2?", "answer": 4}`, "<｜begin▁of▁sentence｜><｜User｜>2+2?<｜Assistant｜></think>", "2+2?"},
		"gsm8k":      {`{"question": "2+2?", "answer": "#### 4"}`, "<｜begin▁of▁sentence｜><｜User｜>2+2?<｜Assistant｜></think>", "2+2?"},
		"thinking":   {`{"prompt": "2+2?", "thinking_mode": "thinking"}`, "<｜begin▁of▁sentence｜><｜User｜>2+2?<｜Assistant｜><think>", "2+2?"},
		"pair":       {`{"prompt": "Hi", "response": "Hello"}`, "<｜begin▁of▁sentence｜><｜User｜>Hi<｜Assistant｜></think>", "Hi"},
		"alpaca":     {`{"instruction": "Add", "input": "1 2", "output": "3"}`, "<｜begin▁of▁sentence｜><｜User｜>Add\n1 2<｜Assistant｜></think>", "Add\n1 2"},
		"messages":   {`{"messages": [{"role":"user","content":"a"},{"role":"assistant","content":"b"},{"role":"user","content":"c"},{"role":"assistant","content":"d"}]}`, "<｜begin▁of▁sentence｜><｜User｜>a<｜Assistant｜></think>b<｜end▁of▁sentence｜><｜User｜>c<｜Assistant｜></think>", "c"},
		"sharegpt":   {`{"conversations": [{"from":"human","value":"a"},{"from":"gpt","value":"b"}]}`, "<｜begin▁of▁sentence｜><｜User｜>a<｜Assistant｜></think>", "a"},
		"preference": {`{"prompt": "a", "chosen": "b", "rejected": "c"}`, "<｜begin▁of▁sentence｜><｜User｜>a<｜Assistant｜></think>", "a"},
		"kto":        {`{"prompt": "a", "completion": "b", "label": true}`, "<｜begin▁of▁sentence｜><｜User｜>a<｜Assistant｜></think>", "a"},
	} {
		t.Run(name, func(t *testing.T) {
			d := posttrain.Data{Files: []string{written(t, "q.jsonl", c.row)}, Format: "auto", Encoding: "deepseek-v4", Sequence: 512}
			if err := d.Check("grpo"); err != nil {
				t.Fatal(err)
			}
			q, held, _, err := Load(context.Background(), &d, tok, 16, 1)
			if err != nil {
				t.Fatal(err)
			}
			got := q.Question(0)
			if text := tok.Decode(got.Tokens); text != c.prompt || got.Asked != c.asked || held != nil {
				t.Errorf("%q asks %q, want %q and %q", text, got.Asked, c.prompt, c.asked)
			}
			if f := got.Fields(); len(f) != strings.Count(c.row, `": `)-strings.Count(c.row, `"role": `) && name == "prompt" {
				t.Errorf("fields are %v", f)
			}
			if name == "gsm8k" && string(got.Fields()["answer"]) != `"#### 4"` {
				t.Errorf("fields are %v", got.Fields())
			}
		})
	}
}

// TestBadQuestionsAreNamed: with file and line, or left out and counted.
func TestBadQuestionsAreNamed(t *testing.T) {
	long := strings.Repeat("x", 100)
	path := written(t, "q.jsonl",
		`{"prompt": "a"}`, `{"prompt": " "}`, `{"prompt": "b", "n": 1}`, `{"prompt": "a", "n": 2}`, `{"prompt": "`+long+`"}`, `[1]`, `{"prompt": "c"}`)
	d := posttrain.Data{Files: []string{path}, Format: "prompt", Encoding: "deepseek-v4", Sequence: 64}
	tok := bytesOf(t, "deepseek-v4")
	_, _, _, err := Load(context.Background(), &d, tok, 16, 1)
	var rows *data.RowErrors
	if !errors.As(err, &rows) || len(rows.Errors) != 4 {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{
		path + ":2:12: prompt is empty", path + ":4: it asks what " + path + ":1 asks (remove one", path + ":5: the question has 104 tokens, at most 48 leave room",
		"overlong to skip", path + ":6",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v\ndoes not say %q", err, want)
		}
	}
	d.BadRows, d.Overlong, d.HoldOut = "skip", "skip", 0.34
	q, held, report, err := Load(context.Background(), &d, tok, 16, 1)
	if err != nil {
		t.Fatal(err)
	}
	if q.Len() != 2 || held.Len() != 1 || held.Question(0).Asked != "c" || report.Bad != 3 || report.TooLong != 1 || report.Rows != 7 || report.Examples != 3 {
		t.Errorf("%d and %d questions, %+v", q.Len(), held.Len(), report)
	}
	if d.Sequence = 17; true {
		if _, _, _, err := Load(context.Background(), &d, tok, 16, 1); err == nil || !strings.Contains(err.Error(), "no room for questions") {
			t.Errorf("got %v", err)
		}
	}
}

// TestOrderIsOfTheCursor: every epoch has every question once, in an order of its own,
// whatever was asked before.
func TestOrderIsOfTheCursor(t *testing.T) {
	var rows []string
	for i := range 23 {
		rows = append(rows, `{"prompt": "`+strings.Repeat("q", i+1)+`"}`)
	}
	d := posttrain.Data{Files: []string{written(t, "q.jsonl", rows...)}, Format: "auto", Encoding: "plain", Sequence: 64}
	load := func(seed uint64) *Questions {
		q, _, _, err := Load(context.Background(), &d, bytesOf(t, "plain"), 16, seed)
		if err != nil {
			t.Fatal(err)
		}
		return q
	}
	q := load(5)
	var order []int
	for c := range int64(4 * 23) {
		order = append(order, q.At(c).Index)
	}
	for e := range 4 {
		epoch := slices.Clone(order[e*23 : (e+1)*23])
		if e > 0 && slices.Equal(epoch, order[:23]) {
			t.Errorf("epoch %d has the order of the first", e)
		}
		slices.Sort(epoch)
		for i, v := range epoch {
			if v != i {
				t.Fatalf("epoch %d is %v", e, epoch)
			}
		}
	}
	again := load(5)
	for c := int64(4*23) - 1; c >= 0; c -= 3 {
		if again.At(c).Index != order[c] {
			t.Fatalf("cursor %d is question %d, was %d", c, again.At(c).Index, order[c])
		}
	}
	if other := load(6); other.Digest() != q.Digest() || other.At(0).Index == order[0] && other.At(1).Index == order[1] && other.At(2).Index == order[2] {
		t.Error("the seed decides the questions, or not their order")
	}
}

// TestCheckNamesFields: each field out of range is the first word of the error.
func TestCheckNamesFields(t *testing.T) {
	good := Default("grpo")
	if err := good.Check("grpo", 512); err != nil {
		t.Fatal(err)
	}
	if !good.OnPolicy() || !good.Plain() || good.RoundOf(7) != 7 {
		t.Error("the default is not on-policy")
	}
	for field, change := range map[string]func(c *Config){
		"prompts":     func(c *Config) { c.Prompts = 0 },
		"group":       func(c *Config) { c.Group = 1 },
		"max_tokens":  func(c *Config) { c.MaxTokens = 511 },
		"temperature": func(c *Config) { c.Temperature = 0 },
		"top_p":       func(c *Config) { c.TopP = 1.5 },
		"top_k":       func(c *Config) { c.TopK = -1 },
		"stop[1]":     func(c *Config) { c.Stop = []string{"a", ""} },
		"updates":     func(c *Config) { c.Updates = 999 },
		"epochs":      func(c *Config) { c.Epochs = 0 },
		"ahead":       func(c *Config) { c.Ahead = 2 },
		"waves":       func(c *Config) { c.Waves = 0 },
		"keep":        func(c *Config) { c.Keep = -1 },
		"sequences":   func(c *Config) { c.Sequences = 0 },
	} {
		c := good
		change(&c)
		if err := c.Check("grpo", 512); err == nil || !strings.HasPrefix(err.Error(), field+":") {
			t.Errorf("%s: got %v", field, err)
		}
	}
	for name, d := range map[string]posttrain.Data{
		"rows":     {Rows: 1},
		"format":   {Format: "text"},
		"overlong": {Overlong: "truncate"},
		"turns":    {Turns: "last"},
	} {
		d.Files, d.Sequence = []string{"x"}, 512
		if err := d.Check("opd"); err == nil || !strings.HasPrefix(err.Error(), name+":") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
