package campaign

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/temper-ml/temper/cluster/campaign/goodput"
	"github.com/temper-ml/temper/cluster/costmodel"
	"github.com/temper-ml/temper/cluster/hardware"
	"github.com/temper-ml/temper/model/arch"
)

// setting trains with the best of a few layouts, by the cost model.
func setting(t testing.TB, model, cluster string, devices int, layouts ...string) Setting {
	t.Helper()
	a, err := arch.Builtin(model)
	if err != nil {
		t.Fatal(err)
	}
	c, err := hardware.Load(cluster)
	if err != nil {
		t.Fatal(err)
	}
	policy, err := PolicyOf("memory", c)
	if err != nil {
		t.Fatal(err)
	}
	return Setting{Name: model, Model: a, Cluster: c, Devices: devices, Policy: policy, Trials: 100, Seed: 1, Train: func(n, seq, gb int) (TrainStep, error) {
		best, refused := TrainStep{}, error(nil)
		for _, text := range layouts {
			m, err := costmodel.New(a, c, n, costmodel.Workload{Seq: seq, GlobalBatch: gb}, costmodel.Options{AnyMemory: true})
			if err != nil {
				return best, err
			}
			l, err := costmodel.ParseLayout(text, n)
			if err == nil {
				var s *costmodel.Step
				if s, err = m.Evaluate(l); err == nil && (best.Seconds == 0 || s.Seconds < best.Seconds) {
					best = StepOf(s)
				}
			}
			if err != nil {
				refused = err
			}
		}
		if best.Seconds == 0 {
			return best, refused
		}
		return best, nil
	}}
}

// flat takes a microsecond for every token, whatever the devices.
func flat(t testing.TB) Setting {
	s := setting(t, "deepseek-v3", "h800", 512)
	s.Train = func(_, seq, gb int) (TrainStep, error) {
		return TrainStep{Seconds: 1e-6 * float64(seq*gb), Layout: "flat"}, nil
	}
	return s
}

func TestTuningIsTokensOverRate(t *testing.T) {
	s := flat(t)
	w := &Workload{Name: "w", Phases: []Phase{
		{Name: "a", Method: "sft", Samples: 1e5, Epochs: 2, MeanLength: 1000, Seq: 4096, GlobalBatch: 64},
		{Name: "b", Method: "sft", Samples: 1e5, Epochs: 2, MeanLength: 1000, Seq: 4096, GlobalBatch: 64, Packing: "padded"},
		{Name: "c", Method: "cpt", Tokens: 1e9, Seq: 4096, GlobalBatch: 64},
		{Name: "d", Method: "dpo", Samples: 1e5, Epochs: 2, MeanLength: 1000, Seq: 4096, GlobalBatch: 64},
	}}
	r, err := Play(w, s)
	if err != nil {
		t.Fatal(err)
	}
	step := 1e-6 * 64 * 4096
	a, b, c, d := r.Phases[0], r.Phases[1], r.Phases[2], r.Phases[3]
	start := a.Start
	if want := s.Policy.Restart + s.checkpoint().Load; start != want {
		t.Errorf("a phase starts in %v s, want %v", start, want)
	}
	for i := range r.Phases {
		r.Phases[i].Seconds -= start
	}
	a, b, c, d = r.Phases[0], r.Phases[1], r.Phases[2], r.Phases[3]
	if a.Tokens != 2e8 || a.Filled < 0.95 || a.Filled > 1 || math.Abs(a.Seconds-2e8/a.Filled*1e-6) > step {
		t.Errorf("packed: %+v", a)
	}
	if math.Abs(b.Filled-1000.0/4096) > 1e-12 || math.Abs(b.Seconds/a.Seconds-a.Filled*4.096) > 0.01 {
		t.Errorf("padded: %+v", b)
	}
	if c.Tokens != 1e9 || math.Abs(c.Seconds-1000) > step {
		t.Errorf("cpt: %+v", c)
	}
	// Two sequences a pair, twice; the reference reads once: a third of one epoch,
	// which is half of the whole.
	if d.Tokens != 4e8 || math.Abs(d.Prepare-d.Seconds/7) > 0.01*d.Prepare || math.Abs(d.Seconds/(4e8/d.Filled*1e-6)-(1+1.0/3/2)) > 0.01 {
		t.Errorf("dpo: %+v", d)
	}
	if sum := a.Seconds + b.Seconds + c.Seconds + d.Seconds + float64(4*start); math.Abs(sum-r.Undisturbed) > 1e-9*sum || r.Seconds < r.Undisturbed {
		t.Errorf("%v s in all, %v disturbed", r.Undisturbed, r.Seconds)
	}
	if got := r.Seconds / 3600 * 512; math.Abs(got-r.DeviceHours) > 1e-9*got || r.EnergyKWh <= 0 {
		t.Errorf("%+v", r)
	}
}

