package validation

import (
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/temper-ml/temper/cluster/validation/fit"
	"github.com/temper-ml/temper/cluster/validation/measured"
)

// fake is a predictor with a known truth: a step takes work / (rate x share)
// with a rate for each device.
type fake struct{ devices []string }

func (f fake) Parameters() []fit.Parameter {
	ps := []fit.Parameter{{Name: "share", Prior: math.Log(0.5), Sigma: 0.3}}
	for _, d := range f.devices {
		ps = append(ps, fit.Parameter{Name: "rate@" + d, Sigma: 0.1})
	}
	return ps
}

func (f fake) Affects(p int, c *measured.Case) bool { return p == 0 || f.devices[p-1] == c.Device }

func (f fake) Prepare(c *measured.Case) (Prepared, error) { return fakeCase{f, c}, nil }

type fakeCase struct {
	f fake
	c *measured.Case
}

func (p fakeCase) Seconds(theta []float64) (float64, error) {
	s := float64(p.c.GlobalBatch) / math.Exp(theta[0])
	for i, d := range p.f.devices {
		if d == p.c.Device {
			s *= math.Exp(-theta[i+1])
		}
	}
	return s, nil
}

func (p fakeCase) Memory(measured.MemoryKind) float64 { return p.c.Memory * 1.02 }
func (p fakeCase) MoE() bool                          { return p.c.EP > 1 }

// fakeSet has four systems of two devices; true share 0.6, device b slower by
// a tenth, rows off by a few percent in a fixed pattern.
func fakeSet() (*Set, error) {
	var cases []measured.Case
	for s, system := range []string{"a one", "a two", "b one", "b two"} {
		for i := 0; i < 12; i++ {
			c := planned()
			c.Position, c.Source, c.System, c.Grade = system, system, system, "official"
			c.Device = system[:1]
			c.GlobalBatch = 32 << (i % 6)
			c.Devices = 8 << (i % 3)
			slow := 1.0
			if c.Device == "b" {
				slow = 1.1
			}
			if s == 3 {
				c.EP = 2
			}
			noise := 0.03*math.Sin(float64(12*s+7*i)) + float64(0.02*math.Sin(float64(s)))
			c.Seconds = float64(c.GlobalBatch) / 0.6 * slow * math.Exp(noise)
			if i%2 == 0 {
				c.Memory, c.MemoryKind = 50*(1<<30), measured.Allocated
			}
			cases = append(cases, c)
		}
	}
	return NewSet(cases, fake{devices: []string{"a", "b"}})
}

// dataDir is the folder of published measurements, or skips the test.
func dataDir(t testing.TB) string {
	t.Helper()
	root := os.Getenv("TEMPER_DATA")
	if root == "" {
		t.Skip("TEMPER_DATA is not set: the published measurements are not part of the repository")
	}
	return filepath.Join(root, "validation")
}

// planned is what the flags of a plan would say.
func planned() measured.Case {
	return measured.Case{
		Model: "llama3-8b", Device: "h100", Devices: 16, TP: 2, PP: 2, DP: 4, EP: 1, CP: 1, ETP: 1, Chunks: 1, MicroBatch: 1, GlobalBatch: 32, Seq: 4096,
		Schedule: "1f1b", Recompute: "none", Routing: "balanced", DType: "bf16", Zero: 1, Offload: "none", Engine: "megatron", Optimizer: "adamw",
	}
}
