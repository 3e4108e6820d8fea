package goodput

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

const day = 86400.0

func play(t *testing.T, r Run) *Result {
	t.Helper()
	out, err := r.Play()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// llama is Llama 3 405B: 54 days on 16,384 H100, whose interruptions give
// 50,677 device-hours between two.
func llama() Run {
	// Jobs took 16 of the 24 thousand GPUs of the cluster: nodes stood ready.
	policy := Policy{Name: "llama", Source: Storage, Capacity: Spares, Detect: 30, Timeout: 600, Restart: 300, Repair: 2 * day}
	return Run{
		Devices: 16384, NodeSize: 8, Horizon: 54 * day,
		Failures: Failures{MTBF: 50677 * 3600, HangShare: 0.02, Causes: Llama3()},
		Check:    Checkpoint{Save: 5, Write: 60, Load: 60}, Policy: policy, Trials: 200, Seed: 1,
	}
}

// The published figures: 419 unexpected interruptions in 54 days, of which 148
// faulty GPUs, with more than 90 % effective training time.
func TestLlama3(t *testing.T) {
	r := play(t, llama())
	var sum, gpu float64
	for _, c := range r.Interruptions {
		sum += c.Value
		if c.Name == "faulty GPU" {
			gpu = c.Value
		}
	}
	// A Poisson count of mean 419 over 200 trials: standard error √(419/200).
	if math.Abs(sum-419) > 4*math.Sqrt(419.0/200) {
		t.Errorf("%.1f interruptions, want 419", sum)
	}
	if math.Abs(gpu-148) > 4*math.Sqrt(148.0/200) {
		t.Errorf("%.1f faulty GPUs, want 148", gpu)
	}
	if r.ETTR < 0.9 || r.ETTR > 0.95 {
		t.Errorf("ETTR %.3f, published is more than 0.90", r.ETTR)
	}
	if math.Abs(r.Wall-54*day) > 1 {
		t.Errorf("the run lasts %v days", r.Wall/day)
	}
}

// Simulated waste against the exact expectation, at Young's interval and away
// from it, within four standard errors.
func TestExpectedWall(t *testing.T) {
	const save, recover, mtbf = 60, 600, 20000
	young := Young(save, mtbf)
	for _, interval := range []float64{young / 3, young, 3 * young} {
		r := Run{
			Devices: 100, NodeSize: 10, Work: 400 * interval, Failures: Failures{MTBF: 100 * mtbf},
			Check:  Checkpoint{Interval: interval, Save: save, Write: save, Load: recover / 2},
			Policy: Policy{Source: Storage, Capacity: Requeue, Detect: recover / 4, Requeue: recover / 4}, Trials: 600, Seed: 2,
		}
		out := play(t, r)
		want := r.Work / Expected(r.Work, interval, save, recover, mtbf)
		if math.Abs(out.Goodput-want) > 4*out.GoodputError+1e-4 {
			t.Errorf("interval %.0f s: goodput %.5f ± %.5f, expected %.5f", interval, out.Goodput, out.GoodputError, want)
		}
	}
}

// Young's and Daly's intervals are near the best one, Daly's nearer; the table
// is the one of the closed forms, worked by hand for C = 60 s and M = 24 h.
func TestIntervals(t *testing.T) {
	if got := Young(60, day); math.Abs(got-3220) > 1 {
		t.Errorf("Young %v s, want 3220 (54 minutes)", got)
	}
	if got := Daly(60, day); math.Abs(got-3180) > 1 {
		t.Errorf("Daly %v s, want 3180", got)
	}
	if got := Daly(500, 200); got != 200 {
		t.Errorf("Daly where a save takes longer than 2 M: %v, want M", got)
	}
	for _, save := range []float64{1, 10, 60, 300, 1500} {
		for _, mtbf := range []float64{3600, 5 * 3600, day, 10 * day} {
			best := Best(save, 600, mtbf, 1)
			young, daly := Young(save, mtbf), Daly(save, mtbf)
			off := func(interval float64) float64 {
				return Expected(1, interval, save, 600, mtbf)/Expected(1, best, save, 600, mtbf) - 1
			}
			if off(daly) < -1e-12 || off(daly) > off(young)+1e-12 || off(daly) > 2e-3 {
				t.Errorf("C %v, M %v: best %v, Daly %v is %.2g worse, Young %v %.2g", save, mtbf, best, daly, off(daly), young, off(young))
			}
		}
	}
}

// The best interval of the simulation is the formula's: three times shorter
// and three times longer are worse in the very same failures.
func TestSimulatedOptimum(t *testing.T) {
	r := Run{
		Devices: 1000, NodeSize: 8, Work: 60 * day, Failures: Failures{MTBF: 1000 * 6 * 3600},
		Check:  Checkpoint{Save: 120, Write: 120, Load: 300},
		Policy: Policy{Source: Storage, Capacity: Requeue, Detect: 30, Restart: 300, Requeue: 60}, Trials: 300, Seed: 3,
	}
	at := func(interval float64) float64 {
		r.Check.Interval = interval
		return play(t, r).Goodput
	}
	best := Best(120, 690, 6*3600, 1)
	middle := at(best)
	for _, factor := range []float64{1 / 3.0, 1 / 1.8, 1.8, 3} {
		if other := at(best * factor); other >= middle {
			t.Errorf("goodput %v at %v s, %v at %v s", middle, best, other, best*factor)
		}
	}
}

// Whatever goes wrong, every second is booked once.
func TestWallIsBooked(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := func(name string, low, high float64) float64 { return rapid.Float64Range(low, high).Draw(t, name) }
		mtbf := f("mtbf", 3000, 1e6)
		r := Run{
			Devices: 64, NodeSize: 8, Seed: rapid.Uint64().Draw(t, "seed"), Trials: 3,
			Failures: Failures{
				MTBF: 64 * mtbf, Shape: f("shape", 0.6, 1.6), HangShare: f("hang", 0, 0.5), Causes: Llama3(),
				SilentMTBF: 64 * mtbf * f("silent", 2, 20), SilentDetect: f("found", 0, 20000),
				SlowMTBF: 64 * mtbf * f("slow", 0.3, 5), SlowFactor: f("factor", 1, 3), SlowDuration: f("lasts", 1, 20000),
			},
			Check:  Checkpoint{Save: f("save", 0, 60), Write: 60, Load: f("load", 0, 300), Copy: f("copy", 0, 2), CopyInterval: f("copies", 5, 500)},
			Policy: rapid.SampledFrom(Policies()).Draw(t, "policy"),
		}
		r.Policy.Repair = f("repair", 0, 2*day)
		r.Policy.Spares = rapid.IntRange(0, 3).Draw(t, "spares")
		r.Failures.Causes = append(r.Failures.Causes, Cause{Name: "maintenance", Weight: 47, Planned: true})
		if rapid.Bool().Draw(t, "horizon") {
			r.Horizon = f("days", 0.1, 20) * day
		} else {
			r.Work = f("days", 0.1, 20) * day
		}
		s, err := r.setup()
		if err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			trial := s.newTrial(i)
			trial.run()
			sum := trial.useful
			for l, x := range trial.lost {
				sum += x
				if x < -1e-6 {
					t.Fatalf("%v is %v s", Loss(l), x)
				}
			}
			if math.Abs(sum-trial.now) > 1e-6*(1+trial.now) {
				t.Fatalf("wall %v s, booked %v s: useful %v, lost %v", trial.now, sum, trial.useful, trial.lost)
			}
			if r.Work > 0 && trial.useful < r.Work && trial.now < s.patience {
				t.Fatalf("%v s of work, %v done", r.Work, trial.useful)
			}
			if r.Horizon > 0 && math.Abs(trial.now-r.Horizon) > r.Policy.Reconfigure+60+1e-6 {
				t.Fatalf("horizon %v, wall %v", r.Horizon, trial.now)
			}
		}
	})
}

