package main

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"
)

func planJSON(t *testing.T, code int, args ...string) map[string]any {
	t.Helper()
	var out, errs bytes.Buffer
	if got := run(append([]string{"plan", "--json"}, args...), nil, &out, &errs); got != code {
		t.Fatalf("plan %s: exit %d, want %d: %s", strings.Join(args, " "), got, code, errs.String())
	}
	var v map[string]any
	if err := json.Unmarshal(out.Bytes(), &v); err != nil {
		t.Fatalf("plan %s: %v in %s", strings.Join(args, " "), err, out.String())
	}
	return v
}

// field follows keys and indexes into decoded JSON.
func field(t *testing.T, v any, path ...any) any {
	t.Helper()
	for _, p := range path {
		ok := false
		switch p := p.(type) {
		case string:
			var m map[string]any
			if m, ok = v.(map[string]any); ok {
				v, ok = m[p]
			}
		case int:
			var s []any
			if s, ok = v.([]any); ok && p < len(s) {
				v = s[p]
			}
		}
		if !ok {
			t.Fatalf("no field %v", path)
		}
	}
	return v
}

// The fields that other programs rely on are there, under their names.
func TestPlanJSON(t *testing.T) {
	v := planJSON(t, exitDone, "--model", "llama3-8b", "--cluster", "h100", "--devices", "8", "--compare", "a100")
	for _, where := range [][]any{{"plans", 0}, {"compare", 0, "plans", 0}} {
		p := field(t, v, where...)
		for _, name := range []string{"pp", "dp", "ep", "cp", "vpp", "micro_batch", "schedule", "recompute", "zero", "offload"} {
			field(t, p, "layout", name)
		}
		for _, name := range []string{"step_seconds", "tokens_per_second", "tokens_per_second_per_device"} {
			if x := field(t, p, name).(float64); x <= 0 {
				t.Errorf("%v %s is %v", where, name, x)
			}
		}
		low, high := field(t, p, "step_seconds_interval", 0).(float64), field(t, p, "step_seconds_interval", 1).(float64)
		if s := field(t, p, "step_seconds").(float64); !(low < s && s < high) {
			t.Errorf("%v interval %v..%v does not hold %v", where, low, high, s)
		}
		for _, name := range []string{"value", "convention", "peak_tflops", "dtype"} {
			field(t, p, "mfu", name)
		}
		field(t, p, "memory_bytes", "total")
		field(t, p, "breakdown_seconds", "bubble")
		field(t, p, "bound_by")
	}
	for rule, r := range field(t, v, "rejected").(map[string]any) {
		if field(t, r, "count").(float64) < 1 || field(t, r, "example").(string) == "" {
			t.Errorf("rejection by %s: %v", rule, r)
		}
	}
	if n := field(t, v, "layouts_considered").(float64); n < 1000 {
		t.Errorf("%v layouts considered", n)
	}
	for _, where := range [][]any{{"search_seconds"}, {"compare", 0, "search_seconds"}} {
		if x := field(t, v, where...).(float64); x <= 0 {
			t.Errorf("%v is %v", where, x)
		}
	}
	field(t, v, "compare", 0, "ratios", "tokens_per_second_per_device")
}

// A device without bf16 generates in what it has.
func TestPlanWorkloadWithoutBF16(t *testing.T) {
	v := planJSON(t, exitDone, "--model", "tiny-v4", "--cluster", "cpu", "--devices", "1", "--workload", "grpo")
	if x := field(t, v, "workload", "seconds").(float64); !(x > 0) {
		t.Errorf("the run takes %v s", x)
	}
}

// What simulate says with --json is there too, whether or not --days is given.
func TestSimulateJSON(t *testing.T) {
	var out, errs bytes.Buffer
	args := []string{"simulate", "--json", "--model", "llama3-8b", "--cluster", "h100", "--devices", "8", "--layout", "tp=2,pp=2"}
	if got := run(args, nil, &out, &errs); got != exitDone {
		t.Fatalf("exit %d: %s", got, errs.String())
	}
	var v map[string]any
	if err := json.Unmarshal(out.Bytes(), &v); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"step_seconds", "goodput", "ettr", "checkpoint_interval_seconds"} {
		if x := field(t, v, name).(float64); x <= 0 {
			t.Errorf("%s is %v", name, x)
		}
	}
	field(t, v, "critical_path", "parts", 0, "seconds")
	for cause, n := range field(t, v, "interruptions").(map[string]any) {
		if n.(float64) < 0 {
			t.Errorf("%v interruptions by %s", n, cause)
		}
	}
	last := 0.0
	for _, name := range []string{"p10", "p50", "p90"} {
		x := field(t, v, "finish", name).(float64)
		if x <= last {
			t.Errorf("finish %s is %v, after %v", name, x, last)
		}
		last = x
	}
}

