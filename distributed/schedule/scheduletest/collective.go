package scheduletest

import (
	"fmt"

	"github.com/temper-ml/temper/distributed/mesh"
	"github.com/temper-ml/temper/distributed/schedule"
)

// letter is what one rank gives another in a collective, with what it thinks
// they do.
type letter struct {
	what string
	body any
}

// exchange gives each rank of an axis one of bodies, in the order of the group,
// and returns a function that waits for theirs.
func exchange[T any](r *rank, a mesh.Axis, what string, bodies []T) func() ([]T, error) {
	g := r.Spec.Mesh.Group(a, r.id)
	number := r.numbers[a]
	r.numbers[a]++
	for i, body := range bodies {
		if to := g.Rank(i); to != r.id {
			r.net.send(route{from: r.id, to: to, axis: a, use: useGroup, number: number}, letter{what, body})
		}
	}
	return func() ([]T, error) {
		out := make([]T, g.Size)
		for i := range out {
			from := g.Rank(i)
			if from == r.id {
				out[i] = bodies[i]
				continue
			}
			m, err := r.net.receive(route{from: from, to: r.id, axis: a, use: useGroup, number: number}, r.doing)
			if err != nil {
				return nil, err
			}
			l := m.(letter)
			if l.what != what {
				return nil, fmt.Errorf("collective %d over %v is %s here, but %s on rank %d", number, a, what, l.what, from)
			}
			out[i] = l.body.(T)
		}
		return out, nil
	}
}

// same gives every rank of a group the same body.
func same[T any](body T, size int) []T {
	out := make([]T, size)
	for i := range out {
		out[i] = body
	}
	return out
}

// start runs a collective, to its end unless it is async.
func (r *rank) start(in schedule.Instruction, finish func() error) error {
	if in.Async {
		r.pending = append(r.pending, pending{in, finish})
		return nil
	}
	return finish()
}

// finish ends the pending collectives that match, oldest first.
func (r *rank) finish(match func(schedule.Instruction) bool) error {
	var rest []pending
	var todo []pending
	for _, p := range r.pending {
		if match(p.in) {
			todo = append(todo, p)
		} else {
			rest = append(rest, p)
		}
	}
	r.pending = rest
	for _, p := range todo {
		if err := p.finish(); err != nil {
			return err
		}
	}
	return nil
}

// over lists the buckets of a chunk that a collective over an axis is about.
func (r *rank) over(chunk uint8, a mesh.Axis) (out []*bucket) {
	for c := range r.chunks[chunk] {
		if b := &r.chunks[chunk][c]; b.axis == a && len(b.weights) > 0 {
			out = append(out, b)
		}
	}
	return out
}

// reduce starts the reduction of the gradients of a chunk: an all-reduce without
// ZeRO, else a reduce-scatter.
func (r *rank) reduce(in schedule.Instruction) func() error {
	var waits []func() error
	for _, b := range r.over(in.Chunk, in.Axis) {
		bodies := make([]*gradient, b.n)
		given := b.local
		b.dirty = false
		b.local = newGradient(len(b.weights), r.micros*r.tokens)
		for i := range bodies {
			bodies[i] = given.slice(b.share(i))
		}
		get := exchange(r, in.Axis, fmt.Sprintf("%v of chunk %d", in.Op, in.Chunk), bodies)
		waits = append(waits, func() error {
			parts, err := get()
			for _, g := range parts {
				b.total.add(g)
			}
			return err
		})
	}
	return all(waits)
}

func all(waits []func() error) func() error {
	return func() error {
		for _, wait := range waits {
			if err := wait(); err != nil {
				return err
			}
		}
		return nil
	}
}

// gather starts the gather of the values of a chunk from the ranks that own
// them.
func (r *rank) gather(in schedule.Instruction) func() error {
	var waits []func() error
	for _, b := range r.over(in.Chunk, in.Axis) {
		from, to := b.owned()
		mine := make([]num, 0, to-from)
		for _, w := range b.weights[from:to] {
			mine = append(mine, r.state[w].device)
		}
		get := exchange(r, in.Axis, fmt.Sprintf("%v of chunk %d", in.Op, in.Chunk), same(mine, b.n))
		waits = append(waits, func() error {
			parts, err := get()
			if err != nil {
				return err
			}
			return b.fill(parts, in.Op == schedule.GatherParameters)
		})
	}
	return all(waits)
}

// fill puts the shares of all ranks together.
func (b *bucket) fill(parts [][]num, forOnePass bool) error {
	value := map[Weight]num{}
	for i, values := range parts {
		from, to := b.share(i)
		if len(values) != to-from {
			return fmt.Errorf("share %d of %d weights has %d values, must have %d", i, len(b.weights), len(values), to-from)
		}
		for k, w := range b.weights[from:to] {
			value[w] = values[k]
		}
	}
	b.value = value
	if forOnePass {
		b.gathers++
	}
	return nil
}
