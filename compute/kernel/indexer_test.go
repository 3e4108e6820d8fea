package kernel

import (
	"fmt"
	"math"
	"slices"
	"testing"
)

type indexerCase struct {
	x       Indexer
	dim     int
	q, w, k []float32
	target  []float32 // [T, K]
	scale   float32
}

func newIndexerCase(seed uint64, heads, dim, ratio, k int, lengths ...int) *indexerCase {
	c := &indexerCase{dim: dim, scale: 0.75}
	c.x = Indexer{Heads: heads, Ratio: ratio, K: k, Segments: segmentsOf(lengths...)}
	T, entries := c.x.Segments[len(lengths)-1].End, 0
	for _, s := range c.x.Segments {
		entries += s.Len() / ratio
	}
	c.q, c.w, c.k = randoms(seed, "q", T*heads*dim), randoms(seed, "w", T*heads), randoms(seed, "k", entries*dim)
	c.target = randoms(seed, "target", T*k)
	for i, p := range c.target {
		c.target[i] = p * p
	}
	return c
}

// run chooses and goes backward.
func (c *indexerCase) run() (*attentionResult, *Chosen) {
	T := len(c.w) / c.x.Heads
	chosen := &Chosen{K: c.x.K, Count: make([]int32, T), Index: make([]int32, T*c.x.K)}
	rows := func(x []float32, cols int) Mat { return MatOf(x, len(x)/cols, cols) }
	q, w, k := rows(c.q, c.dim), rows(c.w, c.x.Heads), rows(c.k, c.dim)
	c.x.Choose(chosen, q, w, k, make([]float32, c.x.ChooseScratch()))
	r := &attentionResult{}
	g := &IndexerGradient{
		Q: q, W: w, K: k, Chosen: chosen, Target: c.target, Scale: c.scale, Loss: make([]float64, T),
		DQ: rows(r.add("dq", make([]float32, len(c.q))), c.dim), DW: rows(r.add("dw", make([]float32, len(c.w))), c.x.Heads),
		DK: rows(r.add("dk", make([]float32, len(c.k))), c.dim),
	}
	c.x.Backward(g, make([]float32, c.x.BackwardScratch(g)))
	loss := make([]float32, T)
	for i, l := range g.Loss {
		loss[i] = float32(l)
	}
	r.add("loss", loss)
	return r, chosen
}

// scores returns the scores of the entries that query t sees, in float64.
func (c *indexerCase) scores(q, w, k []float64, t int) []float64 {
	entry := 0
	for _, s := range c.x.Segments {
		if t >= s.End {
			entry += s.Len() / c.x.Ratio
			continue
		}
		scores := make([]float64, (t-s.Start+1)/c.x.Ratio)
		for i := range scores {
			for h := range c.x.Heads {
				z := 0.0
				for d := range c.dim {
					z += q[(t*c.x.Heads+h)*c.dim+d] * k[(entry+i)*c.dim+d]
				}
				scores[i] += w[t*c.x.Heads+h] * max(z, 0)
			}
		}
		return scores
	}
	panic("token outside all segments")
}

// loss returns the divergences of all queries in float64, choices held fixed.
func (c *indexerCase) loss(q, w, k []float64, chosen *Chosen) []float64 {
	loss := make([]float64, len(chosen.Count))
	for t, n := range chosen.Count {
		if n == 0 {
			continue
		}
		all := c.scores(q, w, k, t)
		list := make([]int32, n)
		if int(n) == len(all) {
			for i := range list {
				list[i] = int32(i)
			}
		} else {
			copy(list, chosen.row(t))
		}
		mass, sum := 0.0, 0.0
		for i, e := range list {
			mass += float64(c.target[t*c.x.K+i])
			sum += math.Exp(all[e])
		}
		for i, e := range list {
			if p := float64(c.target[t*c.x.K+i]) / mass; p > 0 {
				loss[t] += p * (math.Log(p) - all[e] + math.Log(sum))
			}
		}
	}
	return loss
}

func (c *indexerCase) check(t *testing.T) {
	t.Helper()
	r, chosen := c.run()
	q, w, k := widen(c.q), widen(c.w), widen(c.k)
	for i, n := range chosen.Count {
		all := c.scores(q, w, k, i)
		if want := min(len(all), c.x.K); int(n) != want {
			t.Fatalf("query %d attends %d entries, want %d", i, n, want)
		}
		if int(n) == len(all) {
			continue
		}
		worst, taken := math.Inf(1), chosen.row(i)
		for _, e := range taken {
			worst = math.Min(worst, all[e])
		}
		for e, s := range all {
			if s > worst+1e-4 && !slices.Contains(taken, int32(e)) {
				t.Fatalf("query %d leaves out entry %d of score %v for one of %v", i, e, s, worst)
			}
		}
	}
	total := func() float64 {
		s := 0.0
		for _, l := range c.loss(q, w, k, chosen) {
			s += l
		}
		return s * float64(c.scale)
	}
	for i, l := range c.loss(q, w, k, chosen) {
		if math.Abs(float64(r.data["loss"][i])-l) > 1e-5*(1+l) {
			t.Fatalf("loss of query %d is %v, want %v", i, r.data["loss"][i], l)
		}
	}
	for name, x := range map[string][]float64{"dq": q, "dw": w, "dk": k} {
		for i := range x {
			const h = 1e-6
			old := x[i]
			x[i] = old + h
			up := total()
			x[i] = old - h
			down := total()
			x[i] = old
			if want := (up - down) / (2 * h); math.Abs(float64(r.data[name][i])-want) > 2e-4*(1+math.Abs(want)) {
				t.Fatalf("%s[%d] = %v, by differences %v", name, i, r.data[name][i], want)
			}
		}
	}
}

