package kernel

import (
	"fmt"
	"math"
	"slices"
	"testing"
)

// paged spreads rows over pages of the given rows, in columns from col on of
// wider pages whose other elements are NaN.
func paged(x []float32, cols, rows, col int) Pages {
	p := Pages{Rows: rows, Stride: cols + col + 3, Col: col, Cols: cols}
	for i := range len(x) / cols {
		if i%rows == 0 {
			p.Page = append(p.Page, dirty(rows*p.Stride))
		}
		copy(p.Row(i), x[i*cols:(i+1)*cols])
	}
	return p
}

// TestAttentionPages: keys in pages, windows whose older keys are gone, one
// thread or many: the bits of a run over the whole segment.
func TestAttentionPages(t *testing.T) {
	for _, g := range []gathering{gatherLong, gatherAll, gatherNone} {
		for _, window := range []int{8, 0} {
			c := newAttentionCase(11, 3, 16, window, 4, 3, 50)
			want := c.run()
			for _, span := range [][2]int{{49, 50}, {0, 50}, {13, 14}, {20, 33}} {
				past, end := span[0], span[1]
				a := c.a.like()
				a.gathering, a.Serial = g, end == 14
				a.Segments, a.Past = segmentsOf(end), past
				a.Chosen = &Chosen{K: 3, Count: c.a.Chosen.Count[past:], Index: c.a.Chosen.Index[past*3:]}
				rows := func(x []float32) Mat { return MatOf(x, len(x)/16, 16) }
				n := (end - past) * 3
				h := AttentionHeads{
					Q: rows(c.q[past*48 : end*48]), O: rows(make([]float32, n*16)), CK: Mat{Cols: 16}, CV: Mat{Cols: 16},
					PCK: paged(c.ckv, 16, 5, 2), Sink: c.sink, LSE: make([]float32, n),
				}
				h.PCV = h.PCK
				if window == 0 {
					h.PK, h.PV = paged(c.kv[:end*16], 16, 7, 1), paged(c.kv[:end*16], 16, 6, 0)
				} else {
					a.Dropped = max(0, past-window+1)
					h.K = rows(c.kv[a.Dropped*16 : end*16])
					h.V = h.K
				}
				hs := []AttentionHeads{h}
				a.Forward(hs, dirty(a.Scratch(hs, false)))
				if !slices.Equal(h.O.Data, want.data["o"][past*48:end*48]) || !slices.Equal(h.LSE, want.data["lse"][past*3:end*3]) {
					t.Errorf("gathering %d, window %d: queries %d to %d differ from the whole run", g, window, past, end)
				}
			}
		}
	}
}

// TestIndexerPages: as TestAttentionPages, for choices.
func TestIndexerPages(t *testing.T) {
	c := newIndexerCase(3, 3, 20, 4, 6, 90)
	_, want := c.run()
	for _, span := range [][2]int{{89, 90}, {0, 90}, {13, 14}, {20, 75}} {
		past, end := span[0], span[1]
		x := Indexer{Heads: 3, Ratio: 4, K: 6, Segments: segmentsOf(end), Past: past, PK: paged(c.k, 20, 7, 3), Serial: past == 20}
		got := Chosen{K: 6, Count: make([]int32, end-past), Index: make([]int32, (end-past)*6)}
		q, w := MatOf(c.q[past*60:end*60], (end-past)*3, 20), MatOf(c.w[past*3:end*3], end-past, 3)
		x.Choose(&got, q, w, Mat{}, dirty(x.ChooseScratch()))
		for i := range end - past {
			all := want.row(past + i)
			if got.Count[i] != want.Count[past+i] || int(got.Count[i]) < (past+i+1)/4 && !slices.Equal(got.row(i), all) {
				t.Errorf("queries %d to %d: query %d chose %v, want %v", past, end, past+i, got.row(i), all)
			}
		}
	}
}

// TestPoolingPast: entries computed from the rows of their blocks, and of the
// block before, equal those of the whole segment.
func TestPoolingPast(t *testing.T) {
	for _, overlap := range []bool{false, true} {
		c := newPoolingCase(5, 4, 10, overlap, 43)
		want := c.run()
		w := c.p.Width()
		for first := range 10 {
			past := 0
			if overlap && first > 0 {
				past = 1
			}
			p := Pooling{Ratio: 4, Overlap: overlap, Dim: 10, Segments: segmentsOf(43 - (first-past)*4), Past: past, Serial: first%2 == 0}
			from := (first - past) * 4 * w
			out := make([]float32, p.Entries()*10)
			p.Forward(out, c.v[from:], c.z[from:], c.ape, dirty(p.Scratch()))
			if !slices.Equal(out, want.data["out"][first*10:]) {
				t.Errorf("overlap %v: entries from %d on differ from those of the whole segment", overlap, first)
			}
		}
	}
}

func TestDroppedKeysAreRefused(t *testing.T) {
	for _, a := range []*Attention{
		{Heads: 1, Window: 4, Past: 9, Dropped: 7, Segments: segmentsOf(12)},
		{Heads: 1, Past: 9, Dropped: 1, Segments: segmentsOf(12)},
	} {
		func() {
			defer func() {
				if r := fmt.Sprint(recover()); r == "<nil>" || math.MaxInt8 > len(r) {
					t.Errorf("past %d, window %d: dropping %d keys gives %q, want a panic that says why", a.Past, a.Window, a.Dropped, r)
				}
			}()
			a.Scratch(nil, false)
		}()
	}
}
