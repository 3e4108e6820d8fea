package costmodel_test

import (
	"testing"

	"github.com/temper-ml/temper/cluster/costmodel"
	"github.com/temper-ml/temper/cluster/hardware"
)

// smallerDomain returns the cluster with a domain of another size: the machine is
// the same, only more of its links are those of the domain outside.
func smallerDomain(t fataler, name, domain string, size int) *hardware.Cluster {
	t.Helper()
	c := loadCluster(t, name)
	for i := range c.Domains {
		if c.Domains[i].Name == domain {
			c.Domains[i].Size = size
			return c
		}
	}
	t.Fatalf("%s has no domain %q", name, domain)
	return nil
}

// A group that crosses the boundary of a domain pays for it.
func TestCrossingADomainCosts(t *testing.T) {
	dense := costmodel.Workload{Seq: 4096, GlobalBatch: 64}
	for _, tc := range []struct {
		s      situation
		domain string
		small  int
		part   string
		least  float64 // times what it takes inside
	}{
		{situation{"llama3-70b", "h100", 64, dense, "tp=8,pp=2", ""}, "node", 4, "tp", 1.3},
		{situation{"llama3-70b", "h100", 64, dense, "tp=8,cp=4,pp=2", ""}, "node", 4, "tp", 1.3},
		{situation{"llama3-70b", "ascend-910b", 64, dense, "tp=8,pp=2", ""}, "node", 4, "tp", 1.3},
		{situation{"qwen3-235b-a22b", "gb200", 64, dense, "ep=64", ""}, "rack", 8, "ep", 1.5},
		{situation{"deepseek-v3", "h100", 64, dense, "pp=8,ep=8", "megatron+no-ep-overlap"}, "node", 4, "ep", 0.9}, // a token crosses once, however many copies it has there
		{situation{"deepseek-v3", "h100", 64, dense, "pp=8,ep=8", "megatron+plain-dispatch+no-ep-overlap"}, "node", 4, "ep", 2},
		{situation{"mixtral-8x7b", "h100", 64, dense, "pp=4,ep=8", "megatron+no-ep-overlap"}, "node", 4, "ep", 1.5},
		{situation{"deepseek-v3", "ascend-910c", 512, costmodel.Workload{Seq: 4096, GlobalBatch: 512}, "pp=8,ep=64", ""}, "supernode", 32, "ep", 2},
		{situation{"llama3-8b", "h100", 64, costmodel.Workload{Seq: 65536, GlobalBatch: 64}, "cp=8", ""}, "node", 4, "cp", 1.3},
	} {
		c := loadCluster(t, tc.s.cluster)
		inside := share(t, second(tc.s.on(t, c)), tc.part)
		outside := share(t, second(tc.s.on(t, smallerDomain(t, tc.s.cluster, tc.domain, tc.small))), tc.part)
		if outside < tc.least*inside || inside <= 0 {
			t.Errorf("%s on %s, %s: %s takes %.4f s inside a %s, %.4f s across ones of %d", tc.s.model, tc.s.cluster, tc.s.layout, tc.part, inside, tc.domain, outside, tc.small)
		}
	}
}

func second[A, B any](_ A, b B) B { return b }

// Wider tensor parallelism sends more; once it leaves the node it sends slowly.
func TestTensorParallelismCostsMoreWhenWider(t *testing.T) {
	s := situation{"gpt3-175b", "h100", 128, costmodel.Workload{Seq: 2048, GlobalBatch: 128}, "", ""}
	last := 0.0
	for _, layout := range []string{"tp=2,pp=8", "tp=4,pp=8", "tp=8,pp=8", "tp=16,pp=8"} {
		step := s.with(layout).step(t)
		part := share(t, step, "tp") / step.Seconds
		if part <= last {
			t.Errorf("%s: %.1f %% of the step are messages of tp, no more than with half as many ranks", layout, 100*part)
		}
		last = part
	}
}

// Context parallel ranks share what a sequence keeps, evenly.
func TestContextParallelismHalvesActivations(t *testing.T) {
	for _, s := range []situation{
		{"llama3-8b", "h100", 64, costmodel.Workload{Seq: 32768, GlobalBatch: 64}, "", ""},
		{"deepseek-v3", "h800", 512, costmodel.Workload{Seq: 32768, GlobalBatch: 512}, "pp=16,ep=8,", ""},
		{"deepseek-v4-flash", "h800", 64, costmodel.Workload{Seq: 32768, GlobalBatch: 64}, "pp=4,ep=8,", ""},
	} {
		for _, again := range []string{"recompute=none", "recompute=full"} {
			one := s.with(s.layout + again).step(t)
			two := s.with(s.layout + again + ",cp=2").step(t)
			a, b := float64(one.Chunks[0].Kept), float64(two.Chunks[0].Kept)
			if r := b / a; r < 0.499 || r > 0.52 {
				t.Errorf("%s %s: one micro-batch keeps %.4g bytes, with cp=2 %.4g", s.model, again, a, b)
			}
			if r := fullest(two).Activations; float64(r) > 0.53*float64(fullest(one).Activations) {
				t.Errorf("%s %s: %d bytes of activations at the worst moment, with cp=2 %d", s.model, again, fullest(one).Activations, r)
			}
		}
	}
}

