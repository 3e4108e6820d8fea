package data_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/temper-ml/temper/data"
	"github.com/temper-ml/temper/data/chat"
	"github.com/temper-ml/temper/data/source"
)

// write puts text into a new file.
func write(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// pairs is n rows of one turn with answers of growing length.
func pairs(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "{\"prompt\": \"say %d\", \"response\": \"%s\"}\n", i, strings.Repeat("hello world ", i%37+1))
	}
	return b.String()
}

func byteLoader(o data.Options) *data.Loader {
	return &data.Loader{Tokenizer: data.NewBytes(chat.V4{}), Encoding: chat.V4{}, Options: o}
}

func mustLoad(t testing.TB, l *data.Loader, paths ...string) (*data.Dataset, *data.Report) {
	t.Helper()
	d, r, err := l.Load(t.Context(), paths...)
	if err != nil {
		t.Fatal(err)
	}
	return d, r
}

func TestLoadIsTheSameForAnyWorkers(t *testing.T) {
	path := write(t, "a.jsonl", pairs(1000))
	var want [32]byte
	for i, workers := range []int{1, 2, 7} {
		l := byteLoader(data.Options{})
		l.Workers = workers
		d, r := mustLoad(t, l, path)
		if r.Rows != 1000 || d.Len() != 1000 || d.Tokens() != r.Tokens || d.Supervised() != r.Supervised {
			t.Errorf("%d workers: %d examples, %d tokens, report %+v", workers, d.Len(), d.Tokens(), r)
		}
		for j := range d.Len() {
			if d.Source(j).Line != j+1 {
				t.Fatalf("%d workers: example %d is from line %d", workers, j, d.Source(j).Line)
			}
		}
		if i > 0 && d.Digest() != want {
			t.Errorf("%d workers give other examples than 1", workers)
		}
		want = d.Digest()
	}
}

func TestLoadReadsGzipAndSeveralFiles(t *testing.T) {
	text := pairs(50)
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	w.Write([]byte(text))
	w.Close()
	plain, zip := write(t, "a.jsonl", text), write(t, "b.jsonl.gz", zipped.String())
	both, r := mustLoad(t, byteLoader(data.Options{}), plain, zip)
	one, _ := mustLoad(t, byteLoader(data.Options{}), plain)
	if both.Len() != 100 || r.Rows != 100 {
		t.Fatalf("%d examples from two files of 50", both.Len())
	}
	second, err := both.Slice(50, 100)
	if err != nil {
		t.Fatal(err)
	}
	if second.Digest() != one.Digest() || second.Source(0).File != zip {
		t.Errorf("the zipped half differs from the plain file, or is said to be from %s", second.Source(0).File)
	}
}

func TestLongExamples(t *testing.T) {
	path := write(t, "a.jsonl", pairs(37)) // answers of 12 to 444 bytes
	const most = 100
	_, _, err := byteLoader(data.Options{MaxTokens: most}).Load(t.Context(), path)
	var row *source.Error
	if !errors.As(err, &row) || row.Line == 0 || !strings.Contains(row.Rule, "the limit is 100") || row.Fix == "" {
		t.Errorf("error %v does not name line, limit and fix", err)
	}
	all, _ := mustLoad(t, byteLoader(data.Options{}), path)
	fit, cut := 0, int64(0)
	for i := range all.Len() {
		if n := all.Length(i); n <= most {
			fit++
		} else {
			cut += int64(n - most)
		}
	}
	skipped, r := mustLoad(t, byteLoader(data.Options{MaxTokens: most, Overlong: data.SkipLong}), path)
	if skipped.Len() != fit || r.TooLong != int64(37-fit) {
		t.Errorf("skip: %d examples and %d left out, want %d and %d", skipped.Len(), r.TooLong, fit, 37-fit)
	}
	short, r := mustLoad(t, byteLoader(data.Options{MaxTokens: most, Overlong: data.TruncateLong}), path)
	if short.Len() != 37 || r.Truncated != int64(37-fit) || r.CutTokens != cut {
		t.Errorf("truncate: %d examples, report %+v, want %d truncated and %d tokens cut", short.Len(), r, 37-fit, cut)
	}
	nothing := write(t, "b.jsonl", `{"prompt": "`+strings.Repeat("x", 200)+`", "response": "y"}`+"\n"+`{"prompt": "x", "response": "y"}`)
	d, r := mustLoad(t, byteLoader(data.Options{MaxTokens: most, Overlong: data.TruncateLong}), nothing)
	if d.Len() != 1 || r.Unlearnt != 1 || r.Truncated != 0 {
		t.Errorf("a row cut before its answer: %d examples, report %+v", d.Len(), r)
	}
}

