package sim

import (
	"fmt"
	"math"
	"strings"

	"github.com/temper-ml/temper/distributed/mesh"
	"github.com/temper-ml/temper/internal/detrand"
)

// disturbance is Faults worked out for the ranks of a program. Fields that are
// nil disturb nothing.
type disturbance struct {
	slow    []float64
	inside  []float64 // slowness of transfers that stay inside the node's links
	outside []float64 // and of those that leave them
	halt    []Time
	dead    []bool
	jitter  []wobble
	router  *router
}

// wobble is one Jitter entry with the streams of its ranks.
type wobble struct {
	Jitter
	sigma, shift float64
	spike        Time
	streams      []detrand.Stream
	on           []bool
}

// on works f out for p.
func (f *Faults) on(p *Program) (*disturbance, error) {
	d := &disturbance{}
	if f == nil {
		return d, nil
	}
	if err := f.Check(p.Ranks, p.Node); err != nil {
		return nil, fmt.Errorf("sim: faults: %w", err)
	}
	for _, s := range f.Slow {
		scale(&d.slow, p, s.Target, s.Factor)
	}
	for _, l := range f.Links {
		scale(&d.outside, p, l.Target, l.Factor)
		if l.Domain == "all" {
			scale(&d.inside, p, l.Target, l.Factor)
		}
	}
	for i := range f.Jitter {
		if j := &f.Jitter[i]; j.RelativeDeviation != 0 || j.Probability != 0 {
			d.jitter = append(d.jitter, f.Jitter[i].on(p, f.Seed, i))
		}
	}
	for _, h := range f.Stops {
		if d.halt == nil {
			d.halt, d.dead = make([]Time, p.Ranks), make([]bool, p.Ranks)
			for r := range d.halt {
				d.halt[r] = never
			}
		}
		if at := FromSeconds(h.AtSeconds); at < d.halt[h.Rank] {
			d.halt[h.Rank], d.dead[h.Rank] = at, h.Cause == "dead"
		}
	}
	if f.Routing != nil {
		if p.ExpertAxis < 0 {
			return nil, fmt.Errorf("sim: faults: routing: the layout routes no tokens between ranks (ep = 1, or a dense model): leave it out")
		}
		d.router = newRouter(p, f.Routing, f.Seed)
	}
	return d, nil
}

// each calls do for the ranks of t.
func (t Target) each(p *Program, do func(r int)) {
	if len(t.Ranks) == 0 && len(t.Nodes) == 0 {
		for r := range p.Ranks {
			do(r)
		}
		return
	}
	for _, r := range t.Ranks {
		do(r)
	}
	for _, n := range t.Nodes {
		for r := n * p.Node; r < min((n+1)*p.Node, p.Ranks); r++ {
			do(r)
		}
	}
}

// scale multiplies the factors of the ranks of t.
func scale(factors *[]float64, p *Program, t Target, by float64) {
	if *factors == nil {
		*factors = make([]float64, p.Ranks)
		for r := range *factors {
			(*factors)[r] = 1
		}
	}
	t.each(p, func(r int) { (*factors)[r] *= by })
}

func (j Jitter) on(p *Program, seed uint64, place int) wobble {
	w := wobble{Jitter: j, spike: FromSeconds(j.Seconds), streams: make([]detrand.Stream, p.Ranks), on: make([]bool, p.Ranks)}
	variance := math.Log1p(j.RelativeDeviation * j.RelativeDeviation)
	w.sigma, w.shift = math.Sqrt(variance), variance/2
	j.each(p, func(r int) {
		w.on[r] = true
		w.streams[r] = detrand.Key(seed, "jitter", uint64(place), uint64(r))
	})
	return w
}

// compute is how long instruction pc takes rank r.
func (d *disturbance) compute(e *engine, r, pc int32, in *Instruction) Time {
	t := in.Time
	if d.slow != nil {
		t = times(t, d.slow[r])
	}
	if d.router != nil && in.Scale == ByLoad {
		t = times(t, d.router.load(e, r, in))
	}
	for i := range d.jitter {
		if w := &d.jitter[i]; w.on[r] {
			t = w.vary(t, r, pc)
		}
	}
	return t
}

// extras is what each cause adds to a compute instruction of rank r.
func (d *disturbance) extras(e *engine, r, pc int32, in *Instruction) [causes]Time {
	var out [causes]Time
	t := in.Time
	if d.slow != nil {
		t = times(t, d.slow[r])
		out[SlowDie] = t - in.Time
	}
	if d.router != nil && in.Scale == ByLoad {
		before := t
		t = times(t, d.router.load(e, r, in))
		out[Tokens] = t - before
	}
	out[Varying] = d.compute(e, r, pc, in) - t
	return out
}