// Recovering from memory beats storage, spares beat waiting; the same failures
// hit each.
func TestPoliciesCompare(t *testing.T) {
	base := Run{
		Devices: 2048, NodeSize: 16, Work: 30 * day, Failures: Failures{MTBF: 2048 * 12 * 3600, HangShare: 0.1},
		Check: Checkpoint{Save: 20, Write: 224, Load: 224, CopyInterval: 60, Copy: 0.3, LoadCopy: 20}, Trials: 100, Seed: 4,
	}
	all, err := Compare(base, Policies())
	if err != nil {
		t.Fatal(err)
	}
	goodput := map[string]float64{}
	for i, r := range all {
		goodput[Policies()[i].Name] = r.Goodput
	}
	if !(goodput["restart"] < goodput["memory"] && goodput["memory"] < goodput["spares"]) {
		t.Errorf("goodput by policy: %v", goodput)
	}
	again, err := Compare(base, Policies())
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(all, again); d != "" {
		t.Errorf("two runs differ:\n%s", d)
	}
}

// Each hang costs the timeout: shortening it from 30 to 6 minutes saves 24 of
// them for every hang.
func TestTimeoutCostsWhatItSays(t *testing.T) {
	r := Run{
		Devices: 1000, NodeSize: 8, Work: 100 * day, Failures: Failures{MTBF: 1000 * day, Causes: []Cause{{Name: "hang", Weight: 1, Hang: true}}},
		Check: Checkpoint{Interval: 3600, Save: 1}, Policy: Policy{Source: Storage, Capacity: Requeue, Timeout: 1800}, Trials: 200, Seed: 5,
	}
	long := play(t, r)
	r.Policy.Timeout = 360
	short := play(t, r)
	lost := func(r *Result) float64 { return r.Losses[Detection].Value / r.Interruptions[0].Value }
	if math.Abs(lost(long)-1800) > 30 || math.Abs(lost(short)-360) > 5 {
		t.Errorf("a hang costs %.0f s and %.0f s to notice", lost(long), lost(short))
	}
	if saved := (long.Wall - short.Wall) / long.Interruptions[0].Value; math.Abs(saved-1440) > 60 {
		t.Errorf("the shorter timeout saves %.0f s a hang, want 1440 or so", saved)
	}
}

