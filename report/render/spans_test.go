package render

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// The synthetic run's time, counted by hand: 60 base steps, 60 of RL with
// rollouts of 9 s, 10 of them twice, 8 evaluations, 6 checkpoints.
func TestGoodput(t *testing.T) {
	r := synthetic(t, small)
	g := r.Goodput()
	var stand, again time.Duration
	for i := range r.Steps {
		stand += r.Steps[i].Wall
	}
	for i := range r.Again {
		again += r.Again[i].Wall
	}
	want := map[string]time.Duration{
		Training: stand, Generating: 70 * 9 * time.Second, TakenAgain: again, Evaluating: 8 * 5 * time.Second,
		Saving: 6 * 15 * time.Second, Stopped: 240 * time.Second, Preparing: 90 * time.Second,
	}
	var all time.Duration
	for kind, d := range want {
		all += d
		if g.By[kind] != d {
			t.Errorf("%s: %v, want %v", kind, g.By[kind], d)
		}
	}
	if g.Wall != all || g.Again != 10 || g.Recoveries != 1 || len(g.By) != len(want) {
		t.Errorf("%+v, want %v in all", g, all)
	}
	if got, want := g.Useful(), float64(stand+630*time.Second)/float64(all); got != want {
		t.Errorf("useful %v, want %v", got, want)
	}
}

// Whatever the times of entries are, spans follow each other without overlap
// from the first moment to the last.
func TestSpansDivideTheTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := &Run{}
		index, now := int64(0), rapid.Int64Range(1, math.MaxInt64/2).Draw(t, "start")
		for range rapid.IntRange(0, 40).Draw(t, "entries") {
			index++
			now += rapid.Int64Range(0, 5000).Draw(t, "gap")
			took := rapid.Int64Range(0, 8000).Draw(t, "took")
			switch rapid.IntRange(0, 2).Draw(t, "what") {
			case 0:
				r.Steps = append(r.Steps, Step{Index: index, Time: now, Wall: time.Duration(took) * time.Millisecond})
			case 1:
				r.Again = append(r.Again, Retaken{Step{Index: index, Time: now, Wall: time.Duration(took) * time.Millisecond}, 0})
			default:
				kind := rapid.SampledFrom([]string{Evaluation, Checkpoint, Recovery, Resume, Note, End}).Draw(t, "kind")
				r.Events = append(r.Events, Event{Index: index, Kind: kind, Time: now, Took: time.Duration(took) * time.Millisecond})
			}
		}
		var last int64
		for i, s := range r.Spans() {
			if s.From >= s.To || i > 0 && s.From != last {
				t.Fatalf("span %d is %+v, the one before ends at %d", i, s, last)
			}
			last = s.To
		}
		if last > now {
			t.Fatalf("spans end at %d, the run at %d", last, now)
		}
	})
}

func TestSummary(t *testing.T) {
	r := synthetic(t, small)
	s := r.Summary()
	if s.State != "complete" || s.Steps != 120 || s.Again != 10 || s.Faults != 1 || s.Tokens != 120*900_000 || s.Checkpoints != 6 || len(s.Stages) != 2 {
		t.Errorf("%+v", s)
	}
	if m := s.Stages[1].Measures[1]; m.Name != "math" || *m.First != 0.35 || *m.Last != 0.6 || m.LastStep != 60 {
		t.Errorf("%+v", m)
	}
	for _, c := range []string{"temper", "megatron", "verl", "torchtitan"} {
		if !(s.MFU[c] > 0) {
			t.Errorf("no utilization by %s: %v", c, s.MFU)
		}
	}
	r.Steps[0].Losses[0].Value, r.Steps[1].Wall = math.NaN(), 0
	var b strings.Builder
	if err := JSON(&b, r, &Run{Name: "empty"}); err != nil {
		t.Fatal(err)
	}
	var back []Summary
	if err := json.Unmarshal([]byte(b.String()), &back); err != nil || len(back) != 2 || back[0].Stages[0].LossFirst != nil || back[1].State != "open" {
		t.Errorf("%v\n%s", err, b.String())
	}
}

func TestCSV(t *testing.T) {
	r := finished()
	r.Name = "=cmd()"
	other := &Run{Name: "b", Steps: []Step{{Losses: []Value{{"mtp", math.NaN()}}}}}
	var b strings.Builder
	if err := CSV(&b, r, other); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	want := []string{
		"run,position,stage,step,time,examples,tokens,supervised,grad_norm,lr,max_violation,skipped,memory_bytes,seconds,loss_lm,loss_mtp,seconds_forward,seconds_other,flops_ledger,flops_megatron",
		"'=cmd(),0,base,0,1970-01-01T00:00:03.000Z,4,100,90,1,0.001,0.5,false,1048576,1,4,,0.6,0.4,5e+08,6e+08",
	}
	if len(lines) != 6 || lines[0] != want[0] || lines[1] != want[1] || lines[5] != "b,0,stage 0,0,,0,0,0,0,0,0,false,0,0,,NaN,,,," {
		t.Errorf("%s", b.String())
	}
}

// A terminal gets the same summary of anything: no line is wider than it, and
// nothing that it would act on is printed.
func TestText(t *testing.T) {
	crashed, other := synthetic(t, small), synthetic(t, small)
	other.Name, other.Recipe = "other", strings.Replace(other.Recipe, "0.001", "0.002", 1)
	same := synthetic(t, small)
	for name, c := range map[string]struct {
		runs []*Run
		want []string
	}{
		"one":     {[]*Run{crashed}, []string{"synthetic: complete, 120 steps", "not verified", "held out loss 3.9 → 3.15", "math 10.0 % → 35.0 % of 100", "10 steps taken again", "busiest has"}},
		"two":     {[]*Run{crashed, other}, []string{"stages[0].lr.peak", "0.002"}},
		"same":    {[]*Run{crashed, same}, []string{"synthetic (2)"}},
		"many":    {[]*Run{crashed, other, same, crashed, other, same, crashed, other, same, {}}, []string{"unnamed"}},
		"hostile": {[]*Run{hostile()}, nil},
		"control": {[]*Run{{Name: "a\x1b[31m\u202eb\n"}}, []string{"a·[31m·b"}},
		"empty":   {[]*Run{{}, {}}, []string{"unnamed (2)"}},
		"nothing": {[]*Run{{}}, []string{"no end on record"}},
		"large":   {[]*Run{synthetic(t, large)}, []string{"2,048 ranks"}},
	} {
		for _, width := range []int{0, 80, 120, 500} {
			var b strings.Builder
			if err := Text(&b, width, c.runs...); err != nil {
				t.Fatal(err)
			}
			for l := range strings.Lines(b.String()) {
				l = strings.TrimSuffix(l, "\n")
				if n := utf8.RuneCountInString(l); n > max(width, leastWidth) && !strings.HasPrefix(l, "weights ") {
					t.Errorf("%s at %d: %d columns: %s", name, width, n, l)
				}
				if strings.ContainsFunc(l, func(r rune) bool { return r < ' ' || r == 0x202e }) {
					t.Errorf("%s: control characters: %q", name, l)
				}
			}
			for _, want := range c.want {
				if width == 120 && !strings.Contains(b.String(), want) {
					t.Errorf("%s: no %q in\n%s", name, want, b.String())
				}
			}
		}
	}
}
