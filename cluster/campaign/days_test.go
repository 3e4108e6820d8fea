package campaign

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/temper-ml/temper/cluster/campaign/goodput"
	"github.com/temper-ml/temper/cluster/costmodel"
	"github.com/temper-ml/temper/cluster/hardware"
	"github.com/temper-ml/temper/model/arch"
)

func predicted(t testing.TB, model, cluster string, devices int, layout string) (*costmodel.Model, *costmodel.Step) {
	t.Helper()
	a, err := arch.Builtin(model)
	if err != nil {
		t.Fatal(err)
	}
	c, err := hardware.Load(cluster)
	if err != nil {
		t.Fatal(err)
	}
	m, err := costmodel.New(a, c, devices, costmodel.Workload{Seq: 4096, GlobalBatch: 2 * devices}, costmodel.Options{AnyMemory: true})
	if err != nil {
		t.Fatal(err)
	}
	l, err := costmodel.ParseLayout(layout, devices)
	if err != nil {
		t.Fatal(err)
	}
	s, err := m.Evaluate(l)
	if err != nil {
		t.Fatal(err)
	}
	return m, s
}

func TestDays(t *testing.T) {
	m, s := predicted(t, "deepseek-v4-pro", "ascend-910c", 2048, "pp=8,ep=64,recompute=full,offload=optimizer")
	begin := time.Now()
	d, err := Days(m, s, 30, "")
	took := time.Since(begin)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("30 days in %v: %+v", took, d)
	if took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
	// 2,048 dies of 67,570 h: an interruption every 33 h.
	if want := 24.0 * 2048 / 67570; math.Abs(d.Interruptions.Sum()/30-want) > 0.1*want {
		t.Errorf("%v interruptions in 30 days, want %v", d.Interruptions.Sum(), 30*want)
	}
	wall := d.Steps*d.StepSeconds + d.Losses.Sum()
	if math.Abs(wall-30*86400) > 1e-6*wall {
		t.Errorf("training and losses are %v s of %v", wall, 30*86400)
	}
	if math.Abs(d.Tokens-d.Steps*4096*4096) > 1e-6*d.Tokens || d.Goodput < 0.9 || d.Goodput > 1 || d.Policy != "restart" {
		t.Errorf("%+v", d)
	}
	f, g := d.Finish, d.FinishFailures
	if !(f.P10 < g.P10 && g.P10 <= g.P50 && g.P50 <= g.P90 && g.P90 < f.P90 && g.P10 > 30*86400) {
		t.Errorf("finish %+v, by failures alone %+v", f, g)
	}
	if c := d.Checkpoint; c.Young <= 0 || c.Daly >= c.Young || c.Simulated < c.Write || c.Gain < 0 || c.Bytes < 22e12 || c.Bytes > 24e12 {
		t.Errorf("%+v", c)
	}
	if again, _ := Days(m, s, 30, "restart"); again.Finish != d.Finish || again.Goodput != d.Goodput {
		t.Error("two runs differ")
	}
	for _, c := range []struct {
		days   float64
		policy string
		want   string
	}{
		{0, "", "campaign: days is 0, must lie in (0, 36500]: nearest legal value 1"},
		{math.NaN(), "", "campaign: days is NaN"},
		{1, "hope", `no policy is called "hope"`},
	} {
		if _, err := Days(m, s, c.days, c.policy); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
}

// Llama 3 405B ran 54 days on 16,384 H100 with 419 unexpected interruptions and
// more than 90 % of its time effective: restarts were automatic and spares stood
// ready. From a queue, with the catalogue's ten minutes to restart, it is less.
func TestLlama3Days(t *testing.T) {
	m, s := predicted(t, "llama3.1-405b", "h100", 16384, "tp=8,pp=16")
	for _, policy := range []string{"restart", "spares"} {
		d, err := Days(m, s, 54, policy)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %.0f interruptions, goodput %.3f, ETTR %.3f, interval %.0f s, %d trials, losses %v", policy, d.Interruptions.Sum(), d.Goodput, d.ETTR, d.Interval, d.Trials, d.Losses)
		if n := d.Interruptions.Sum(); math.Abs(n-419) > 0.05*419 {
			t.Errorf("%s: %v interruptions, published 419", policy, n)
		}
		if policy == "spares" && d.ETTR < 0.9 || d.ETTR < 0.8 || d.ETTR > 0.98 {
			t.Errorf("%s: effective training time %v, published more than 0.90", policy, d.ETTR)
		}
	}
}

// More failures never finish earlier, whatever the policy.
func TestFinishIsMonotoneInFailures(t *testing.T) {
	s := flat(t)
	last := map[string]float64{}
	for _, hours := range []float64{1e6, 3e5, 1e5, 3e4, 1e4} {
		s.Failures = &goodput.Failures{MTBF: hours * 3600, HangShare: 0.1}
		all, err := s.Policies(10*86400, 64)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range all {
			key := p.Name + " " + p.Saving
			if p.Finish.P50 < last[key] {
				t.Errorf("%s, a failure every %v h: half are done after %v s, with fewer failures after %v", key, hours, p.Finish.P50, last[key])
			}
			last[key] = p.Finish.P50
		}
	}
}

// A run for thousands of years is refused, not played.
func TestTooLong(t *testing.T) {
	s := flat(t)
	w := &Workload{Name: "w", Phases: []Phase{{Name: "a", Method: "cpt", Tokens: 1e17, Seq: 4096, GlobalBatch: 256}}}
	if _, err := Play(w, s); err == nil || !strings.Contains(err.Error(), "workload w takes 3171 years without any failure, runs of up to 100 years") {
		t.Error(err)
	}
}

// Without failures a run takes what it takes, and only step times spread it.
func TestNothingFails(t *testing.T) {
	s := flat(t)
	s.Failures = &goodput.Failures{}
	flatTrain := s.Train
	s.Train = func(n, seq, gb int) (TrainStep, error) {
		step, err := flatTrain(n, seq, gb)
		step.Low, step.High = step.Seconds*0.8, step.Seconds/0.8
		return step, err
	}
	w := &Workload{Name: "w", Phases: []Phase{{Name: "a", Method: "cpt", Tokens: 1e12, Seq: 4096, GlobalBatch: 256}}}
	r, err := Play(w, s)
	if err != nil {
		t.Fatal(err)
	}
	check := s.checkpoint()
	if saves := r.Losses.Of("checkpoints"); r.Losses.Sum() != saves || math.Abs(r.Seconds-r.Undisturbed-saves) > 1 || saves > 400*(check.Save+check.Write) {
		t.Errorf("%v s, undisturbed %v, losses %v", r.Seconds, r.Undisturbed, r.Losses)
	}
	// 5 and 95 % at 0.8 and 1/0.8: 10 and 90 % at 0.8^(1.2816/1.6449), but for the start.
	want := math.Pow(0.8, 1.2816/1.6449)
	if low, high := r.Finish.P10/r.FinishFailures.P10, r.Finish.P90/r.FinishFailures.P90; math.Abs(low-want) > 0.01 || math.Abs(high-1/want) > 0.01 {
		t.Errorf("finish %+v, by failures alone %+v", r.Finish, r.FinishFailures)
	}
	if r.FinishFailures.P10 != r.FinishFailures.P90 || r.Checkpoint.Gain != 0 || r.Goodput < 0.99 {
		t.Errorf("%+v", r)
	}
}
