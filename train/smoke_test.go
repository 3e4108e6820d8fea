package train

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/temper-ml/temper/data"
	"github.com/temper-ml/temper/internal/detrand"
	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/train/optim"
)

type randomSource struct{ rows, n, vocab int }

func (s randomSource) Rows(step int64) ([]Row, error) {
	var out []Row
	for i := range s.rows {
		st := detrand.Key(1, "rows", uint64(step), uint64(i))
		tok := make([]int32, s.n)
		m := make([]bool, s.n)
		for j := range tok {
			tok[j] = int32(st.Uint64nAt(uint64(j), uint64(s.vocab)))
			if j > 0 && j%2 == 1 {
				tok[j] = (tok[j-1] + 1) % int32(s.vocab)
			}
			m[j] = true
		}
		m[0], m[s.n/3] = false, false
		out = append(out, NewRow(&data.Row{Tokens: tok, Mask: m, Segments: []data.Segment{{Start: 0, End: s.n / 3}, {Start: s.n / 3, End: s.n}}}))
	}
	return out, nil
}

func TestSmoke(t *testing.T) {
	cfg := arch.TinyV4(512)
	m, err := deepseek.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	m.Init(1)
	c := Config{Steps: 10, Slots: 1, MicroRows: 2, Recompute: "none", NonFinite: "stop", Optimizer: optim.Default(), LR: optim.LRSchedule{Name: "constant", Peak: 3e-3}, Loss: Loss{MTP: 0.3, Balance: 1e-4, Indexer: 0.01}, Router: Router{Train: true, BiasRate: 0.001}}
	tr, err := New(c, m, randomSource{4, 256, 512}, 4, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	for !tr.Done() {
		r, err := tr.Step(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Printf("%d lm %.4f mtp %.4f bal %.4f idx %.4f norm %.3f %v %v %.2f GFLOP/s\n", r.Step, r.LM, r.MTP, r.Balance, r.Indexer, r.GradNorm, r.Time.Model, r.Time.Optimizer, r.FLOPs/r.Time.Total.Seconds()/1e9)
	}
}
