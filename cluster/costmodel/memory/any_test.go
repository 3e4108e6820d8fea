package memory

import (
	"math"
	"testing"

	"github.com/temper-ml/temper/cluster/costmodel/operator"
	"github.com/temper-ml/temper/distributed/schedule"
	"github.com/temper-ml/temper/model/arch"
	"pgregory.net/rapid"
)

// Whatever is asked, the answer is an error or a report whose numbers make sense.
func TestAnyStageIsRefusedOrCounted(t *testing.T) {
	models := []string{"deepseek-v4-pro", "deepseek-v3", "llama3-8b", "qwen3-30b-a3b", "gpt-22b", "gpt-oss-20b"}
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.SampledFrom([]int{1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 4, 4, 8, 64, 3, 0, -1, 1 << 20, 1 << 24, 1 << 40, math.MaxInt, math.MinInt})
		c, err := arch.Builtin(rapid.SampledFrom(models).Draw(t, "model"))
		if err != nil {
			t.Fatal(err)
		}
		e, err := operator.EngineNamed(rapid.SampledFrom(operator.Engines()).Draw(t, "engine"))
		if err != nil {
			t.Fatal(err)
		}
		s := operator.Sharding{TP: size.Draw(t, "tp"), CP: size.Draw(t, "cp"), EP: size.Draw(t, "ep"), ETP: size.Draw(t, "etp"), Sequence: rapid.Bool().Draw(t, "sequence")}
		n := operator.Numbers{
			MicroBatch: size.Draw(t, "mbs"), Seq: rapid.SampledFrom([]int{4096, 4096, 8192, 131072, 1 << 27, -1, math.MaxInt}).Draw(t, "seq"),
			DType: rapid.SampledFrom([]operator.DType{"bf16", "bf16", "fp8", "mxfp8", "fp32", "x"}).Draw(t, "dtype"), Engine: e,
			Imbalance: rapid.Float64().Draw(t, "imbalance"), IndexerLoss: rapid.Bool().Draw(t, "loss"),
		}
		if rapid.Bool().Draw(t, "even") {
			n.Imbalance = 0
		}
		w, err := operator.NewWorks(c, s, n)
		if err != nil {
			return
		}
		st := &Stage{
			Works: w, DP: size.Draw(t, "dp"), Zero: rapid.IntRange(0, 3).Draw(t, "zero"), Optimizer: rapid.SampledFrom([]string{"adamw", "muon"}).Draw(t, "optimizer"),
			Recompute: operator.Recompute(rapid.Uint16().Draw(t, "recompute")), Stages: size.Draw(t, "pp"), Micro: size.Draw(t, "micro"),
			Chunks: []Chunk{{Part: schedule.Part{First: rapid.IntRange(-1, 2).Draw(t, "first"), Blocks: size.Draw(t, "blocks"), Embedding: rapid.Bool().Draw(t, "embedding"), Head: rapid.Bool().Draw(t, "head"), MTP: rapid.IntRange(0, 1).Draw(t, "mtp")}, InFlight: rapid.SampledFrom([]float64{1, 1, 7, 1e9, 1e300, math.Inf(1), math.NaN(), -1}).Draw(t, "flight")}},
		}
		r, err := Of(st)
		if err != nil {
			return
		}
		for _, n := range []int64{r.Weights, r.Gradients, r.Optimizer, r.Activations, r.Buffers, r.Workspace, r.Fragmentation, r.Host} {
			if n < 0 || n > r.Total && n != r.Host {
				t.Fatalf("a part of %d bytes in %+v", n, r)
			}
		}
	})
}
