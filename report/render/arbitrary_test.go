package render

import (
	"fmt"
	"io"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/temper-ml/temper/report/record"
)

// numbers are whatever a record may hold, extremes among them.
var (
	wholes = rapid.OneOf(rapid.Int64Range(0, 9), rapid.SampledFrom([]int64{0, 1 << 40, math.MaxInt64 / 2, math.MaxInt64}))
	reals  = rapid.OneOf(rapid.Float64Range(-3, 9), rapid.SampledFrom([]float64{0, math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, -math.MaxFloat64, 5e-324}))
	words  = rapid.SampledFrom([]string{"", "a", "lm", "</title><script>", "\x00\xff", "=1+1", "very-long-name-of-something-that-nobody-would-choose"})
	places = rapid.SampledFrom([]int{0, 0, 1, 2, 99, math.MaxInt})
)

// body draws an entry that the format allows.
func body(t *rapid.T) record.Body {
	stage, n := places.Draw(t, "stage"), wholes.Draw(t, "n")
	switch rapid.SampledFrom(append(record.Kinds(), "step", "step", "step", "stage", "recovery")).Draw(t, "kind") {
	case "begin":
		return &record.Begin{Total: n, Active: wholes.Draw(t, "active")}
	case "stage":
		return &record.Stage{
			Stage: stage, Name: words.Draw(t, "name"), Method: words.Draw(t, "method"), Steps: n, Batch: wholes.Draw(t, "batch"), Tokens: n, HeldOut: n, Rows: n,
			LR: record.Schedule{Kind: "wsd", Peak: reals.Draw(t, "peak"), Decay: n}, MTP: n%2 == 0, Indexer: n%3 == 0, Data: record.SHA256(nil), Micro: n,
		}
	case "step":
		wall := wholes.Draw(t, "wall")
		return &record.Step{
			Stage: stage, Step: n, Examples: wholes.Draw(t, "examples"), Tokens: wholes.Draw(t, "tokens"), Supervised: wholes.Draw(t, "supervised"),
			Losses: map[string]float64{words.Draw(t, "loss"): reals.Draw(t, "value")}, GradNorm: reals.Draw(t, "norm"), LR: reals.Draw(t, "lr"), FLOPs: reals.Draw(t, "flops"),
			MFU: reals.Draw(t, "mfu"), Convention: words.Draw(t, "convention"), Memory: wholes.Draw(t, "memory"), Skipped: words.Draw(t, "skipped"),
			Time: record.Split{Wall: wall, Other: wall}, Load: &record.Load{Max: reals.Draw(t, "max")},
		}
	case "checkpoint":
		return &record.Checkpoint{Stage: stage, Step: n, Path: words.Draw(t, "path"), Bytes: n, Took: wholes.Draw(t, "took")}
	case "fault":
		return &record.Fault{Fault: words.Draw(t, "fault"), Stage: stage, Step: n, Evidence: words.Draw(t, "evidence")}
	case "recovery":
		return &record.Recovery{Stage: stage, Step: n, Again: rapid.Int64Range(-1, 4).Draw(t, "again"), Cause: words.Draw(t, "cause"), Devices: machines(t)}
	case "ranks":
		return &record.Ranks{Ranks: 1, Mesh: record.One(), Reason: words.Draw(t, "reason")}
	case "evaluation":
		return &record.Evaluation{
			Stage: stage, Step: n, Took: wholes.Draw(t, "took"), HeldOut: &record.HeldOut{Loss: reals.Draw(t, "loss")},
			Suites:  map[string]record.Score{words.Draw(t, "suite"): {Right: 1, Total: wholes.Draw(t, "total")}},
			Metrics: map[string]record.Metric{words.Draw(t, "metric"): {Value: reals.Draw(t, "value"), Count: n}},
		}
	case "rollout":
		return &record.Rollout{Stage: stage, Step: n, Reward: reals.Draw(t, "reward"), Took: wholes.Draw(t, "took"), Tokens: n}
	case "pause":
		return &record.Pause{Stage: stage, Step: n, Reason: words.Draw(t, "reason")}
	case "resume":
		return &record.Resume{Stage: stage, Step: n, Devices: machines(t)}
	case "routing":
		return &record.Routing{Stage: stage, From: n, To: wholes.Draw(t, "to"), Counts: rapid.SliceOfN(rapid.SliceOfN(wholes, 0, 5), 0, 4).Draw(t, "counts")}
	case "times":
		var ranks []record.RankTime
		for i := range rapid.IntRange(0, 5).Draw(t, "ranks") {
			wall := wholes.Draw(t, "wall")
			ranks = append(ranks, record.RankTime{Rank: i * 3, Split: record.Split{Wall: wall, Communication: wall / 2, Model: wall - wall/2}})
		}
		return &record.Times{Stage: stage, From: n, To: n, Ranks: ranks}
	case "end":
		return &record.End{Status: "failed", Steps: n, Weights: record.SHA256(nil), Reason: words.Draw(t, "reason")}
	}
	return &record.Note{Text: words.Draw(t, "text")}
}

