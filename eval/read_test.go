package eval

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/temper-ml/temper/posttrain/reward"
)

// TestRowsThatCannotBeUsed: each is named by file and line, with the rule.
func TestRowsThatCannotBeUsed(t *testing.T) {
	good := `{"question": "q", "choices": ["a", "b"], "answer": 0}`
	for _, c := range []struct{ row, want string }{
		{`{"question": "q", "choices": ["a"], "answer": 0}`, "choices: 1, want at least 2"},
		{`{"question": "q", "choices": ["a", "a"], "answer": 0}`, "choices[0] and choices[1] are the same"},
		{`{"question": "q", "choices": ["a", " "], "answer": 0}`, "choices[1] is empty"},
		{`{"question": "q", "choices": ["a", 3], "answer": 0}`, "choices[1] must be a string, got"},
		{`{"question": "q", "choices": "a b", "answer": 0}`, "choices must be a list of strings"},
		{`{"question": "q", "choices": ["a", "b"], "answer": 2}`, "answer: 2 is outside [0, 1]"},
		{`{"question": "q", "choices": ["a", "b"], "answer": -1}`, "answer: -1 is outside"},
		{`{"question": "q", "choices": ["a", "b"], "answer": 0.5}`, "answer: 0.5 is outside"},
		{`{"question": "q", "choices": ["a", "b"], "answer": 99999999999999999999999}`, "is outside"},
		{`{"question": "q", "choices": ["a", "b"], "answer": "c"}`, "is none of the choices"},
		{`{"question": "q", "choices": ["B", "A"], "answer": "A"}`, "can be the text of one choice and the place of another"},
		{`{"question": "q", "choices": ["1", "0"], "answer": "1"}`, "can be the text"},
		{`{"question": "q", "choices": ["a", "b"], "answer": [0]}`, "answer must be an index or a text"},
		{`{"question": "q", "choices": ["a", "b"]}`, "does not say which answer is right"},
		{`{"question": "q", "answer": 0}`, "the row has no choices"},
		{`{"question": "q", "choices": ["a", "b"], "labels": ["x"], "answer": "x"}`, "labels: 1 for 2 choices"},
		{`{"question": "q", "choices": ["a", "b"], "labels": ["x", "x"], "answer": "x"}`, "is the label of two choices"},
		{`{"question": "q", "choices": ["a", "b"], "labels": ["x", "y"], "answer": "a"}`, "is none of the labels"},
		{`{"question": "", "choices": ["a", "b"], "answer": 0}`, "empty"},
		{`{"question": "q", "choices": ["a", "<｜end▁of▁sentence｜>"], "answer": 0}`, "spells out the special token"},
		{`{"question": "q", "choices": ["a", "` + strings.Repeat("b", 300) + `"], "answer": 0}`, "tokens, a row has 256 (raise the sequence length"},
		{`{"question": "q"`, "not valid JSON"},
	} {
		_, err := Suite{File: file(t, "bad.jsonl", good, c.row)}.Load(t.Context(), reader(256))
		if err == nil || !strings.Contains(err.Error(), "bad.jsonl:2") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s\ngives %v, want a line with %q", c.row, err, c.want)
		}
	}
}

func TestAnswersByName(t *testing.T) {
	for _, c := range []struct {
		text         string
		texts, names []string
		want         int
	}{
		{"b", []string{"a", "b"}, nil, 1},
		{"B", []string{"x", "y"}, nil, 1},
		{"0", []string{"x", "y"}, nil, 0},
		{"A", []string{"A", "B"}, nil, 0},
		{"1", []string{"0", "1"}, nil, 1},
		{"7", []string{"7", "8"}, nil, 0},
		{"1", []string{"x", "y"}, []string{"1", "2"}, 0},
		{"01", []string{"x", "01"}, nil, 1},
	} {
		if got, err := named(c.text, c.texts, c.names); err != nil || got != c.want {
			t.Errorf("%q of %q (labels %q): %d, %v; want %d", c.text, c.texts, c.names, got, err, c.want)
		}
	}
}

func TestSkippedRows(t *testing.T) {
	s := Suite{File: file(t, "p.jsonl", preferenceRows[0], `{"prompt": "a", "chosen": "b", "rejected": "b"}`, `{"prompt": "a", "chosen": "`+strings.Repeat("b", 300)+`", "rejected": "c"}`, preferenceRows[2])}
	if _, err := s.Load(t.Context(), reader(256)); err == nil || strings.Count(err.Error(), "p.jsonl:") != 2 {
		t.Errorf("want two lines named, got %v", err)
	}
	s.BadRows, s.Overlong = "skip", "skip"
	if q := load(t, s, 256); q.Len() != 2 || q.Bad != 1 || q.Long != 1 || q.Rows != 4 || q.items[1].line != 4 || !strings.Contains(q.FirstBad[0], "p.jsonl:2") {
		t.Errorf("%d left, %d bad (%q), %d too long of %d", q.Len(), q.Bad, q.FirstBad, q.Long, q.Rows)
	}
	s.Limit = 1
	if q := load(t, s, 256); q.Len() != 1 || q.Rows != 4 {
		t.Errorf("a limit of 1 takes %d of %d rows", q.Len(), q.Rows)
	}
}

