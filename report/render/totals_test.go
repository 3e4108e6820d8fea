package render

import (
	"maps"
	"strings"
	"testing"

	"github.com/temper-ml/temper/report/record"
)

// Who keeps only the last step and event of a run, and totals of the rest,
// gives the same metrics as who keeps all.
func TestTotalsStandForStepsLeftOut(t *testing.T) {
	all, last := NewFiller(manifest()), NewFiller(manifest())
	add := func(f *Filler, index int64, b record.Body) {
		t.Helper()
		if err := f.Add(record.NewEntry(index, 1000*index, b)); err != nil {
			t.Fatal(err)
		}
	}
	add(all, 1, &record.Stage{Name: "base", Steps: 5})
	add(last, 1, &record.Stage{Name: "base", Steps: 5})
	before := &last.Run().Before
	for i := range int64(5) {
		s := &record.Step{
			Step: i, Examples: 3, Tokens: 10 + i, Supervised: i, FLOPs: 1e9, Losses: map[string]float64{"lm": float64(i)},
			Time: record.Split{Wall: 100 + i, Data: 100, Other: i},
		}
		if i == 2 {
			s.Skipped = "not finite"
		}
		add(all, 2*i+2, s)
		add(all, 2*i+3, &record.Note{Text: "n"})
		if i == 4 {
			add(last, 2*i+2, s)
			add(last, 2*i+3, &record.Note{Text: "n"})
		} else {
			before.Add(s)
			before.Count("note")
		}
	}
	read := func(f *Filler) map[string]float64 {
		var b strings.Builder
		if err := Prometheus(&b, f.Run()); err != nil {
			t.Fatal(err)
		}
		m, err := parsePrometheus(b.String())
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	want, got := read(all), read(last)
	if !maps.Equal(got, want) || want[`temper_tokens_total{run="recorded"}`] != 60 || want[`temper_events_total{run="recorded",kind="note"}`] != 5 {
		t.Errorf("got %v\nwant %v", got, want)
	}
}
