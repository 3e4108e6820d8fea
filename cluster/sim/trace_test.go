package sim

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"math"
	"testing"
)

// event is one entry of a Chrome trace, strictly.
type event struct {
	Ph   string         `json:"ph"`
	Pid  *int           `json:"pid"`
	Tid  *int           `json:"tid"`
	Ts   *float64       `json:"ts"`
	Dur  *float64       `json:"dur"`
	Name string         `json:"name"`
	Cat  string         `json:"cat"`
	ID   *int64         `json:"id"`
	Bp   string         `json:"bp"`
	Args map[string]any `json:"args"`
}

type thread struct{ pid, tid int }

// read parses a trace and fails on anything that the format does not allow.
func read(t *testing.T, src []byte) []event {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(src))
	d.DisallowUnknownFields()
	var file struct {
		DisplayTimeUnit string  `json:"displayTimeUnit"`
		TraceEvents     []event `json:"traceEvents"`
	}
	if err := d.Decode(&file); err != nil {
		t.Fatal(err)
	}
	named := map[thread]bool{}
	for i, e := range file.TraceEvents {
		switch {
		case e.Pid == nil || e.Name == "":
			t.Fatalf("event %d has no pid or no name: %+v", i, e)
		case e.Ph == "M":
			if e.Tid != nil {
				named[thread{*e.Pid, *e.Tid}] = true
			}
			continue
		case e.Ts == nil || e.Tid == nil || *e.Ts < 0:
			t.Fatalf("event %d has no ts or no tid: %+v", i, e)
		case !named[thread{*e.Pid, *e.Tid}]:
			t.Fatalf("event %d is on a thread without a name: %+v", i, e)
		case e.Ph == "X" && (e.Dur == nil || *e.Dur < 0), (e.Ph == "s" || e.Ph == "f") && e.ID == nil:
			t.Fatalf("event %d lacks its duration or id: %+v", i, e)
		case e.Ph != "X" && e.Ph != "s" && e.Ph != "f":
			t.Fatalf("event %d has phase %q", i, e.Ph)
		}
	}
	return file.TraceEvents
}

// nested fails unless the slices of every thread lie in order, each inside the
// one before or after it.
func nested(t *testing.T, events []event) {
	t.Helper()
	open := map[thread][]float64{} // ends of the slices that are open
	last := map[thread]float64{}
	for _, e := range events {
		if e.Ph != "X" {
			continue
		}
		id := thread{*e.Pid, *e.Tid}
		if *e.Ts < last[id]-1e-6 {
			t.Fatalf("thread %v goes back from %v to %+v", id, last[id], e)
		}
		last[id] = *e.Ts
		stack := open[id]
		for len(stack) > 0 && stack[len(stack)-1] <= *e.Ts+1e-6 {
			stack = stack[:len(stack)-1]
		}
		if end := *e.Ts + *e.Dur; len(stack) > 0 && end > stack[len(stack)-1]+1e-6 {
			t.Fatalf("thread %v: %+v ends after the slice around it, at %v", id, e, stack[len(stack)-1])
		}
		open[id] = append(stack, *e.Ts+*e.Dur)
	}
}

func TestTrace(t *testing.T) {
	y := ordinary
	for _, x := range []*Time{&y.attention, &y.experts, &y.route, &y.reduce, &y.update} {
		*x = 1000**x + 333 // longer than the nanosecond that traces count in
	}
	y.send, y.shared, y.portRanks = 5000123, 4000456, 8
	f := &Faults{Slow: []Slow{{Target{Ranks: []int{18}}, 1.5}}, Jitter: []Jitter{{Distribution: "lognormal", RelativeDeviation: 0.2}}}
	r := run(t, y.program(t), f)
	for _, ranks := range [][]int{nil, {3}, {0, 1, 16, 17, 18, 19, 63}} {
		var plain, zipped bytes.Buffer
		if err := r.Trace(&plain, TraceOptions{Ranks: ranks}); err != nil {
			t.Fatal(err)
		}
		if err := r.Trace(&zipped, TraceOptions{Ranks: ranks, Gzip: true}); err != nil {
			t.Fatal(err)
		}
		z, err := gzip.NewReader(&zipped)
		if err != nil {
			t.Fatal(err)
		}
		if unzipped, err := io.ReadAll(z); err != nil || !bytes.Equal(unzipped, plain.Bytes()) {
			t.Fatalf("the zipped trace is another one (%v)", err)
		}
		events := read(t, plain.Bytes())
		nested(t, events)
		checkFlows(t, events)
		checkBusy(t, r, events)
	}
	if err := r.Trace(io.Discard, TraceOptions{Ranks: []int{64}}); err == nil || err.Error() != "sim: trace: rank 64 does not exist: the ranks are 0 to 63" {
		t.Error(err)
	}
}

// checkFlows fails unless every arrow has both ends, the first not later.
func checkFlows(t *testing.T, events []event) {
	t.Helper()
	from, to := map[int64]float64{}, map[int64]float64{}
	for _, e := range events {
		switch e.Ph {
		case "s":
			from[*e.ID] = *e.Ts
		case "f":
			to[*e.ID] = *e.Ts
			if e.Bp != "e" {
				t.Fatalf("the arrow %+v does not bind to the slice it ends in", e)
			}
		}
	}
	if len(from) != len(to) {
		t.Fatalf("%d arrows begin, %d end", len(from), len(to))
	}
	for id, ts := range from {
		if end, ok := to[id]; !ok || end < ts {
			t.Fatalf("arrow %d goes from %v to %v", id, ts, end)
		}
	}
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

// checkBusy compares the compute slices of every traced rank with its ledger.
func checkBusy(t *testing.T, r *Run, events []event) {
	t.Helper()
	busy, slices := map[int]float64{}, map[int]float64{}
	var pids []int
	for _, e := range events {
		if e.Ph == "M" && e.Name == "process_name" {
			pids = append(pids, *e.Pid)
		}
		if e.Ph == "X" && *e.Tid == computeThread && contains([]string{"attention", "experts", "optimizer"}, e.Name) {
			busy[*e.Pid] += *e.Dur
			slices[*e.Pid]++
		}
	}
	if len(pids) == 0 {
		t.Fatal("no process has a name")
	}
	for _, pid := range pids {
		if want := float64(r.Ranks[pid].Compute) / 1e6; math.Abs(busy[pid]-want) > 1e-3*slices[pid] {
			t.Errorf("rank %d computes %v us in the trace, %v in the ledger", pid, busy[pid], want)
		}
	}
}
