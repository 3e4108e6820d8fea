package arch

import (
	"fmt"
	"math"
	"testing"
)

// The closed forms must equal a count query by query, at every edge.
func TestAttendedKeysEqualDirectCount(t *testing.T) {
	for n := int64(0); n < 70; n++ {
		for _, w := range []int{1, 2, 7, 64, 128} {
			var want int64
			for q := range n {
				want += min(q+1, int64(w))
			}
			if got := windowKeys(n, w); got != want {
				t.Errorf("windowKeys(%d, %d) = %d, want %d", n, w, got, want)
			}
		}
		for _, ratio := range []int{2, 3, 4, 16, 128} {
			for _, k := range []int{0, 1, 2, 5, 1000} {
				var want int64
				for q := range n {
					visible := (q + 1) / int64(ratio)
					if k > 0 {
						visible = min(visible, int64(k))
					}
					want += visible
				}
				if got := compressedKeys(n, ratio, k); got != want {
					t.Errorf("compressedKeys(%d, %d, %d) = %d, want %d", n, ratio, k, got, want)
				}
			}
		}
	}
}

// Known figures for DeepSeek-V3 under three conventions, to three decimals.
func TestFLOPsOfV3MatchKnownConventions(t *testing.T) {
	c := must(t, "deepseek-v3")
	for _, tc := range []struct {
		by   Convention
		seq  int
		want string
	}{
		{Megatron, 4096, "2.504e+11"},
		{Verl, 4096, "2.560e+11"},
		{Torchtitan, 4096, "2.812e+11"},
		{Megatron, 131072, "1.202e+12"},
		{Verl, 131072, "1.208e+12"},
		{Torchtitan, 131072, "2.185e+12"},
	} {
		got, err := c.FLOPsPerToken(tc.by, tc.seq)
		if err != nil {
			t.Fatal(err)
		}
		if s := fmt.Sprintf("%.3e", got); s != tc.want {
			t.Errorf("%s at %d: %s, want %s", tc.by, tc.seq, s, tc.want)
		}
	}
	if _, err := c.FLOPsPerToken("mine", 1); err == nil {
		t.Error("an unknown convention was accepted")
	}
}

// Ledger and parameter table are two routes to the same number: without
// attention, pooling and mixing, the ledger is 6 per active matrix parameter.
func TestLedgerEqualsParameterTable(t *testing.T) {
	for _, name := range Builtins() {
		c := must(t, name)
		const n = 1024 // a multiple of every ratio, so that no token is outside a block
		l := c.FLOPs(Work{Lengths: []int{n}, IndexerLoss: true})
		var got float64
		for _, it := range l.Items {
			switch it.Name {
			case "attn.window", "attn.compressed", "attn.full", "mhc.mix", "indexer", "compressor":
			default:
				got += it.Forward + it.Backward
			}
		}
		var want float64
		for _, x := range c.Tensors() {
			skip := x.Layer >= c.NumLayers || x.Expert >= 0 && x.Expert >= c.TopK || (x.Optim != Matrix && !c.isHead(&x))
			switch x.Role {
			case IndexQB, IndexWeights, IndexCompKV, IndexCompGate, CompKV, CompGate:
				skip = true
			}
			if !skip {
				want += 6 * float64(x.Len()) * n
			}
		}
		if got != want {
			t.Errorf("%s: ledger %.0f, table %.0f", name, got, want)
		}
	}
}

// Packing isolates sequences: the ledger of a pack is the sum of its parts, and
// one long sequence costs more than the same tokens in two.
func TestLedgerOfPackedSequences(t *testing.T) {
	c := must(t, "bench-v4")
	one := func(n ...int) *Ledger { return c.FLOPs(Work{Lengths: n, MTP: true}) }
	pack := one(100, 37, 512)
	if sum := one(100).Total() + one(37).Total() + one(512).Total(); math.Abs(pack.Total()-sum) > 1e-9*sum {
		t.Errorf("pack %.0f, parts %.0f", pack.Total(), sum)
	}
	if pack.Tokens != 649 {
		t.Errorf("Tokens = %d, want 649", pack.Tokens)
	}
	if one(256, 256).Total() >= one(512).Total() {
		t.Error("isolation of packed sequences does not lower the count")
	}
	var byName float64
	for _, it := range pack.ByName() {
		byName += it.Forward + it.Backward
	}
	if math.Abs(byName-pack.Total()) > 1e-9*byName {
		t.Errorf("ByName sums to %.0f, want %.0f", byName, pack.Total())
	}
	var byBlock float64
	for layer := -1; layer < c.Blocks(); layer++ {
		f, b := pack.Block(layer)
		byBlock += f + b
	}
	if math.Abs(byBlock-pack.Total()) > 1e-9*byBlock {
		t.Errorf("blocks sum to %.0f, want %.0f", byBlock, pack.Total())
	}
	if a, b := one(512).Backward(), c.FLOPs(Work{Lengths: []int{512}, MTP: true, IndexerLoss: true}).Backward(); b <= a {
		t.Error("training the indexer costs nothing")
	}
}

// Lines of the ledger add up to it, every operator has its note, and the head
// multiplies supervised positions only.
func TestLedgerLines(t *testing.T) {
	for _, name := range Builtins() {
		c := must(t, name)
		w := Work{Lengths: []int{300, 1, 129}, MTP: true, IndexerLoss: true, Supervised: []int64{40, 30}}
		full := c.FLOPs(w)
		var sum float64
		for _, l := range c.Ledger(w) {
			sum += l.Forward + l.Backward
			if l.Layers < 1 || l.Layers > c.Blocks()+1 || l.Note == "" {
				t.Errorf("%s: %+v", name, l)
			}
			if want := 2 * float64(c.VocabSize*c.HiddenSize) * float64(40+30*min(1, c.NumMTP)); l.Operator == "head" && l.Forward != want {
				t.Errorf("%s: head %g, want %g", name, l.Forward, want)
			}
		}
		if math.Abs(sum-full.Total()) > 1e-12*sum {
			t.Errorf("%s: lines %.0f, ledger %.0f", name, sum, full.Total())
		}
		w.Supervised = nil
		all := c.FLOPs(w).Total()
		w.Supervised = []int64{1 << 40, 1 << 40}
		if got := c.FLOPs(w).Total(); c.NumMTP < 2 && got != all {
			t.Errorf("%s: more labels than positions: %g, want %g", name, got, all)
		}
	}
}