func machines(t *rapid.T) []record.Device {
	return []record.Device{{Name: words.Draw(t, "device"), Ranks: []int{0}, Peak: map[string]float64{words.Draw(t, "dtype"): reals.Draw(t, "peak")}, Bandwidth: reals.Draw(t, "bandwidth")}}
}

// Whatever a record says, every output is made, and the page is well-formed.
func TestAnyRecordIsReported(t *testing.T) {
	c := synthetic(t, small).Model
	rapid.Check(t, func(rt *rapid.T) {
		m := manifest()
		m.Started, m.Devices, m.Recipe = wholes.Draw(rt, "started"), machines(rt), words.Draw(rt, "recipe")
		m.Architecture = string(c.MarshalHF())
		f := NewFiller(m)
		now := int64(0)
		for i := range int64(rapid.IntRange(0, 30).Draw(rt, "entries")) {
			if gap := wholes.Draw(rt, "gap"); gap < math.MaxInt64-now {
				now += gap
			}
			_ = f.Add(record.NewEntry(i+1, now, body(rt)))
		}
		r := f.Run()
		for _, runs := range [][]*Run{{r}, {r, finished()}} {
			wellFormed(t, pageOf(t, runs...))
			for name, write := range map[string]func(io.Writer, ...*Run) error{
				"json": JSON, "csv": CSV, "text": func(w io.Writer, runs ...*Run) error { return Text(w, 80, runs...) },
				"events": func(w io.Writer, runs ...*Run) error { return TensorBoard(w, runs[0]) },
			} {
				if err := write(io.Discard, runs...); err != nil {
					rt.Errorf("%s: %v", name, err)
				}
			}
		}
		_ = Prometheus(io.Discard, r)
		_ = MLLOG(io.Discard, r, submission())
	})
}

// A record that names everything differently, again and again, is reported as
// any other: what is told apart is bounded.
func TestNamesWithoutEnd(t *testing.T) {
	f := NewFiller(manifest())
	for i := range int64(4000) {
		name := fmt.Sprint(i)
		for _, b := range []record.Body{
			&record.Stage{Stage: int(i), Name: name, Steps: 1, Data: record.SHA256(nil)},
			&record.Step{Stage: int(i), Examples: 1, Tokens: 1, Losses: map[string]float64{name: 1}, Convention: name, FLOPs: 1, Time: record.Split{Wall: 1, Other: 1}},
			&record.Evaluation{Stage: int(i), Suites: map[string]record.Score{name: {Right: 1, Total: 1}}},
			&record.Routing{Stage: int(i), Counts: [][]int64{{1}}}, &record.Times{Stage: int(i)}, &record.Fault{Fault: name}, &record.Recovery{Stage: int(i), Step: 1},
			&record.Resume{Devices: []record.Device{{Name: name, Peak: map[string]float64{name: 1}}}},
		} {
			if err := f.Add(record.NewEntry(i+1, i+1, b)); err != nil {
				t.Fatal(err)
			}
		}
	}
	r := f.Run()
	if n := len(r.Conventions); n > mostNames || len(r.Routing) > mostStages {
		t.Errorf("%d conventions, %d stages routed", n, len(r.Routing))
	}
	if p := pageOf(t, r); len(p) > 2_000_000 || !strings.Contains(p, "more, left out here") {
		t.Errorf("%d bytes", len(p))
	}
	for name, write := range map[string]func(io.Writer, ...*Run) error{"csv": CSV, "json": JSON, "text": func(w io.Writer, runs ...*Run) error { return Text(w, 80, runs...) }} {
		var b strings.Builder
		if err := write(&b, r); err != nil || b.Len() > 8_000_000 {
			t.Errorf("%s: %v, %d bytes", name, err, b.Len())
		}
	}
}
