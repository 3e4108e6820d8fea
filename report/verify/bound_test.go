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
		if least, most := b.of(s, false); got < least || got > most {
			t.Fatalf("%v operations of sequences %v, bounds %v and %v", got, w.Lengths, least, most)
		}
		// Each prompt once more, before the next one's answer, forward.
		x := arch.Work{Supervised: []int64{s.Supervised}}
		var prompts []int
		for _, n := range w.Lengths {
			prompts = append(prompts, rapid.IntRange(0, n).Draw(t, "prompt"))
		}
		for i := range prompts {
			next := (i + 1) % len(prompts)
			x.Lengths = append(x.Lengths, min(int(sequence), prompts[i]+w.Lengths[next]-prompts[next]))
		}
		got += c.FLOPs(x).Forward()
		if least, most := b.of(s, true); got < least || got > most {
			t.Fatalf("%v operations of sequences %v and %v, bounds %v and %v", got, w.Lengths, x.Lengths, least, most)
		}
	})
}

// Two sequences in which an untrained indexer has a choice can cost more than a full
// row and a rest without one: the bound holds there too.
func TestBoundsOfUntrainedIndexers(t *testing.T) {
	for _, name := range []string{"tiny-v4", "bench-v4", "deepseek-v4-flash"} {
		c, err := arch.Builtin(name)
		if err != nil {
			t.Fatal(err)
		}
		choice := 4 * (c.IndexTopK + 1)
		for _, row := range []int{choice, choice + 16, 2 * choice} {
			b, err := newBounds(c, int64(row), false, false)
			if err != nil {
				t.Fatal(err)
			}
			for all := row + 1; all <= 2*row; all += max(1, row/50) {
				for n := max(1, all-row); n <= all/2; n += max(1, row/30) {
					w := arch.Work{Lengths: []int{n, all - n}, Supervised: []int64{0}}
					got := c.FLOPs(w).Total()
					if least, most := b.of(&record.Step{Tokens: int64(all), Examples: 2}, false); got < least || got > most {
						t.Fatalf("%s: %v operations of sequences %v in rows of %d, bounds %v and %v", name, got, w.Lengths, row, least, most)
					}
				}
			}
		}
	}
}
