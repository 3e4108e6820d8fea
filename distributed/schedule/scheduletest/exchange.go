package scheduletest

import (
	"fmt"

	"github.com/temper-ml/temper/distributed/mesh"
	"github.com/temper-ml/temper/distributed/schedule"
)

// exchangeForward runs a collective of the forward pass of a piece.
func (p *pass) exchangeForward(w schedule.Work, c *piece) (err error) {
	r := c.routed
	switch {
	case w.Op == schedule.TensorGather && w.Axis == mesh.TP && r == nil:
		c.in, err = concat(p.rank, w, c.in)
		c.first, _ = p.slice()
	case w.Op == schedule.ContextGather && c.op == schedule.Attention:
		c.all, err = concat(p.rank, w, c.in)
	case w.Op == schedule.TensorScatter && w.Axis == mesh.TP && r == nil:
		c.out, err = p.sum(w, c.out)
	case r == nil:
		return fmt.Errorf("%v over %v does not fit %v", w.Op, w.Axis, c.op)
	case w.Op == schedule.Dispatch:
		err = p.dispatch(w, r)
	case w.Op == schedule.TensorGather:
		r.all, r.shares, err = gatherShares(p.rank, w, r.entries)
	case w.Op == schedule.TensorScatter:
		r.out, err = scatterShares(p.rank, w, r.out, r.shares)
	case w.Op == schedule.Combine:
		r.out, err = p.combine(w, r, r.out)
	}
	return err
}

// exchangeBackward runs a collective of the backward pass of a piece.
func (p *pass) exchangeBackward(w schedule.Work, c *piece) (err error) {
	r := c.routed
	switch {
	case w.Op == schedule.TensorGather && w.Axis == mesh.TP && r == nil:
		c.dy, err = concat(p.rank, w, c.dy)
	case w.Op == schedule.ContextGather && c.op == schedule.Attention:
		err = p.ownKeys(w, c)
	case w.Op == schedule.TensorScatter && w.Axis == mesh.TP && r == nil:
		c.din, err = p.sum(w, c.din)
	case r == nil:
		return fmt.Errorf("%v over %v does not fit %v", w.Op, w.Axis, c.op)
	case w.Op == schedule.Dispatch:
		r.d, err = p.dispatchGradients(w, r)
		r.dall = r.d
	case w.Op == schedule.TensorGather:
		r.dall, _, err = gatherShares(p.rank, w, r.d)
	case w.Op == schedule.TensorScatter:
		r.d, err = scatterShares(p.rank, w, r.d, r.shares)
	case w.Op == schedule.Combine:
		r.d, err = p.combine(w, r, r.d)
	}
	return err
}

// concat is an all-gather.
func concat(r *rank, w schedule.Work, mine []num) ([]num, error) {
	parts, err := exchange(r, w.Axis, name(w), same(mine, r.Spec.Mesh.Degree(w.Axis)))()
	var out []num
	for _, s := range parts {
		out = append(out, s...)
	}
	return out, err
}

func name(w schedule.Work) string { return fmt.Sprintf("%v of block %d", w.Op, w.Block) }

// sum adds up partial sums over tp: a reduce-scatter over the tokens where the
// sequence is sharded, else an all-reduce.
func (p *pass) sum(w schedule.Work, mine []num) ([]num, error) {
	bodies := same(mine, p.Spec.Mesh.TP)
	if p.Spec.Sequence {
		for i := range bodies {
			from, to := part(len(mine), len(bodies), i)
			bodies[i] = mine[from:to]
		}
	}
	return p.total(w, bodies)
}

// total gives each rank its body and adds up what comes.
func (r *rank) total(w schedule.Work, bodies [][]num) ([]num, error) {
	parts, err := exchange(r, w.Axis, name(w), bodies)()
	if err != nil {
		return nil, err
	}
	out := make([]num, len(parts[0]))
	for i, s := range parts {
		if len(s) != len(out) {
			return nil, fmt.Errorf("%s: rank %d of %v gives %d numbers, rank 0 %d", name(w), i, w.Axis, len(s), len(out))
		}
		addTo(out, s)
	}
	return out, nil
}

// ownKeys brings the gradients of keys and values to the ranks of their tokens.
func (p *pass) ownKeys(w schedule.Work, c *piece) error {
	bodies := make([][]num, p.Spec.Mesh.CP)
	for i := range bodies {
		from, to := part(len(c.dall), len(bodies), i)
		bodies[i] = c.dall[from:to]
	}
	mine, err := p.total(w, bodies)
	if err == nil && len(mine) != len(c.din) {
		return fmt.Errorf("%s: gradients of %d keys, must be of %d", name(w), len(mine), len(c.din))
	}
	addTo(c.din, mine)
	return err
}

// dispatch sends every entry to the rank of its expert.
func (p *pass) dispatch(w schedule.Work, r *routed) error {
	n := p.Spec.Mesh.EP
	r.sent = make([][]int, n)
	bodies := make([][]entry, n)
	for i, e := range r.home {
		to := e.expert / (numExperts / n)
		r.sent[to] = append(r.sent[to], i)
		bodies[to] = append(bodies[to], e)
	}
	parts, err := exchange(p.rank, w.Axis, name(w), bodies)()
	r.entries, r.counts = nil, nil
	for _, list := range parts {
		r.entries = append(r.entries, list...)
		r.counts = append(r.counts, len(list))
	}
	r.all = r.entries
	return err
}

// dispatchGradients sends the gradient of every entry where the entry went.
func (p *pass) dispatchGradients(w schedule.Work, r *routed) (out []num, err error) {
	bodies := make([][]num, len(r.sent))
	for to, list := range r.sent {
		for _, i := range list {
			bodies[to] = append(bodies[to], r.d[i])
		}
	}
	parts, err := exchange(p.rank, w.Axis, name(w), bodies)()
	for _, list := range parts {
		out = append(out, list...)
	}
	return out, err
}

// combine sends what has been made of every entry back.
func (p *pass) combine(w schedule.Work, r *routed, made []num) ([]num, error) {
	bodies := make([][]num, len(r.counts))
	at := 0
	for from, n := range r.counts {
		if at+n > len(made) {
			return nil, fmt.Errorf("%s: %d results, must be more", name(w), len(made))
		}
		bodies[from] = made[at : at+n]
		at += n
	}
	parts, err := exchange(p.rank, w.Axis, name(w), bodies)()
	if err != nil {
		return nil, err
	}
	out := make([]num, len(r.home))
	for from, list := range r.sent {
		for k, i := range list {
			out[i] = parts[from][k]
		}
	}
	return out, nil
}

// gatherShares is an all-gather of lists of unequal length.
func gatherShares[T any](r *rank, w schedule.Work, mine []T) (all []T, shares []int, err error) {
	parts, err := exchange(r, w.Axis, name(w), same(mine, r.Spec.Mesh.Degree(w.Axis)))()
	for _, list := range parts {
		all = append(all, list...)
		shares = append(shares, len(list))
	}
	return all, shares, err
}

// scatterShares adds up partial sums: of each rank's own share where shares were
// gathered, else of all.
func scatterShares(r *rank, w schedule.Work, mine []num, shares []int) ([]num, error) {
	bodies := same(mine, r.Spec.Mesh.Degree(w.Axis))
	at := 0
	for i, n := range shares {
		if at+n > len(mine) {
			return nil, fmt.Errorf("%s: %d results, must be more", name(w), len(mine))
		}
		bodies[i] = mine[at : at+n]
		at += n
	}
	return r.total(w, bodies)
}
