package fabric

import (
	"math"

	"github.com/temper-ml/temper/cluster/hardware"
	"github.com/temper-ml/temper/distributed/mesh"
)

// Pattern is the kind of message.
type Pattern uint8

// The patterns, with what Payload means for each.
const (
	AllGather     Pattern = iota // the gathered size
	ReduceScatter                // the size before scattering
	AllReduce                    // the size of the reduced tensor
	AllToAll                     // what one rank sends, its own share included
	SendRecv                     // what one rank sends to its neighbour, in all steps together
)

// Rates are the calibrated properties of links; the bandwidths themselves are
// the hardware's.
type Rates struct {
	Inner    float64 // share of the catalogue's achievable bandwidth inside the scale-up domain
	Outer    float64 // the same on the scale-out network
	AllToAll float64 // of either, what many small messages to many peers reach
	Half     float64 // bytes at which a link inside the scale-up domain reaches half its rate
	HalfOut  float64 // the same on the scale-out network
	Start    float64 // seconds before the first byte of a collective moves
}

// level is one domain, as far as messages see it.
type level struct {
	size      int
	bandwidth float64
	latency   float64
	half      float64
	mesh      bool
	outer     bool
}

// Fabric answers for one cluster. It is safe for concurrent use.
type Fabric struct {
	levels []level
	node   int // devices of a node
	rates  Rates
}

// New returns the fabric of the cluster.
func New(c *hardware.Cluster, r Rates) *Fabric {
	f := &Fabric{node: c.NodeSize, rates: r}
	for i, d := range c.Domains {
		share, half := r.Inner, r.Half
		outer := i == len(c.Domains)-1
		if outer {
			share, half = r.Outer, r.HalfOut
		}
		b := d.Bandwidth * share
		if d.Efficiency > 0 {
			b *= d.Efficiency
		}
		if d.Oversubscription > 1 {
			b /= d.Oversubscription
		}
		f.levels = append(f.levels, level{size: d.Size, bandwidth: b, latency: d.Latency, half: half, mesh: d.Topology == "mesh", outer: outer})
	}
	return f
}

// Outermost reports whether the group needs the network that spans all.
func (f *Fabric) Outermost(g mesh.Group) bool {
	return len(f.levels) > 1 && f.Level(g) == len(f.levels)-1
}

// Level returns the index of the innermost domain that holds the group.
func (f *Fabric) Level(g mesh.Group) int {
	last := g.First + max(g.Size-1, 0)*g.Stride
	for i := range len(f.levels) - 1 {
		if n := f.levels[i].size; n > 0 && g.First/n == last/n {
			return i
		}
	}
	return len(f.levels) - 1
}

