package deepseek

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/temper-ml/temper/internal/detrand"
	"github.com/temper-ml/temper/nn"
)

// recorded returns what the model chooses for all tokens of each segment, or for all
// but the last.
func recorded(t testing.TB, m *Model, b *Batch, last bool) []*Routes {
	t.Helper()
	c, err := m.NewCache(CacheOptions{Bytes: 1 << 26})
	if err != nil {
		t.Fatal(err)
	}
	var out []*Routes
	logits := make([]float32, m.cfg.VocabSize)
	for _, s := range b.Segments {
		n := s.Len()
		if !last {
			n--
		}
		q := c.NewSequence()
		q.Routes = m.NewRoutes()
		if n > 0 {
			if err := c.Extend([]Extension{{Sequence: q, Tokens: b.Tokens[s.Start : s.Start+n]}}, logits); err != nil {
				t.Fatal(err)
			}
		}
		out = append(out, q.Routes)
		q.Free()
	}
	return out
}

// unlabelled takes the label off the last token of each segment, as rows of generated
// sequences are.
func unlabelled(b *Batch) *Batch {
	for _, s := range b.Segments {
		b.Labels[s.End-1] = -1
	}
	return b
}

// otherRoutes draws choices that have nothing to do with what the model would choose.
func otherRoutes(m *Model, tokens []int32, seed uint64) *Routes {
	cfg := m.cfg
	r := NewRoutes(cfg)
	for l := range cfg.NumLayers {
		for t, id := range tokens {
			if cfg.IsMoE(l) {
				e := make([]int32, cfg.TopK)
				if router := &m.blocks[l].moe.Router; router.Table != nil {
					router.LookUp(e, id)
				} else {
					e = drawn(seed, "experts", l, t, cfg.TopK, cfg.Experts)
				}
				r.addExperts(l, e)
			}
			if cfg.Ratio(l) == routesRatio {
				r.addPicks(l, drawn(seed, "picks", l, t, picksOf(cfg, t), (t+1)/routesRatio))
			}
		}
	}
	return r
}

// drawn draws k of n, ascending.
func drawn(seed uint64, what string, layer, token, k, n int) []int32 {
	var out []int32
	for _, i := range detrand.Key(seed, what, uint64(layer), uint64(token)).Permutation(n)[:k] {
		out = append(out, int32(i))
	}
	slices.Sort(out)
	return out
}

// watched is take with the values of every operator.
func watched(t *testing.T, m *Model, o StepOptions, b *Batch) (snapshot, []string) {
	t.Helper()
	var seen []string
	o.Watch = &nn.Watch{Rows: []int{len(b.Segments)}, See: func(x *nn.Output) {
		h := fnv.New64a()
		for _, r := range x.Runs {
			for i := r.Start; i < r.End; i++ {
				v := uint32(0)
				if x.Ints != nil {
					v = uint32(x.Ints[i])
				} else {
					v = math.Float32bits(x.Floats[i])
				}
				_, _ = h.Write(binary.LittleEndian.AppendUint32(nil, v))
			}
		}
		seen = append(seen, fmt.Sprintf("%+v %s %x", x.Place, x.Name, h.Sum64()))
	}}
	return take(t, m, o, b), seen
}

