package measured

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/runlog"
)

// planned is what the flags of a plan would say.
func planned() Case {
	return Case{
		Model: "llama3-8b", Device: "h100", Devices: 16, TP: 2, PP: 2, DP: 4, EP: 1, CP: 1, ETP: 1, Chunks: 1, MicroBatch: 1, GlobalBatch: 32, Seq: 4096,
		Schedule: "1f1b", Recompute: "none", Routing: "balanced", DType: "bf16", Zero: 1, Offload: "none", Engine: "megatron", Optimizer: "adamw",
	}
}

const megatronLog = `building GPT model ...
 [Rank 0] (after 2 iterations) memory (MB) | allocated: 1000.0 | max allocated: 40960.0 | reserved: 42000.0 | max reserved: 43000.0
 [2026-01-01 10:00:00] iteration        1/     500 | consumed samples:           32 | elapsed time per iteration (ms): 9000.0 | throughput per GPU (TFLOP/s/GPU): 90.0 | global batch size:    32 | lm loss: 1E+01 |
 [2026-01-01 10:00:02] iteration        2/     500 | consumed samples:           64 | elapsed time per iteration (ms): 2100.0 | throughput per GPU (TFLOP/s/GPU): 400.0 | global batch size:    32 |
 [2026-01-01 10:00:04] iteration        3/     500 | consumed samples:           96 | elapsed time per iteration (ms): 2000.0 | throughput per GPU (TFLOP/s/GPU): 410.0 | global batch size:    32 |
 [2026-01-01 10:00:06] iteration        4/     500 | consumed samples:          128 | elapsed time per iteration (ms): 2050.0 | throughput per GPU (TFLOP/s/GPU): 405.0 | global batch size:    32 |
`

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReadMegatronLog(t *testing.T) {
	cases, err := Read(write(t, "run.log", megatronLog), planned())
	if err != nil {
		t.Fatal(err)
	}
	c := cases[0]
	if len(cases) != 1 || c.Seconds != 2.05 || c.Steps != 4 || c.Logged != 402.5 || c.Memory != 40<<30 || c.TP != 2 {
		t.Errorf("case %+v", c)
	}
}

func TestReadLines(t *testing.T) {
	cases, err := Read(write(t, "m.jsonl", `{"step":0,"seconds":3}
{"step":1,"seconds":2,"memory_gib":50}

{"step":2,"seconds":2.2}
{"step":3,"seconds":2.1,"memory_gib":51}
{"seconds":4,"pp":4,"vpp":2}
`), planned())
	if err != nil {
		t.Fatal(err)
	}
	if len(cases) != 2 || cases[0].Seconds != 2.1 || cases[0].Steps != 4 || cases[0].Memory != 51*(1<<30) {
		t.Fatalf("cases %+v", cases)
	}
	if c := cases[1]; c.PP != 4 || c.DP != 2 || c.Chunks != 2 || c.Schedule != "interleaved" {
		t.Errorf("case %+v", c)
	}
}

func TestReadTemperRun(t *testing.T) {
	k, err := runlog.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	m := &record.Manifest{Run: "r", Ranks: 1, Mesh: record.One(), Clock: "system"}
	w, err := runlog.Create(filepath.Join(dir, "record"), m, k, runlog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if _, err := Read(dir, planned()); err == nil || !strings.Contains(err.Error(), "no measured step") {
		t.Errorf("a run without steps: %v", err)
	}
	for i, wall := range []int64{5e9, 4e9, 1, 4.2e9} {
		s := &record.Step{Step: int64(i), Time: record.Split{Wall: wall, Model: wall}}
		if wall == 1 {
			s.Skipped = "non-finite"
		}
		if _, err := w.Append(s); err != nil {
			t.Fatal(err)
		}
	}
	cases, err := Read(dir, planned())
	if err != nil {
		t.Fatal(err)
	}
	if len(cases) != 1 || cases[0].Seconds != 4.1 || cases[0].Steps != 3 {
		t.Errorf("cases %+v", cases)
	}
}

func TestBadMeasurementsAreRefused(t *testing.T) {
	for name, tt := range map[string]struct{ text, want string }{
		"empty":      {"", "has no measured step"},
		"prose":      {"nothing here\n", "has no measured step"},
		"batch":      {strings.ReplaceAll(megatronLog, "global batch size:    32", "global batch size: 64"), "give --global-batch 64"},
		"time":       {strings.ReplaceAll(megatronLog, "2100.0", "0"), "m:4: elapsed time"},
		"header":     {"source,model\n", "wrong number of fields"},
		"no rows":    {Columns + "\n", "has no rows"},
		"json":       {`{"seconds":`, "m:1:"},
		"json key":   {`{"secs":1}`, `unknown field "secs"`},
		"no seconds": {`{"step":1}`, `no field "seconds"`},
		"negative":   {`{"seconds":-1}`, "seconds: -1, want above 0"},
		"layout":     {`{"seconds":1,"pp":3}`, "gpus: 16, but tp 2 x pp 3 x dp 2 x cp 1 = 12"},
		"zero":       {`{"seconds":1,"tp":0}`, "want at least 1"},
	} {
		_, err := Read(write(t, "m", tt.text), planned())
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want %q in it", name, err, tt.want)
		}
	}
	if _, err := Read(t.TempDir(), planned()); err == nil || !strings.Contains(err.Error(), "it has no record") {
		t.Errorf("an empty directory: %v", err)
	}
	if _, err := Read("/no/such/file", planned()); err == nil {
		t.Error("a missing file was read")
	}
}
