package costmodel_test

import (
	"errors"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/temper-ml/temper/cluster/costmodel"
	"github.com/temper-ml/temper/cluster/costmodel/memory"
	"github.com/temper-ml/temper/cluster/costmodel/operator"
	"github.com/temper-ml/temper/cluster/hardware"
	"github.com/temper-ml/temper/model/arch"
)

// What any prediction must obey, whatever the constants: the tests here change
// one thing about a situation and know which way the answer must go.

// fataler is what the helpers need of a test, ordinary or rapid's.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// situation is a step to predict.
type situation struct {
	model, cluster string
	devices        int
	work           costmodel.Workload
	layout         string
	engine         string // "" is the cluster's usual one
}

func loadModel(t fataler, name string) *arch.Config {
	t.Helper()
	a, err := arch.Builtin(name)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return a
}

// loadCluster returns a description that the caller may change.
func loadCluster(t fataler, name string) *hardware.Cluster {
	t.Helper()
	c, err := hardware.Load(name)
	if err != nil {
		t.Fatalf("%v", err)
	}
	out := *c
	out.Domains = slices.Clone(c.Domains)
	out.Device.Peak = maps.Clone(c.Device.Peak)
	return &out
}

// on predicts the situation on a cluster of one's own; memory may be exceeded.
func (s situation) on(t fataler, c *hardware.Cluster) (*costmodel.Model, *costmodel.Step) {
	t.Helper()
	m := s.bare(t, c, true)
	l, err := costmodel.ParseLayout(s.layout, s.devices)
	if err != nil {
		t.Fatalf("%s: %v", s.layout, err)
	}
	step, err := m.Evaluate(l)
	if err != nil {
		t.Fatalf("%s on %s, %s: %v", s.model, c.Name, s.layout, err)
	}
	return m, step
}

// bare returns the model without a layout.
func (s situation) bare(t fataler, c *hardware.Cluster, anyMemory bool) *costmodel.Model {
	t.Helper()
	o := costmodel.Options{AnyMemory: anyMemory}
	if s.engine != "" {
		e, err := operator.EngineNamed(s.engine)
		if err != nil {
			t.Fatalf("%v", err)
		}
		o.Engine = e
	}
	m, err := costmodel.New(loadModel(t, s.model), c, s.devices, s.work, o)
	if err != nil {
		t.Fatalf("%s on %s: %v", s.model, c.Name, err)
	}
	return m
}

// step predicts the situation.
func (s situation) step(t fataler) *costmodel.Step {
	t.Helper()
	_, step := s.on(t, loadCluster(t, s.cluster))
	return step
}

// with returns the situation under another layout.
func (s situation) with(layout string) situation {
	s.layout = layout
	return s
}

// fullest returns the memory of the stage that holds the most.
func fullest(s *costmodel.Step) *memory.Report {
	worst := s.Memory[0]
	for _, r := range s.Memory {
		if r.Total > worst.Total {
			worst = r
		}
	}
	return worst
}

// share returns a part of the breakdown.
func share(t fataler, s *costmodel.Step, name string) float64 {
	t.Helper()
	for _, b := range s.Breakdown {
		if b.Name == name {
			return b.Seconds
		}
	}
	t.Fatalf("the breakdown has no share %q", name)
	return 0
}

// grounds are the situations that properties are drawn from: dense and sparse,
// one stage and many, every family of attention, several vendors.
var grounds = []situation{
	{"llama3-8b", "h100", 16, costmodel.Workload{Seq: 8192, GlobalBatch: 64}, "tp=2", ""},
	{"llama3-8b", "b200", 8, costmodel.Workload{Seq: 8192, GlobalBatch: 32, DType: "mxfp8"}, "", ""},
	{"llama3-8b", "h100", 16, costmodel.Workload{Seq: 8192, GlobalBatch: 32}, "zero=3,recompute=selective", "torchtitan"},
	{"llama3-70b", "a100", 64, costmodel.Workload{Seq: 4096, GlobalBatch: 128}, "tp=8,pp=4,vpp=5", ""},
	{"llama3-70b", "ascend-910c", 64, costmodel.Workload{Seq: 4096, GlobalBatch: 64}, "tp=4,pp=8,cp=2,recompute=full", ""},
	{"gpt3-175b", "a100", 128, costmodel.Workload{Seq: 2048, GlobalBatch: 128}, "tp=8,pp=16,recompute=full,zero=0", "megatron-2021"},
	{"mixtral-8x7b", "h100", 64, costmodel.Workload{Seq: 4096, GlobalBatch: 128}, "tp=2,pp=4,ep=8", ""},
	{"qwen3-30b-a3b", "gb200", 32, costmodel.Workload{Seq: 4096, GlobalBatch: 128}, "ep=16,mbs=2", ""},
	{"deepseek-v2", "cloudmatrix384", 64, costmodel.Workload{Seq: 4096, GlobalBatch: 64}, "pp=2,ep=32,recompute=full", ""},
	{"qwen3-235b-a22b", "mi300x", 64, costmodel.Workload{Seq: 4096, GlobalBatch: 64, Routing: "natural"}, "pp=8,ep=8,zero=1", ""},
	{"deepseek-v3", "h800", 256, costmodel.Workload{Seq: 4096, GlobalBatch: 512, DType: "fp8"}, "pp=8,vpp=2,ep=32,schedule=dualpipev", ""},
	{"deepseek-v3", "h100", 256, costmodel.Workload{Seq: 4096, GlobalBatch: 512}, "tp=2,pp=4,vpp=4,ep=32,recompute=mla_up_proj", ""},
	{"deepseek-v4-flash", "ascend-910c", 128, costmodel.Workload{Seq: 4096, GlobalBatch: 128}, "pp=4,ep=32,recompute=full,offload=optimizer", ""},
	{"deepseek-v4-pro", "ascend-910c", 512, costmodel.Workload{Seq: 4096, GlobalBatch: 512, Optimizer: "muon"}, "pp=16,ep=32,recompute=full", ""},
}

// anyGround draws one of them.
func anyGround(t *rapid.T) situation {
	return grounds[rapid.IntRange(0, len(grounds)-1).Draw(t, "ground")]
}

// even reports whether every position holds as many blocks as the next: only
// then is the split the same whatever things cost.
func even(s *costmodel.Step) bool {
	for _, p := range s.Split.Parts {
		if p.Blocks != s.Split.Parts[0].Blocks {
			return false
		}
	}
	return true
}

// rejection returns the rule that an error names, or nothing.
func rejection(err error) string {
	var r *costmodel.Rejection
	if errors.As(err, &r) {
		return r.Rule
	}
	return ""
}

func TestGroundsAreLegal(t *testing.T) {
	for _, g := range grounds {
		g.step(t)
	}
}