func TestKindsAndFormats(t *testing.T) {
	for _, c := range []struct {
		row  string
		kind Kind
		want string // in the error, or the kind
	}{
		{`{"prompt": "a"}`, Auto, "give kind refusal or pass@k"},
		{`{"prompt": "a", "response": "b"}`, Auto, "exact"},
		{`{"text": "a"}`, Auto, "perplexity"},
		{`{"text": "a"}`, Exact, "a suite of kind exact cannot be of text rows, which are for perplexity"},
		{`{"prompt": "a", "response": "b"}`, Preference, "cannot be of pair rows"},
		{`{"prompt": "a", "response": "b", "label": true}`, Auto, "no kind of suite reads kto rows"},
		{`{"prompt": "a", "response": "b"}`, Refusal, "refusal"},
		{`{"prompt": "a", "chosen": "b", "rejected": "c"}`, Refusal, "refusal"},
		{`{"question": "a"}`, Refusal, "refusal"},
		{`{"question": "a", "unsafe": 1}`, Refusal, "unsafe must be true or false"},
		{`{"what": "a"}`, Auto, "fit no known format"},
	} {
		q, err := Suite{File: file(t, "x.jsonl", c.row), Kind: c.kind}.Load(t.Context(), reader(256))
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			got = string(q.Kind)
		}
		if !strings.Contains(got, c.want) || err != nil && !strings.Contains(got, "x.jsonl") {
			t.Errorf("%s as %q: %s, want %q", c.row, c.kind, got, c.want)
		}
	}
	mixed := file(t, "x.jsonl", `{"prompt": "a", "unsafe": true}`, `{"prompt": "a"}`)
	if _, err := (Suite{File: mixed, Kind: Refusal}).Load(t.Context(), reader(256)); err == nil || !strings.Contains(err.Error(), "x.jsonl:2") {
		t.Errorf("rows of which some are unsafe: %v", err)
	}
}

func TestCheck(t *testing.T) {
	numeric := []reward.Spec{{Numeric: &reward.Numeric{Answer: "answer"}}}
	for _, c := range []struct {
		s    Suite
		want string
	}{
		{Suite{}, "file: missing"},
		{Suite{File: "f", Kind: "mmlu"}, `kind: "mmlu" is not known: use exact, choice`},
		{Suite{File: "f", Measure: "mean"}, "measure:"},
		{Suite{File: "f", Kind: Exact, Measure: "sum"}, "measure: sum is for choice and preference"},
		{Suite{File: "f", Format: "x"}, "format:"},
		{Suite{File: "f", Fields: map[string]string{"quest": "q"}}, "fields: mapping names"},
		{Suite{File: "f", Limit: -1}, "limit:"},
		{Suite{File: "f", MaxTokens: 5}, "max_tokens: only answers that are generated"},
		{Suite{File: "f", Kind: PassAtK}, "rewards: missing"},
		{Suite{File: "f", Kind: PassAtK, Rewards: numeric, K: []int{4}}, "temperature: 0 makes all 4 samples"},
		{Suite{File: "f", Kind: PassAtK, Rewards: numeric, K: []int{4}, Samples: 2, Temperature: 1}, "k: 4 is outside [1, 2]"},
		{Suite{File: "f", Kind: PassAtK, Rewards: numeric, Temperature: -1}, "temperature:"},
		{Suite{File: "f", Kind: PassAtK, Rewards: []reward.Spec{{}}}, "rewards[0]:"},
		{Suite{File: "f", Kind: Refusal, K: []int{1}}, "kind: refusal takes one answer"},
		{Suite{File: "f", Kind: PassAtK, Rewards: numeric, Samples: 1 << 20, Temperature: 1}, "samples:"},
	} {
		if err := c.s.Check(); err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.s, err, c.want)
		}
	}
}

// FuzzSuite: any bytes are questions of some kind, or an error that names the file.
func FuzzSuite(f *testing.F) {
	for _, rows := range [][]string{choiceRows, preferenceRows, textRows, exactRows, promptRows, {"", "[", "[{}]", "null", `{"choices": {"text": []}}`}} {
		f.Add([]byte(strings.Join(rows, "\n")), uint8(0))
		f.Add([]byte("["+strings.Join(rows, ",")+"]"), uint8(1))
	}
	f.Fuzz(func(t *testing.T, content []byte, kind uint8) {
		path := filepath.Join(t.TempDir(), "suite.jsonl")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		s := Suite{File: path, Kind: append([]Kind{Auto}, kinds...)[int(kind)%(len(kinds)+1)]}
		if s.Kind == PassAtK {
			s.Rewards = []reward.Spec{{Exact: &reward.Exact{Answer: "answer"}}}
		}
		q, err := s.Load(t.Context(), reader(64))
		if err != nil {
			if !strings.Contains(err.Error(), "suite.jsonl") {
				t.Fatalf("the error does not name the file: %v", err)
			}
			return
		}
		for i := range q.items {
			for _, a := range q.items[i].answers {
				if len(a.tokens) > 64 || a.supervised() == 0 {
					t.Fatalf("question %d: %d tokens, %d to predict", i, len(a.tokens), a.supervised())
				}
			}
			if q.Kind.generates() == (q.items[i].prompt == nil) || q.Kind == Choice && q.items[i].right >= len(q.items[i].answers) {
				t.Fatalf("question %d of kind %s: %+v", i, q.Kind, q.items[i])
			}
		}
	})
}

func TestLoadStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (Suite{File: file(t, "c.jsonl", choiceRows...)}).Load(ctx, reader(256)); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
