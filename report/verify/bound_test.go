package verify

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/report/record"
)

// However tokens are cut into sequences and rows, whatever is supervised, the
// operations lie within the bounds.
func TestBoundsHoldForEveryCut(t *testing.T) {
	var configs []*arch.Config
	for _, name := range []string{"tiny-v4", "deepseek-v3", "deepseek-v4-flash", "gpt-oss-20b"} {
		c, err := arch.Builtin(name)
		if err != nil {
			t.Fatal(err)
		}
		configs = append(configs, c)
	}
	deep := *configs[0] // MTP blocks that compress
	deep.NumMTP = 2
	deep.CompressRatios = append(append([]int{}, deep.CompressRatios[:deep.NumLayers]...), 128, 4)
	if err := deep.Check(); err != nil {
		t.Fatal(err)
	}
	configs = append(configs, &deep)
	rapid.Check(t, func(t *rapid.T) {
		c := rapid.SampledFrom(configs).Draw(t, "config")
		sequence := rapid.Int64Range(1, 700).Draw(t, "sequence")
		mtp, indexer := rapid.Bool().Draw(t, "mtp"), rapid.Bool().Draw(t, "indexer")
		b, err := newBounds(c, sequence, mtp, indexer)
		if err != nil {
			t.Fatal(err)
		}
		w := arch.Work{MTP: mtp, IndexerLoss: indexer, Supervised: make([]int64, 1+c.NumMTP)}
		s := &record.Step{}
		rows := rapid.IntRange(1, 6).Draw(t, "rows")
		whole := rapid.Bool().Draw(t, "whole")
		for range rows {
			left := rapid.Int64Range(1, sequence).Draw(t, "row")
			for left > 0 {
				n := left
				if !whole {
					n = rapid.Int64Range(1, left).Draw(t, "length")
				}
				left -= n
				w.Lengths = append(w.Lengths, int(n))
				s.Tokens += n
				s.Examples++
				for d := range w.Supervised {
					w.Supervised[d] += rapid.Int64Range(0, max(0, n-1-int64(d))).Draw(t, "labels")
				}
			}
		}
		for d := range w.Supervised { // a label of a depth is one of the trunk
			w.Supervised[d] = min(w.Supervised[d], w.Supervised[0])
		}
		s.Supervised = w.Supervised[0]
		got := c.FLOPs(w).Total()
		if least, most := b.of(s); got < least || got > most {
			t.Fatalf("%v operations of sequences %v, bounds %v and %v", got, w.Lengths, least, most)
		}
	})
}
