package stepbench

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/train"
)

func TestTraceTellsWhatTheStepsWere(t *testing.T) {
	cfg, trace := arch.TinyV4(64), &Trace{}
	o := Options{Model: cfg, Rows: 2, MicroRows: 1, Sequence: 16, Steps: 2, Optimizer: "adamw", Recompute: "none", Trace: trace}
	results, err := Run(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	if len(trace.Steps) != 3 {
		t.Fatalf("%d steps traced, want one unmeasured and two measured", len(trace.Steps))
	}
	for i, s := range trace.Steps {
		for j, tokens := range s.Tokens {
			if !slices.Equal(tokens, Row(int64(i), j, 16, 64).Tokens) {
				t.Errorf("step %d: tokens of row %d are not those of Row", i, j)
			}
		}
		if len(s.Tokens) != 2 || s.LM <= 0 || s.MTP <= 0 || s.Balance <= 0 || s.GradNorm <= 0 {
			t.Errorf("step %d is incomplete: %+v", i, s)
		}
	}
	first := slices.IndexFunc(results, func(r Result) bool { return r.Name == "step/first_loss" })
	if first < 0 || results[first].Value != trace.Steps[0].LM {
		t.Errorf("step/first_loss is not the traced loss %v of the first step", trace.Steps[0].LM)
	}
}

func TestDigestsAreMeasuredWhenAsked(t *testing.T) {
	o := Options{Model: arch.TinyV4(64), Rows: 1, MicroRows: 1, Sequence: 16, Steps: 1, Optimizer: "adamw", Recompute: "none"}
	for _, period := range []int{0, 2} {
		o.Digest = period
		results, err := Run(context.Background(), o)
		if err != nil {
			t.Fatal(err)
		}
		if got := slices.ContainsFunc(results, func(r Result) bool { return r.Name == "step/digest" && r.Value > 0 }); got != (period > 0) {
			t.Errorf("period %d: digests measured: %v", period, got)
		}
	}
}

func TestRecordIsMeasuredWhenAsked(t *testing.T) {
	o := Options{Model: arch.TinyV4(64), Rows: 1, MicroRows: 1, Sequence: 16, Steps: 2, Optimizer: "adamw", Recompute: "none", Digest: 2}
	seen := 0
	o.Record = func(r *train.Result) error {
		if r.Step != int64(seen) || r.Digests.Batch.IsZero() {
			t.Errorf("step %d is put on record after %d others: %+v", r.Step, seen, r.Digests)
		}
		seen++
		time.Sleep(time.Millisecond)
		return nil
	}
	results, err := Run(context.Background(), o)
	if err != nil || seen != 3 {
		t.Fatalf("%d steps are put on record, %v", seen, err)
	}
	for name, least := range map[string]float64{"step/record": 1e-3, "step/record_share": 1e-9} {
		if !slices.ContainsFunc(results, func(r Result) bool { return r.Name == name && r.Value >= least && r.N == 2 }) {
			t.Errorf("%s is not at least %v: %+v", name, least, results)
		}
	}
}