// A corruption found D later costs D and half an interval of work, on average.
func TestSilentCorruption(t *testing.T) {
	r := Run{
		Devices: 100, NodeSize: 10, Work: 200 * day, Failures: Failures{SilentMTBF: 100 * 4 * day, SilentDetect: 7200},
		Check: Checkpoint{Interval: 1800, Save: 1}, Policy: Policy{Source: Memory, Capacity: Requeue}, Trials: 100, Seed: 6,
	}
	out := play(t, r)
	n := out.Interruptions[len(out.Interruptions)-1].Value
	if per := out.Losses[LostWork].Value / n; math.Abs(per-(7200+900)) > 300 {
		t.Errorf("each of %.1f corruptions costs %.0f s of work, want 8100 or so", n, per)
	}
	r.Check.Kept, r.Check.Milestone = 60, 4*day // hardly anything is kept
	if far := play(t, r); far.Losses[LostWork].Value/far.Interruptions[len(far.Interruptions)-1].Value < 86400 {
		t.Error("without old checkpoints the run still goes back less than a day")
	}
}

// A slow rank slows the whole run for as long as it lasts, and that is not
// counted as time lost to training.
func TestSlowRanks(t *testing.T) {
	r := Run{
		Devices: 100, NodeSize: 10, Work: 100 * day, Failures: Failures{SlowMTBF: 100 * 2 * day, SlowFactor: 1.5, SlowDuration: 4320},
		Check: Checkpoint{Interval: 3600}, Policy: Policy{Source: Storage, Capacity: Requeue}, Trials: 100, Seed: 7,
	}
	out := play(t, r)
	// 4,320 s every two days at 1.5x; overlaps are rare.
	if want := 1 / 1.5 * 4320.0 / (2 * day) / 2; math.Abs(out.Losses[SlowRanks].Value/out.Wall-want) > 0.06*want {
		t.Errorf("slow ranks take %.5f of the time, want %.5f", out.Losses[SlowRanks].Value/out.Wall, want)
	}
	if out.ETTR < 0.9999 || out.Goodput > 0.995 {
		t.Errorf("ETTR %v, goodput %v", out.ETTR, out.Goodput)
	}
}

