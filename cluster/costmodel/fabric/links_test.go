package fabric

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/temper-ml/temper/cluster/hardware"
	"github.com/temper-ml/temper/distributed/mesh"
)

// usual are links as they are.
var usual = Rates{Inner: 0.9, Outer: 0.9, AllToAll: 0.8, Half: 4e6, HalfOut: 1e6, Start: 1e-5}

// A group that does not divide a node lies across a boundary somewhere.
func TestGroupsThatDoNotFitCross(t *testing.T) {
	f := New(twoLevels(), plain)
	inside := f.Collective(AllGather, 1e9, mesh.Group{Stride: 1, Size: 4})
	for _, g := range []mesh.Group{{Stride: 1, Size: 3}, {Stride: 1, Size: 6}, {Stride: 3, Size: 2}, {Stride: 2, Size: 3}, {Stride: 1, Size: 12}} {
		if s := f.Collective(AllGather, 1e9, g); s < 3*inside {
			t.Errorf("%+v takes %.4g s, a group inside a node %.4g", g, s, inside)
		}
	}
	for _, g := range []mesh.Group{{Stride: 1, Size: 2}, {Stride: 4, Size: 2}, {Stride: 2, Size: 4}, {Stride: 1, Size: 8}} {
		if s := f.Collective(AllGather, 1e9, g); s > 2*inside {
			t.Errorf("%+v takes %.4g s, as if it crossed", g, s)
		}
	}
	c, err := hardware.Load("gb200")
	if err != nil {
		t.Fatal(err)
	}
	rack := New(c, plain) // 72 devices, of which groups of 64 leave 8 alone
	if a, b := rack.Collective(AllGather, 1e9, mesh.Group{Stride: 1, Size: 64}), rack.Collective(AllGather, 1e9, mesh.Group{Stride: 1, Size: 32}); a > 1.1*b {
		t.Errorf("64 devices of a rack take %.4g s, 32 take %.4g", a, b)
	}
}

// group draws a group as meshes have them.
func group(t *rapid.T) mesh.Group {
	return mesh.Group{Stride: 1 << rapid.IntRange(0, 7).Draw(t, "stride"), Size: 1 << rapid.IntRange(0, 8).Draw(t, "size")}
}

// slowest is the least bandwidth of the levels that a group touches.
func slowest(f *Fabric, g mesh.Group) float64 {
	slowest := math.Inf(1)
	for i := range f.levels {
		if f.members(i, g) > 1 && (i == 0 || f.members(i, g) > f.members(i-1, g)) {
			slowest = min(slowest, f.rate(i, f.members(i, g)))
		}
	}
	return slowest
}

// No message is faster than the bytes that a device must receive over the links it
// has, nor slower than all of them over the slowest link, twice, and its latencies.
func TestMessagesObeyBandwidth(t *testing.T) {
	names := hardware.Names()
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom(names).Draw(t, "cluster")
		c, err := hardware.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		g := group(t)
		payload := math.Exp2(float64(rapid.IntRange(0, 36).Draw(t, "payload")))
		for _, r := range []Rates{plain, usual} {
			f := New(c, r)
			var links float64 // of one device, all levels at once
			for _, l := range f.levels {
				links += l.bandwidth
			}
			n := float64(g.Size)
			for p, moved := range map[Pattern]float64{AllGather: (n - 1) / n, ReduceScatter: (n - 1) / n, AllReduce: 2 * (n - 1) / n, AllToAll: (n - 1) / n} {
				s := f.Collective(p, payload, g)
				if g.Size == 1 {
					if s != 0 {
						t.Fatalf("a group of one takes %v", s)
					}
					continue
				}
				if least := moved * payload / links; s < least*(1-1e-9) {
					t.Fatalf("%s: %d moves %.4g bytes over %+v in %.4g s, its links need %.4g", name, p, moved*payload, g, s, least)
				}
				most := 2*(moved*payload+8e6)/(slowest(f, g)*r.AllToAll) + r.Start + 100*latencies(f)
				if s > most {
					t.Fatalf("%s: %d moves %.4g bytes over %+v in %.4g s, the slowest link needs %.4g", name, p, moved*payload, g, s, most)
				}
			}
		}
	})
}