// Split documents learn every token but the first exactly once.
func TestSplitDocuments(t *testing.T) {
	text := strings.Repeat("All the world's a stage. ", 40)
	path := write(t, "a.txt", text)
	whole, _ := mustLoad(t, byteLoader(data.Options{}), path)
	d, r := mustLoad(t, byteLoader(data.Options{MaxTokens: 64, Overlong: data.SplitLong}), path)
	if r.Split != 1 || r.Rows != 1 || d.Len() != r2(len(text)+1, 63) {
		t.Errorf("%d pieces, report %+v", d.Len(), r)
	}
	var learnt []int32
	for i := range d.Len() {
		e := d.Example(i)
		if len(e.Tokens) > 64 || e.Mask[0] || e.Source.Part != i {
			t.Errorf("piece %d: %d tokens, first learnt %t, part %d", i, len(e.Tokens), e.Mask[0], e.Source.Part)
		}
		learnt = append(learnt, e.Tokens[1:]...)
	}
	e := whole.Example(0)
	if string32(learnt) != string32(e.Tokens[1:]) || d.Supervised() != whole.Supervised() {
		t.Errorf("the pieces learn %d tokens, the document has %d after its first", len(learnt), len(e.Tokens)-1)
	}
}

func r2(n, d int) int { return (n + d - 1) / d }

func string32(ids []int32) string { return fmt.Sprint(ids) }

func TestBadRowsAreListedOrSkipped(t *testing.T) {
	lines := strings.Split(strings.TrimSpace(pairs(300)), "\n")
	for i := range 30 {
		lines[10*i] = `{"prompt": "x", "response": ""}`
	}
	lines[5] = `{"prompt": "x", "response": "<think>y"}`
	path := write(t, "a.jsonl", strings.Join(lines, "\n"))
	_, _, err := byteLoader(data.Options{Source: source.Options{Format: source.Pair}}).Load(t.Context(), path)
	var bad *data.RowErrors
	if !errors.As(err, &bad) || len(bad.Errors) != 20 || bad.More != 11 {
		t.Fatalf("error %v, want 20 rows and 11 more", err)
	}
	if text := bad.Error(); !strings.HasPrefix(text, path+":1:") || !strings.Contains(text, path+":6: ") || !strings.HasSuffix(text, "and 11 more bad rows") {
		t.Errorf("the list does not begin with lines 1 and 6 in order, or does not end with the count:\n%s", text)
	}
	d, r := mustLoad(t, byteLoader(data.Options{BadRows: data.SkipRows, Source: source.Options{Format: source.Pair}}), path)
	if d.Len() != 269 || r.Bad != 31 || len(r.FirstBad) != 20 || r.Rows != 300 {
		t.Errorf("%d examples, %d bad of %d rows, %d listed", d.Len(), r.Bad, r.Rows, len(r.FirstBad))
	}
}

func TestLoadCanBeCancelled(t *testing.T) {
	path := write(t, "a.jsonl", pairs(5000))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := byteLoader(data.Options{}).Load(ctx, path); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want a cancelled load", err)
	}
}

