package costmodel_test

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/temper-ml/temper/cluster/costmodel"
	"github.com/temper-ml/temper/distributed/mesh"
	"github.com/temper-ml/temper/distributed/schedule"
)

// patience is how long an answer to a hostile question may take; tests of this
// repository share their cores, so it is checked with a margin.
const patience = 200 * time.Millisecond

// within fails when do takes too long, twice.
func within(t fataler, what string, do func()) {
	t.Helper()
	for try := 0; ; try++ {
		start := time.Now()
		do()
		took := time.Since(start)
		if took < patience*raceFactor {
			return
		}
		if try == 2 {
			t.Fatalf("%s took %v", what, took)
		}
	}
}

// hostile numbers: ordinary ones, limits, one beyond, and nonsense.
var hostile = []int{
	-1 << 62, math.MinInt64, -1, 0, 1, 2, 3, 7, 8, 16, 61, 64, 127, 128, 1 << 10, 4095, 4096, 1 << 14, 1 << 20, 1 << 24, 1<<24 + 1, 1 << 31, 1 << 32, 1 << 40, math.MaxInt64,
}

func number(t *rapid.T, label string) int {
	return hostile[rapid.IntRange(0, len(hostile)-1).Draw(t, label)]
}

// usually draws a hostile number one time in four, else 1 or a small power of two.
func usually(t *rapid.T, label string) int {
	if rapid.IntRange(0, 3).Draw(t, label+" hostile") == 0 {
		return number(t, label)
	}
	return 1 << rapid.IntRange(0, 4).Draw(t, label)
}

func TestHostileLayoutsAreRefusedOrFinite(t *testing.T) {
	kinds := append(schedule.Kinds(), "", "none", "zigzag")
	texts := func(t *rapid.T, label string, legal ...string) string {
		return rapid.SampledFrom(append(legal, "", "none", "\x00", strings.Repeat("moe+", 100))).Draw(t, label)
	}
	rapid.Check(t, func(t *rapid.T) {
		g := anyGround(t)
		c := loadCluster(t, g.cluster)
		work := g.work
		if rapid.Bool().Draw(t, "change workload") {
			work.Seq, work.GlobalBatch = usually(t, "seq")*64, usually(t, "batch")*64
		}
		devices := usually(t, "devices") * 16
		m, err := costmodel.New(loadModel(t, g.model), c, devices, work, costmodel.Options{AnyMemory: rapid.Bool().Draw(t, "any memory")})
		if err != nil {
			return
		}
		l := costmodel.Layout{
			Mesh:   mesh.Mesh{TP: usually(t, "tp"), CP: usually(t, "cp"), DP: usually(t, "dp"), PP: usually(t, "pp"), EP: usually(t, "ep"), ETP: usually(t, "etp")},
			Chunks: usually(t, "vpp"), MicroBatch: usually(t, "mbs"), Zero: number(t, "zero") % 5,
			Schedule:  kinds[rapid.IntRange(0, len(kinds)-1).Draw(t, "schedule")],
			Recompute: texts(t, "recompute", "full", "selective", "moe_act+layernorm"), Offload: texts(t, "offload", "optimizer"),
			Split: texts(t, "split", "E(t*4|)*15tmL", "Et*9999999|L", "((((((((((t))))))))))"),
		}
		if rapid.Bool().Draw(t, "fit dp") && l.Mesh.TP > 0 && l.Mesh.CP > 0 && l.Mesh.PP > 0 && l.Mesh.TP <= devices && l.Mesh.CP <= devices && l.Mesh.PP <= devices {
			l.Mesh.DP = max(1, devices/l.Mesh.TP/l.Mesh.CP/l.Mesh.PP)
		}
		within(t, l.String(), func() {
			s, err := m.Evaluate(l)
			if err != nil {
				if rejection(err) == "" {
					t.Fatalf("%s: %v is no rejection with a rule", l, err)
				}
				return
			}
			sane(t, m, s)
		})
	})
}