// latencies is the sum of those of all levels.
func latencies(f *Fabric) float64 {
	sum := 0.0
	for _, l := range f.levels {
		sum += l.latency
	}
	return sum
}

// More bytes, wider strides, fewer copies merged: never faster.
func TestMessagesAreMonotone(t *testing.T) {
	names := hardware.Names()
	rapid.Check(t, func(t *rapid.T) {
		c, err := hardware.Load(rapid.SampledFrom(names).Draw(t, "cluster"))
		if err != nil {
			t.Fatal(err)
		}
		f, g := New(c, usual), group(t)
		payload := math.Exp2(float64(rapid.IntRange(0, 34).Draw(t, "payload")))
		wide := g
		wide.Stride *= 2
		for _, p := range []Pattern{AllGather, AllReduce, SendRecv, AllToAll} {
			s := f.Collective(p, payload, g)
			if more := f.Collective(p, 1.5*payload, g); more < s {
				t.Fatalf("pattern %d over %+v: half as many bytes again are faster: %v after %v", p, g, more, s)
			}
			meshed := c.Domains[0].Topology == "mesh"                                              // fewer peers of a mesh mean fewer links
			if w := f.Collective(p, payload, wide); w < s*(1-1e-9) && !meshed && payload > 1<<24 { // latencies of levels differ
				t.Fatalf("%s: pattern %d over %+v takes %v, over %+v %v", c.Name, p, g, s, wide, w)
			}
		}
		k := rapid.IntRange(2, 8).Draw(t, "copies")
		one, free := f.Exchange(Tokens{Payload: payload, TopK: k, Fanout: 1}, g), f.Exchange(Tokens{Payload: payload, TopK: k}, g)
		if free < one*(1-1e-9) {
			t.Fatalf("%d copies to any node are faster than to one: %v, %v", k, free, one)
		}
	})
}

// A pipeline that leaves a node somewhere is as fast as the hop that does.
func TestPipelinesWaitForTheSlowestHop(t *testing.T) {
	f := New(twoLevels(), plain)
	for _, tt := range []struct {
		stride, stages int
		bandwidth      float64
	}{{1, 8, 100e9}, {2, 4, 100e9}, {4, 2, 100e9}, {4, 4, 10e9}, {2, 16, 10e9}, {8, 2, 10e9}, {64, 16, 10e9}} {
		if got, want := f.Send(1e9, tt.stride, tt.stages), 1e9/tt.bandwidth; !near(got, want) {
			t.Errorf("%d stages of %d ranks: %v s, want %v", tt.stages, tt.stride, got, want)
		}
	}
}

// Groups of experts wider than a node let a token go to more nodes.
func TestWideGroupsReachMoreNodes(t *testing.T) {
	f := New(twoLevels(), plain)
	g := mesh.Group{Stride: 1, Size: 256} // 32 nodes
	narrow := f.Exchange(Tokens{Payload: 8e9, TopK: 8, Fanout: 4, Groups: 32}, g)
	if want := 1e9 * 4 * (1 - math.Pow(3./4, 8)) * 31 / 32 / 10e9; !crosses(narrow, want) {
		t.Errorf("4 groups of a node each: %v s, want %v", narrow, want)
	}
	wide := f.Exchange(Tokens{Payload: 8e9, TopK: 8, Fanout: 4, Groups: 8}, g)
	if want := 1e9 * 16 * (1 - math.Pow(15./16, 8)) * 31 / 32 / 10e9; !crosses(wide, want) {
		t.Errorf("4 groups of 4 nodes each: %v s, want %v", wide, want)
	}
}