// The law of the power-law process: the mean life of one device is its MTBF
// whatever the shape.
func TestMeanLife(t *testing.T) {
	for _, shape := range []float64{0.7, 1, 1.5} {
		f := Failures{MTBF: 1000, Shape: shape}
		sum, n := 0.0, 4000
		for i := range n {
			var a arrivals
			lambda, k := f.scale()
			a.start((&setup{seed: 8}).stream("life", i), lambda, k, 1)
			sum += a.next
		}
		if mean := sum / float64(n); math.Abs(mean-1000) > 4*1000*1.5/math.Sqrt(float64(n)) {
			t.Errorf("shape %v: mean life %v, want 1000", shape, mean)
		}
	}
}

// Enough spares are those that are missed in one of a hundred moments.
func TestEnoughSpares(t *testing.T) {
	// Two broken nodes on average: P(more than 6) = 0.45 %, P(more than 5) = 1.7 %.
	f := Failures{MTBF: 2048 * 12 * 3600}
	if got := f.EnoughSpares(2048, day); got != 6 {
		t.Errorf("%d spares, want 6", got)
	}
	f.Causes = []Cause{{Name: "software", Weight: 1}, {Name: "device", Weight: 1, Node: true}}
	if got := f.EnoughSpares(2048, day); got != 4 { // one on average
		t.Errorf("%d spares, want 4", got)
	}
	if got := (&Failures{}).EnoughSpares(2048, day); got != 0 {
		t.Errorf("%d spares where nothing fails", got)
	}
}

func TestRefusals(t *testing.T) {
	good := Run{Devices: 8, NodeSize: 8, Work: 1, Policy: Policy{Source: Storage, Capacity: Requeue}}
	for i, c := range []struct {
		spoil func(r *Run)
		want  string
	}{
		{func(r *Run) { r.Devices = 0 }, "goodput: devices is 0, must lie in [1, 16777216]: nearest legal value 1"},
		{func(r *Run) { r.Horizon = 5 }, "goodput: work is 1 s and horizon 5 s: give exactly one"},
		{func(r *Run) { r.Work = math.NaN() }, "goodput: work is NaN, must lie in [0, 1e+10]: nearest legal value 0"},
		{func(r *Run) { r.Failures.HangShare = 2 }, "goodput: failures.hang_share is 2, must lie in [0, 1]: nearest legal value 1"},
		{func(r *Run) { r.Failures.Shape = 0.01 }, "goodput: failures.shape is 0.01, must lie in [0.1, 10]: nearest legal value 0.1"},
		{func(r *Run) { r.Policy.Source = "tape" }, `goodput: policy.source is "tape", want storage or memory`},
		{func(r *Run) { r.Check = Checkpoint{Save: 9, Write: 3} }, "goodput: checkpoint.write is 3 s, must be at least checkpoint.save, 9 s: nearest legal value 9"},
		{func(r *Run) { r.Check = Checkpoint{Interval: 10, Save: 1, Write: 30} }, "goodput: checkpoint.interval is 10 s, but writing one takes 30 s: nearest legal value 29"},
		{func(r *Run) {
			r.Work, r.Trials, r.Failures.MTBF, r.Policy.Restart = day, 1, 8*10, 1000
		}, "goodput: policy : the work would never end: an interruption every 10 s, 1000 s to restart and load, 3.83 s between checkpoints"},
	} {
		r := good
		c.spoil(&r)
		if _, err := r.Play(); err == nil || err.Error() != c.want {
			t.Errorf("case %d: %v\nwant %s", i, err, c.want)
		}
	}
	if _, err := PolicyNamed("hope"); err == nil || !strings.Contains(err.Error(), "want one of [restart memory shrink spares]") {
		t.Error(err)
	}
}

