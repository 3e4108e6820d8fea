package rollout

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/temper-ml/temper/posttrain"
)

// TestRealQuestions: files of four layouts as questions. Every prompt ends with what asks
// for an answer, and holds nothing of one.
func TestRealQuestions(t *testing.T) {
	dir := os.Getenv("TEMPER_DATA")
	if dir == "" {
		t.Skip("real data: set TEMPER_DATA to the directory that holds it")
	}
	tok := bytesOf(t, "deepseek-v4")
	for name, field := range map[string]string{
		"gsm8k_test.jsonl": "answer", "alpaca_seed_tasks.jsonl": "instances", "hh_harmless_test.jsonl.gz": "chosen", "or_sft_seed.jsonl": "metadata",
	} {
		t.Run(name, func(t *testing.T) {
			d := posttrain.Data{Files: []string{filepath.Join(dir, name)}, Format: "auto", Encoding: "deepseek-v4", Sequence: 8192, HoldOut: 0.1, BadRows: "skip", Overlong: "skip", Thinking: "chat"}
			if name == "or_sft_seed.jsonl" {
				d.Fields = map[string]string{"prompt": "problem"}
			}
			if err := d.Check("grpo"); err != nil {
				t.Fatal(err)
			}
			q, held, report, err := Load(context.Background(), &d, tok, 1024, 1)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%d rows: %d questions to learn from, %d held out, %d bad, %d too long; the longest has %d tokens", report.Rows, q.Len(), held.Len(), report.Bad, report.TooLong, q.Longest())
			if int64(q.Len()+held.Len()) != report.Examples || report.Examples*10 < report.Rows*9 {
				t.Errorf("%+v: %v", report, report.FirstBad)
			}
			ask := "<｜Assistant｜></think>"
			for _, set := range []*Questions{q, held} {
				for i := range set.Len() {
					x := set.Question(i)
					text := tok.Decode(x.Tokens)
					if !strings.HasSuffix(text, ask) || !strings.Contains(text, x.Asked) || strings.Count(text, "<｜User｜>") != strings.Count(text, "<｜Assistant｜>") {
						t.Fatalf("%s asks %q", x.Source, text)
					}
					if len(x.Fields()[field]) == 0 {
						t.Fatalf("%s has no field %s: %v", x.Source, field, x.Fields())
					}
				}
			}
		})
	}
}