// TestReplayOfOwnRoutes: a model that must choose what it would choose computes the
// same bits, however rows are split and whatever is kept, in every operator.
func TestReplayOfOwnRoutes(t *testing.T) {
	for name, m := range bitModels(t) {
		t.Run(name, func(t *testing.T) {
			free := unlabelled(randomBatch(m.Config(), 1, 21, 1, 40, 7, 2, 33))
			want, operators := watched(t, m, smallOptions, free)
			for _, last := range []bool{false, true} {
				b := *free
				b.Routes = recorded(t, m, free, last)
				for _, rc := range []Recompute{RecomputeNone, RecomputeSelective, RecomputeFull} {
					o := smallOptions
					o.Recompute = rc
					same(t, m, "replay, recompute "+rc.String(), take(t, m, o, &b), want)
				}
				got, seen := watched(t, m, smallOptions, &b)
				same(t, m, "watched", got, want)
				if !slices.Equal(seen, operators) {
					t.Error("an operator computes something else under replay")
				}
				b.Routes = append([]*Routes{nil, nil}, b.Routes[2:]...)
				same(t, m, "some segments free", take(t, m, smallOptions, &b), want)
				for i, r := range b.Routes {
					if r != nil {
						b.Routes[i] = r.WithoutPicks()
					}
				}
				same(t, m, "experts only", take(t, m, smallOptions, &b), want)
				for _, cuts := range [][]int{{0, 1, 2, 3, 4, 5, 6}, {0, 3, 6}, {0, 2, 6}} {
					var parts []*Batch
					for i := 1; i < len(cuts); i++ {
						p := part(&b, cuts[i-1], cuts[i])
						p.Routes = b.Routes[cuts[i-1]:cuts[i]]
						parts = append(parts, p)
					}
					same(t, m, fmt.Sprintf("split at %v", cuts), take(t, m, smallOptions, parts...), want)
				}
				replayedElsewhere(t, m, free, &b)
			}
		})
	}
}

// replayedElsewhere compares passes without gradients.
func replayedElsewhere(t *testing.T, m *Model, free, given *Batch) {
	t.Helper()
	want, err := m.LogProbs(free)
	if err != nil {
		t.Fatal(err)
	}
	got, err := m.LogProbs(given)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("log-probabilities differ under replay (%v)", err)
	}
	states, err := m.HiddenStates(free)
	if err != nil {
		t.Fatal(err)
	}
	if got, err = m.HiddenStates(given); err != nil || !slices.Equal(got, states) {
		t.Errorf("hidden states differ under replay (%v)", err)
	}
}

// TestReplayOfOtherRoutes: other choices are made as given, and counted; splitting,
// recomputation and evaluation agree on what follows from them.
func TestReplayOfOtherRoutes(t *testing.T) {
	for name, m := range bitModels(t) {
		t.Run(name, func(t *testing.T) {
			b := unlabelled(randomBatch(m.Config(), 1, 21, 1, 40, 7, 2, 33))
			free := take(t, m, smallOptions, b)
			for i, s := range b.Segments {
				b.Routes = append(b.Routes, otherRoutes(m, b.Tokens[s.Start:s.End], uint64(i)))
			}
			want := take(t, m, smallOptions, b)
			if want.losses.LM == free.losses.LM {
				t.Error("the loss is that of the model's own choice")
			}
			for _, rc := range []Recompute{RecomputeSelective, RecomputeFull} {
				o := smallOptions
				o.Recompute = rc
				same(t, m, "recompute "+rc.String(), take(t, m, o, b), want)
			}
			var parts []*Batch
			for i := range b.Segments {
				p := part(b, i, i+1)
				p.Routes = b.Routes[i : i+1]
				parts = append(parts, p)
			}
			same(t, m, "one by one", take(t, m, smallOptions, parts...), want)
			for l := range m.cfg.NumLayers {
				if !m.cfg.IsMoE(l) {
					continue
				}
				counts := make([]int64, m.cfg.Experts)
				for _, r := range b.Routes {
					for _, e := range r.Experts[l] {
						counts[e]++
					}
				}
				if !slices.Equal(counts, want.losses.Counts[l]) {
					t.Errorf("block %d: load is %v, given %v", l, want.losses.Counts[l], counts)
				}
			}
			logp, err := m.LogProbs(b)
			if err != nil {
				t.Fatal(err)
			}
			sum := 0.0
			for _, v := range logp {
				sum -= nn.Term(float64(v))
			}
			if sum != want.losses.LM {
				t.Errorf("log-probabilities add up to %v, the loss is %v", sum, want.losses.LM)
			}
		})
	}
}

