package memory

import (
	"strings"
	"testing"

	"github.com/temper-ml/temper/cluster/costmodel/operator"
	"github.com/temper-ml/temper/distributed/schedule"
	"github.com/temper-ml/temper/model/arch"
)

// whole returns the stage that holds a whole model.
func whole(t *testing.T, name, eng string, s operator.Sharding, seq int) *Stage {
	t.Helper()
	c := builtin(t, name)
	return wholeOf(t, c, engine(t, eng), s, seq)
}

func wholeOf(t *testing.T, c *arch.Config, e *operator.Engine, s operator.Sharding, seq int) *Stage {
	t.Helper()
	w, err := operator.NewWorks(c, s, operator.Numbers{MicroBatch: 1, Seq: seq, DType: operator.BF16, Engine: e})
	if err != nil {
		t.Fatal(err)
	}
	return &Stage{
		Works: w, DP: 1, Optimizer: "adamw", Stages: 1, Micro: 1,
		Chunks: []Chunk{{Part: schedule.Part{Blocks: c.NumLayers, Embedding: true, Head: true, MTP: c.NumMTP}, InFlight: 1}},
	}
}

func of(t *testing.T, s *Stage) *Report {
	t.Helper()
	r, err := Of(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

var alone = operator.Sharding{TP: 1, CP: 1, EP: 1, ETP: 1}

// The known table of bytes per parameter with bf16 weights and float32 gradients
// and moments, d ranks sharing them: 18; 6 + 12/d; 2 + 16/d; 18/d.
func TestStateIsTheKnownTableOfBytesPerParameter(t *testing.T) {
	s := whole(t, "llama3-8b", "megatron", alone, 4096)
	total, _, _ := s.Works.Model.Count()
	for _, d := range []int64{1, 8, 64} {
		for zero, bytes := range []float64{18, 6 + 12/float64(d), 2 + 16/float64(d), 18 / float64(d)} {
			s.DP, s.Zero = int(d), zero
			r := of(t, s)
			got, want := float64(r.Weights+r.Gradients+r.Optimizer), bytes*float64(total)
			if got < want-8 || got > want+8 {
				t.Errorf("zero %d over %d: %.0f bytes, table %.0f", zero, d, got, want)
			}
		}
	}
	s.Works.Numbers.Engine.Moments = operator.BF16 // 6 + 8/d
	s.DP, s.Zero = 8, 1
	r := of(t, s)
	if got, want := r.Weights+r.Gradients+r.Optimizer, 7*total; got < want-8 || got > want+8 {
		t.Errorf("bf16 moments: %d bytes, table %d", got, want)
	}
}

// Muon keeps one moment for matrices and two for the rest, and needs the largest
// matrix whole during the step.
func TestMuonKeepsOneMomentForMatrices(t *testing.T) {
	s := whole(t, "deepseek-v4-flash", "mindspeed", operator.Sharding{TP: 1, CP: 1, EP: 256, ETP: 1}, 4096)
	adam := of(t, s)
	s.Optimizer = "muon"
	muon := of(t, s)
	p := s.Contents().Parameters
	if got, want := adam.Optimizer-muon.Optimizer, 4*(p.Muon+p.MuonExpert); got != want {
		t.Errorf("Muon saves %d bytes, want %d", got, want)
	}
	last := muon.Timeline[len(muon.Timeline)-1]
	if got := last.Parts[5].Bytes; last.Name != "optimizer step" || got != 6*p.Largest {
		t.Errorf("%s holds %d bytes of workspace, want %d", last.Name, got, 6*p.Largest)
	}
}

// The parts of every moment sum to its total, the report is the worst moment, and
// the form without a report agrees with it, for all engines and many layouts.
func TestPartsSumToTheTotalAndWorstAgrees(t *testing.T) {
	for _, name := range []string{"deepseek-v4-flash", "deepseek-v3", "llama3-8b", "gpt-22b", "qwen3-30b-a3b"} {
		for _, eng := range operator.Engines() {
			for _, rec := range []string{"none", "selective", "full", "mla_up_proj+moe_act+layernorm"} {
				s := whole(t, name, eng, alone, 4096)
				s.Recompute, _ = operator.ParseRecompute(rec, s.Works.Numbers.Engine)
				for zero := range 4 {
					s.Zero, s.DP, s.Stages = zero, 4, 1+zero%2
					r := of(t, s)
					if sum := r.Weights + r.Gradients + r.Optimizer + r.Activations + r.Buffers + r.Workspace + r.Fragmentation; sum != r.Total {
						t.Fatalf("%s %s: parts sum to %d, total %d", name, eng, sum, r.Total)
					}
					for _, p := range r.Timeline {
						var sum int64
						for _, part := range p.Parts {
							sum += part.Bytes
						}
						if sum != p.Total || p.Total > r.Allocated || p.Name == r.PeakMoment && p.Total != r.Allocated {
							t.Fatalf("%s %s %s: parts sum to %d, total %d, worst %d at %s", name, eng, p.Name, sum, p.Total, r.Allocated, r.PeakMoment)
						}
					}
					rules, kept := s.Rules(), s.Kept()
					got, when := rules.Worst(s.Contents(), kept[0], kept[0])
					if got != r.Allocated || !strings.HasPrefix(r.PeakMoment, when.String()) {
						t.Fatalf("%s %s: worst %d at %s, report %d at %s", name, eng, got, when, r.Allocated, r.PeakMoment)
					}
				}
			}
		}
	}
}

// Recomputing more never keeps more, and never costs fewer operations.
func TestRecomputingTradesMemoryForOperations(t *testing.T) {
	for _, name := range []string{"deepseek-v4-flash", "deepseek-v3", "llama3-8b", "qwen3-30b-a3b"} {
		s := whole(t, name, "megatron", alone, 4096)
		for _, w := range s.Works.Blocks {
			last, ops := w.Kept(0), 0
			for _, r := range []operator.Module{operator.Core, operator.Core | operator.Norms, operator.Core | operator.Norms | operator.Up | operator.Activation, operator.Whole} {
				kept, again := w.Kept(operator.Recompute(r)), len(w.Again(operator.Recompute(r)))
				if kept > last || again < ops {
					t.Errorf("%s: recomputing %s keeps %d (before %d) and runs %d operators again (before %d)", name, operator.Recompute(r), kept, last, again, ops)
				}
				last, ops = kept, again
			}
		}
	}
}

// Offloading moves the optimizer state to the host, to the byte.
func TestOffloadMovesOptimizerStateToTheHost(t *testing.T) {
	s := whole(t, "llama3-8b", "mindspeed", alone, 4096)
	on := of(t, s)
	s.Offload = "optimizer"
	off := of(t, s)
	if off.Optimizer != 0 || off.Host != on.Optimizer || on.Host != 0 {
		t.Errorf("on the device %d and %d, on the host %d and %d", on.Optimizer, off.Optimizer, on.Host, off.Host)
	}
}

func TestStagesThatMakeNoSenseAreRefused(t *testing.T) {
	for _, tc := range []struct {
		change func(*Stage)
		want   string
	}{
		{func(s *Stage) { s.Works = nil }, "no works"},
		{func(s *Stage) { s.DP = 0 }, "dp is 0"},
		{func(s *Stage) { s.Zero = 4 }, "nearest legal value 3"},
		{func(s *Stage) { s.Optimizer = "sgd" }, `optimizer is "sgd"`},
		{func(s *Stage) { s.Offload = "weights" }, `offload is "weights"`},
		{func(s *Stage) { s.Chunks[0].Blocks = 99 }, "num_hidden_layers"},
		{func(s *Stage) { s.Chunks[0].MTP = 1 }, "MTP depths"},
		{func(s *Stage) { s.Chunks[0].InFlight = -1 }, "in flight"},
		{func(s *Stage) { s.Chunks[0].InFlight = 1e12 }, "at most 1e18"},
		{func(s *Stage) {
			s.Order, _ = schedule.NewPipeline(schedule.OneFOneB, 2, 1, 4)
			s.Index = 2
		}, "stage 2"},
	} {
		s := whole(t, "llama3-8b", "megatron", alone, 4096)
		tc.change(s)
		if _, err := Of(s); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("error %v, want one with %q", err, tc.want)
		}
	}
}
