package sim

import (
	"math"

	"github.com/temper-ml/temper/internal/detrand"
)

// router says how many tokens the experts of a rank get, relative to the mean
// of its group: a pure function of (seed, layer, micro-batch, group), so that
// the backward pass meets the loads of the forward pass.
type router struct {
	seed      uint64
	layers    [][]preference // by layer + 1 (layer -1: none), by member of a group
	variation float64
	sum       float64 // of the busiest rank's load over all draws
	count     int
}

// preference is one member's lasting share of the tokens, and the deviation of
// what it gets in one micro-batch.
type preference struct{ mean, deviation float64 }

// loads keeps the loads of the few (layer, micro-batch) that a group is in.
type loads struct {
	drawn [4]drawn
	next  int
}

type drawn struct {
	layer, micro int32
	rho          []float64
	busiest      float64
}

func newRouter(p *Program, r *Routing, seed uint64) *router {
	out := &router{seed: seed, variation: r.Variation}
	layers := int16(0)
	for _, code := range p.Stages {
		for i := range code {
			layers = max(layers, code[i].Layer+1)
		}
	}
	experts := max(p.Experts, 1)
	weights := r.weights(experts)
	members := p.Axes[p.ExpertAxis].Group(0).Size
	for layer := range int(layers) {
		deal := detrand.Key(seed, "experts", uint64(layer)).Permutation(experts)
		of := make([]preference, members)
		for e := range experts {
			w := weights[deal[e]]
			m := &of[e*members/experts]
			m.mean += w
			m.deviation += float64(w * w)
		}
		for i := range of {
			of[i].deviation = r.Variation * math.Sqrt(of[i].deviation)
		}
		out.layers = append(out.layers, of)
	}
	return out
}

// weights spreads the histogram over n experts: expert i takes the value at
// its place, as if the histogram were drawn n bars wide.
func (r *Routing) weights(n int) []float64 {
	out := make([]float64, n)
	for i := range out {
		switch {
		case len(r.Loads) > 0:
			out[i] = r.Loads[i*len(r.Loads)/n]
		case r.Zipf > 0:
			out[i] = math.Pow(float64(i+1), -r.Zipf)
		default:
			out[i] = 1
		}
	}
	return out
}

// load is rho of rank r in the layer and micro-batch of in.
func (t *router) load(e *engine, r int32, in *Instruction) float64 {
	g := &e.groups[e.p.ExpertAxis][e.groupOf[e.p.ExpertAxis][r]]
	return t.at(g, in).rho[(int(r)-g.First)/g.Stride]
}

// busiest is the largest rho of the group of rank r.
func (t *router) busiest(e *engine, r int32, in *Instruction) float64 {
	return t.at(&e.groups[e.p.ExpertAxis][e.groupOf[e.p.ExpertAxis][r]], in).busiest
}

// who is the rank with that load.
func (t *router) who(e *engine, r int32, in *Instruction) int {
	g := &e.groups[e.p.ExpertAxis][e.groupOf[e.p.ExpertAxis][r]]
	d := t.at(g, in)
	for i, x := range d.rho {
		if x == d.busiest {
			return g.Rank(i)
		}
	}
	return g.First
}

// at returns the loads of group g, drawn if they are not at hand.
func (t *router) at(g *group, in *Instruction) *drawn {
	layer := int32(in.Layer)
	for i := range g.loads.drawn {
		if d := &g.loads.drawn[i]; d.rho != nil && d.layer == layer && d.micro == in.Micro {
			return d
		}
	}
	d := &g.loads.drawn[g.loads.next]
	g.loads.next = (g.loads.next + 1) % len(g.loads.drawn)
	if d.rho == nil {
		d.rho = make([]float64, g.Size)
	}
	d.layer, d.micro = layer, in.Micro
	t.draw(g, d)
	return d
}

// draw fills in d.rho, whose mean is 1.
func (t *router) draw(g *group, d *drawn) {
	of := t.layers[d.layer]
	stream := detrand.Key(t.seed, "routing", uint64(d.layer), uint64(d.micro), uint64(g.First))
	sum := 0.0
	for i := range d.rho {
		x := of[i].mean
		if t.variation > 0 {
			x = max(0, x+float64(of[i].deviation*stream.NormalAt(uint64(i))))
		}
		d.rho[i] = x
		sum += x
	}
	d.busiest = 0
	for i := range d.rho {
		if sum > 0 {
			d.rho[i] *= float64(g.Size) / sum
		} else {
			d.rho[i] = 1
		}
		d.busiest = max(d.busiest, d.rho[i])
	}
	t.sum += d.busiest
	t.count++
}
