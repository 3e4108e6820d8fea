package memory

import (
	"testing"

	"github.com/temper-ml/temper/cluster/costmodel/operator"
)

// What options of engines save, in bytes per value that is trained.
func TestOptionsSaveWhatTheySay(t *testing.T) {
	plain := whole(t, "deepseek-v3", "megatron", operator.Sharding{TP: 1, CP: 1, EP: 8, ETP: 1}, 4096)
	state := func(name string, zero int) int64 {
		s := *plain
		works := *s.Works
		works.Numbers.Engine = engine(t, name)
		s.Works, s.Zero = &works, zero
		r := of(t, &s)
		return r.Weights + r.Gradients + r.Optimizer
	}
	p := plain.Contents().Parameters
	trained := p.Total() - p.Frozen
	for _, zero := range []int{0, 1} {
		before := state("megatron", zero)
		share := trained // of the values whose optimizer state this rank holds
		if zero == 1 {
			share = (p.Dense()-p.Frozen)/int64(plain.DP) + p.Expert*8/int64(max(plain.DP, 8))
		}
		for name, want := range map[string]int64{
			"megatron+bf16-gradients": 2 * trained,
			"megatron+bf16-moments":   4 * share,
			"megatron+reuse-master":   2 * share,
		} {
			if got := before - state(name, zero); got < want-16 || got > want+16 {
				t.Errorf("%s, zero %d saves %d bytes, want %d", name, zero, got, want)
			}
		}
	}
}