// sane fails when a prediction is not a number, negative, or faster than light.
func sane(t fataler, m *costmodel.Model, s *costmodel.Step) {
	t.Helper()
	if !(s.Seconds > 0) || math.IsInf(s.Seconds, 0) || !(s.Low > 0 && s.Low < s.High) {
		t.Fatalf("%s takes %v (%v to %v)", s.Layout, s.Seconds, s.Low, s.High)
	}
	for i, r := range s.Memory {
		parts := []int64{r.Weights, r.Gradients, r.Optimizer, r.Activations, r.Buffers, r.Workspace, r.Fragmentation}
		sum := int64(0)
		for _, p := range parts {
			sum += p
		}
		if slices.Min(parts) < 0 || sum != r.Total || r.Host < 0 {
			t.Fatalf("%s: memory of stage %d is %v, in all %d", s.Layout, i, parts, r.Total)
		}
	}
	for _, u := range m.Utilizations(s) {
		if !(u.Value > 0 && u.Value < 1) {
			t.Fatalf("%s: utilization by %s is %v", s.Layout, u.Convention, u.Value)
		}
	}
}

func TestHostileWorkloadsAreRefused(t *testing.T) {
	c, a := loadCluster(t, "h100"), loadModel(t, "deepseek-v3")
	words := []string{"", "bf16", "fp8", "mxfp8", "fp16", "fp32", "int8", "natural", "balanced", "adamw", "muon", "\xff", "blockwise"}
	rapid.Check(t, func(t *rapid.T) {
		w := costmodel.Workload{
			Seq: number(t, "seq"), GlobalBatch: number(t, "batch"),
			DType: rapid.SampledFrom(words).Draw(t, "dtype"), Scaling: rapid.SampledFrom(words).Draw(t, "scaling"),
			Routing: rapid.SampledFrom(words).Draw(t, "routing"), Optimizer: rapid.SampledFrom(words).Draw(t, "optimizer"),
			Imbalance: rapid.SampledFrom([]float64{0, 1, 1.5, 1e3, 0.5, -1, math.NaN(), math.Inf(1), math.Inf(-1), 1e300, math.SmallestNonzeroFloat64}).Draw(t, "imbalance"),
		}
		devices := number(t, "devices")
		within(t, "New", func() {
			m, err := costmodel.New(a, c, devices, w, costmodel.Options{AnyMemory: true})
			if err != nil {
				if !strings.HasPrefix(err.Error(), "costmodel: ") {
					t.Fatalf("%v does not say where it comes from", err)
				}
				return
			}
			l, err := costmodel.ParseLayout("recompute=full", devices)
			if err != nil {
				t.Fatalf("%v", err)
			}
			l.Mesh.EP = min(devices, 256)
			if s, err := m.Evaluate(l); err == nil {
				sane(t, m, s)
			} else if rejection(err) == "" {
				t.Fatalf("%v is no rejection with a rule", err)
			}
		})
	})
	if _, err := costmodel.New(nil, c, 8, costmodel.Workload{}, costmodel.Options{}); err == nil {
		t.Error("no model, and no error")
	}
	if _, err := costmodel.New(a, nil, 8, costmodel.Workload{}, costmodel.Options{}); err == nil {
		t.Error("no cluster, and no error")
	}
}

func TestHostileTextsOfLayouts(t *testing.T) {
	keys := []string{"tp", "cp", "dp", "pp", "ep", "etp", "vpp", "mbs", "schedule", "recompute", "zero", "offload", "split", "TP", "", "tp ", "x"}
	values := []string{"1", "2", "8", "0", "-1", "+4", "1e3", "0x10", "99999999999999999999", "16777216", "16777217", "", " 2", "1f1b", "interleaved", "dualpipev", "full", "a+b", "Et|t*2,|L", "=", "=,=", "\x00", "ü"}
	rapid.Check(t, func(t *rapid.T) {
		var words []string
		for range rapid.IntRange(0, 14).Draw(t, "words") {
			words = append(words, rapid.SampledFrom(keys).Draw(t, "key")+"="+rapid.SampledFrom(values).Draw(t, "value"))
		}
		text, devices := strings.Join(words, rapid.SampledFrom([]string{",", ", ", ",,", ";"}).Draw(t, "comma")), number(t, "devices")
		within(t, text, func() {
			l, err := costmodel.ParseLayout(text, devices)
			if err != nil {
				return
			}
			roundTrip(t, l, devices)
		})
	})
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringN(0, 40, 80).Draw(t, "text")
		if l, err := costmodel.ParseLayout(text, 64); err == nil {
			roundTrip(t, l, 64)
		}
	})
}