func TestIndexer(t *testing.T) {
	for _, n := range []int{1, 3, 4, 5, 20} {
		for _, k := range []int{1, 2, 3, 5, 50} {
			t.Run(fmt.Sprintf("T=%d/k=%d", n, k), func(t *testing.T) {
				newIndexerCase(1, 3, 5, 4, k, n).check(t)
				newIndexerCase(2, 2, 4, 2, k, 7, n).check(t)
			})
		}
	}
}

// TestIndexerSameBits: any block size, number of threads and instruction set,
// also where a block has both kinds of queries and several key tiles.
func TestIndexerSameBits(t *testing.T) {
	for _, c := range []*indexerCase{
		newIndexerCase(3, 3, 20, 4, 6, 90, 3, 41),
		newIndexerCase(4, 2, 8, 1, 1030, 1100),
		newIndexerCase(5, 2, 70, 4, 100, 37),
	} {
		want, chosen := c.run()
		for _, rows := range []int{1, 8, 33, 4000} {
			c.x.blockRows = rows
			got, again := c.run()
			sameBits(t, fmt.Sprintf("blocks of %d rows", rows), got, want)
			if !slices.Equal(again.Index, chosen.Index) || !slices.Equal(again.Count, chosen.Count) {
				t.Errorf("blocks of %d rows: other choice", rows)
			}
		}
		c.x.blockRows = 0
		forEachMachine(t, func(name string) {
			got, again := c.run()
			sameBits(t, name, got, want)
			if !slices.Equal(again.Index, chosen.Index) {
				t.Errorf("%s: other choice", name)
			}
		})
	}
}

// TestIndexerGiven: of given tokens only the number of entries is filled in, and all
// others choose what they would.
func TestIndexerGiven(t *testing.T) {
	c := newIndexerCase(3, 3, 20, 4, 6, 90, 3, 41)
	_, want := c.run()
	for _, given := range [][]int{{0, 0, 0}, {90, 3, 41}, {89, 2, 40}, {40, 0, 41}, {0, 3, 33}} {
		forEachMachine(t, func(name string) {
			c.x.Given = given
			_, got := c.run()
			c.x.Given = nil
			if !slices.Equal(got.Count, want.Count) {
				t.Errorf("%s, %v given: other counts", name, given)
			}
			for j, s := range c.x.Segments {
				for i := s.Start; i < s.End; i++ {
					list := want.row(i)
					if i < s.Start+given[j] || (i+1-s.Start)/4 <= 6 {
						list = make([]int32, len(list)) // not written
					}
					if !slices.Equal(got.row(i), list) {
						t.Fatalf("%s, %v given: query %d has %v, want %v", name, given, i, got.row(i), list)
					}
				}
			}
		})
	}
}

// TestIndexerTies: with queries that score nothing, the first entries are
// chosen.
func TestIndexerTies(t *testing.T) {
	c := newIndexerCase(1, 2, 4, 4, 3, 40)
	clear(c.q)
	_, chosen := c.run()
	for i, n := range chosen.Count {
		if n == 3 && (i+1)/4 > 3 && !slices.Equal(chosen.row(i), []int32{0, 1, 2}) {
			t.Errorf("query %d chose %v of equal scores, want the first three", i, chosen.row(i))
		}
	}
}

// TestIndexerWithoutAttention: a query whose entries got no attention at all
// teaches nothing.
func TestIndexerWithoutAttention(t *testing.T) {
	c := newIndexerCase(1, 2, 4, 4, 3, 8)
	clear(c.target)
	r, _ := c.run()
	for _, name := range r.names {
		for i, v := range r.data[name] {
			if v != 0 {
				t.Fatalf("%s[%d] = %v, want 0", name, i, v)
			}
		}
	}
}

// TestIndexerUnderflow is TestAttentionUnderflow for the indexer's gradients:
// keys far below one make those of queries underflow, and the other way round.
func TestIndexerUnderflow(t *testing.T) {
	for _, name := range []string{"dq", "dk"} {
		c := newIndexerCase(7, 2, 8, 4, 5, 60, 9)
		for i := range c.w {
			c.w[i] *= 1e-23
		}
		tiny := map[string][]float32{"dq": c.k, "dk": c.q}[name]
		for i := range tiny {
			tiny[i] *= 1e-23
		}
		want, _ := c.run()
		for _, rows := range []int{1, 4000} {
			c.x.blockRows = rows
			got, _ := c.run()
			sameBits(t, fmt.Sprintf("blocks of %d rows", rows), got, want)
		}
		for i, v := range want.data[name] {
			if v == 0 && math.Signbit(float64(v)) {
				t.Fatalf("%s[%d] is -0", name, i)
			}
		}
	}
}
