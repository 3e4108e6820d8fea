package data

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/temper-ml/temper/data/chat"
	"github.com/temper-ml/temper/data/source"
)

// TestAnswersAsJudged: what rules and suites see of an answer.
func TestAnswersAsJudged(t *testing.T) {
	enc, err := chat.Lookup("deepseek-v4")
	if err != nil {
		t.Fatal(err)
	}
	tok := NewBytes(enc)
	b, err := NewBuilder(tok, enc, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		text     string
		thinking bool
		want     string
	}{
		{"4<｜end▁of▁sentence｜>", false, "4"},
		{"it goes on", false, "it goes on"},
		{"", false, ""},
		{"<｜end▁of▁sentence｜>", false, ""},
		{"<｜User｜>4", false, "<｜User｜>4"},
		{"2 and 2</think>4<｜end▁of▁sentence｜>", true, "4"},
		{"2 and 2</think>4 because", true, "4 because"},
		{"the answer is 4", true, ""},
		{"the answer is 4<｜end▁of▁sentence｜>", true, ""},
	} {
		if got := b.Answer(tok.Encode(c.text, true), c.thinking); got != c.want {
			t.Errorf("%q, thinking %v: %q, want %q", c.text, c.thinking, got, c.want)
		}
	}
}

// TestQuestionsDoNotDependOnWorkers: nor do the errors, or what is left out.
func TestQuestionsDoNotDependOnWorkers(t *testing.T) {
	var lines []string
	for i := range 3000 {
		switch i % 100 {
		case 17:
			lines = append(lines, `{"prompt": ""}`)
		case 50:
			lines = append(lines, `{"prompt": "question 3"}`)
		case 80:
			lines = append(lines, fmt.Sprintf(`{"prompt": "question %d %s"}`, i, strings.Repeat("x", 90)))
		default:
			lines = append(lines, fmt.Sprintf(`{"prompt": "question %d", "n": %d}`, i, i))
		}
	}
	path := filepath.Join(t.TempDir(), "q.jsonl")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o666); err != nil {
		t.Fatal(err)
	}
	enc, _ := chat.Lookup("deepseek-v4")
	l := Loader{Tokenizer: NewBytes(enc), Encoding: enc, Options: Options{Source: source.Options{Format: source.PromptFormat}, MaxTokens: 60}}
	var first string
	for _, workers := range []int{1, 2, 7} {
		l.Workers = workers
		_, _, err := l.Questions(context.Background(), path)
		if err == nil || first != "" && err.Error() != first {
			t.Fatalf("%d workers: %v, want %s", workers, err, first)
		}
		first = err.Error()
	}
	if !strings.Contains(first, "and 70 more bad rows") || !strings.Contains(first, path+":51: it asks what "+path+":4 asks") {
		t.Errorf("got %s", first)
	}
	l.Options.BadRows, l.Options.Overlong = SkipRows, SkipLong
	var want []Question
	for _, workers := range []int{1, 3} {
		l.Workers = workers
		got, report, err := l.Questions(context.Background(), path)
		if err != nil {
			t.Fatal(err)
		}
		if report.Rows != 3000 || report.Bad != 60 || report.TooLong != 30 || report.Examples != 2910 || len(got) != 2910 {
			t.Errorf("%d workers: %d questions, %+v", workers, len(got), report)
		}
		if want != nil && !reflect.DeepEqual(got, want) {
			t.Errorf("%d workers: other questions", workers)
		}
		want = got
	}
	if q := want[100]; string(q.Fields()["n"]) == "" || q.Source.Line < 100 {
		t.Errorf("got %+v", q)
	}
}