func TestKindsOfRows(t *testing.T) {
	pref := write(t, "p.jsonl", `{"prompt": "u", "chosen": "good", "rejected": "bad"}`+"\n")
	d, _ := mustLoad(t, byteLoader(data.Options{}), pref)
	chosen, rejected := d.Pair(0)
	tok := data.NewBytes(chat.V4{})
	if d.Kind() != source.Preference || d.Pairs() != 1 || learntText(chosen, tok) != "good<｜end▁of▁sentence｜>" || learntText(rejected, tok) != "bad<｜end▁of▁sentence｜>" {
		t.Errorf("preference: %s, %q and %q", d.Kind(), learntText(chosen, tok), learntText(rejected, tok))
	}
	if one := d.Chosen(); one.Kind() != source.Supervised || one.Len() != 1 || learntText(one.Example(0), tok) != "good<｜end▁of▁sentence｜>" || one.Source(0) != d.Source(0) {
		t.Errorf("chosen: %s, %d examples", one.Kind(), one.Len())
	}
	kto := write(t, "k.jsonl", `{"prompt": "u", "completion": "a", "label": true}`+"\n"+`{"prompt": "u", "completion": "b", "label": false}`)
	d, _ = mustLoad(t, byteLoader(data.Options{}), kto)
	if d.Kind() != source.Feedback || !d.Desirable(0) || d.Desirable(1) {
		t.Errorf("feedback: %s, %t, %t", d.Kind(), d.Desirable(0), d.Desirable(1))
	}
	prompts := write(t, "q.jsonl", `{"prompt": "1+1", "answer": 2}`+"\n")
	d, _ = mustLoad(t, byteLoader(data.Options{}), prompts)
	e := d.Example(0)
	if d.Kind() != source.Prompt || d.Answer(0) != "2" || e.Supervised() != 0 || !strings.HasSuffix(tok.Decode(e.Tokens), "1+1<｜Assistant｜></think>") {
		t.Errorf("prompt: %s, answer %q, %q", d.Kind(), d.Answer(0), tok.Decode(e.Tokens))
	}
	if _, _, err := byteLoader(data.Options{}).Load(t.Context(), pref, kto); err == nil || !strings.Contains(err.Error(), "load them separately") {
		t.Errorf("preference and kto rows in one data set: error %v", err)
	}
}

func TestSlice(t *testing.T) {
	d, _ := mustLoad(t, byteLoader(data.Options{}), write(t, "a.jsonl", pairs(10)))
	a, err := d.Slice(0, 4)
	if err != nil {
		t.Fatal(err)
	}
	b, err := d.Slice(4, 10)
	if err != nil {
		t.Fatal(err)
	}
	if a.Len()+b.Len() != 10 || a.Tokens()+b.Tokens() != d.Tokens() {
		t.Errorf("%d + %d examples, %d + %d tokens of %d", a.Len(), b.Len(), a.Tokens(), b.Tokens(), d.Tokens())
	}
	for i := range 6 {
		if string32(b.Example(i).Tokens) != string32(d.Example(i+4).Tokens) || b.Source(i) != d.Source(i+4) {
			t.Errorf("example %d of the second half is not example %d", i, i+4)
		}
	}
	for _, bounds := range [][2]int{{-1, 3}, {3, 3}, {0, 11}} {
		if _, err := d.Slice(bounds[0], bounds[1]); err == nil {
			t.Errorf("examples %v of 10 were given", bounds)
		}
	}
}

func TestOptionsRefuse(t *testing.T) {
	for _, o := range []data.Options{
		{Turns: "first"},
		{History: "maybe"},
		{Overlong: "cut"},
		{BadRows: "fix"},
		{MaxTokens: -1},
		{MaxTokens: 1},
		{Overlong: data.SplitLong},
		{Source: source.Options{Thinking: "hard"}},
		{Source: source.Options{Format: "csv"}},
		{Source: source.Options{Mapping: map[string]string{"question": "prompt"}}},
		{Source: source.Options{MaxRowBytes: -1}},
	} {
		if err := o.Check(); err == nil {
			t.Errorf("%+v was accepted", o)
		}
	}
}