func (w *wobble) vary(t Time, r, pc int32) Time {
	switch w.Distribution {
	case "normal":
		return times(t, max(0.1, 1+float64(w.RelativeDeviation*w.streams[r].NormalAt(uint64(pc)))))
	case "lognormal":
		return times(t, exp(float64(w.sigma*w.streams[r].NormalAt(uint64(pc)))-w.shift))
	}
	if w.streams[r].Float64At(uint64(pc)) < w.Probability {
		return t + w.spike
	}
	return t
}

// slowness is the factor of the slowest member's links, and that member.
func (d *disturbance) slowness(g mesh.Group, outside bool) (worst float64, who int) {
	factors := d.inside
	if outside {
		factors = d.outside
	}
	worst, who = 1, g.First
	if factors != nil {
		for i := range g.Size {
			if r := g.Rank(i); factors[r] > worst {
				worst, who = factors[r], r
			}
		}
	}
	return worst, who
}

// collective is how long the transfer of a collective takes.
func (d *disturbance) collective(e *engine, g *group, in *Instruction) Time {
	t := in.Time
	if g.slowness > 1 {
		t = times(t, g.slowness)
	}
	if d.router != nil && in.Scale == ByBusiest {
		t = times(t, d.router.busiest(e, int32(g.First), in))
	}
	return t
}

// send is t, a duration of rank r's message, on the slower of its two ends' links.
func (d *disturbance) send(e *engine, r int32, in *Instruction, t Time) Time {
	factors := d.inside
	if e.p.SendsScaleOut {
		factors = d.outside
	}
	if factors == nil {
		return t
	}
	to := r + (in.Peer-e.ranks[r].stage)*int32(e.p.block())
	return times(t, max(factors[r], factors[to]))
}

// slower is the end of rank r's message whose links are the slower ones.
func (d *disturbance) slower(e *engine, r int32, in *Instruction) int {
	to := r + (in.Peer-e.ranks[r].stage)*int32(e.p.block())
	factors := d.inside
	if e.p.SendsScaleOut {
		factors = d.outside
	}
	if factors != nil && factors[to] > factors[r] {
		return int(to)
	}
	return int(r)
}

// times scales a duration.
func times(t Time, factor float64) Time { return Time(math.Round(float64(t) * factor)) }

// exp is e^x for moderate x, the same on every architecture: x = k ln 2 + r,
// a Taylor series for r.
func exp(x float64) float64 {
	x = max(-700, min(700, x))
	k := math.Round(x / math.Ln2)
	r := x - float64(k*math.Ln2)
	sum := 1.0
	for n := 18; n >= 1; n-- {
		sum = 1 + float64(sum*r)/float64(n)
	}
	return math.Ldexp(sum, int(k))
}

// words names a target: "rank 17", "nodes 3 and 4", "all ranks".
func (t Target) words() string {
	list := func(noun string, ids []int) string {
		text := make([]string, 0, 4)
		for _, id := range ids {
			if len(text) == 3 && len(ids) > 4 {
				text = append(text, fmt.Sprintf("%d more", len(ids)-3))
				break
			}
			text = append(text, fmt.Sprint(id))
		}
		if len(text) == 1 {
			return noun + " " + text[0]
		}
		return noun + "s " + strings.Join(text[:len(text)-1], ", ") + " and " + text[len(text)-1]
	}
	switch {
	case len(t.Ranks) == 0 && len(t.Nodes) == 0:
		return "all ranks"
	case len(t.Nodes) == 0:
		return list("rank", t.Ranks)
	case len(t.Ranks) == 0:
		return list("node", t.Nodes)
	}
	return list("rank", t.Ranks) + ", " + list("node", t.Nodes)
}

func (s Slow) words() string { return fmt.Sprintf("%s slow, %.4gx", s.Target.words(), s.Factor) }

func (j Jitter) words() string {
	if j.Distribution == "spikes" {
		return fmt.Sprintf("spikes of %.4g s, probability %.4g, on %s", j.Seconds, j.Probability, j.Target.words())
	}
	return fmt.Sprintf("%s jitter of %.4g %% on %s", j.Distribution, 100*j.RelativeDeviation, j.Target.words())
}

func (l Link) words() string {
	return fmt.Sprintf("%s links of %s slow, %.4gx", l.Domain, l.Target.words(), l.Factor)
}

func (h Halt) words() string {
	return fmt.Sprintf("rank %d %s at %.4g s", h.Rank, h.Cause, h.AtSeconds)
}

func (r *Routing) words() string {
	switch {
	case len(r.Loads) > 0:
		return fmt.Sprintf("routing by a histogram of %d loads, variation %.4g", len(r.Loads), r.Variation)
	case r.Zipf > 0:
		return fmt.Sprintf("routing by a Zipf law of exponent %.4g, variation %.4g", r.Zipf, r.Variation)
	}
	return fmt.Sprintf("routing balanced on average, variation %.4g", r.Variation)
}
