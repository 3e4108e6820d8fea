package memory

import (
	"testing"

	"github.com/temper-ml/temper/cluster/costmodel/operator"
	"github.com/temper-ml/temper/distributed/schedule"
)

// Faults that estimators of memory had in practice, each as a test.

// The activations of a layer of experts are those of the k experts a token goes
// to, with their dispatched copies, and not those of a dense layer.
func TestActivationsOfExpertsAreNotThoseOfADenseLayer(t *testing.T) {
	s := whole(t, "deepseek-v3", "megatron", operator.Sharding{TP: 1, CP: 1, EP: 8, ETP: 1}, 4096)
	dense, moe := s.Works.Blocks[0], s.Works.Blocks[3]
	tokens, c := int64(4096), s.Works.Model
	k, f, d := int64(c.TopK), int64(c.MoEIntermediate), int64(c.HiddenSize)
	routed := 2 * tokens * k * (d + 3*f)              // dispatched, gate and up, activation
	shared := 2 * tokens * 3 * f                      // the shared expert
	router := 8 * tokens * int64(c.Experts)           // scores and probabilities
	ffn := 2 * tokens * 3 * int64(c.IntermediateSize) // what the dense layer has instead
	if got, want := moe.Kept(0)-dense.Kept(0), routed+shared+router-ffn; got != want {
		t.Errorf("a layer of experts keeps %d more than a dense one, want %d", got, want)
	}
	if moe.Kept(0) < dense.Kept(0)*3/2-ffn/2 {
		t.Error("a layer of experts keeps hardly more than a dense one")
	}
}

// Experts are divided by EP*ETP, never by TP.
func TestExpertsAreDividedByTheirOwnAxes(t *testing.T) {
	c := builtin(t, "deepseek-v3")
	for _, tc := range []struct {
		s    operator.Sharding
		want int64
	}{
		{operator.Sharding{TP: 1, CP: 1, EP: 8, ETP: 1}, 8},
		{operator.Sharding{TP: 4, CP: 1, EP: 8, ETP: 1, Sequence: true}, 8},
		{operator.Sharding{TP: 4, CP: 1, EP: 8, ETP: 2, Sequence: true}, 16},
	} {
		w, err := operator.NewWorks(c, tc.s, operator.Numbers{MicroBatch: 1, Seq: 4096, DType: operator.BF16, Engine: engine(t, "megatron")})
		if err != nil {
			t.Fatal(err)
		}
		all := int64(c.Experts) * 3 * int64(c.MoEIntermediate) * int64(c.HiddenSize)
		if got := w.Blocks[5].Parameters.Expert; got*tc.want != all {
			t.Errorf("%+v: %d values of experts, want 1/%d of %d", tc.s, got, tc.want, all)
		}
	}
}

// An uneven split is judged by its heaviest stage: here 61 layers over 8 stages
// with the last short, and a split that puts 16 on the first.
func TestUnevenStagesAreCountedAsTheyAre(t *testing.T) {
	c := builtin(t, "deepseek-v3")
	works, err := operator.NewWorks(c, operator.Sharding{TP: 1, CP: 1, EP: 16, ETP: 1}, operator.Numbers{MicroBatch: 1, Seq: 4096, DType: operator.BF16, Engine: engine(t, "megatron")})
	if err != nil {
		t.Fatal(err)
	}
	order, err := schedule.NewPipeline(schedule.OneFOneB, 4, 1, 16)
	if err != nil {
		t.Fatal(err)
	}
	worst := func(split []int) (most int64) {
		at := 0
		for i, n := range split {
			s := &Stage{Works: works, DP: 16, Zero: 1, Optimizer: "adamw", Order: order, Index: i, Stages: 4, Micro: 16}
			s.Chunks = []Chunk{{Part: schedule.Part{First: at, Blocks: n, Embedding: i == 0, Head: i == 3}}}
			at += n
			most = max(most, of(t, s).Allocated)
		}
		return most
	}
	even, uneven := worst([]int{15, 15, 15, 16}), worst([]int{21, 14, 13, 13})
	if float64(uneven) < 1.25*float64(even) {
		t.Errorf("the heaviest of the uneven stages holds %d bytes, of the even ones %d: want at least a quarter more", uneven, even)
	}
}

// A tied table lives on both ends of a pipeline, and what an MTP depth shares
// with the trunk is held again where the trunk's is not.
func TestSharedTablesAreHeldAtBothEnds(t *testing.T) {
	s := whole(t, "gpt-22b", "megatron-2021", alone, 2048)
	table := int64(s.Works.Model.VocabSize) * int64(s.Works.Model.HiddenSize)
	end := *s
	end.Chunks = []Chunk{{Part: schedule.Part{First: 40, Blocks: 8, Head: true}, InFlight: 1}}
	block := s.Works.Blocks[0].Parameters.Total()
	if got, want := end.Contents().Parameters.Total(), 8*block+table+s.Works.Head.Parameters.Total(); got != want {
		t.Errorf("the last stage holds %d values, want %d", got, want)
	}
	v3 := whole(t, "deepseek-v3", "megatron", alone, 4096)
	full := v3.Contents().Parameters.Total()
	total, mtp, _ := v3.Works.Model.Count()
	if full != total+mtp {
		t.Errorf("one stage holds %d values, the model has %d", full, total+mtp)
	}
	v3.Chunks[0].Embedding = false
	if got := v3.Contents().Parameters.Total(); got != full {
		t.Errorf("without the embedding the MTP depth needs its own copy: %d values, want %d", got, full)
	}
}

// Facts of DeepSeek-V3 with 4,096 tokens: what latent attention and experts keep.
func TestActivationsOfDeepSeekV3(t *testing.T) {
	s := whole(t, "deepseek-v3", "megatron", operator.Sharding{TP: 1, CP: 1, EP: 64, ETP: 1}, 4096)
	w := s.Works.Blocks[10]
	want := map[string]int64{
		"block input":          4096 * 7168 * 2,
		"query latent":         4096 * 1536 * 2,
		"key latent":           4096 * 576 * 2,
		"queries":              4096 * 128 * 192 * 2,
		"keys":                 4096 * 128 * 192 * 2,
		"values":               4096 * 128 * 128 * 2,
		"attention output":     4096 * 128 * 128 * 2,
		"log-sum-exp":          4096 * 128 * 4,
		"dispatched tokens":    4096 * 8 * 7168 * 2,
		"experts activation":   4096 * 8 * 2048 * 2,
		"feed-forward input":   4096 * 7168 * 2,
		"query latent, normed": 4096 * 1536 * 2,
	}
	for _, x := range w.Saved {
		if n, ok := want[x.Name]; ok && n != x.Bytes {
			t.Errorf("%s: %d bytes, want %d", x.Name, x.Bytes, n)
		}
		delete(want, x.Name)
	}
	if len(want) > 0 {
		t.Errorf("not kept: %v", want)
	}
	// Recomputing the expansion of latents frees queries, keys and values: 128*(192+192+128)*2 bytes a token.
	if got := w.Kept(0) - w.Kept(operator.Recompute(operator.Up)); got != 4096*128*512*2 {
		t.Errorf("recomputing mla_up_proj frees %d bytes", got)
	}
	if got := w.Kept(operator.Recompute(operator.Whole)); got != 4096*7168*2 {
		t.Errorf("full recomputation keeps %d bytes", got)
	}
}