// DeepSeek-R1-Zero took 512 H800 198 hours (101,000 GPU-hours); the prediction,
// with the mean length that had to be assumed, is within a factor of two.
func TestR1Zero(t *testing.T) {
	s := setting(t, "deepseek-v3", "h800", 512, "pp=16,ep=32,mbs=1,zero=1,recompute=full", "pp=8,ep=32,cp=4,mbs=1,zero=1,recompute=full", "pp=8,ep=64,cp=8,mbs=1,zero=1,recompute=full")
	w, err := Read("grpo")
	if err != nil {
		t.Fatal(err)
	}
	w.Phases[0].GenerationDType = "fp8"
	w.Pretraining = Pretraining{Tokens: 14.8e12, Seq: 4096}
	r, err := Play(w, s)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%.0f hours: %+v", r.Seconds/3600, r.Phases[0])
	if hours := r.Seconds / 3600; hours < 99 || hours > 396 {
		t.Errorf("%.0f hours, published 198", hours)
	}
	if math.Abs(r.Generated-10400*512*6000) > 1 || r.ShareOfPretraining <= 0 || r.ShareOfHours < r.ShareOfPretraining {
		t.Errorf("%+v", r)
	}
}

// DeepSeek-V3's whole post-training took 5,000 H800-hours; its instruction tuning,
// with the mean length that had to be assumed, is predicted to fit into that.
func TestV3Tuning(t *testing.T) {
	s := setting(t, "deepseek-v3", "h800", 512, "pp=16,ep=32,mbs=1,zero=1,recompute=full", "pp=8,ep=64,mbs=1,zero=1,recompute=full")
	w, err := Read("sft")
	if err != nil {
		t.Fatal(err)
	}
	r, err := Play(w, s)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%.0f hours", r.DeviceHours)
	if r.DeviceHours < 500 || r.DeviceHours > 5000 {
		t.Errorf("%.0f H800-hours for instruction tuning, published 5,000 for all post-training", r.DeviceHours)
	}
}

// Generating beside training on the step before hides the shorter of the two;
// both placements write the same tokens.
func TestPlacements(t *testing.T) {
	s := flat(t)
	p := Phase{Name: "rl", Method: "grpo", Steps: 10, Prompts: 64, Group: 8, PromptLength: 500, MeanLength: 1500, MaxLength: 8192, Spread: 0.8, Seq: 16384, RewardSeconds: 3}
	play := func(change func(p *Phase)) PhaseResult {
		t.Helper()
		q := p
		change(&q)
		r, err := Play(&Workload{Name: "w", Phases: []Phase{q}}, s)
		if err != nil {
			t.Fatal(err)
		}
		return r.Phases[0]
	}
	together := play(func(*Phase) {})
	apart := play(func(p *Phase) { p.Placement = "disaggregated" })
	ahead := play(func(p *Phase) { p.Placement, p.OffPolicy = "disaggregated", true })
	for _, r := range []PhaseResult{together, apart, ahead} {
		if sum := r.Parts.Sum(); math.Abs(sum-r.StepSeconds) > 1e-9*r.StepSeconds || math.Abs(r.Seconds-r.Start-10*r.StepSeconds) > 1e-9*r.Seconds {
			t.Errorf("parts %v, step %v s, phase %v s", r.Parts, r.StepSeconds, r.Seconds)
		}
	}
	if apart.Generator.Seconds < together.Generator.Seconds || apart.Generated != together.Generated || apart.Training+apart.Generator.Devices != 512 || together.Training != 512 {
		t.Errorf("%d devices generate in %v s, all in %v s", apart.Generator.Devices, apart.Generator.Seconds, together.Generator.Seconds)
	}
	if !together.Generator.Offloaded || together.Parts.Of("offload and back") <= 0 || apart.Parts.Of("offload and back") != 0 {
		t.Errorf("together %v, apart %v", together.Parts, apart.Parts)
	}
	if apart.Idle <= 0.1 || apart.Idle >= 1 || together.Idle != 0 || ahead.Idle >= apart.Idle {
		t.Errorf("idle: apart %v, ahead %v", apart.Idle, ahead.Idle)
	}
	write, learn := apart.Parts.Of("rollout")+apart.Parts.Of("reward"), apart.Parts.Of("log-probabilities")+apart.Parts.Of("train")
	if apart.Training == ahead.Training {
		if want := max(write, learn) + ahead.Parts.Of("weight sync"); math.Abs(ahead.StepSeconds-want) > 1e-9*want {
			t.Errorf("one step ahead %v s, want %v", ahead.StepSeconds, want)
		}
	}
	if ahead.StepSeconds >= apart.StepSeconds || ahead.Hidden.Sum() <= 0 {
		t.Errorf("one step ahead %v s, apart %v", ahead.StepSeconds, apart.StepSeconds)
	}
	reference := play(func(p *Phase) { p.Reference = true })
	if got := reference.Parts.Of("log-probabilities") / together.Parts.Of("log-probabilities"); math.Abs(got-2) > 1e-9 {
		t.Errorf("a reference model makes reading %v times as long", got)
	}
	partial := play(func(p *Phase) { p.Partial = true })
	if partial.StepSeconds >= together.StepSeconds || partial.Generator.Tail != 0 || partial.Generated != together.Generated {
		t.Errorf("partial rollouts: %v s, whole ones %v s", partial.StepSeconds, together.StepSeconds)
	}
	batched := play(func(p *Phase) { p.Minibatches = 8 })
	if batched.Parts.Of("rollout") >= together.Parts.Of("rollout") || batched.Parts.Of("train") != together.Parts.Of("train") {
		t.Errorf("one rollout for eight steps: %v, for one: %v", batched.Parts, together.Parts)
	}
	teachers := play(func(p *Phase) { p.Method, p.Teachers = "opd", 10 })
	more := play(func(p *Phase) { p.Method, p.Teachers = "opd", 20 })
	if got := more.Parts.Of("teacher loading") / teachers.Parts.Of("teacher loading"); math.Abs(got-2) > 1e-9 || teachers.Parts.Of("divergence") <= 0 || teachers.Parts.Of("teachers") != together.Parts.Of("log-probabilities") {
		t.Errorf("teachers: %v, twenty: %v", teachers.Parts, more.Parts)
	}
}

