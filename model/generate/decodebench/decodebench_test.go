package decodebench

import (
	"context"
	"strings"
	"testing"

	"github.com/temper-ml/temper/compute/kernel/kernelbench"
	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/model/deepseek"
)

func TestRun(t *testing.T) {
	rs, err := Run(context.Background(), Options{Model: arch.TinyV4(64), Prompt: 5, Tokens: 2, Samples: 2, Batches: []int{1, 3}})
	if err != nil {
		t.Fatal(err)
	}
	each := 2 // speed and memory, and work where the system tells
	if kernelbench.Worked() > 0 {
		each++
	}
	if len(rs) != 2*each+5 || rs[0].Name != "decode/batch=1" || rs[each+5].Name != "decode/batch=3" {
		t.Fatalf("results %+v", rs)
	}
	for _, r := range rs {
		least := 0.0
		if strings.HasSuffix(r.Name, "/cores at work") {
			least = -1 // other tests may have the cores
		}
		if !(r.Value > least && r.Median > least && r.Min > least) || r.N != 2 && !strings.HasSuffix(r.Name, "/memory") {
			t.Errorf("%+v: want positive numbers", r)
		}
	}
	if _, err := Run(context.Background(), Options{Model: arch.TinyV4(64)}); err == nil {
		t.Error("no batches: want an error")
	}
}

// TestWeightBytes counts the multiplications of one token: each weight of the
// trunk takes part in one.
func TestWeightBytes(t *testing.T) {
	m, err := deepseek.NewFrozen(arch.TinyV4(64))
	if err != nil {
		t.Fatal(err)
	}
	c := m.Config()
	_, _, active := c.Count()
	got := WeightBytes(m) / 4
	if got > float64(active)*1.01 || got < float64(active)*0.5 {
		t.Errorf("%v weights a token, the model has %v active ones", got, active)
	}
}
