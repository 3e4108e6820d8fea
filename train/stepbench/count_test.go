package stepbench

import (
	"context"
	"strings"
	"testing"

	"github.com/temper-ml/temper/model/arch"
)

// A masked step costs less than a supervised one by exactly the head's products at
// positions without a label.
func TestMasksAreNotCounted(t *testing.T) {
	o := CountOptions{Options: Options{Model: arch.TinyV4(64), Rows: 2, MicroRows: 1, Sequence: 24, Optimizer: "adamw", Recompute: "none"}, Documents: 2, Supervised: 1}
	ledger, labels := [2]int64{}, [2]int64{}
	for i, share := range []float64{1, 0.25} {
		o.Supervised = share
		c, err := Count(context.Background(), o)
		if err != nil {
			t.Fatal(err)
		}
		ledger[i] = c.Ledger
		for _, n := range c.Work.Supervised {
			labels[i] += n
		}
		for _, l := range c.Lines {
			if l.Ledger != l.Listed || l.Ledger != l.Counted {
				t.Errorf("%+v", l)
			}
		}
	}
	if got, want := ledger[0]-ledger[1], 3*int64(64*o.Model.HiddenSize)*(labels[0]-labels[1]); got != want || labels[0] <= labels[1] {
		t.Errorf("masks save %d multiplications, want %d for %d labels", got, want, labels[0]-labels[1])
	}
}

func TestCountRefuses(t *testing.T) {
	base := CountOptions{Options: Options{Model: arch.TinyV4(64), Rows: 1, MicroRows: 1, Sequence: 24, Optimizer: "adamw", Recompute: "none"}, Documents: 1, Supervised: 1}
	for want, change := range map[string]func(o *CountOptions){
		"tokens of a row":         func(o *CountOptions) { o.Sequence = 1 },
		"documents of a row":      func(o *CountOptions) { o.Documents = 13 },
		"supervised share":        func(o *CountOptions) { o.Supervised = 1.5 },
		"adamw":                   func(o *CountOptions) { o.Optimizer = "sgd" },
		"of memory, this machine": func(o *CountOptions) { o.Model, _ = arch.Builtin("deepseek-v3") },
		"no kernels to train":     func(o *CountOptions) { o.Model, _ = arch.Builtin("llama3-8b") },
	} {
		o := base
		change(&o)
		if _, err := Count(context.Background(), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