// Every built-in workload plays on the model it is for, the same every time,
// and its result is JSON with the documented names.
func TestBuiltins(t *testing.T) {
	s := setting(t, "deepseek-v4-pro", "ascend-910c", 2048, "pp=8,ep=64,mbs=1,zero=1,recompute=full,offload=optimizer", "pp=8,ep=64,cp=16,mbs=1,zero=1,recompute=full,offload=optimizer", "pp=16,ep=64,cp=4,mbs=1,zero=1,recompute=full,offload=optimizer")
	for _, name := range Builtins() {
		w, err := Read(name)
		if err != nil {
			t.Fatal(err)
		}
		r, err := Play(w, s)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !(r.Goodput > 0.8 && r.Goodput < 1 && r.ETTR >= r.Goodput && r.Finish.P10 <= r.Finish.P50 && r.Finish.P50 <= r.Finish.P90 && r.ShareOfPretraining > 0 && r.ShareOfPretraining < 1) {
			t.Errorf("%s: %+v", name, r)
		}
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Play(w, s)
		if err != nil {
			t.Fatal(err)
		}
		if repeated, err := json.Marshal(again); err != nil || string(repeated) != string(text) {
			t.Errorf("%s: two runs differ, %v:\n%s\n%s", name, err, text, repeated)
		}
		for _, field := range []string{"goodput", "ettr", "interruptions", "checkpoint_interval_seconds", "finish", "p10", "p50", "p90", "device_hours", "energy_kwh", "share_of_pretraining", "checkpoint", "policies", "seconds_undisturbed"} {
			if !strings.Contains(string(text), fmt.Sprintf("%q:", field)) {
				t.Errorf("%s: no field %s in %s", name, field, text)
			}
		}
		t.Logf("%s: %.1f days, share %.4f / %.4f, goodput %.3f", name, r.Seconds/86400, r.ShareOfPretraining, r.ShareOfHours, r.Goodput)
	}
}

func TestCheckpointOf(t *testing.T) {
	s := setting(t, "deepseek-v4-pro", "ascend-910c", 2048)
	c := CheckpointOf(s.Model, s.Cluster, 2048, false)
	// 22.4 TB at 100 GB/s is 224 s, a little more with MTP; 11 GB a die.
	if c.Write < 220 || c.Write > 240 || c.Save < 0.2 || c.Save > 1 {
		t.Errorf("%+v", c)
	}
	if err := c.Check(); err != nil {
		t.Error(err)
	}
}

func TestFailuresOf(t *testing.T) {
	c, err := hardware.Load("h100")
	if err != nil {
		t.Fatal(err)
	}
	f := FailuresOf(c)
	if math.Abs(f.MTBF/3600-50677) > 1 || f.HangShare != 0.1 || len(f.Causes) != 17 {
		t.Errorf("%+v", f)
	}
	p, err := PolicyOf("restart", c)
	if err != nil || p.Timeout != c.Failure.HangDetect || p.Restart != c.Failure.Restart {
		t.Errorf("%+v, %v", p, err)
	}
	if p, _ := PolicyOf("spares", c); p.Timeout != 360 || p.Restart != c.Failure.Restart/5 || p.Capacity != goodput.Spares {
		t.Errorf("%+v", p)
	}
}