// Rows that are no pairs are named with their place, or counted.
func TestBadPairs(t *testing.T) {
	const good = `{"prompt": "u", "chosen": "good", "rejected": "bad"}`
	for row, want := range map[string]string{
		`{"prompt": "u", "chosen": "same", "rejected": "same"}`:                                                                                                     "the same",
		`{"prompt": "u", "chosen": "", "rejected": "bad"}`:                                                                                                          "chosen is empty",
		`{"prompt": "u", "chosen": "good", "rejected": "  "}`:                                                                                                       "rejected is empty",
		`{"chosen": "\n\nHuman: u\n\nAssistant: good", "rejected": "\n\nHuman: u\n\nAssistant:"}`:                                                                   "says nothing",
		`{"prompt": "u", "chosen": {"role": "assistant", "content": " "}, "rejected": "bad"}`:                                                                       "chosen is empty",
		`{"chosen": "\n\nHuman: u\n\nAssistant: good", "rejected": "\n\nHuman: v\n\nAssistant: bad"}`:                                                               "different prompts",
		`{"prompt": "u", "chosen": [{"role": "assistant", "content": "x"}], "rejected": [{"role": "assistant", "content": "y"}, {"role": "user", "content": "z"}]}`: "nothing to learn after it",
	} {
		path := write(t, "p.jsonl", good+"\n"+row+"\n"+good+"\n")
		_, _, err := byteLoader(data.Options{}).Load(t.Context(), path)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path+":2") {
			t.Errorf("%s: error %v, want the place and %q", row, err, want)
		}
		d, r := mustLoad(t, byteLoader(data.Options{BadRows: data.SkipRows}), path)
		if d.Pairs() != 2 || r.Bad != 1 || len(r.FirstBad) != 1 {
			t.Errorf("%s: %d pairs, report %+v", row, d.Pairs(), r)
		}
	}
}

// Both sides of a pair lose the same tokens of their prompt, and no other.
func TestLongPairs(t *testing.T) {
	path := write(t, "p.jsonl", `{"prompt": "0123456789abcdefghij", "chosen": "good", "rejected": "bad"}`+"\n"+
		`{"prompt": "u", "chosen": "`+strings.Repeat("long ", 20)+`", "rejected": "bad"}`+"\n")
	whole, _ := mustLoad(t, byteLoader(data.Options{}), path)
	n := whole.Length(0) + whole.Length(1)
	most := n - 9
	_, _, err := byteLoader(data.Options{MaxTokens: most}).Load(t.Context(), path)
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("p.jsonl:1: the pair has %d tokens, the limit of both sides together is %d", n, most)) {
		t.Errorf("error %v", err)
	}
	if d, r := mustLoad(t, byteLoader(data.Options{MaxTokens: n, Overlong: data.SkipLong}), path); d.Pairs() != 1 || r.TooLong != 1 {
		t.Errorf("skip: %d pairs, report %+v", d.Pairs(), r)
	}
	cut, r := mustLoad(t, byteLoader(data.Options{MaxTokens: most, Overlong: data.TruncateLong}), path)
	if cut.Pairs() != 1 || r.Truncated != 2 || r.CutTokens != 10 || r.TooLong != 1 {
		t.Fatalf("truncate: %d pairs, report %+v", cut.Pairs(), r)
	}
	for i, e := range []data.Example{cut.Example(0), cut.Example(1)} {
		full := whole.Example(i)
		if want := append(full.Tokens[:1:1], full.Tokens[6:]...); !slices.Equal(e.Tokens, want) || e.Supervised() != full.Supervised() {
			t.Errorf("side %d has tokens %v, want %v", i, e.Tokens, want)
		}
	}
	s, err := data.NewStream(cut, data.StreamConfig{SeqLen: most, Rows: 1})
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Examples(0); !slices.Equal(got, []int{0, 1}) {
		t.Errorf("row 0 has examples %v", got)
	}
}

