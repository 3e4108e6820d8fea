package memory

import (
	"encoding/csv"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/temper-ml/temper/cluster/costmodel/operator"
)

// Layouts whose step times were published ran on A100s of 80 GB, so they must fit.
func TestLayoutsThatRanFit(t *testing.T) {
	dir := os.Getenv("TEMPER_DATA")
	if dir == "" {
		t.Skip("TEMPER_DATA is not set: no published layouts to check")
	}
	f, err := os.Open(filepath.Join(dir, "validation", "vtrain_a100_multi_node.csv"))
	if err != nil {
		t.Skipf("no published layouts to check: %v", err)
	}
	defer f.Close()
	records, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	most := 0.0
	for i, rec := range records[1:] {
		n := func(name string) int { return number(t, rec[slices.Index(records[0], name)]) }
		c := builtin(t, "gpt-22b")
		c.NumLayers, c.HiddenSize, c.NumHeads, c.NumKVHeads = n("layers"), n("hidden"), n("heads"), n("heads")
		c.HeadDim, c.IntermediateSize = c.HiddenSize/c.NumHeads, 4*c.HiddenSize
		e := engine(t, "megatron-2021")
		r := row{
			model: c, engine: e, sharding: operator.Sharding{TP: n("tp"), CP: 1, EP: 1, ETP: 1},
			numbers: operator.Numbers{MicroBatch: n("mbs"), Seq: n("seq"), DType: operator.FP16, Engine: e},
			stage:   Stage{DP: n("dp"), Optimizer: "adamw", Recompute: operator.Recompute(operator.Whole)},
			pp:      n("pp"), vpp: 1, micro: n("gbs") / n("dp") / n("mbs"),
		}
		rep := r.predict(t)
		gb := float64(rep.Reserved) / 1e9
		most = max(most, gb)
		if gb > 85 { // 80 GB cards have 85 GB
			t.Errorf("row %d: %.1f GB does not fit, and it ran: %+v", i+2, gb, *rep)
		}
	}
	t.Logf("%d layouts, the largest %.1f GB", len(records)-1, most)
	if most < 40 {
		t.Errorf("the largest layout takes %.1f GB: none comes near the 80 GB that people fill", most)
	}
}
