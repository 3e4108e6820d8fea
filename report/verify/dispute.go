package verify

import (
	"context"
	"errors"
	"fmt"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/record/digest"
	"github.com/temper-ml/temper/report/record/merkle"
	"github.com/temper-ml/temper/report/record/trace"
)

// Dispute searches for the first step on which two parties differ, then for the
// first operator of that step, then for its first value; nil if their roots are
// equal. It believes nothing that does not hash to what a party has published: a
// [LieError], or one of package trace, names the party that shows something else.
//
// The search goes down the two trees side by side, to the left wherever the left
// halves differ. It needs no assumption about what follows: states that differ
// may be equal again later, as digests of some of the blocks often are.
func Dispute(ctx context.Context, a, b Party) (*Finding, error) {
	x, y := &side{name: "a", party: a}, &side{name: "b", party: b}
	for _, s := range []*side{x, y} {
		if err := s.begin(ctx); err != nil {
			return nil, err
		}
	}
	if x.n != y.n {
		return nil, fmt.Errorf("verify: the parties dispute stretches of %d and %d steps: want the same", x.n, y.n)
	}
	if x.hash == y.hash {
		return nil, nil
	}
	f := &Finding{Element: -1}
	for level := bits.Len64(uint64(x.n - 1)); level > 0; level-- {
		if middle := (2*f.Step + 1) << (level - 1); middle >= x.n {
			f.Step *= 2 // a node without a sibling is its parent
			continue
		}
		f.Rounds++
		for _, s := range []*side{x, y} {
			if err := s.split(ctx, level, f.Step); err != nil {
				return nil, err
			}
		}
		f.Step *= 2
		if x.left == y.left {
			f.Step++
			x.hash, y.hash = x.right, y.right
		} else {
			x.hash, y.hash = x.left, y.left
		}
	}
	if err := f.open(ctx, x, y); err != nil {
		return nil, err
	}
	return f, f.operators(ctx, a, b)
}

// side is a party with the hash of the node that the search has come to.
type side struct {
	name        string
	party       Party
	n           int64
	hash        digest.Digest
	left, right digest.Digest
}

func (s *side) begin(ctx context.Context) (err error) {
	if s.n, s.hash, err = s.party.Published(ctx); err != nil {
		return fmt.Errorf("verify: party %s: %w", s.name, err)
	}
	if s.n < 1 || s.n > maxSteps {
		return &LieError{s.name, fmt.Sprintf("%d steps, want 1 to %d", s.n, maxSteps)}
	}
	return nil
}

// split learns the halves of node i of a level.
func (s *side) split(ctx context.Context, level int, i int64) (err error) {
	if s.left, s.right, err = s.party.Children(ctx, level, i); err != nil {
		return fmt.Errorf("verify: party %s: %w", s.name, err)
	}
	if merkle.Node(s.left, s.right) != s.hash {
		return &LieError{s.name, fmt.Sprintf("halves of node %d of level %d do not hash to it", i, level)}
	}
	return nil
}

// leaf returns what the party says of the step that was found.
func (s *side) leaf(ctx context.Context, i int64) (*record.Step, error) {
	text, err := s.party.Step(ctx, i)
	if err != nil {
		return nil, fmt.Errorf("verify: party %s: %w", s.name, err)
	}
	if digest.Digest(tlog.RecordHash(text)) != s.hash {
		return nil, &LieError{s.name, fmt.Sprintf("the text of step %d does not hash to its leaf", i)}
	}
	b := &record.Step{}
	if err := record.Unmarshal(text, b); err != nil {
		return nil, &LieError{s.name, fmt.Sprintf("the text of step %d: %v", i, err)}
	}
	return b, nil
}

// open names what differs in the step.
func (f *Finding) open(ctx context.Context, x, y *side) error {
	a, err := x.leaf(ctx, f.Step)
	if err != nil {
		return err
	}
	b, err := y.leaf(ctx, f.Step)
	if err != nil {
		return err
	}
	for _, q := range quantities(a, b) {
		if q.recorded != q.computed {
			f.Quantity, f.A, f.B = q.name, q.recorded, q.computed
			return nil
		}
	}
	f.Quantity = "other"
	return nil
}

// operators goes on within the step, if both parties can take it again.
func (f *Finding) operators(ctx context.Context, a, b Party) error {
	x, err := a.Operators(ctx, f.Step)
	if err != nil {
		return fmt.Errorf("verify: party a: operators of step %d: %w", f.Step, err)
	}
	y, err := b.Operators(ctx, f.Step)
	if err != nil {
		return fmt.Errorf("verify: party b: operators of step %d: %w", f.Step, err)
	}
	if x == nil || y == nil {
		return nil
	}
	found, err := trace.Find(ctx, x, y)
	if err != nil {
		return err
	}
	if found == nil {
		f.TracesEqual = true
		return nil
	}
	f.Rounds += found.Rounds - 1 // its last shows the two entries
	entry := found.A
	if entry == nil {
		entry = found.B
	}
	f.Operator = &entry.Operator
	if found.A == nil || found.B == nil || found.A.Operator != found.B.Operator || found.A.Size != found.B.Size || found.A.Integer != found.B.Integer {
		return nil // the operators themselves differ
	}
	return f.element(ctx, found, x, y)
}

// element finds the first value that differs.
func (f *Finding) element(ctx context.Context, found *trace.Finding, x, y Operators) error {
	blocks := [2][]digest.Digest{}
	sides := []struct {
		name  string
		party Operators
		entry *trace.Entry
	}{{"a", x, found.A}, {"b", y, found.B}}
	for i, s := range sides {
		var err error
		if blocks[i], err = s.party.Blocks(ctx, found.Index); err != nil {
			return fmt.Errorf("verify: party %s: %w", s.name, err)
		}
		if err := s.entry.CheckBlocks(blocks[i]); err != nil {
			return &LieError{s.name, err.Error()}
		}
	}
	at := int64(0)
	for blocks[0][at] == blocks[1][at] { // the digests over them differ
		at++
	}
	values := [2][]uint32{}
	for i, s := range sides {
		var err error
		if values[i], err = s.party.Block(ctx, found.Index, at); err != nil {
			return fmt.Errorf("verify: party %s: %w", s.name, err)
		}
		if n := min(digest.Block, s.entry.Size-at*digest.Block); int64(len(values[i])) != n {
			return &LieError{s.name, fmt.Sprintf("%d values of a block of %d", len(values[i]), n)}
		}
		if err := trace.CheckBlock(blocks[i][at], values[i]); err != nil {
			return &LieError{s.name, err.Error()}
		}
	}
	for i := range values[0] {
		if values[0][i] != values[1][i] {
			f.Element, f.BitsA, f.BitsB = at*digest.Block+int64(i), values[0][i], values[1][i]
			return nil
		}
	}
	return errors.New("verify: blocks with other digests have the same values")
}