// A GPT takes as many tokens as it has learned positions, unless it is told otherwise.
func TestPlanLearnedPositions(t *testing.T) {
	args := []string{"--model", "gpt-3.6b", "--cluster", "a100", "--devices", "8", "--layout", "tp=8"}
	if seq := field(t, planJSON(t, exitDone, args...), "step", "seq").(float64); seq != 2048 {
		t.Errorf("%v tokens, want 2048", seq)
	}
	if seq := field(t, planJSON(t, exitDone, append(args, "--seq", "4096")...), "step", "seq").(float64); seq != 4096 {
		t.Errorf("%v tokens, want 4096", seq)
	}
}

// Nouns are counted in English.
func TestPlural(t *testing.T) {
	for want, got := range map[string]string{"1 device": plural(1, "device"), "2 devices": plural(2, "device"), "0 micro-batches": plural(0, "micro-batch")} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// With --layout the answer is one plan, with an interval.
func TestPlanLayoutJSON(t *testing.T) {
	v := planJSON(t, exitDone, "--model", "gpt-22b", "--cluster", "a100", "--devices", "8", "--seq", "2048", "--global-batch", "4", "--dtype", "fp16",
		"--layout", "tp=8", "--micro-batch", "4", "--recompute", "full")
	if plans := field(t, v, "plans").([]any); len(plans) != 1 {
		t.Errorf("%d plans, want 1", len(plans))
	}
	field(t, v, "plans", 0, "step_seconds_interval", 1)
}

// Exit codes: 1 when nothing fits or the layout is refused, 2 for wrong use,
// which is refused at once.
func TestPlanExitCodes(t *testing.T) {
	planJSON(t, exitFailed, "--model", "deepseek-v3", "--cluster", "a100", "--devices", "8")
	planJSON(t, exitFailed, "--model", "llama3-8b", "--cluster", "h100", "--devices", "8", "--layout", "tp=3")
	base := []string{"plan", "--model", "llama3-8b", "--cluster", "h100", "--devices", "8"}
	for _, wrong := range [][]string{
		{"--model", "llama9"},
		{"--cluster", "h1"},
		{"--devices", "0"},
		{"--devices", "-3"},
		{"--devices", "1e9"},
		{"--devices", "9999999999"},
		{"--seq", "0"},
		{"--seq", "9223372036854775807"},
		{"--global-batch", "9223372036854775807"},
		{"--dtype", "int3"},
		{"--routing", "odd"},
		{"--optimizer", "sgd"},
		{"--offload", "disk"},
		{"--zero", "9"},
		{"--engine", "none"},
		{"--layout", "tp"},
		{"--layout", "tp=x"},
		{"--calibrate", "absent.csv"},
		{"--workload", "absent"},
		{"--compare", "h9"},
		{"--compare", "a100", "--basis", "mood"},
		{"--compare", "a100", "--dtype", "fp8"},
		{"--workload", "sft", "--policy", "hope"},
		{"--top", "-1"},
		{"--micro-batch", "-1"},
		{"--no-such-flag"},
		{"extra"},
	} {
		begin := time.Now()
		var errs bytes.Buffer
		if got := run(append(base[:len(base):len(base)], wrong...), nil, io.Discard, &errs); got != exitUsage {
			t.Errorf("plan %v: exit %d, want %d: %s", wrong, got, exitUsage, errs.String())
		}
		if took := time.Since(begin); took > 2*time.Second {
			t.Errorf("plan %v: refused after %v", wrong, took)
		}
	}
}

// A whole run: how long, how many device-hours, what failures cost, here and on
// the other cluster.
func TestPlanWorkloadJSON(t *testing.T) {
	v := planJSON(t, exitDone, "--model", "qwen3-30b-a3b", "--cluster", "ascend-910c", "--devices", "64", "--global-batch", "64", "--workload", "sft", "--compare", "h100")
	for _, where := range [][]any{{"workload"}, {"compare", 0, "workload"}} {
		run := field(t, v, where...)
		for _, name := range []string{"tokens", "steps", "seconds", "device_hours", "goodput"} {
			if x := field(t, run, name).(float64); x <= 0 {
				t.Errorf("%v %s is %v", where, name, x)
			}
		}
		if g := field(t, run, "goodput").(float64); g > 1 {
			t.Errorf("%v goodput is %v", where, g)
		}
	}
	if cost := field(t, v, "workload", "cost"); cost != nil {
		t.Errorf("the catalogue has no prices, cost is %v", cost)
	}
	if r := field(t, v, "compare", 0, "ratios", "workload_seconds").(float64); r <= 0 {
		t.Errorf("ratio of the run's time is %v", r)
	}
}
