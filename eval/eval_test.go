package eval

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/temper-ml/temper/data"
	"github.com/temper-ml/temper/data/chat"
	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/model/deepseek/deepseektest"
)

// smallModel has the bytes and the special tokens of an encoding as vocabulary,
// and random parameters, which the reference has too.
func smallModel(t testing.TB) (*arch.Config, map[string][]float64, *deepseek.Model) {
	t.Helper()
	cfg := deepseektest.SmallV4()
	cfg.VocabSize, cfg.MaxPositions = data.NewBytes(chat.V4{}).VocabSize(), 2048
	params := deepseektest.RandomParams(cfg, 3)
	m, err := deepseek.NewFrozen(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range params {
		p := m.Param(name)
		for i, v := range values {
			p.Data[i] = float32(v)
		}
	}
	return cfg, params, m
}

func reader(sequence int) Reader {
	return Reader{Tokenizer: data.NewBytes(chat.V4{}), Encoding: "deepseek-v4", Sequence: sequence}
}

// file writes a suite of the given lines.
func file(t testing.TB, name string, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func load(t testing.TB, s Suite, sequence int) *Questions {
	t.Helper()
	q, err := s.Load(t.Context(), reader(sequence))
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// ask measures a suite and keeps what is said of each question.
func ask(t testing.TB, q *Questions, m *deepseek.Model) (*Result, []*Item) {
	t.Helper()
	var items []*Item
	done := 0
	r, err := q.Measure(t.Context(), m, Options{
		Details:  true,
		Items:    func(it *Item) error { items = append(items, it); return nil },
		Progress: func(n, total int) { done = n },
	})
	if err != nil {
		t.Fatal(err)
	}
	if done != q.Len() || len(items) != q.Len() || r.Questions != q.Len() {
		t.Fatalf("progress ends at %d of %d questions, %d were told", done, q.Len(), len(items))
	}
	for name, x := range r.Metrics {
		if i := x.Interval; x.Count < 1 || i != nil && !(i[0] <= x.Value && x.Value <= i[1]) {
			t.Errorf("%s: %v over %d, interval %v", name, x.Value, x.Count, i)
		}
	}
	return r, items
}

var (
	choiceRows = []string{
		`{"question": "2 + 2?", "choices": ["3", "4", "five"], "answer": 1}`,
		`{"system": "Be brief.", "question": "Capital of France", "choices": ["Paris", "Rome"], "answer": "A"}`,
		`{"question": "Pick", "choices": {"text": ["a", "ab", "abc"], "label": ["x", "y", "z"]}, "answerKey": "z"}`,
		`{"question": "which", "choices": ["one thing", "another", "a third, and long"], "answer": "another"}`,
	}
	preferenceRows = []string{
		`{"prompt": "Hi", "chosen": "Hello there.", "rejected": "Go away"}`,
		`{"chosen": "\n\nHuman: steal?\n\nAssistant: No, sorry.", "rejected": "\n\nHuman: steal?\n\nAssistant: Sure, take it all."}`,
		`{"prompt": "x", "chosen": "y", "rejected": "z"}`,
	}
	textRows  = []string{`{"text": "The cat sat."}`, `{"text": "A longer document, with rather more words in it than that."}`, `{"text": "ÄÖ ü"}`}
	exactRows = []string{`{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}`, `{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "w"}, {"role": "user", "content": "e"}, {"role": "assistant", "content": "r"}]}`}
)

// reference is an answer's log-probability in float64, by the plain model.
func reference(t *testing.T, r *deepseektest.Reference, a *answer) float64 {
	t.Helper()
	n := len(a.tokens)
	b := deepseektest.Batch{Tokens: a.tokens, Labels: a.labels, MTPLabels: make([]int32, n), Segments: [][2]int{{0, n}}}
	for i := range b.MTPLabels {
		b.MTPLabels[i] = -1
	}
	out, err := r.Run(b, deepseektest.Scales{LM: 1})
	if err != nil {
		t.Fatal(err)
	}
	return -out.LM
}

// TestLikelihoodsEqualTheReference: every kind that compares or adds likelihoods,
// against float64 and definitions written out again.
func TestLikelihoodsEqualTheReference(t *testing.T) {
	cfg, params, m := smallModel(t)
	for name, rows := range map[string][]string{"choice": choiceRows, "preference": preferenceRows, "perplexity": textRows, "exact": exactRows} {
		t.Run(name, func(t *testing.T) {
			q := load(t, Suite{File: file(t, "rows.jsonl", rows...)}, 512)
			if string(q.Kind) != name || q.Len() != len(rows) || q.Rows != int64(len(rows)) {
				t.Fatalf("read as %s: %d questions of %d rows", q.Kind, q.Len(), q.Rows)
			}
			r, items := ask(t, q, m)
			want := make([][]float64, q.Len())
			for i := range q.items {
				for j := range q.items[i].answers {
					a := &q.items[i].answers[j]
					p := reference(t, deepseektest.New(cfg, params), a)
					want[i] = append(want[i], p)
					if got := *items[i].Answers[j].LogProb; math.Abs(got-p) > 1e-5*float64(len(a.tokens)) {
						t.Errorf("row %d: answer %d: log-probability %v, in float64 %v", i, j, got, p)
					}
				}
			}
			definitions(t, q, r, want)
		})
	}
}

// definitions holds a result to what the reference's log-probabilities say.
func definitions(t *testing.T, q *Questions, r *Result, logp [][]float64) {
	t.Helper()
	sum, tokens, bytes, words, n := 0.0, 0.0, 0.0, 0.0, float64(q.Len())
	right := map[string]float64{}
	for i, it := range q.items {
		length := func(measure string, j int) float64 {
			return map[string]float64{"sum": 1, "token": float64(it.answers[j].supervised()), "byte": float64(it.answers[j].bytes)}[measure]
		}
		for _, measure := range Measures {
			best := 0
			for j := range logp[i] {
				if logp[i][j]/length(measure, j) > logp[i][best]/length(measure, best) {
					best = j
				}
			}
			if best == it.right {
				right[measure]++
			}
		}
		for j := range logp[i] {
			sum -= logp[i][j]
			tokens += length("token", j)
			bytes += float64(it.answers[j].bytes)
			words += float64(it.answers[j].words)
		}
	}
	want := map[string]float64{}
	switch q.Kind {
	case Choice, Preference:
		for _, measure := range Measures {
			want[measure] = right[measure] / n
		}
		if r.Score == nil || float64(r.Score.Right) != right["sum"] || r.Score.Total != q.Len() {
			t.Errorf("score %v, want %v of %d", r.Score, right["sum"], q.Len())
		}
	case Perplexity:
		want["loss"], want["perplexity"] = sum/tokens, math.Exp(sum/tokens)
		want["bits_per_byte"], want["word_perplexity"] = sum/math.Ln2/bytes, math.Exp(sum/words)
	case Exact:
		want["exact"], want["loss"] = 0, sum/tokens
	}
	for name, w := range want {
		if got := r.Metrics[name].Value; math.Abs(got-w) > 1e-4*(1+math.Abs(w)) {
			t.Errorf("%s: %v, want %v", name, got, w)
		}
	}
}

// TestResultsDoNotDependOnPasses: how many questions go through the model at once
// changes no bit of what is said.
func TestResultsDoNotDependOnPasses(t *testing.T) {
	_, _, m := smallModel(t)
	for name, rows := range map[string][]string{"choice": choiceRows, "preference": preferenceRows, "perplexity": textRows, "exact": exactRows} {
		path := file(t, "rows.jsonl", rows...)
		var first string
		for _, sequence := range []int{96, 128, 2048} {
			r, items := ask(t, load(t, Suite{File: path}, sequence), m)
			b, err := json.Marshal([]any{r, items})
			if err != nil {
				t.Fatal(err)
			}
			if first == "" {
				first = string(b)
			}
			if string(b) != first {
				t.Errorf("%s: passes of %d tokens give\n%s\nwant\n%s", name, sequence, b, first)
			}
		}
	}
}

// TestDocumentsInWindows: each token is predicted once wherever a text is cut, and
// bytes and words are those of the text.
func TestDocumentsInWindows(t *testing.T) {
	text := strings.Repeat("some words here ", 40)
	path := file(t, "text.txt", text)
	want := load(t, Suite{File: path}, 4096)
	for _, sequence := range []int{8, 9, 64, 641} {
		q := load(t, Suite{File: path}, sequence)
		var predicted []int32
		for _, a := range q.items[0].answers {
			if len(a.tokens) > sequence {
				t.Fatalf("a window of %d tokens, rows have %d", len(a.tokens), sequence)
			}
			for _, l := range a.labels {
				if l >= 0 {
					predicted = append(predicted, l)
				}
			}
		}
		if got := fmt.Sprint(predicted); got != fmt.Sprint(want.items[0].answers[0].tokens[1:]) {
			t.Fatalf("windows of %d predict %s", sequence, got)
		}
	}
	_, _, m := smallModel(t)
	r, _ := ask(t, load(t, Suite{File: path}, 64), m)
	if b, w := r.Metrics["bits_per_byte"], r.Metrics["word_perplexity"]; b.Count != int64(len(text)+1) || w.Count != 120 || b.Interval == nil {
		t.Errorf("%d bytes and %d words, want %d and 120; interval %v", b.Count, w.Count, len(text)+1, b.Interval)
	}
}

// A text without white space is one word: its perplexity stops at the largest number.
func TestOneLongWord(t *testing.T) {
	_, _, m := smallModel(t)
	r, _ := ask(t, load(t, Suite{File: file(t, "t.jsonl", `{"text": "`+strings.Repeat("字", 400)+`"}`)}, 2048), m)
	if w := r.Metrics["word_perplexity"]; w.Value != math.MaxFloat64 || w.Count != 1 {
		t.Errorf("%+v", w)
	}
	if _, err := json.Marshal(r); err != nil {
		t.Error(err)
	}
}

// Ties go to the lower index, and prefer nothing: a model whose head is zero finds
// all answers of a length equally likely.
func TestTies(t *testing.T) {
	_, _, m := smallModel(t)
	clear(m.Param("head.weight").Data)
	r, items := ask(t, load(t, Suite{File: file(t, "c.jsonl", `{"question": "q", "choices": ["ab", "cd", "ef"], "answer": 0}`, `{"question": "q", "choices": ["ab", "cd", "ef"], "answer": 2}`)}, 256), m)
	if r.Score.Right != 1 || items[1].Chosen["token"] != 0 || r.Metrics["chance"].Value != 1.0/3 {
		t.Errorf("%+v of two ties, chosen %v, chance %v", r.Score, items[1].Chosen, r.Metrics["chance"])
	}
	r, _ = ask(t, load(t, Suite{File: file(t, "p.jsonl", `{"prompt": "q", "chosen": "ab", "rejected": "cd"}`)}, 256), m)
	if r.Score.Right != 0 {
		t.Errorf("a tie prefers the chosen answer")
	}
}

// TestNonFinite: a model that has gone wrong is no result.
func TestNonFinite(t *testing.T) {
	_, _, m := smallModel(t)
	m.Param("head.weight").Data[0] = float32(math.NaN())
	q := load(t, Suite{File: file(t, "p.jsonl", preferenceRows...)}, 256)
	if _, err := q.Measure(t.Context(), m, Options{}); err == nil || !strings.Contains(err.Error(), "p.jsonl:") {
		t.Errorf("a model of NaN gives %v", err)
	}
}

// TestComparisonsEqualPasses: what goes through the model once for all answers to a
// question gives the bits of passes over each answer with its question.
func TestComparisonsEqualPasses(t *testing.T) {
	_, _, m := smallModel(t)
	for name, rows := range map[string][]string{"choice": choiceRows, "preference": preferenceRows} {
		q := load(t, Suite{File: file(t, "rows.jsonl", rows...)}, 512)
		var got, want [][]scored
		collect := func(to *[][]scored) func(int, []scored) error {
			return func(_ int, answers []scored) error {
				*to = append(*to, answers)
				return nil
			}
		}
		if err := q.compare(t.Context(), m, Options{}, collect(&got)); err != nil {
			t.Fatal(err)
		}
		if err := q.score(t.Context(), m, pass{logp: true}, Options{}, collect(&want)); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, in whole passes %v", name, got, want)
		}
	}
}
