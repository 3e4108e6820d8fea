package verify_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/runlog"
	"github.com/temper-ml/temper/report/verify"
	"github.com/temper-ml/temper/report/verify/verifytest"
)

func replay(t testing.TB, l *verify.Log, r verify.Replayer, p verify.Plan) *verify.Replayed {
	t.Helper()
	out, err := verify.Replay(context.Background(), l, r, p)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestReplayOfAllStepsPasses(t *testing.T) {
	run := makeRun(t, verifytest.Default())
	l, cs := all(run.Dir, runlog.Trust{Verifier: run.Key.Verifier()})
	out := replay(t, l, &verifytest.Replayer{Run: run, Log: l}, verify.Plan{All: true})
	r := verify.NewReport(l, cs, out)
	if r.Verdict != verify.Pass || r.ReplayedSteps != 56 || r.Steps != 56 || len(r.Segments) != 2 || !r.Trusted || len(r.NotChecked) != 0 {
		t.Errorf("%+v", r)
	}
	var b strings.Builder
	if err := r.Text(&b); err != nil || !strings.HasPrefix(b.String(), "PASS: ") || !strings.Contains(b.String(), "56 of 56 steps, 9 evaluations and 7 complete states computed again") {
		t.Errorf("%v\n%s", err, &b)
	}
}

// One step in a hundred, and one of each stage at least, wherever the seed falls;
// the same seed draws the same steps.
func TestPlanDrawsBySeed(t *testing.T) {
	o := verifytest.Default()
	o.Files, o.Period, o.Stages[0].Steps, o.Stages[1].Steps = false, 0, 900, 30
	run := makeRun(t, o)
	l, _ := all(run.Dir, runlog.Trust{})
	ends := map[string]bool{}
	for seed := range uint64(20) {
		drawn := func() (out []verify.Segment) {
			return replay(t, l, &verifytest.Replayer{Run: run, Log: l}, verify.Plan{Seed: seed}).Segments
		}
		segs := drawn()
		if !slices.Equal(segs, drawn()) {
			t.Fatalf("seed %d draws twice differently", seed)
		}
		ends[fmt.Sprint(segs)] = true
		if len(segs) < 2 || len(segs) > 11 || segs[0].From.Stage != 0 || segs[len(segs)-1].From.Stage != 1 {
			t.Errorf("seed %d: %v", seed, segs)
		}
		for _, s := range segs {
			if s.Steps() < 1 || s.Steps() > 10 || s.From.Step%10 != 0 {
				t.Errorf("seed %d: segment %v begins before the nearest start", seed, s)
			}
		}
	}
	if len(ends) != 20 {
		t.Errorf("20 seeds draw %d plans", len(ends))
	}
	got := replay(t, l, &verifytest.Replayer{Run: run, Log: l}, verify.Plan{Steps: 10_000})
	if got.Steps != 930 {
		t.Errorf("a plan of more steps than there are takes %d", got.Steps)
	}
}

// Whatever a step computes differently is found, at that step and by its name.
func TestReplayNamesTheFirstQuantity(t *testing.T) {
	run := makeRun(t, verifytest.Default())
	l, _ := all(run.Dir, runlog.Trust{})
	other := record.SHA256([]byte("other"))
	for name, change := range map[string]func(*record.Step){
		"batch":          func(s *record.Step) { s.Batch, s.Losses["lm"] = other, 9 },
		"tokens":         func(s *record.Step) { s.Tokens++ },
		"losses.lm":      func(s *record.Step) { s.Losses["lm"], s.GradNorm = s.Losses["lm"]*(1+0x1p-52), 7 },
		"losses.balance": func(s *record.Step) { delete(s.Losses, "balance") },
		"losses.z":       func(s *record.Step) { s.Losses["z"] = 0 },
		"load.table":     func(s *record.Step) { l := *s.Load; l.Table = other; s.Load = &l },
		"grad_norm":      func(s *record.Step) { s.GradNorm = -s.GradNorm },
		"lr":             func(s *record.Step) { s.LR *= 2 },
		"skipped":        func(s *record.Step) { s.Skipped = "x" },
		"bias":           func(s *record.Step) { s.Bias, s.Parameters = other, other },
		"parameters":     func(s *record.Step) { s.Parameters, s.Optimizer = other, other },
		"optimizer":      func(s *record.Step) { s.Optimizer = "" },
		"flops":          func(s *record.Step) { s.FLOPs++ },
	} {
		r := &verifytest.Replayer{Run: run, Log: l, Change: func(b record.Body) {
			if s, ok := b.(*record.Step); ok && s.Stage == 1 && s.Step >= 5 {
				change(s)
			}
		}}
		out := replay(t, l, r, verify.Plan{All: true})
		d := out.Divergence
		_, index, err := l.Step(verify.Position{Stage: 1, Step: 5})
		if err != nil || d == nil || d.Quantity != name || d.Stage != 1 || d.Step != 5 || d.Index != index || out.Steps != 37 {
			t.Errorf("%s: %+v after %d steps, %v", name, d, out.Steps, err)
		}
		if rep := verify.NewReport(l, nil, out); rep.Verdict != verify.Fail || rep.FirstDivergence != d {
			t.Errorf("%s: %s", name, rep.Verdict)
		}
	}
}

func TestReplayComparesEventsOfSegments(t *testing.T) {
	run := makeRun(t, verifytest.Default())
	l, _ := all(run.Dir, runlog.Trust{})
	for name, change := range map[string]func(record.Body){
		"evaluation.held_out.loss": func(b record.Body) {
			if e, ok := b.(*record.Evaluation); ok && e.Step == 16 {
				e.HeldOut.Loss++
			}
		},
		"checkpoint.optimizer": func(b record.Body) {
			if e, ok := b.(*record.Checkpoint); ok && e.Step == 20 {
				e.Optimizer = record.SHA256(nil)
			}
		},
	} {
		out := replay(t, l, &verifytest.Replayer{Run: run, Log: l, Change: change}, verify.Plan{All: true})
		if out.Divergence == nil || out.Divergence.Quantity != name {
			t.Errorf("%s: %+v", name, out.Divergence)
		}
	}
}

// limited can do less than was asked.
type limited struct {
	verify.Replayer
	starts []verify.Position
	err    error
}

func (r *limited) Starts(context.Context) ([]verify.Position, error) { return r.starts, nil }

func (r *limited) Replay(ctx context.Context, seg verify.Segment, each func(record.Body) error) error {
	if r.err != nil {
		return r.err
	}
	return r.Replayer.Replay(ctx, seg, func(b record.Body) error {
		if b.Kind() == "step" {
			return each(b)
		}
		return nil
	})
}

func TestReplayNeverOverstates(t *testing.T) {
	run := makeRun(t, verifytest.Default())
	l, cs := all(run.Dir, runlog.Trust{})
	honest := &verifytest.Replayer{Run: run, Log: l}
	for name, c := range map[string]struct {
		r    verify.Replayer
		p    verify.Plan
		want verify.Verdict
		says string
	}{
		"not asked":     {honest, verify.Plan{None: true}, verify.Incomplete, "no step was to be taken again"},
		"no states":     {&limited{Replayer: honest}, verify.Plan{All: true}, verify.Incomplete, "56 of the steps to take again have no state before them"},
		"one stage":     {&limited{Replayer: honest, starts: []verify.Position{{}}}, verify.Plan{Steps: 20}, verify.Incomplete, "have no state before them"},
		"no events":     {&limited{Replayer: honest, starts: []verify.Position{{}, {Stage: 1}}}, verify.Plan{All: true}, verify.Incomplete, "were not computed again"},
		"another state": {&limited{starts: []verify.Position{{}}, err: fmt.Errorf("x: %w", verify.ErrState)}, verify.Plan{All: true}, verify.Fail, "not the state that the record names"},
	} {
		r := verify.NewReport(l, cs, replay(t, l, c.r, c.p))
		var b strings.Builder
		if err := r.Text(&b); err != nil || r.Verdict != c.want || !strings.Contains(b.String(), c.says) {
			t.Errorf("%s: %s, want %s and %q\n%s", name, r.Verdict, c.want, c.says, &b)
		}
	}
	if r := verify.NewReport(l, cs, nil); r.Verdict != verify.Incomplete {
		t.Errorf("without a replay: %s", r.Verdict)
	}
	if r := verify.NewReport(l, nil, nil); r.Verdict != verify.Incomplete {
		t.Errorf("without any check: %s", r.Verdict)
	}
}
