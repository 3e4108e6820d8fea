package render

import (
	"strings"
	"testing"
	"time"

	"github.com/temper-ml/temper/report/record"
)

func manifest() *record.Manifest {
	return &record.Manifest{
		Format: record.Format, Run: "recorded", Recipe: "name: recorded\n", Ranks: 2, Mesh: record.Mesh{Tensor: 1, Pipeline: 1, Context: 1, Expert: 2, Data: 2},
		Data:    []record.File{{Path: "rows.jsonl", Digest: record.SHA256([]byte("x")), Bytes: 1, Rows: 1}},
		Hosts:   []record.Host{{Name: "box", CPU: "cpu", Cores: 2, Memory: 1 << 30, Kernel: "6.1"}},
		Devices: []record.Device{{Name: "cpu", Ranks: []int{0, 1}, Peak: map[string]float64{"fp32": 1e9}}},
		Links:   []record.Link{{From: 0, To: 1, Bandwidth: 1e9, Latency: 1e-6}},
		Program: record.Program{Version: "1", Go: "go1", Modules: map[string]string{"m@v1": "h1:x"}},
		Clock:   "system", Signer: "key",
	}
}

// Steps that a recovery takes again leave no trace in totals and evaluations.
func TestFillerKeepsWhatStands(t *testing.T) {
	f := NewFiller(manifest())
	step := func(n int64) *record.Step {
		return &record.Step{
			Step: n, Examples: 4, Tokens: 100, Losses: map[string]float64{"lm": 2, "balance": 1}, LR: 1e-3, FLOPs: 1e9, MFU: 0.5, Convention: "ledger",
			Time: record.Split{Wall: 1e9, Forward: 9e8, Other: 1e8}, Load: record.NewLoad([][]int64{{1, 3}}),
		}
	}
	bodies := []record.Body{
		&record.Begin{Total: 10, Active: 5}, &record.Stage{Name: "base", Method: "cpt", Steps: 3}, step(0), step(1),
		&record.Evaluation{Step: 2, Suites: map[string]record.Score{"units": {Right: 1, Total: 2}}},
		&record.Fault{Fault: "crash", Evidence: "gone"}, &record.Recovery{Step: 1, Again: 1, Cause: "crash"},
		step(1), &record.Evaluation{Step: 2, Took: 5e8, HeldOut: &record.HeldOut{Loss: 2}, Suites: map[string]record.Score{"units": {Right: 1, Total: 4}, "none": {}}},
		&record.Checkpoint{Path: "c"}, &record.Ranks{Ranks: 1, Mesh: record.One()}, &record.Rollout{}, &record.Pause{}, &record.Resume{}, &record.Note{Text: "n"},
		&record.End{Status: "complete", Steps: 2},
	}
	for i, b := range bodies {
		if err := f.Add(record.NewEntry(int64(i+1), int64(1000*i+1), b)); err != nil {
			t.Fatal(err)
		}
	}
	r := f.Run()
	if len(r.Steps) != 2 || r.Steps[1].Index != 8 || r.Steps[1].Wall != time.Second || r.Steps[1].MaxViolation != 0.5 {
		t.Errorf("steps %+v", r.Steps)
	}
	if got := r.MFU(&r.Steps[0], 0); got != 0.5 || r.Peak != 2e9 {
		t.Errorf("MFU %v of %v", got, r.Peak)
	}
	var evaluations []Event
	for _, e := range r.Events {
		if e.Kind == Evaluation {
			evaluations = append(evaluations, e)
		}
	}
	if len(evaluations) != 1 || evaluations[0].After != 2 || len(evaluations[0].Values) != 2 || evaluations[0].Values[1].Value != 0.25 {
		t.Errorf("evaluations %+v", evaluations)
	}
	p := pageOf(t, r)
	for _, want := range []string{"crash on rank 0: gone", "1 step is taken again, from step 1: crash", "rank 0 to rank 1", "module m@v1", "2 ranks", "complete with weights"} {
		if !strings.Contains(p, want) {
			t.Errorf("no %q in the page", want)
		}
	}
	if err := f.Add(record.NewEntry(99, 1, &record.Recovery{Again: 3})); err == nil || !strings.Contains(err.Error(), "again: 3 steps, 2 are before it") {
		t.Error(err)
	}
	if err := f.Add(&record.Entry{Index: 100, Kind: "odd"}); err == nil {
		t.Error("an entry without a body passes")
	}
	if err := MLLOG(&strings.Builder{}, r, submission()); err == nil || !strings.Contains(err.Error(), "an entry init_start") {
		t.Error(err)
	}
}

// Steps after a resume on other devices divide by the peak of those.
func TestUtilizationIsOfTheDevicesOfAStep(t *testing.T) {
	f := NewFiller(manifest())
	step := &record.Step{Examples: 1, Tokens: 1, FLOPs: 1e9, Convention: "temper", Time: record.Split{Wall: 1e9, Other: 1e9}}
	resume := &record.Resume{Devices: []record.Device{{Name: "other", Ranks: []int{0, 1}, Peak: map[string]float64{"fp32": 2e9}}}}
	for i, b := range []record.Body{&record.Stage{Steps: 2}, step, &record.Pause{Step: 1}, resume, step} {
		if err := f.Add(record.NewEntry(int64(i+1), int64(i+1), b)); err != nil {
			t.Fatal(err)
		}
	}
	r := f.Run()
	if a, b, all := r.MFU(&r.Steps[0], 0), r.MFU(&r.Steps[1], 0), r.mean(0); a != 0.5 || b != 0.25 || all != 2e9/6e9 {
		t.Errorf("MFU %v, %v, over all %v", a, b, all)
	}
	if p := pageOf(t, r); !strings.Contains(p, "device after entry 4") {
		t.Error("the page does not tell of the other device")
	}
}

// What a recovery took again is kept apart, with its place.
func TestFillerKeepsWhatWasTakenAgain(t *testing.T) {
	r := synthetic(t, small)
	if len(r.Again) != 10 || r.Again[0].At != 60 || r.Again[9].At != 69 || r.Again[0].Number != 0 || r.Steps[60].Index <= r.Again[9].Index {
		t.Errorf("%d steps taken again, first %+v", len(r.Again), r.Again[0])
	}
	if n := len(r.Routing); n != 2 || r.Routing[0].Steps != 60 || len(r.Routing[0].Counts) != small.blocks || len(r.RankTimes[1].Ranks) != small.ranks {
		t.Errorf("%d stages routed", n)
	}
	if w := r.RankTimes[0].Ranks[0].Split; w.Wall != 60*12e9 || w.Check() != nil {
		t.Errorf("%+v", w)
	}
}
