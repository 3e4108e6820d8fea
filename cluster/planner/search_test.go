package planner

import (
	"context"
	"errors"
	"testing"

	"pgregory.net/rapid"

	"github.com/temper-ml/temper/cluster/costmodel"
	"github.com/temper-ml/temper/cluster/hardware"
	"github.com/temper-ml/temper/model/arch"
)

// request asks for a built-in model on a cluster of the catalogue.
func request(t testing.TB, model, cluster string, devices, seq, batch int) Request {
	t.Helper()
	a, err := arch.Builtin(model)
	if err != nil {
		t.Fatal(err)
	}
	c, err := hardware.Load(cluster)
	if err != nil {
		t.Fatal(err)
	}
	return Request{Name: model, Model: a, Cluster: c, Devices: devices, Workload: costmodel.Workload{Seq: seq, GlobalBatch: batch}}
}

// cases are problems of every kind of model and engine.
func cases(t testing.TB) []Request {
	muon := request(t, "deepseek-v4-pro", "ascend-910c", 1024, 4096, 512)
	muon.Workload.Optimizer = "muon"
	natural := request(t, "qwen3-30b-a3b", "h100", 64, 4096, 256)
	natural.Workload.Routing, natural.Workload.DType = "natural", "fp8"
	own := request(t, "tiny-v4", "cpu", 8, 512, 32)
	own.Workload.DType = "fp32"
	return []Request{
		request(t, "deepseek-v4-pro", "ascend-910c", 2048, 4096, 4096),
		request(t, "deepseek-v4-flash", "h100", 128, 4096, 1024),
		request(t, "deepseek-v3", "h800", 2048, 4096, 15360),
		request(t, "llama3-8b", "h100", 24, 8192, 96),
		request(t, "gpt3-175b", "a100", 256, 2048, 1536),
		own,
		muon, natural,
	}
}

// Every layout that the tables call legal is legal to the plain path, needs the
// same memory to the byte, and takes at least its bound.
func TestTablesAgreeWithThePlainPath(t *testing.T) {
	for _, r := range cases(t) {
		t.Run(r.Name+"/"+r.Cluster.Name, func(t *testing.T) {
			r.Options.AnyMemory = true
			r.Space.Zero = []int{0, 1, 2, 3}
			r.Space.Schedules = searched
			p, err := newProblem(r)
			if err != nil {
				t.Fatal(err)
			}
			p.capacity, p.host = 1<<60, 1<<60
			s := newSearch(p)
			rapid.Check(t, func(t *rapid.T) {
				at := place{
					mesh:  uint32(rapid.IntRange(0, len(p.grid.meshes)-1).Draw(t, "mesh")),
					micro: uint16(rapid.IntRange(0, len(p.grid.micros)-1).Draw(t, "micro")),
				}
				list := s.open(at)
				if len(list) == 0 {
					return
				}
				for range 3 {
					compare(t, p, list[rapid.IntRange(0, len(list)-1).Draw(t, "leaf")])
				}
			})
		})
	}
}

func compare(t *rapid.T, p *problem, c candidate) {
	l := p.layout(c.at)
	step, err := p.model.Evaluate(l)
	if err != nil {
		t.Fatalf("%v: the tables call it legal: %v", l, err)
	}
	if c.bound > step.Seconds {
		t.Errorf("%v: bound %.9g above its time %.9g", l, c.bound, step.Seconds)
	}
	most := int64(0)
	for _, r := range step.Memory {
		most = max(most, r.Total)
	}
	if most != c.memory {
		t.Errorf("%v: %d bytes, the plain path says %d", l, c.memory, most)
	}
}

