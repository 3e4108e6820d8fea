package sim

import (
	"math"
	"testing"

	"github.com/temper-ml/temper/cluster/costmodel"
	"github.com/temper-ml/temper/cluster/hardware"
	"github.com/temper-ml/temper/model/arch"
)

// situation is a step to predict.
type situation struct {
	model, cluster string
	devices        int
	workload       costmodel.Workload
	layout         string
}

// step predicts a situation, whether it fits in memory or not.
func (s situation) step(t testing.TB) (*costmodel.Model, *costmodel.Step) {
	t.Helper()
	a, err := arch.Builtin(s.model)
	if err != nil {
		t.Fatal(err)
	}
	c, err := hardware.Load(s.cluster)
	if err != nil {
		t.Fatal(err)
	}
	m, err := costmodel.New(a, c, s.devices, s.workload, costmodel.Options{AnyMemory: true})
	if err != nil {
		t.Fatal(err)
	}
	l, err := costmodel.ParseLayout(s.layout, s.devices)
	if err != nil {
		t.Fatal(err)
	}
	step, err := m.Evaluate(l)
	if err != nil {
		t.Fatalf("%s: %v", s.layout, err)
	}
	return m, step
}

var pro = situation{"deepseek-v4-pro", "ascend-910c", 2048, costmodel.Workload{Seq: 4096, GlobalBatch: 15360}, "pp=8,ep=64,mbs=1,zero=1,recompute=full,offload=optimizer"}

// The symmetric run lasts exactly as long as the cost model says, whatever the
// schedule, the axes, the sharding: the same programs and the same costs.
func TestSymmetricRunIsTheCostModel(t *testing.T) {
	dense := costmodel.Workload{Seq: 4096, GlobalBatch: 128}
	moe := costmodel.Workload{Seq: 4096, GlobalBatch: 512}
	for _, s := range []situation{
		{"llama3-8b", "h100", 8, dense, "mbs=1,zero=3"},
		{"llama3-8b", "h100", 16, dense, "tp=2,zero=2,mbs=2"},
		{"llama3-70b", "h100", 64, dense, "tp=8,pp=4,mbs=1"},
		{"llama3-70b", "h100", 64, dense, "tp=4,pp=4,vpp=5,cp=2,mbs=1,zero=1"},
		{"llama3-70b", "h100", 64, dense, "tp=4,pp=4,mbs=1,zero=1,schedule=zb-h1,recompute=full"},
		{"llama3-70b", "h100", 64, dense, "tp=2,pp=8,vpp=2,mbs=1,zero=1,schedule=zb-v"},
		{"llama3-70b", "h100", 64, dense, "tp=2,pp=8,mbs=1,schedule=gpipe"},
		{"deepseek-v3", "h800", 256, moe, "pp=8,vpp=2,ep=32,mbs=1,zero=1,schedule=dualpipev"},
		{"deepseek-v3", "h100", 256, moe, "tp=2,pp=4,vpp=4,ep=32,mbs=1,zero=1,recompute=selective"},
		{"deepseek-v3", "ascend-910c", 256, moe, "pp=8,ep=32,mbs=1,zero=1,recompute=full,offload=optimizer,schedule=zb-h1"},
		{"deepseek-v3", "h800", 256, moe, "pp=8,ep=32,vpp=2,mbs=1,zero=1,schedule=dualpipe"},
		{"qwen3-30b-a3b", "h100", 32, moe, "pp=2,ep=8,mbs=2,zero=3"},
		{"qwen3-30b-a3b", "h100", 32, moe, "tp=2,etp=2,ep=4,pp=2,mbs=1,zero=0"},
		{"deepseek-v4-flash", "ascend-910c", 128, moe, "pp=4,ep=32,mbs=1,zero=1,recompute=full"},
		{"deepseek-v4-flash", "ascend-910c", 128, costmodel.Workload{Seq: 4096, GlobalBatch: 512, Routing: "natural"}, "pp=4,ep=32,mbs=1,zero=1,recompute=full"},
	} {
		m, step := s.step(t)
		for _, o := range []Options{{}, {ByChunk: true}} {
			p, err := New(m, step, o)
			if err != nil {
				t.Fatalf("%s %s: %v", s.model, s.layout, err)
			}
			r := run(t, p, nil)
			conserved(t, r)
			if d := math.Abs(r.Wall.Seconds() - step.Seconds); d > rounding(p, r) {
				t.Errorf("%s on %s, %s (by chunk %v): simulated %.9f s, cost model %.9f s", s.model, s.cluster, s.layout, o.ByChunk, r.Wall.Seconds(), step.Seconds)
			}
		}
	}
}

// rounding is how far the two may be apart: the cost model's timeline counts in
// ticks of 2^-36 s, the simulation in picoseconds, both to the nearest, for
// every instruction on the way.
func rounding(p *Program, r *Run) float64 {
	n := len(r.CriticalPath().Segments)
	return float64(n) * (0x1p-37 + 0.5e-12)
}

func TestCheckpointIsPartOfTheStep(t *testing.T) {
	m, step := situation{"llama3-8b", "h100", 8, costmodel.Workload{Seq: 4096, GlobalBatch: 64}, "mbs=1,zero=3"}.step(t)
	p, err := New(m, step, Options{CheckpointSeconds: 2.5})
	if err != nil {
		t.Fatal(err)
	}
	if got := run(t, p, nil).Wall.Seconds() - step.Seconds; math.Abs(got-2.5) > 1e-6 {
		t.Errorf("the checkpoint takes %v s", got)
	}
}

// Eight devices that share four cards: taking turns at the whole card is about
// as fast as half a card each, when all send at once.
func TestPortsTakeTurns(t *testing.T) {
	m, step := situation{"llama3-70b", "a100-4nic", 64, costmodel.Workload{Seq: 4096, GlobalBatch: 64}, "tp=8,pp=4,mbs=1"}.step(t)
	shares, err := New(m, step, Options{})
	if err != nil {
		t.Fatal(err)
	}
	turns, err := New(m, step, Options{Ports: true})
	if err != nil {
		t.Fatal(err)
	}
	if shares.PortRanks != 1 || turns.PortRanks != 2 {
		t.Fatalf("%d and %d ranks to a port", shares.PortRanks, turns.PortRanks)
	}
	shared := 0
	for _, code := range turns.Stages {
		for i := range code {
			if code[i].Kind == Send {
				shared++
				if code[i].Shared <= 0 || code[i].Shared > code[i].Time {
					t.Fatalf("%+v", code[i])
				}
			}
		}
	}
	a, b := run(t, shares, nil), run(t, turns, nil)
	conserved(t, b)
	if shared == 0 || math.Abs(b.Wall.Seconds()/a.Wall.Seconds()-1) > 0.02 {
		t.Errorf("shares %v s, turns %v s", a.Wall.Seconds(), b.Wall.Seconds())
	}
}
