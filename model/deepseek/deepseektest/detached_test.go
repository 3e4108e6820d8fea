package deepseektest

import (
	"math"
	"testing"
)

// TestIndexerIsDetached: the indexer's loss reaches the indexer's parameters only, and no other loss reaches those.
func TestIndexerIsDetached(t *testing.T) {
	c, batch := SmallV4(), SmallBatch()
	params := RandomParams(c, 7)
	for _, s := range []Scales{{Indexer: 1}, {LM: 1, MTP: 1, Balance: 1}} {
		out, err := New(c, params).Run(batch, s)
		if err != nil {
			t.Fatal(err)
		}
		for _, tensor := range c.Tensors() {
			want := isIndexer(tensor) == (s.Indexer != 0) && !tensor.Frozen
			size := 0.0
			for _, g := range out.Grads[tensor.Name] {
				size = math.Max(size, math.Abs(g))
			}
			if got := size > 0; got != want && !(want && tensor.Expert >= 0) {
				t.Errorf("scales %+v: %s has gradient %g, want one: %v", s, tensor.Name, size, want)
			}
		}
	}
}

// TestEveryParameterIsUsed: the names and shapes that the equations ask for are those that the architecture lists.
func TestEveryParameterIsUsed(t *testing.T) {
	for name, c := range map[string]struct {
		r *Reference
		n int
	}{
		"v4": {New(SmallV4(), RandomParams(SmallV4(), 1)), len(SmallV4().Tensors())},
		"v3": {New(SmallV3(), RandomParams(SmallV3(), 1)), len(SmallV3().Tensors())},
	} {
		out, err := c.r.Run(SmallBatch(), Scales{LM: 1, MTP: 1, Balance: 1, Indexer: 1})
		if err != nil {
			t.Fatal(name, err)
		}
		frozen := 0
		for _, tensor := range c.r.c.Tensors() {
			if tensor.Frozen {
				frozen++
			} else if _, ok := out.Grads[tensor.Name]; !ok {
				t.Errorf("%s: %s is never used", name, tensor.Name)
			}
		}
		if len(out.Grads)+frozen != c.n {
			t.Errorf("%s: %d gradients and %d frozen, the architecture has %d tensors", name, len(out.Grads), frozen, c.n)
		}
	}
}

// TestBlockEdges runs lengths around the compression ratios, where the first entry appears and tails are dropped.
func TestBlockEdges(t *testing.T) {
	c := SmallV4()
	params := RandomParams(c, 3)
	full := SmallBatch()
	whole, err := New(c, params).Run(Batch{Tokens: full.Tokens, Labels: full.Labels, Segments: [][2]int{{0, 24}}}, Scales{LM: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17} {
		b := Batch{Tokens: full.Tokens[:n], Labels: full.Labels[:n], MTPLabels: full.MTPLabels[:n], Segments: [][2]int{{0, n}}}
		out, err := New(c, params).Run(b, Scales{LM: 1, MTP: 1, Balance: 1, Indexer: 1})
		if err != nil {
			t.Fatalf("length %d: %v", n, err)
		}
		// Causality: what follows a prefix cannot change its logits, not even through compressed blocks.
		for i, z := range out.Logits {
			if math.Abs(z-whole.Logits[i]) > 1e-12 {
				t.Fatalf("length %d: logit %d is %g, in the longer sequence %g", n, i, z, whole.Logits[i])
			}
		}
	}
}
