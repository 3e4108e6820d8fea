package scheduletest

import (
	"errors"
	"fmt"

	"github.com/temper-ml/temper/distributed/mesh"
	"github.com/temper-ml/temper/distributed/schedule"
)

// replicated adds up the gradients of weights that all tensor-parallel ranks
// hold.
func (r *rank) replicated() error {
	if err := r.complete(); err != nil {
		return err
	}
	var parts []*gradient
	r.each(func(_ int, _ class, b *bucket) {
		from, to := b.owned()
		for i, w := range b.weights[from:to] {
			if w.replicated() {
				parts = append(parts, b.total.slice(i, i+1))
			}
		}
	})
	given := make([]*gradient, len(parts))
	for i, g := range parts {
		given[i] = g.clone()
	}
	all, err := exchange(r, mesh.TP, "reduce-replicated", same(given, r.Spec.Mesh.TP))()
	if err != nil {
		return err
	}
	for i, list := range all {
		if len(list) != len(parts) {
			return fmt.Errorf("rank %d of the group has %d replicated weights, must have %d", i, len(list), len(parts))
		}
		for k, g := range list {
			if i != r.at.TP {
				parts[k].add(g)
			}
		}
	}
	return nil
}

// reduceTied adds up the gradients of two stages: of the embedding's matrix, or
// of both copies of a part (dualpipe).
func (r *rank) reduceTied(in schedule.Instruction) error {
	if err := r.complete(); err != nil {
		return err
	}
	var mine [classes]*gradient
	if r.Spec.Kind == schedule.DualPipe {
		for c := range mine {
			mine[c] = r.chunks[in.Chunk][c].total.clone()
		}
	} else {
		mine[shared] = r.ofStage()
	}
	peer := r.Peer(r.id, in)
	r.net.send(route{from: r.id, to: peer, use: useTied}, mine)
	m, err := r.net.receive(route{from: peer, to: r.id, use: useTied}, r.doing)
	if err != nil {
		return err
	}
	theirs := m.([classes]*gradient)
	if r.Spec.Kind != schedule.DualPipe {
		if r.tied == nil {
			r.tied = map[int]*gradient{}
		}
		if r.tied[int(in.Peer)] != nil {
			return errors.New("a second time")
		}
		r.tied[int(in.Peer)] = theirs[shared]
		return nil
	}
	for c := range mine {
		b := &r.chunks[in.Chunk][c]
		if len(b.total.sum) != len(theirs[c].sum) {
			return fmt.Errorf("chunk %d holds %d weights, its copy on stage %d holds %d", in.Chunk, len(b.total.sum), in.Peer, len(theirs[c].sum))
		}
		b.total.add(theirs[c])
	}
	return nil
}

// ofStage returns the gradient of the embedding's matrix over the chunks of the
// rank, nil where it is not held.
func (r *rank) ofStage() *gradient {
	if r.update.shared != nil {
		return r.update.shared
	}
	r.each(func(_ int, c class, b *bucket) {
		switch {
		case c != shared:
		case r.update.shared == nil:
			r.update.shared = b.total.clone()
		default:
			r.update.shared.add(b.total)
		}
	})
	return r.update.shared
}