func TestProductsThatOverflowAreRefused(t *testing.T) {
	for _, text := range []string{"tp=16777216,cp=16777216,pp=16777216", "tp=4096,cp=4096,pp=4096", "tp=16777216,cp=1048576"} {
		if _, err := costmodel.ParseLayout(text, 64); rejection(err) != "mesh" {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, devices := range []int{-1, 1<<24 + 1, math.MinInt64, math.MaxInt64} {
		if _, err := costmodel.ParseLayout("", devices); rejection(err) != "devices" {
			t.Errorf("%d devices: %v", devices, err)
		}
	}
}

func roundTrip(t fataler, l costmodel.Layout, devices int) {
	t.Helper()
	again, err := costmodel.ParseLayout(l.String(), devices)
	if err != nil || again != l {
		t.Fatalf("%q is read as %q: %v", l.String(), again.String(), err)
	}
}

func TestLegalLayoutsRoundTrip(t *testing.T) {
	for _, g := range grounds {
		s := g.step(t)
		roundTrip(t, s.Layout, g.devices)
		l := s.Layout
		l.Split = s.Split.String()
		roundTrip(t, l, g.devices)
		again, err := g.bare(t, loadCluster(t, g.cluster), true).Evaluate(l)
		if err != nil || again.Seconds != s.Seconds || fullest(again).Total != fullest(s).Total {
			t.Errorf("%s on %s: the split of %s, said aloud, is predicted differently: %v", g.model, g.cluster, l, err)
		}
	}
}

func TestSplitsAreTakenAsTheyAre(t *testing.T) {
	g := situation{"llama3-70b", "h100", 64, costmodel.Workload{Seq: 4096, GlobalBatch: 64}, "tp=8,pp=4,split=Et*20|t*20|t*20|t*20L", ""}
	fair := g.step(t)
	if plain := g.with("tp=8,pp=4").step(t); plain.Seconds != fair.Seconds {
		t.Errorf("an even split takes %v, said aloud %v", plain.Seconds, fair.Seconds)
	}
	unfair := g.with("tp=8,pp=4,split=Et*35|t*15|t*15|t*15L").step(t)
	if r := unfair.Seconds / fair.Seconds; r < 1.4 || r > 1.8 {
		t.Errorf("35 of 80 blocks on one of 4 stages take %.2f times as long as 20", r)
	}
	if r := float64(fullest(unfair).Weights) / float64(fullest(fair).Weights); r < 1.6 || r > 1.8 {
		t.Errorf("35 of 80 blocks weigh %.2f times as much as 20", r)
	}
	if n := unfair.Split.Parts[0].Blocks; n != 35 {
		t.Errorf("the first stage holds %d blocks", n)
	}
	m := g.bare(t, loadCluster(t, "h100"), true)
	for split, want := range map[string]string{
		"Et*20|t*20|t*40L":           `split "Et*20|t*20|t*40L" has 3 parts, must have one for each of the 4 positions of pp*vpp = 4*1`,
		"Et*20|t*20|t*20|t*21L":      `split "Et*20|t*20|t*20|t*21L" holds 81 blocks, must hold the 80 of the model`,
		"Et*20|t*20|t*20|t*20mL":     `split "Et*20|t*20|t*20|t*20mL" holds 1 MTP depths, must hold the 0 of the model`,
		"t*20|t*20|t*20|t*20L":       "embedding is false, must be in part 0",
		"Et*20|t*20|t*20|x*20L":      "is no layer",
		"Et*80||||||||||||||||||||L": "has 21 parts",
	} {
		l, err := costmodel.ParseLayout("tp=8,pp=4,split="+split, 64)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Evaluate(l); rejection(err) != "split" || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want a rejection of the split with %q", split, err, want)
		}
	}
}