func TestRecomputingTradesTimeForMemory(t *testing.T) {
	for _, g := range grounds {
		l, err := costmodel.ParseLayout(g.layout, g.devices)
		if err != nil {
			t.Fatal(err)
		}
		c := loadCluster(t, g.cluster)
		if g.engine == "" && c.Engine == "megatron" {
			g.engine = "megatron+no-ep-overlap" // which full recomputation rules out
		}
		m := g.bare(t, c, true)
		var time [3]float64
		var memory [3]int64
		for i, again := range []string{"none", "selective", "full"} {
			l.Recompute = again
			s, err := m.Evaluate(l)
			if err != nil {
				t.Fatal(err)
			}
			time[i], memory[i] = s.Seconds, fullest(s).Total
		}
		if !(time[0] <= time[1] && time[1] < time[2]) || !(memory[0] >= memory[1] && memory[1] > memory[2]) {
			t.Errorf("%s on %s, %s: none, selective, full take %.4f s and need %d bytes", g.model, g.cluster, g.layout, time, memory)
		}
		if r := time[2] / time[0]; r > 1.5 {
			t.Errorf("%s on %s, %s: recomputing everything takes %.3f times as long, a forward pass more is a third of the operations and half of the messages", g.model, g.cluster, g.layout, r)
		}
	}
}

// Every level of ZeRO shards more, and never needs more memory.
func TestZeROLevelsNeedLessAndLess(t *testing.T) {
	for _, g := range grounds {
		l, err := costmodel.ParseLayout(g.layout, g.devices)
		if err != nil {
			t.Fatal(err)
		}
		m := g.bare(t, loadCluster(t, g.cluster), true)
		last := make([]int64, 64)
		for level := range 4 {
			l.Zero = level
			s, err := m.Evaluate(l)
			if err != nil {
				t.Fatal(err)
			}
			for stage, r := range s.Memory {
				state := r.Weights + r.Gradients + r.Optimizer
				if level > 0 && state > last[stage] {
					t.Errorf("%s on %s, %s: at level %d stage %d keeps %d bytes of state, at the one before %d", g.model, g.cluster, g.layout, level, stage, state, last[stage])
				}
				last[stage] = state
			}
		}
	}
}

// Level 3 gathers weights before it can multiply with them, in any engine.
func TestShardedWeightsAreGatheredForUse(t *testing.T) {
	for _, engine := range []string{"megatron", "torchtitan", "mindspeed"} {
		s := situation{"llama3-70b", "h100", 64, costmodel.Workload{Seq: 8192, GlobalBatch: 64}, "zero=3,recompute=full", engine}
		r := fullest(s.step(t))
		block := int64(2 * 855e6) // bytes of a block in bf16
		if r.Buffers < block {
			t.Errorf("%s: %d bytes of buffers, less than one gathered block", engine, r.Buffers)
		}
	}
}

// Large products gain from fp8, however it is scaled; tiny ones may lose more to
// quantising than they gain.
func TestFP8PaysOnLargeProducts(t *testing.T) {
	w := costmodel.Workload{Seq: 8192, GlobalBatch: 64}
	large := situation{"llama3-70b", "h100", 64, w, "tp=4,pp=4,recompute=full", ""}
	bf16 := large.step(t)
	for _, scaling := range []string{"tensorwise", "rowwise", "blockwise"} {
		large.work.DType, large.work.Scaling = "fp8", scaling
		if s := large.step(t); s.Seconds >= bf16.Seconds || share(t, s, "products") < 0.45*share(t, bf16, "products") {
			t.Errorf("fp8 %s: %.3f s, of which products %.3f; bf16 %.3f s and %.3f: want faster, by no more than the peak", scaling,
				s.Seconds, share(t, s, "products"), bf16.Seconds, share(t, bf16, "products"))
		}
	}
	tiny := situation{"llama3-8b", "h100", 64, costmodel.Workload{Seq: 256, GlobalBatch: 64}, "tp=8", ""}
	before := tiny.step(t)
	tiny.work.DType = "fp8"
	after := tiny.step(t)
	t.Logf("32 tokens a rank: fp8 takes %.2f times as long as bf16", after.Seconds/before.Seconds)
	if share(t, after, "vector") <= share(t, before, "vector") {
		t.Error("quantising costs nothing")
	}
}

// A device without fp8 says so by name instead of computing as if.
func TestFormatsThatADeviceLacksAreRefused(t *testing.T) {
	for cluster, format := range map[string]string{"a100": "fp8", "ascend-910c": "fp8", "mi300x": "fp4", "ascend-910b": "mxfp8"} {
		c := loadCluster(t, cluster)
		if _, err := costmodel.New(loadModel(t, "llama3-8b"), c, 8, costmodel.Workload{Seq: 4096, GlobalBatch: 8, DType: format}, costmodel.Options{}); err == nil {
			t.Errorf("%s computes in %s", cluster, format)
		}
	}
}

// Products of more rows are never slower per row.
func TestThinProductsAreSlower(t *testing.T) {
	for _, s := range []situation{
		{"qwen3-30b-a3b", "h100", 64, costmodel.Workload{Seq: 256, GlobalBatch: 64}, "ep=8", ""},
		{"llama3-8b", "ascend-910c", 64, costmodel.Workload{Seq: 256, GlobalBatch: 64}, "tp=2", ""},
		{"deepseek-v4-flash", "b200", 64, costmodel.Workload{Seq: 256, GlobalBatch: 64}, "pp=4,ep=8", ""},
	} {
		last := share(t, s.step(t), "products")
		for s.work.Seq < 8192 {
			s.work.Seq *= 2
			p := share(t, s.step(t), "products")
			if r := p / last; r > 2.02 || r < 1 {
				t.Errorf("%s on %s, seq %d: products take %.4f times as long as with half as many tokens", s.model, s.cluster, s.work.Seq, r)
			}
			last = p
		}
	}
}