func BenchmarkPlay(b *testing.B) {
	r := llama()
	for b.Loop() {
		if _, err := r.Play(); err != nil {
			b.Fatal(err)
		}
	}
}

func ExampleRun_Play() {
	r := Run{
		Devices: 2048, NodeSize: 16, Horizon: 10 * day, Failures: Failures{MTBF: 67570 * 3600, HangShare: 0.1},
		Check: Checkpoint{Save: 10, Write: 224, Load: 224}, Policy: Policies()[0], Seed: 1,
	}
	out, err := r.Play()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("goodput %.3f, %.1f interruptions a day\n", out.Goodput, out.PerDay)
	// Output: goodput 0.973, 0.7 interruptions a day
}

// The simulated optimum is near Daly's interval where its assumptions hold.
func TestOptimum(t *testing.T) {
	r := Run{
		Devices: 1000, NodeSize: 8, Work: day, Failures: Failures{MTBF: 1000 * 6 * 3600}, Seed: 3,
		Check: Checkpoint{Save: 120, Write: 120, Load: 300}, Policy: Policy{Source: Storage, Capacity: Requeue, Detect: 30, Restart: 300, Requeue: 60},
	}
	o, err := r.Optimum()
	if err != nil {
		t.Fatal(err)
	}
	if ratio := o.Interval / o.Daly; ratio < 0.6 || ratio > 1.7 || o.Goodput < o.GoodputDaly-1e-3 || o.Goodput > o.GoodputDaly+0.01 || o.Limit {
		t.Errorf("%+v", o)
	}
	// Storage that takes ten minutes to write limits how often it makes sense.
	r.Check = Checkpoint{Save: 0.5, Write: 600, Load: 300}
	if o, err = r.Optimum(); err != nil || !o.Limit || o.Interval < 600 {
		t.Errorf("%+v, %v", o, err)
	}
	r.Failures.MTBF = 0
	if o, err = r.Optimum(); err != nil || !o.NothingFails {
		t.Errorf("%+v, %v", o, err)
	}
}

// A run taken back before its last checkpoint has no use for that checkpoint.
func TestRewindForgetsLaterCheckpoints(t *testing.T) {
	s, err := (&Run{Devices: 8, NodeSize: 8, Work: 1000, Policy: Policy{Source: Storage, Capacity: Requeue}}).setup()
	if err != nil {
		t.Fatal(err)
	}
	trial := s.newTrial(0)
	trial.useful, trial.durable, trial.captured = 120, 100, 110
	trial.silent = []corruption{{useful: 70}, {useful: 40}}
	trial.rewind(50)
	if trial.useful != 50 || trial.durable != 50 || trial.captured != 50 || trial.lost[LostWork] != 70 || len(trial.silent) != 1 || trial.silent[0].useful != 40 {
		t.Errorf("%+v", trial)
	}
	if trial.rewind(90); trial.useful != 50 || trial.lost[LostWork] != 70 {
		t.Error("going back went forward")
	}
}

// With two nodes the copy of the one is on the other: a second failure during a
// recovery takes the work back to storage. With many nodes it hardly ever does.
func TestBothCopiesLost(t *testing.T) {
	r := Run{
		Devices: 64, Work: 20 * day, Failures: Failures{MTBF: 64 * 3600}, Check: Checkpoint{Interval: 7200, CopyInterval: 30},
		Policy: Policy{Source: Memory, Capacity: Requeue, Restart: 900}, Trials: 50, Seed: 2,
	}
	lost := func(node int) float64 {
		r.NodeSize = node
		return play(t, r).Losses[LostWork].Value
	}
	if two, many := lost(32), lost(1); two < 3*many {
		t.Errorf("two nodes lose %.0f s of work, 64 nodes %.0f s", two, many)
	}
}
