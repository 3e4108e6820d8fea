package opd

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/temper-ml/temper/compute/dtype"
	"github.com/temper-ml/temper/data/tokenizer"
	"github.com/temper-ml/temper/internal/durable"
	"github.com/temper-ml/temper/internal/durable/durabletest"
	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/model/deepseek/deepseektest"
	"github.com/temper-ml/temper/train/checkpoint/hf"
)

// words is a small tokenizer.json as text.
func words(t *testing.T) string {
	t.Helper()
	tok, err := tokenizer.Train(slices.Values([]string{strings.Repeat("so many words, and so few that are many ", 9)}), tokenizer.TrainOptions{
		VocabSize: 320, MinFrequency: 2, Special: tokenizer.V4Specials(), PreTokenizer: "deepseek",
	})
	if err != nil {
		t.Fatal(err)
	}
	text, err := tok.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// changed is a tokenizer.json of which a part was changed.
func changed(t *testing.T, text string, change func(m map[string]any)) string {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		t.Fatal(err)
	}
	change(m)
	out, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// A teacher's tokenizer is refused for the first thing that gives text other ids, and
// for nothing else.
func TestTokenizers(t *testing.T) {
	text := words(t)
	student, err := tokenizer.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	added := func(m map[string]any, i int) map[string]any { return m["added_tokens"].([]any)[i].(map[string]any) }
	for what, c := range map[string]struct{ text, want string }{
		"the same":             {text, ""},
		"other spaces":         {changed(t, text, func(map[string]any) {}), ""},
		"other post-processor": {changed(t, text, func(m map[string]any) { m["post_processor"] = nil }), ""},
		"more": {changed(t, text, func(m map[string]any) {
			m["added_tokens"] = append(m["added_tokens"].([]any), map[string]any{"id": student.VocabSize(), "content": "<more>", "special": true})
		}), "tokens, the student's tokenizer"},
		"another name": {strings.ReplaceAll(text, "<｜User｜>", "<｜Usus｜>"), `is "<｜Usus｜>", the student's is "<｜User｜>"`},
		"not special":  {changed(t, text, func(m map[string]any) { added(m, 0)["special"] = !added(m, 0)["special"].(bool) }), "is special: "},
		"other merges": {changed(t, text, func(m map[string]any) {
			merges := m["model"].(map[string]any)["merges"].([]any)
			slices.Reverse(merges[:2])
		}), "its model is another"},
		"other pieces": {changed(t, text, func(m map[string]any) {
			m["pre_tokenizer"] = map[string]any{"type": "ByteLevel", "add_prefix_space": false, "use_regex": true}
		}), "its pre_tokenizer is another"},
	} {
		teacher, err := tokenizer.Parse([]byte(c.text))
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		err = sameTokens(student, teacher)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", what, err, c.want)
		}
	}
}

// A teacher in a directory says what it says in memory, and a directory that is none is
// refused by name.
func TestPublished(t *testing.T) {
	text, dir := words(t), filepath.Join(t.TempDir(), "teacher")
	tok, err := tokenizer.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	c := deepseektest.SmallV4()
	c.VocabSize = tok.VocabSize()
	m, err := deepseek.New(c)
	if err != nil {
		t.Fatal(err)
	}
	m.Init(5)
	o := hf.Options{DType: dtype.F32, Files: map[string][]byte{"tokenizer.json": []byte(text)}}
	err = hf.WriteSlices(durabletest.NoSync(durable.OS), dir, c, o, func(x *arch.Tensor) ([]float32, error) { return m.Param(x.Name).Data, nil })
	if err != nil {
		t.Fatal(err)
	}
	teacher, err := Published("maths", dir, tok, 32)
	if err != nil {
		t.Fatal(err)
	}
	want, err := Digest(m)
	if err != nil {
		t.Fatal(err)
	}
	if err := teacher.Identify(); err != nil || teacher.Digest != want || teacher.Tokenizer != tok.Digest() {
		t.Errorf("%v: the teacher is %s with %s", err, teacher.Digest, teacher.Tokenizer)
	}
	for _, c := range []struct {
		want  string
		spoil func() error
	}{
		{"tokenizer.json: ", func() error { return os.WriteFile(filepath.Join(dir, "tokenizer.json"), []byte("{"), 0o600) }},
		{"tokenizer.json is missing: it", func() error { return os.Remove(filepath.Join(dir, "tokenizer.json")) }},
		{"no such file", func() error { return os.RemoveAll(dir) }},
	} {
		if err := c.spoil(); err != nil {
			t.Fatal(err)
		}
		if _, err := Published("maths", dir, tok, 32); err == nil || !strings.HasPrefix(err.Error(), `teacher "maths": `) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}
