package sim

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/temper-ml/temper/cluster/costmodel"
	"github.com/temper-ml/temper/cluster/hardware"
	"github.com/temper-ml/temper/distributed/mesh"
	"github.com/temper-ml/temper/distributed/schedule"
	"github.com/temper-ml/temper/model/arch"
)

// The symmetric run of any legal layout that one may draw, not only of the listed
// ones, lasts as long as the cost model says.
func TestDrawnRunsAreTheCostModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		power := func(label string, most int) int { return 1 << rapid.IntRange(0, most).Draw(t, label) }
		name := rapid.SampledFrom([]string{"llama3-8b", "qwen3-30b-a3b", "deepseek-v2-lite", "deepseek-v4-flash"}).Draw(t, "model")
		c, err := hardware.Load(rapid.SampledFrom([]string{"h100", "ascend-910c", "gb200", "mi300x"}).Draw(t, "cluster"))
		if err != nil {
			t.Fatal(err)
		}
		a, err := arch.Builtin(name)
		if err != nil {
			t.Fatal(err)
		}
		l := costmodel.Layout{
			Mesh:   mesh.Mesh{TP: power("tp", 2), CP: power("cp", 1), DP: power("dp", 2), PP: power("pp", 2), EP: 1, ETP: 1},
			Chunks: rapid.IntRange(1, 3).Draw(t, "vpp"), MicroBatch: power("mbs", 1),
			Schedule:  rapid.SampledFrom(schedule.Kinds()).Draw(t, "schedule"),
			Recompute: rapid.SampledFrom([]string{"none", "selective", "full"}).Draw(t, "recompute"),
			Zero:      rapid.IntRange(0, 3).Draw(t, "zero"),
			Offload:   rapid.SampledFrom([]string{"none", "optimizer"}).Draw(t, "offload"),
		}
		if a.Experts > 0 {
			l.Mesh.EP = power("ep", 4)
		}
		w := costmodel.Workload{Seq: 4096, GlobalBatch: l.Mesh.DP * l.MicroBatch * rapid.IntRange(1, 20).Draw(t, "micro")}
		m, err := costmodel.New(a, c, l.Mesh.World(), w, costmodel.Options{AnyMemory: true})
		if err != nil {
			t.Fatal(err)
		}
		step, err := m.Evaluate(l)
		if err != nil {
			return // not legal
		}
		p, err := New(m, step, Options{})
		if err != nil {
			t.Fatalf("%s: %v", l, err)
		}
		r, err := p.Run(nil)
		if err != nil {
			t.Fatalf("%s: %v", l, err)
		}
		if d := math.Abs(r.Wall.Seconds() - step.Seconds); d > rounding(p, r) {
			t.Fatalf("%s on %s, %s: simulated %.9f s, cost model %.9f s", name, c.Name, l, r.Wall.Seconds(), step.Seconds)
		}
	})
}
