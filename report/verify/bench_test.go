package verify_test

import (
	"runtime"
	"testing"
	"time"

	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/runlog"
	"github.com/temper-ml/temper/report/verify"
	"github.com/temper-ml/temper/report/verify/verifytest"
)

// long is a run of 100,000 steps.
func long() verifytest.Options {
	return verifytest.Options{
		Seed: 1, Period: 32, SignEvery: 60, CheckpointEvery: 500, EvaluateEvery: 1000, Recoveries: 2, Pauses: 2, Skips: true, Step: 3 * time.Second,
		Stages: []verifytest.StageOptions{
			{Name: "base", Method: "cpt", Steps: 70_000, Batch: 8, Sequence: 128, LR: record.Schedule{Kind: "cosine", Peak: 1e-3, Final: 1e-5, Warmup: 200}},
			{Name: "tune", Method: "sft", Steps: 30_000, Batch: 4, Sequence: 128, LR: record.Schedule{Kind: "wsd", Peak: 2e-4, Final: 1e-6, Warmup: 100, Decay: 3000}},
		},
	}
}

// BenchmarkVerify100000 is form and arithmetic of 100,000 steps.
func BenchmarkVerify100000(b *testing.B) {
	run := makeRun(b, long())
	var most uint64
	b.ReportAllocs()
	for b.Loop() {
		l, cs := all(run.Dir, runlog.Trust{Verifier: run.Key.Verifier()})
		for _, c := range cs {
			if c.Result != verify.Pass {
				b.Fatalf("%s: %s", c.Name, c.Evidence)
			}
		}
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		most = max(most, m.HeapAlloc)
		runtime.KeepAlive(l)
	}
	b.ReportMetric(float64(most)/1e5, "kept-B/step")
}
