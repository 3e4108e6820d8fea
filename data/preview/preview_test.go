package preview_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/temper-ml/temper/data"
	"github.com/temper-ml/temper/data/chat"
	"github.com/temper-ml/temper/data/preview"
)

func load(t *testing.T, name, text string) (*data.Bytes, *data.Dataset, *data.Report) {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	tok := data.NewBytes(chat.V4{})
	l := data.Loader{Tokenizer: tok, Encoding: chat.V4{}}
	d, r, err := l.Load(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	return tok, d, r
}

func TestMarksAreWhereTheMaskIs(t *testing.T) {
	tok, d, _ := load(t, "a.jsonl", `{"prompt": "hi", "response": "yo\u001b[2J"}`)
	x := preview.Describe(tok, d, 0, true)
	for _, c := range []struct {
		style preview.Style
		want  string
	}{
		{preview.Style{}, `<｜begin▁of▁sentence｜><｜User｜>hi<｜Assistant｜></think>⟦yo\x1b[2J<｜end▁of▁sentence｜>⟧`},
		{preview.Style{Color: true}, "<｜begin▁of▁sentence｜><｜User｜>hi<｜Assistant｜></think>\x1b[32myo\\x1b[2J<｜end▁of▁sentence｜>\x1b[0m"},
		{preview.Style{Tokens: true}, `<｜begin▁of▁sentence｜>·<｜User｜>·h·i·<｜Assistant｜>·</think>·⟦y·o·\x1b·[·2·J·<｜end▁of▁sentence｜>·⟧`},
	} {
		if got := preview.Text(x.Spans, c.style); got != c.want {
			t.Errorf("%+v:\n got %q\nwant %q", c.style, got, c.want)
		}
	}
	if x.Tokens != 13 || x.Supervised != 7 {
		t.Errorf("%d tokens, %d supervised, want 13 and 7", x.Tokens, x.Supervised)
	}
}

// The spans of an example hold all its tokens in order.
func TestSpansLoseNothing(t *testing.T) {
	tok, d, _ := load(t, "a.jsonl", `{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}, {"role": "assistant", "content": "d"}]}`)
	x := preview.Describe(tok, d, 0, true)
	var ids []int32
	learnt := 0
	for _, s := range x.Spans {
		ids = append(ids, s.IDs...)
		if s.Supervised {
			learnt += len(s.IDs)
		}
	}
	e := d.Example(0)
	if tok.Decode(ids) != tok.Decode(e.Tokens) || len(ids) != len(e.Tokens) || learnt != e.Supervised() || len(x.Spans) != 4 {
		t.Errorf("%d spans with %d tokens, %d of them learnt; the example has %d and %d", len(x.Spans), len(ids), learnt, len(e.Tokens), e.Supervised())
	}
}

func TestRolesAndSummary(t *testing.T) {
	for text, want := range map[string]string{
		`{"prompt": "u", "chosen": "good", "rejected": "bad"}`: "chosen",
		`{"prompt": "u", "completion": "a", "label": false}`:   "undesirable",
		`{"prompt": "u", "answer": "7"}`:                       "prompt",
		`{"prompt": "u", "response": "a"}`:                     "",
	} {
		tok, d, r := load(t, "a.jsonl", text)
		x := preview.Describe(tok, d, 0, false)
		if x.Role != want {
			t.Errorf("%s: role %q, want %q", text, x.Role, want)
		}
		var out strings.Builder
		s := preview.Summarise(d, r)
		if err := s.Write(&out); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out.String(), "1 rows, ") || !strings.Contains(out.String(), "digest sha256:") {
			t.Errorf("summary %q", out.String())
		}
	}
}

func TestRows(t *testing.T) {
	tok, d, _ := load(t, "a.jsonl", strings.Repeat(`{"prompt": "hi", "response": "yo"}`+"\n", 5))
	s, err := data.NewStream(d, data.StreamConfig{SeqLen: 20, Rows: 2, InOrder: true})
	if err != nil {
		t.Fatal(err)
	}
	r := preview.DescribeRow(tok, s, 0, true, false)
	var out strings.Builder
	if err := r.Write(&out, preview.Style{}); err != nil {
		t.Fatal(err)
	}
	if len(r.Segments) != 2 || r.Tokens != 18 || r.Supervised != 6 || strings.Count(out.String(), "⟦yo") != 2 {
		t.Errorf("row %+v\n%s", r, out.String())
	}
	b, err := json.Marshal(&r)
	if err != nil || !strings.Contains(string(b), `"start":9,"end":18,"supervised":3`) {
		t.Errorf("json %s, %v", b, err)
	}
}
