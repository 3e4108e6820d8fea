package posttrain

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/temper-ml/temper/data"
	"github.com/temper-ml/temper/data/chat"
)

// material loads 20 pairs for a method.
func material(t *testing.T, method, rows string, change func(*Data)) (*Material, error) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "rows.jsonl")
	if err := os.WriteFile(name, []byte(rows), 0o644); err != nil {
		t.Fatal(err)
	}
	d := &Data{Files: []string{name}, Format: "auto", Encoding: "deepseek-v4", Sequence: 64, Rows: 3, HoldOut: 0.17}
	if change != nil {
		change(d)
	}
	if err := d.Check(method); err != nil {
		return nil, err
	}
	return d.Load(t.Context(), method, data.NewBytes(chat.V4{}), "", 1)
}

func pairs(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"prompt": "q%d", "chosen": "yes", "rejected": "no"}`+"\n", i)
	}
	return b.String()
}

func TestPairsStayInOneRow(t *testing.T) {
	m, err := material(t, "dpo", pairs(20), nil)
	if err != nil {
		t.Fatal(err)
	}
	held := 0
	for _, r := range m.HeldOut {
		held += len(r.Segments)
	}
	if held != 6 || m.Report.Examples != 40 { // 0.17 of 20 pairs
		t.Errorf("%d answers held out, report %+v", held, m.Report)
	}
	for step := range m.Steps(3) {
		rows, err := m.Rows(step)
		if err != nil || len(rows) != 3 {
			t.Fatal(rows, err)
		}
		for _, r := range rows {
			for i := 0; i < len(r.Segments); i += 2 {
				a, b := r.Segments[i], r.Segments[i+1]
				// yes + end of turn against no + end of turn, after one prompt
				if a.End-a.Start != b.End-b.Start+1 {
					t.Fatalf("step %d: segments %v and %v are no pair", step, a, b)
				}
			}
		}
	}
}

func TestInstructionTuningTakesChosenAnswers(t *testing.T) {
	prefer, err := material(t, "dpo", pairs(20), nil)
	if err != nil {
		t.Fatal(err)
	}
	m, err := material(t, "sft", pairs(20), nil)
	if err != nil {
		t.Fatal(err)
	}
	held := 0
	for _, r := range m.HeldOut {
		held += len(r.Segments)
	}
	if held != 3 || m.Labels != 17*4 || prefer.Labels != 17*7 {
		t.Errorf("%d held out, %d labels, %d of pairs", held, m.Labels, prefer.Labels)
	}
}

func TestMethodsRefuseOtherRows(t *testing.T) {
	talk := `{"messages": [{"role": "user", "content": "u"}, {"role": "assistant", "content": "a"}]}` + "\n"
	for _, c := range []struct {
		method, rows string
		change       func(*Data)
		want         string
	}{
		{"dpo", talk, nil, "holds supervised rows, dpo takes pairs"},
		{"cpt", pairs(2), nil, "holds preference rows, cpt takes plain text"},
		{"dpo", pairs(2), func(d *Data) { d.Sequence = 8 }, "rows.jsonl:1: the pair has"},
		{"dpo", pairs(2), func(d *Data) { d.Format = "kto" }, "format: kto has no pairs of answers"},
		{"dpo", pairs(2) + `{"prompt": "q", "chosen": "a", "rejected": "a"}`, nil, "rows.jsonl:3"},
	} {
		if _, err := material(t, c.method, c.rows, c.change); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.method, err, c.want)
		}
	}
}