// members returns how many of the group share one domain of the level. Inside
// nodes, whose devices a job uses all, groups that do not fit in evenly lie across
// a boundary here and there, and the slowest group is what the others wait for:
// it has as many members on a node as every group has at least. Larger domains
// are filled as far as groups fit, and the rest is left to others.
func (f *Fabric) members(i int, g mesh.Group) int {
	if i == len(f.levels)-1 {
		return g.Size
	}
	if i < 0 {
		return 1
	}
	room := max(1, f.levels[i].size/max(1, g.Stride))
	if f.levels[i].size > f.node {
		return min(g.Size, room)
	}
	if f.levels[i].size%max(1, g.Stride) != 0 {
		return 1
	}
	return gcd(g.Size, room)
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// rate is the bandwidth one device has at a level towards n peers of its domain:
// in a mesh each peer has a link of its own and the others are idle.
func (f *Fabric) rate(i, n int) float64 {
	l := &f.levels[i]
	if l.mesh && l.size > 2 && n < l.size {
		return l.bandwidth * float64(max(1, n-1)) / float64(l.size-1)
	}
	return l.bandwidth
}

// Collective returns the seconds of a ring-like collective of the group.
func (f *Fabric) Collective(p Pattern, payload float64, g mesh.Group) float64 {
	if g.Size < 2 || payload <= 0 {
		return 0
	}
	switch p {
	case AllToAll:
		return f.Exchange(Tokens{Payload: payload}, g)
	case SendRecv:
		return f.ring(payload, g)
	}
	passes := 1.0
	if p == AllReduce {
		passes = 2
	}
	slowest := 0.0
	below := 1
	for i := range f.levels {
		n := f.members(i, g)
		if n == below {
			continue
		}
		l := &f.levels[i]
		bytes := passes * (1 - 1/float64(g.Size)) * payload / float64(below)
		slowest = max(slowest, (bytes+l.half)/f.rate(i, n))
		below = n
	}
	return f.rates.Start + float64(passes*f.delay(g)) + slowest
}

// delay is the time of empty messages that follow one another through the group:
// around a ring, or up and down a tree where that is shorter.
func (f *Fabric) delay(g mesh.Group) float64 {
	n := float64(g.Size)
	return f.levels[f.Level(g)].latency * min(n-1, 2*math.Ceil(math.Log2(n)))
}

// ring is the time of passing payload bytes around the group, neighbour to
// neighbour: the slowest hop decides.
func (f *Fabric) ring(payload float64, g mesh.Group) float64 {
	top := f.Level(g)
	l := &f.levels[top]
	steps := float64(g.Size - 1)
	return f.rates.Start + float64(steps*l.latency) + (payload+l.half)/f.rate(top, 2)
}

// Send returns the seconds of one message from each rank of a pipeline of so many
// stages to the rank stride away, when every device sends one. Where the pipeline
// does not fit into a domain, some stages have a boundary between them, and the
// slowest hop is what the others wait for.
func (f *Fabric) Send(bytes float64, stride, stages int) float64 {
	top := f.Level(mesh.Group{First: 0, Stride: max(1, stride), Size: max(2, stages)})
	l := &f.levels[top]
	return l.latency + (bytes+l.half)/f.rate(top, 2)
}

// Tokens describes an all-to-all that carries tokens to their experts.
type Tokens struct {
	Payload float64 // bytes that one rank sends, all copies counted, its own share included
	TopK    int     // copies of a token; 0: nothing is merged
	Fanout  int     // groups of experts that a token may go to at most; 0: no limit
	Groups  int     // how many groups there are; 0: one to a node
}

// Exchange returns the seconds of an all-to-all.
func (f *Fabric) Exchange(t Tokens, g mesh.Group) float64 {
	if g.Size < 2 || t.Payload <= 0 {
		return 0
	}
	stages := 0.0 // crossing and spreading overlap, but not where they take as long as each other
	below := 1
	for i := range f.levels {
		n := f.members(i, g)
		if n == below {
			continue
		}
		l := &f.levels[i]
		bytes := t.Payload * float64(n-below) / float64(g.Size)
		switch {
		case l.outer && t.TopK > 1:
			bytes = t.crossing(g.Size / below)
		case !l.outer && t.TopK > 1 && n < g.Size:
			bytes = t.Payload * float64(n-below) / float64(n) // what arrives from outside is spread too
		}
		stages += fourth((bytes + l.half) / (f.rate(i, n) * f.rates.AllToAll))
		below = n
	}
	return f.rates.Start + f.delay(g) + math.Sqrt(math.Sqrt(stages))
}

func fourth(x float64) float64 { x *= x; return x * x }

// crossing returns the bytes that one rank sends to other nodes, when a token
// goes once to every node that holds one of its experts.
func (t Tokens) crossing(nodes int) float64 {
	reach := float64(nodes)
	if t.Fanout > 0 {
		wide := 1.0 // nodes that a group lies on
		if t.Groups > 0 {
			wide = max(1, reach/float64(t.Groups))
		}
		reach = min(reach, float64(t.Fanout)*wide)
	}
	k := float64(t.TopK)
	distinct := reach * (1 - math.Pow(1-1/reach, k))
	return t.Payload / k * distinct * float64(nodes-1) / float64(nodes)
}
