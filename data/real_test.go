package data_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/temper-ml/temper/data"
	"github.com/temper-ml/temper/data/chat"
	"github.com/temper-ml/temper/data/source"
)

// realFile returns a file of the real data sets.
func realFile(t *testing.T, name string) string {
	t.Helper()
	dir := os.Getenv("TEMPER_DATA")
	if dir == "" {
		t.Skip("TEMPER_DATA is not set: it names the directory with the real data sets")
	}
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("no real data: %v", err)
	}
	return path
}

func TestRealData(t *testing.T) {
	for _, c := range []struct {
		file     string
		opts     data.Options
		kind     source.Kind
		examples int
		bad      int64
	}{
		{"gsm8k_train.jsonl", data.Options{Source: source.Options{Mapping: map[string]string{"prompt": "question", "response": "answer"}}}, source.Supervised, 7473, 0},
		{"gsm8k_test.jsonl", data.Options{Source: source.Options{Format: source.PromptFormat, Mapping: map[string]string{"prompt": "question"}}}, source.Prompt, 1319, 0},
		{"alpaca_seed_tasks.jsonl", data.Options{}, source.Supervised, 175, 0},
		{"or_sft_seed.jsonl", data.Options{Source: source.Options{SplitThink: true, Mapping: map[string]string{"prompt": "problem", "response": "answer"}}}, source.Supervised, 200, 0},
		{"hh_harmless_test.jsonl.gz", data.Options{BadRows: data.SkipRows}, source.Preference, 2 * 2308, 4},
		{"tinyshakespeare.txt", data.Options{Source: source.Options{Separator: "\n\n"}}, source.Text, 7222, 0},
	} {
		t.Run(c.file, func(t *testing.T) {
			d, r := mustLoad(t, &data.Loader{Tokenizer: bpe, Encoding: chat.V4{}, Options: c.opts}, realFile(t, c.file))
			if d.Kind() != c.kind || d.Len() != c.examples || r.Bad != c.bad {
				t.Errorf("%d examples of kind %s, %d bad rows; want %d, %s, %d", d.Len(), d.Kind(), r.Bad, c.examples, c.kind, c.bad)
			}
			for i := range d.Len() {
				if e := d.Example(i); c.kind != source.Prompt && e.Supervised() == 0 {
					t.Fatalf("%s teaches nothing", e.Source)
				}
			}
			e := d.Example(0)
			t.Logf("%s", strings.ReplaceAll(bpe.Decode(e.Tokens[:min(40, len(e.Tokens))]), "\n", "\\n"))
		})
	}
}
