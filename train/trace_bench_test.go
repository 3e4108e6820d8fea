package train

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/temper-ml/temper/data"
	"github.com/temper-ml/temper/internal/detrand"
	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/report/record/trace"
)

// plainRows are rows of random tokens.
type plainRows struct{ rows, length, vocab int }

func (s plainRows) Rows(step int64) ([]Row, error) {
	out := make([]Row, s.rows)
	for i := range out {
		k := detrand.Key(1, "plain", uint64(step), uint64(i))
		r := data.Row{Tokens: make([]int32, s.length), Mask: make([]bool, s.length), Segments: []data.Segment{{Start: 0, End: s.length}}}
		for j := range r.Tokens {
			r.Tokens[j], r.Mask[j] = int32(k.Uint64nAt(uint64(j), uint64(s.vocab))), j > 0
		}
		out[i] = NewRow(&r)
	}
	return out, nil
}

// BenchmarkTrace takes steps of bench-v4 over 2 rows of 512 tokens, traced to a
// file that goes nowhere, and not.
func BenchmarkTrace(b *testing.B) {
	cfg, err := arch.Builtin("bench-v4")
	if err != nil {
		b.Fatal(err)
	}
	m, err := deepseek.New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	m.Init(1)
	c := testConfig(1 << 40)
	c.Optimizer.Name, c.MicroRows = "adamw", 2
	t, err := New(c, m, plainRows{2, 512, cfg.VocabSize}, 2, time.Now)
	if err != nil {
		b.Fatal(err)
	}
	step := func() {
		if _, err := t.Step(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
	step()
	b.Run("untraced", func(b *testing.B) {
		for range b.N {
			step()
		}
	})
	b.Run("traced", func(b *testing.B) {
		for range b.N {
			w, err := trace.NewWriter(io.Discard, trace.Header{Format: trace.Format})
			if err != nil {
				b.Fatal(err)
			}
			tr := &Tracing{Each: w.Add}
			t.Trace(tr)
			step()
			f, err := w.Close()
			if err != nil || tr.Err != nil {
				b.Fatal(err, tr.Err)
			}
			b.ReportMetric(float64(f.Operators), "operators")
		}
	})
}
