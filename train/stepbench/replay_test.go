package stepbench

import (
	"context"
	"testing"

	"github.com/temper-ml/temper/model/arch"
)

func TestReplayIsMeasured(t *testing.T) {
	o := Options{Model: arch.TinyV4(64), MicroRows: 2, Sequence: 48, Steps: 2, Recompute: "full", Optimizer: "adamw"}
	results, err := RunReplay(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]Result{}
	for _, r := range results {
		if got[r.Name] = r; !(r.Value > 0) || r.N != 2 {
			t.Errorf("%+v: want a positive number of 2 samples", r)
		}
	}
	for _, name := range []string{"step/replayed over free", "logprobs/replayed over free", "decode/batch=1/recorded over free", "decode/batch=8/recorded over free"} {
		if _, ok := got[name]; !ok {
			t.Errorf("no %s among %v", name, results)
		}
	}
	if m, c := got["routes/memory"].Value, got["routes/coded"].Value; c*4 > m {
		t.Errorf("routes take %v bytes a token in memory and %v coded", m, c)
	}
}