// A layout that the tables refuse is refused by the plain path too.
func TestRefusedLayoutsAreIllegal(t *testing.T) {
	for _, r := range cases(t) {
		r.Space.Schedules, r.Space.Zero = searched, []int{0, 1, 2, 3}
		p, err := newProblem(r)
		if err != nil {
			t.Fatal(err)
		}
		s := newSearch(p)
		rapid.Check(t, func(t *rapid.T) {
			at := place{
				mesh:  uint32(rapid.IntRange(0, len(p.grid.meshes)-1).Draw(t, "mesh")),
				micro: uint16(rapid.IntRange(0, len(p.grid.micros)-1).Draw(t, "micro")),
				leaf:  uint16(rapid.IntRange(0, p.grid.leaves()-1).Draw(t, "leaf")),
			}
			for _, c := range s.open(at) {
				if c.at == at {
					return
				}
			}
			_, err := p.model.Evaluate(p.layout(at))
			var refused *costmodel.Rejection
			if !errors.As(err, &refused) {
				t.Fatalf("%v: refused by the tables, but the plain path says %v", p.layout(at), err)
			}
		})
	}
}

// The search finds what trying every layout of a small space finds.
func TestSearchFindsWhatExhaustionFinds(t *testing.T) {
	for _, r := range []Request{
		request(t, "llama3-8b", "h100", 8, 4096, 8),
		request(t, "qwen3-30b-a3b", "h100", 8, 4096, 8),
	} {
		r.Space.Schedules = searched
		p, err := newProblem(r)
		if err != nil {
			t.Fatal(err)
		}
		all, s, limit, err := p.explore(context.Background(), keepBest)
		if err != nil {
			t.Fatal(err)
		}
		found := s.rank(&all.found.best, 1, limit, nil)
		best := inf
		for m := range p.grid.meshes {
			for i := range p.grid.micros {
				for leaf := range p.grid.leaves() {
					l := p.layout(place{uint32(m), uint16(i), uint16(leaf)})
					if !p.runs.zero[zeroIndex(p, l.Zero)] {
						continue
					}
					if step, err := p.model.Evaluate(l); err == nil && step.Seconds < best {
						best = step.Seconds
					}
				}
			}
		}
		if len(found) != 1 || found[0].seconds != best {
			t.Errorf("%s: found %v, trying all %d layouts finds %v", r.Name, found, p.grid.size(), best)
		}
	}
}

func zeroIndex(p *problem, zero int) int {
	for i, z := range p.grid.zero {
		if z == zero {
			return i
		}
	}
	return -1
}

// Every layout is counted once: refused, bounded away, or scored.
func TestEveryLayoutIsCounted(t *testing.T) {
	for _, r := range []Request{
		request(t, "deepseek-v4-flash", "h100", 128, 4096, 1024),
		request(t, "llama3-70b", "h100", 48, 8192, 96),
		request(t, "deepseek-v3", "h800", 64, 4096, 512),
	} {
		p, err := newProblem(r)
		if err != nil {
			t.Fatal(err)
		}
		all, _, _, err := p.explore(context.Background(), keepBest)
		if err != nil {
			t.Fatal(err)
		}
		var refused int64
		for _, n := range all.tally.count {
			refused += n
		}
		fit := all.scored - all.tally.count[ruleHost] - all.overfull
		if sum := refused + all.bounded + fit; sum != p.grid.size() {
			t.Errorf("%s: %d refused + %d bounded away + %d fit = %d of %d layouts", r.Name, refused, all.bounded, fit, sum, p.grid.size())
		}
	}
}

// A floor is below every bound of its mesh, and what a floor refuses for its
// memory does not fit in any layout.
func TestFloorsAreBelowEverything(t *testing.T) {
	for _, r := range cases(t) {
		p, err := newProblem(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.byFloor(context.Background()); err != nil {
			t.Fatal(err)
		}
		s := newSearch(p)
		rapid.Check(t, func(t *rapid.T) {
			at := place{
				mesh:  uint32(rapid.IntRange(0, len(p.grid.meshes)-1).Draw(t, "mesh")),
				micro: uint16(rapid.IntRange(0, len(p.grid.micros)-1).Draw(t, "micro")),
			}
			u := &p.units[p.unitOf[at.mesh]]
			list := s.open(at)
			if len(list) == 0 {
				return
			}
			if p.starved(u, at.mesh, int(at.micro)) {
				t.Fatalf("%v fits, but its floor says that nothing does", p.layout(list[0].at))
			}
			if floor := p.floor(u, at.mesh); floor > list[0].bound {
				t.Fatalf("%v: bound %v s below the floor %v s", p.layout(list[0].at), list[0].bound, floor)
			}
		})
	}
}
