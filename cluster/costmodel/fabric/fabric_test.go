package fabric

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/temper-ml/temper/cluster/hardware"
	"github.com/temper-ml/temper/distributed/mesh"
)

// plain are rates that change nothing: links as the catalogue has them.
var plain = Rates{Inner: 1, Outer: 1, AllToAll: 1}

// twoLevels is a cluster of nodes of 8 with round numbers.
func twoLevels() *hardware.Cluster {
	return &hardware.Cluster{
		Domains: []hardware.Domain{
			{Name: "node", Size: 8, Bandwidth: 100e9, Efficiency: 1, Topology: "switch"},
			{Name: "scale-out", Size: 1024, Bandwidth: 10e9, Efficiency: 1, Topology: "clos"},
		},
		NodeSize: 8, MaxDevices: 1024,
	}
}

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-12+1e-9*math.Abs(b) }

// crosses is near for exchanges, which add a little for what they do inside nodes.
func crosses(got, want float64) bool { return got >= want && got <= want*1.001 }

func TestCollectivesInClosedForm(t *testing.T) {
	f := New(twoLevels(), plain)
	inside := mesh.Group{First: 0, Stride: 1, Size: 8}
	across := mesh.Group{First: 0, Stride: 8, Size: 16}
	both := mesh.Group{First: 0, Stride: 1, Size: 16}
	const s = 1e9
	for _, tt := range []struct {
		name string
		p    Pattern
		g    mesh.Group
		want float64
	}{
		{"all-gather in a node", AllGather, inside, 7. / 8 * s / 100e9},
		{"reduce-scatter in a node", ReduceScatter, inside, 7. / 8 * s / 100e9},
		{"all-reduce in a node", AllReduce, inside, 2 * 7. / 8 * s / 100e9},
		{"all-reduce across nodes", AllReduce, across, 2 * 15. / 16 * s / 10e9},
		{"all-reduce over two whole nodes: a ring crosses with an eighth of it", AllReduce, both, 2 * 15. / 16 * s / 8 / 10e9},
		{"one step of a ring", SendRecv, inside, s / 100e9},
		{"all-to-all in a node", AllToAll, inside, 7. / 8 * s / 100e9},
		{"all-to-all over two nodes: half of it crosses", AllToAll, both, s / 2 / 10e9},
	} {
		if got := f.Collective(tt.p, s, tt.g); !near(got, tt.want) && !(tt.p == AllToAll && crosses(got, tt.want)) {
			t.Errorf("%s: %v s, want %v", tt.name, got, tt.want)
		}
	}
}

func TestTokensCrossOnceForEachNode(t *testing.T) {
	f := New(twoLevels(), plain)
	g := mesh.Group{First: 0, Stride: 1, Size: 64} // 8 nodes
	const s, k = 8e9, 8
	// A token has its 8 experts on 8(1-(7/8)^8) of 8 nodes, 7/8 of which are others.
	nodes := 8 * (1 - math.Pow(7./8, k))
	if got, want := f.Exchange(Tokens{Payload: s, TopK: k}, g), s/k*nodes*7/8/10e9; !crosses(got, want) {
		t.Errorf("merged: %v s, want %v", got, want)
	}
	few := f.Exchange(Tokens{Payload: s, TopK: k, Fanout: 4}, g)
	if want := s / k * 4 * (1 - math.Pow(3./4, k)) * 7 / 8 / 10e9; !crosses(few, want) {
		t.Errorf("at most 4 nodes: %v s, want %v", few, want)
	}
	if all := f.Exchange(Tokens{Payload: s}, g); !crosses(all, s*56/64/10e9) {
		t.Errorf("nothing merged: %v s", all)
	}
}

func TestMeshLinksAreNotPooled(t *testing.T) {
	c := twoLevels()
	c.Domains[0].Topology = "mesh"
	f := New(c, plain)
	whole := f.Collective(AllGather, 1e9, mesh.Group{Stride: 1, Size: 8})
	pair := f.Collective(AllGather, 1e9, mesh.Group{Stride: 1, Size: 2})
	if want := 7. / 8 * 1e9 / 100e9; !near(whole, want) {
		t.Errorf("the whole mesh: %v s, want %v", whole, want)
	}
	if want := 1. / 2 * 1e9 / (100e9 / 7); !near(pair, want) {
		t.Errorf("a pair has one link of seven: %v s, want %v", pair, want)
	}
}

func TestEveryClusterObeysTheSameLaws(t *testing.T) {
	var fabrics []*Fabric
	var sizes []int
	for _, name := range hardware.Names() {
		c, err := hardware.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		fabrics = append(fabrics, New(c, Rates{Inner: 0.9, Outer: 0.9, AllToAll: 0.8, Half: 4e6, HalfOut: 1e6, Start: 1e-5}))
		sizes = append(sizes, c.MaxDevices)
	}
	rapid.Check(t, func(t *rapid.T) {
		i := rapid.IntRange(0, len(fabrics)-1).Draw(t, "cluster")
		f := fabrics[i]
		p := Pattern(rapid.IntRange(0, int(SendRecv)).Draw(t, "pattern"))
		stride := 1 << rapid.IntRange(0, 6).Draw(t, "stride")
		size := 1 << rapid.IntRange(1, 8).Draw(t, "size")
		if stride*size > sizes[i] {
			return
		}
		g := mesh.Group{First: stride * size * rapid.IntRange(0, 3).Draw(t, "first"), Stride: stride, Size: size}
		s := float64(rapid.Int64Range(1, 1e12).Draw(t, "payload"))
		one, two := f.Collective(p, s, g), f.Collective(p, 2*s, g)
		if !(one > 0) || math.IsInf(one, 0) {
			t.Fatalf("%d of %v takes %v s", p, s, one)
		}
		if !(two > one && two <= 2*one) {
			t.Fatalf("twice the bytes take %v s instead of %v", two, one)
		}
		if all := f.Collective(AllReduce, s, g); p == AllGather && all < one {
			t.Fatalf("an all-reduce takes %v s, a gather of the same %v", all, one)
		}
		alone := mesh.Group{First: g.First, Stride: g.Stride, Size: 1}
		if f.Collective(p, s, alone) != 0 || f.Collective(p, 0, g) != 0 {
			t.Fatal("nothing to send takes time")
		}
	})
}