// TestRoutesAreChecked names block, token and expert of what cannot be replayed.
func TestRoutesAreChecked(t *testing.T) {
	v4, v3 := bitModels(t)["v4"], bitModels(t)["v3"]
	b := unlabelled(randomBatch(v4.Config(), 1, 6, 40))
	for _, c := range []struct {
		m      *Model
		change func(b *Batch, r *Routes)
		want   string
	}{
		{v4, func(b *Batch, _ *Routes) { b.Routes = b.Routes[:1] }, "routes for 1 segments of 2"},
		{v4, func(_ *Batch, r *Routes) { r.Experts = r.Experts[:3] }, "experts of 3 blocks, picks of 4 and starts of 4, want all 4"},
		{v4, func(_ *Batch, r *Routes) { r.Experts[0] = nil }, "block 0: 0 experts are given, want 2 for each of 40 tokens"},
		{v4, func(_ *Batch, r *Routes) { r.truncate(38) }, "they are of 38 tokens, the sequence has 40"},
		{v4, func(b *Batch, r *Routes) { r.truncate(39); b.Labels[45] = 3 }, "39 tokens of 40, and the last one has a label"},
		{v4, func(_ *Batch, r *Routes) { r.Experts[2] = r.Experts[2][:70] }, "block 2: 70 experts"},
		{v4, func(_ *Batch, r *Routes) { r.Experts[3][7] = r.Experts[3][6] }, "block 3, token 3: expert"},
		{v4, func(_ *Batch, r *Routes) { r.Experts[3][7] = 6 }, "block 3, token 3: expert 6 is not one of the 6"},
		{v4, func(_ *Batch, r *Routes) { r.Experts[2][6] = -1 }, "block 2, token 3: expert -1 is not one of the 6"},
		{v4, func(_ *Batch, r *Routes) { r.Experts[2][8], r.Experts[2][9] = 4, 1 }, "token 4: expert 1 comes after 4"},
		{v4, func(_ *Batch, r *Routes) { copy(r.Experts[1][10:12], []int32{(r.Experts[1][10] + 1) % 5, 5}) }, "but the block routes token id"},
		{v4, func(_ *Batch, r *Routes) { r.topK = 3 }, "they have 3 experts for each token, the model takes 2"},
		{v4, func(_ *Batch, r *Routes) { r.Picks[1][3] = 9 }, "entry 9 is not one of the 3 of its own sequence that it sees"},
		{v4, func(_ *Batch, r *Routes) { r.Picks[1][3] = r.Picks[1][2] }, "is chosen twice"},
		{v4, func(_ *Batch, r *Routes) { r.Starts[3][20]++ }, "block 3, token 19: 3 of 5 visible entries are picked, want 2"},
		{v4, func(_ *Batch, r *Routes) { r.Starts[3] = nil }, "from 0 starts are given for 40 tokens"},
		{v4, func(_ *Batch, r *Routes) { r.Picks[2] = []int32{1} }, "block 2: 1 picks are given, it chooses no compressed entries"},
		{v3, func(_ *Batch, r *Routes) { r.Experts[0] = []int32{1, 2, 3} }, "block 0: 3 experts are given, it has none"},
	} {
		bad := *b
		bad.Labels = slices.Clone(b.Labels)
		bad.Routes = []*Routes{nil, otherRoutes(c.m, b.Tokens[6:], 1)}
		c.change(&bad, bad.Routes[1])
		_, err := c.m.TrainStep(&bad, smallOptions)
		_, again := c.m.LogProbs(&bad)
		if err == nil || again == nil || err.Error() != again.Error() || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "segment") {
			t.Errorf("error %v, in evaluation %v, want %q", err, again, c.want)
		}
	}
}

// TestReplayLeavesChoicesOfLaterPassesFree: nothing of a replay stays.
func TestReplayLeavesChoicesOfLaterPassesFree(t *testing.T) {
	for name, m := range bitModels(t) {
		b := unlabelled(randomBatch(m.Config(), 1, 21, 40))
		want := take(t, m, smallOptions, b)
		given := *b
		for i, s := range b.Segments {
			given.Routes = append(given.Routes, otherRoutes(m, b.Tokens[s.Start:s.End], uint64(i)))
		}
		before := recorded(t, m, b, true)
		take(t, m, smallOptions, &given)
		same(t, m, name, take(t, m, smallOptions, b), want)
		if got := recorded(t, m, b, true); fmt.Sprint(got[1]) != fmt.Sprint(before[1]) {
			t.Errorf("%s: recorded routes changed", name)
		}
	}
}