// Judged answers that are too long lose the beginning of their prompt, and rows that
// are left out are named.
func TestOverlongAnswers(t *testing.T) {
	long := strings.Repeat("word ", 30)
	path := write(t, "k.jsonl", `{"prompt": "u", "completion": "a", "label": true}
{"prompt": "`+long+`end", "completion": "b", "label": false}
{"prompt": "u", "completion": "`+long+`", "label": true}
`)
	tok := data.NewBytes(chat.V4{})
	o := data.Options{MaxTokens: 40, Overlong: data.TruncateLong}
	d, r := mustLoad(t, byteLoader(o), path)
	if d.Len() != 2 || d.Length(1) != 40 || d.Desirable(1) || learntText(d.Example(1), tok) != "b<｜end▁of▁sentence｜>" || r.Truncated != 1 || r.TooLong != 1 {
		t.Errorf("%d examples, %d tokens, report %+v", d.Len(), d.Length(1), r)
	}
	if text := tok.Decode(d.Example(1).Tokens); !strings.HasPrefix(text, "<｜begin▁of▁sentence｜>") || !strings.Contains(text, "word end<｜Assistant｜>") {
		t.Errorf("the shortened row is %q", text)
	}
	if len(r.FirstLong) != 1 || !strings.HasPrefix(r.FirstLong[0], path+":3: the row has ") {
		t.Errorf("left out: %q", r.FirstLong)
	}
	o.Overlong = data.SkipLong
	if d, r := mustLoad(t, byteLoader(o), path); d.Len() != 1 || r.TooLong != 2 || len(r.FirstLong) != 2 || !strings.HasPrefix(r.FirstLong[0], path+":2: ") {
		t.Errorf("%d examples, report %+v", d.Len(), r)
	}
	o.Overlong = data.RefuseLong
	if _, _, err := byteLoader(o).Load(t.Context(), path); err == nil || !strings.Contains(err.Error(), path+":2: the row has ") || !strings.Contains(err.Error(), path+":3: the row has ") {
		t.Errorf("error %v", err)
	}
	pair := write(t, "p.jsonl", `{"prompt": "u", "chosen": "`+long+`", "rejected": "no"}
{"prompt": "`+long+`", "chosen": "yes", "rejected": "no"}
{"prompt": "u", "chosen": "yes", "rejected": "no"}
`)
	o.MaxTokens, o.Overlong = 60, data.TruncateLong
	d, r = mustLoad(t, byteLoader(o), pair)
	if d.Pairs() != 2 || r.Truncated != 2 || len(r.FirstLong) != 1 || !strings.HasPrefix(r.FirstLong[0], pair+":1: the pair has ") {
		t.Errorf("%d pairs, report %+v", d.Pairs(), r)
	}
	if j := d.Judged(); j.Kind() != source.Feedback || j.Len() != 4 || !j.Desirable(2) || j.Desirable(3) || j.Digest() == d.Digest() || j.Source(3) != d.Source(3) {
		t.Errorf("taken apart: %s, %d answers", j.Kind(), j.Len())
	}
}

// Pairs and judged answers that say nothing, or twice the same, are named with their
// line, and left out if bad rows are to be.
func TestAnswersThatTeachNothing(t *testing.T) {
	for _, c := range []struct{ row, want string }{
		{`{"prompt": "u", "chosen": "a", "rejected": "a"}`, "chosen and rejected are the same"},
		{`{"prompt": "u", "chosen": "a", "rejected": ""}`, "rejected is empty"},
		{`{"prompt": "u", "chosen": " \n", "rejected": "b"}`, "chosen is empty"},
		{`{"prompt": "u", "chosen": [{"role": "assistant", "content": "a"}], "rejected": [{"role": "assistant", "content": " "}]}`, "rejected is empty"},
		{`{"prompt": "u", "chosen": [{"role": "assistant", "content": ""}], "rejected": [{"role": "assistant", "content": "b"}]}`, "says nothing"},
		{`{"chosen": "\n\nHuman: p\n\nAssistant: ", "rejected": "\n\nHuman: p\n\nAssistant: r"}`, "says nothing"},
		{`{"prompt": "u", "completion": "  ", "label": true}`, "is empty"},
		{`{"messages": [{"role": "user", "content": "p"}, {"role": "assistant", "content": " "}], "label": false}`, "is empty"},
	} {
		good := `{"prompt": "u", "chosen": "a", "rejected": "b"}`
		if strings.Contains(c.row, "label") {
			good = `{"prompt": "u", "completion": "a", "label": true}`
		}
		path := write(t, "a.jsonl", good+"\n"+c.row+"\n")
		if _, _, err := byteLoader(data.Options{}).Load(t.Context(), path); err == nil || !strings.Contains(err.Error(), path+":2:") && !strings.Contains(err.Error(), path+":2 ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q of line 2", c.row, err, c.want)
		}
		d, r := mustLoad(t, byteLoader(data.Options{BadRows: data.SkipRows}), path)
		if r.Bad != 1 || len(r.FirstBad) != 1 || !strings.Contains(r.FirstBad[0], c.want) || d.Tokens() == 0 {
			t.Errorf("%s: report %+v", c.row, r)
		}
	}
}