func TestWorkloadFiles(t *testing.T) {
	const src = `name: mine
source: our own budget
pretraining: {tokens: 14.8e12, seq: 4096}
phases:
  - {name: sft, method: sft, samples: 1.5e6, epochs: 2, mean_length: 1500, seq: 8192, global_batch: 256, packing: packed}
  - {name: rl, method: grpo, steps: 1000, prompts: 512, group: 16, prompt_length: 500, mean_length: 4000,
     max_length: 16384, spread: 0.7, seq: 16384, placement: colocated}
`
	path := filepath.Join(t.TempDir(), "w.yaml")
	if err := os.WriteFile(path, []byte(src), 0o644); err != nil {
		t.Fatal(err)
	}
	w, err := Read(path)
	if err != nil || len(w.Phases) != 2 || w.Phases[1].MaxLength != 16384 {
		t.Fatalf("%+v, %v", w, err)
	}
	for _, c := range []struct{ old, new, want string }{
		{"method: sft", "method: sfx", `w.yaml:5:25: phases[0].method: "sfx" is not known: use cpt, sft, dpo, grpo, opd`},
		{"steps: 1000", "tokens: 1000", "phases[1].tokens: grpo takes steps"},
		{"epochs: 2", "steps: 2", "phases[0]: give exactly one of tokens, samples, steps"},
		{"mean_length: 1500", "mean_length: 15000", "w.yaml:5:70: phases[0].mean_length: 15000 is outside [1, 8192]: the nearest legal value is 8192"},
		{"packing: packed", "group: 3", "w.yaml:5:113: phases[0].group: sft generates nothing: leave it out"},
		{"group: 16", "group: 0", "phases[1].group: 0 is outside [1, 10000]: the nearest legal value is 1"},
		{"max_length: 16384", "max_length: 100", "phases[1].max_length: 100 is outside [4000, 1e+07]: the nearest legal value is 4000"},
		{"placement: colocated", "off_policy: true", "phases[1].placement: train_share and off_policy need placement: disaggregated"},
		{"name: rl", "name: sft", `phases[1].name: "sft": every phase needs a name of its own`},
		{"seq: 4096}", "seq: 0}", "w.yaml:3:37: pretraining.seq: 0 is outside [1, 1.6777216e+07]: the nearest legal value is 1"},
	} {
		if _, err := Decode([]byte(strings.Replace(src, c.old, c.new, 1)), "w.yaml"); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v\nwant %s", c.new, err, c.want)
		}
	}
	if _, err := Read("sftt"); err == nil || err.Error() != `campaign: no workload is called "sftt", want one of cpt, sft, dpo, grpo, opd, posttrain or a YAML file` {
		t.Error(err)
	}
}

func TestPolicies(t *testing.T) {
	s := flat(t)
	s.Failures = &goodput.Failures{MTBF: 512 * 8 * 3600, HangShare: 0.1}
	all, err := s.Policies(20*86400, 128)
	if err != nil {
		t.Fatal(err)
	}
	by := map[string]PolicyResult{}
	for _, p := range all {
		by[p.Name] = p // restart with blocking saves comes first
	}
	if len(all) != 5 || all[0].Goodput >= all[1].Goodput || by["memory"].Goodput <= by["restart"].Goodput || by["spares"].Goodput <= by["memory"].Goodput || by["spares"].Spares == 0 {
		t.Errorf("%+v", all)
	}
	// A quarter of the speed for every broken node, a day each, three a day: shrinking does not pay here.
	if by["shrink"].Goodput >= by["memory"].Goodput {
		t.Errorf("shrinking by a quarter: %+v", by["shrink"])
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("name: a\nphases:\n  - {name: x, method: cpt, steps: 3, seq: 10, global_batch: 2}\n"))
	f.Add([]byte("name: a\nphases:\n  - {name: x, method: grpo, steps: 3, seq: 100, prompts: 2, group: 2, prompt_length: 5, mean_length: 6, max_length: 7}\n"))
	s := flat(f)
	s.Trials = 1
	f.Fuzz(func(t *testing.T, src []byte) {
		w, err := Decode(src, "w.yaml")
		if err != nil || len(w.Phases) > 3 || w.Phases[0].Prompts > 100 || w.Phases[0].Group > 100 || w.Phases[0].Minibatches > 10 {
			return
		}
		if r, err := Play(w, s); err == nil && !(r.Seconds >= r.Undisturbed && r.Goodput > 0 && r.Goodput <= 1) {
			t.Fatalf("%+v", r)
		}
	})
}
