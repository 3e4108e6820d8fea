package deepseek

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/internal/detrand"
	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/model/deepseek/deepseektest"
	"github.com/temper-ml/temper/nn"
)

// cacheOptions are those that tests run with: all of them must agree.
func cacheOptions(m *Model) []CacheOptions {
	all := []CacheOptions{{Context: 96, Bytes: 64 << 20}, {Context: 96, Back: 3, Bytes: 64 << 20, Latent: true}}
	if len(m.mtp) > 0 {
		all = append(all, CacheOptions{Context: 96, Back: 1, Predict: true, Bytes: 64 << 20})
	}
	return all
}

// cachedModels are bitModels and one whose heads come from latents in three groups, the
// last of them smaller.
func cachedModels(t *testing.T) map[string]*Model {
	all := bitModels(t)
	cfg := deepseektest.SmallV3()
	cfg.NumLayers, cfg.NumHeads, cfg.NumKVHeads = 2, 19, 19
	all["v3 with 19 heads"] = loaded(t, cfg, deepseektest.RandomParams(cfg, 9))
	return all
}

func mustCache(t testing.TB, m *Model, o CacheOptions) *Cache {
	t.Helper()
	c, err := m.NewCache(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// wholeLogits returns the logits after every token of one sequence, from a pass
// over all of it, as training computes them.
func wholeLogits(t testing.TB, m *Model, tokens []int32) (logits []float32, predicted []float32) {
	t.Helper()
	b := &Batch{Tokens: tokens, Labels: make([]int32, len(tokens)), Segments: []Segment{{Start: 0, End: len(tokens)}}}
	mark := m.arena.Mark()
	defer m.arena.Release(mark)
	m.current = nn.Pass{Arena: m.arena, Tokens: b.Tokens, Segments: b.Segments}
	f, err := m.forward(b, &m.current, RecomputeNone, len(m.mtp) > 0, true)
	if err != nil {
		t.Fatal(err)
	}
	v := m.cfg.VocabSize
	logits = make([]float32, len(tokens)*v)
	m.head.Logits(logits, f.ys[0], len(tokens))
	if len(f.ys) > 1 {
		predicted = make([]float32, (len(tokens)-1)*v)
		m.head.Logits(predicted, f.ys[1], len(tokens)-1)
	}
	return logits, predicted
}

func randomTokens(m *Model, seed uint64, n int) []int32 {
	s := detrand.Key(seed, "cache tokens")
	tokens := make([]int32, n)
	for i := range tokens {
		tokens[i] = int32(s.Uint64nAt(uint64(i), uint64(m.cfg.VocabSize)))
	}
	return tokens
}

// TestCacheEqualsWholePass: sequences that grow together in chunks of any size,
// that are forked and cut back, give the logits of passes over the whole.
func TestCacheEqualsWholePass(t *testing.T) {
	for name, m := range cachedModels(t) {
		tokens, want := make([][]int32, 4), make([][]float32, 4)
		for i := range tokens {
			tokens[i] = randomTokens(m, uint64(i), 96)
			copy(tokens[i], tokens[0][:20+7*i]) // common beginnings, to fork
			want[i], _ = wholeLogits(t, m, tokens[i])
		}
		for _, o := range cacheOptions(m) {
			t.Run(fmt.Sprintf("%s/back=%d/latent=%v/predict=%v", name, o.Back, o.Latent, o.Predict), func(t *testing.T) {
				c := mustCache(t, m, o)
				rapid.Check(t, func(t *rapid.T) { growTogether(t, c, tokens, want) })
				if c.FreePages() != c.Pages() {
					t.Errorf("%d of %d pages are free after all sequences were", c.FreePages(), c.Pages())
				}
			})
		}
	}
}

// growTogether grows sequences i along tokens[i] in random steps.
func growTogether(t *rapid.T, c *Cache, tokens [][]int32, want [][]float32) {
	v := c.m.cfg.VocabSize
	seqs := make([]*Sequence, len(tokens))
	seqs[0] = c.NewSequence()
	defer func() {
		for _, s := range seqs {
			if s != nil {
				s.Free()
			}
		}
	}()
	for range rapid.IntRange(1, 8).Draw(t, "steps") {
		var to []Extension
		var at []int
		rows := 0
		for i := range seqs {
			if seqs[i] == nil {
				if n := len(seqs[0].tokens); n <= 20+7*i {
					seqs[i] = seqs[0].Fork()
				} else {
					seqs[i] = c.NewSequence()
				}
			}
			s := seqs[i]
			if n, low := len(s.tokens), max(1, s.longest-c.o.Back); low < n && len(s.pending) >= (n-low)*c.m.rowWidth()*boolInt(c.o.Predict) {
				if to := rapid.IntRange(low, n).Draw(t, "cut"); to < n {
					s.Truncate(to)
				}
			}
			n := min(rapid.SampledFrom([]int{0, 1, 1, 2, 3, 5, 9, 17, 40}).Draw(t, "tokens"), 96-len(s.tokens))
			if n == 0 {
				continue
			}
			k := rapid.IntRange(0, n).Draw(t, "logits")
			to = append(to, Extension{Sequence: s, Tokens: tokens[i][len(s.tokens) : len(s.tokens)+n], Logits: k})
			at = append(at, i)
			rows += k
		}
		if len(to) == 0 {
			continue
		}
		logits := make([]float32, rows*v)
		if err := c.Extend(to, logits); err != nil {
			t.Fatal(err)
		}
		for j, e := range to {
			if e.Err != nil {
				t.Fatal(e.Err)
			}
			n := len(e.Sequence.tokens)
			if w := want[at[j]][(n-e.Logits)*v : n*v]; !sameFloats(logits[:e.Logits*v], w) {
				t.Fatalf("sequence %d: logits of tokens %d to %d differ from the whole pass", at[j], n-e.Logits, n)
			}
			logits = logits[e.Logits*v:]
		}
	}
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

func sameFloats(a, b []float32) bool {
	return slices.EqualFunc(a, b, func(x, y float32) bool { return math.Float32bits(x) == math.Float32bits(y) })
}

// TestCacheOnAllMachines: threads and instruction sets do not change a bit.
func TestCacheOnAllMachines(t *testing.T) {
	threads, path := kernel.Threads(), kernel.Path()
	defer func() {
		kernel.SetThreads(threads)
		if _, err := kernel.SetPath(path); err != nil {
			t.Fatal(err)
		}
	}()
	for name, m := range cachedModels(t) {
		tokens := randomTokens(m, 5, 60)
		want, _ := wholeLogits(t, m, tokens)
		v := m.cfg.VocabSize
		for _, p := range kernel.Paths() {
			if _, err := kernel.SetPath(p); err != nil {
				t.Fatal(err)
			}
			for _, n := range []int{1, 2, 3} {
				kernel.SetThreads(n)
				c := mustCache(t, m, CacheOptions{Context: 96, Bytes: 64 << 20})
				a, b, got := c.NewSequence(), c.NewSequence(), make([]float32, 2*v)
				for i := 0; i < 60; i++ {
					to := []Extension{{Sequence: a, Tokens: tokens[i : i+1], Logits: 1}}
					if i%20 == 0 {
						to = append(to, Extension{Sequence: b, Tokens: tokens[i : i+20], Logits: 1})
					}
					if err := c.Extend(to, got); err != nil {
						t.Fatal(err)
					}
					if !sameFloats(got[:v], want[i*v:(i+1)*v]) || i%20 == 0 && !sameFloats(got[v:], want[(i+19)*v:(i+20)*v]) {
						t.Fatalf("%s, path %s, %d threads: logits after token %d differ", name, p, n, i)
					}
				}
			}
		}
	}
}

// TestPredictEqualsWholePass: the MTP block predicts, one token at a time, what it
// predicts in a training pass.
func TestPredictEqualsWholePass(t *testing.T) {
	for name, m := range bitModels(t) {
		if len(m.mtp) == 0 {
			continue
		}
		tokens := randomTokens(m, 6, 70)
		_, want := wholeLogits(t, m, tokens)
		v := m.cfg.VocabSize
		for _, prompt := range []int{1, 2, 3, 17} {
			c := mustCache(t, m, CacheOptions{Context: 96, Back: 1, Predict: true, Bytes: 64 << 20})
			s, got := c.NewSequence(), make([]float32, v)
			for at, step := 0, prompt; at+step < 70; at, step = at+step, 1+at%2 {
				if err := c.Extend([]Extension{{Sequence: s, Tokens: tokens[at : at+step]}}, nil); err != nil {
					t.Fatal(err)
				}
				next := at + step
				if at > 0 && at%3 == 0 && step > 1 {
					s.Truncate(next - 1) // as after a draft that was not accepted
					next--
					step--
				}
				if err := c.Predict([]Extension{{Sequence: s, Tokens: tokens[next : next+1]}}, got); err != nil {
					t.Fatal(err)
				}
				if !sameFloats(got, want[(next-1)*v:next*v]) {
					t.Fatalf("%s, prompt of %d: prediction at %d differs from the whole pass", name, prompt, next)
				}
			}
		}
	}
}

// TestCachePlan: passes stay within the memory that was reserved for them.
func TestCachePlan(t *testing.T) {
	for name, m := range cachedModels(t) {
		for _, o := range cacheOptions(m) {
			c := mustCache(t, m, o)
			const tokens, sequences = 50, 6
			plan, err := c.Reserve(tokens, sequences, 2*sequences)
			if err != nil {
				t.Fatal(err)
			}
			m.arena.ResetPeak()
			logits := make([]float32, 2*sequences*m.cfg.VocabSize)
			extend := func(to ...Extension) {
				if err := c.Extend(to, logits); err != nil {
					t.Fatal(err)
				}
			}
			all := make([]*Sequence, sequences)
			for i := range all {
				all[i] = c.NewSequence()
				extend(Extension{Sequence: all[i], Tokens: randomTokens(m, 1, 50), Logits: 2})
			}
			for range 30 {
				to := []Extension{{Sequence: all[0], Tokens: make([]int32, 1), Logits: 1}}
				for _, s := range all[1:] {
					to = append(to, Extension{Sequence: s, Tokens: make([]int32, 1), Logits: 1})
				}
				extend(to...)
				if o.Predict {
					if err := c.Predict(to, logits); err != nil {
						t.Fatal(err)
					}
				}
			}
			// The peaks of floats and integers need not come together.
			if peak, _ := m.Peak(); float64(peak) > 1.01*float64(plan) {
				t.Errorf("%s, %+v: passes took %d bytes, %d were planned", name, o, peak, plan)
			}
		}
	}
}

// TestRoutes: recorded choices are those of a pass over the whole.
func TestRoutes(t *testing.T) {
	m := bitModels(t)["v4"]
	tokens := randomTokens(m, 3, 50)
	var experts, picks [][]int32
	w := &nn.Watch{Rows: []int{1}, See: func(o *nn.Output) {
		for _, r := range o.Runs {
			switch {
			case o.Layer >= m.cfg.NumLayers:
			case o.Name == "router.chosen":
				experts = append(experts, slices.Clone(o.Ints[r.Start:r.End]))
			case o.Name == "indexer.chosen":
				for len(picks) <= o.Layer {
					picks = append(picks, nil)
				}
				picks[o.Layer] = append(picks[o.Layer], o.Ints[r.Start:r.End]...)
			}
		}
	}}
	b := &Batch{Tokens: tokens, Labels: tokens, Segments: []Segment{{Start: 0, End: 50}}}
	o := smallOptions
	o.Watch = w
	mt := loaded(t, m.cfg, deepseektest.RandomParams(m.cfg, 9))
	mustStep(t, mt, b, o)
	c := mustCache(t, m, CacheOptions{Context: 96, Back: 2, Bytes: 64 << 20})
	s := c.NewSequence()
	s.Routes = m.NewRoutes()
	for at := 0; at < 50; {
		n := min(1+at%7, 50-at)
		if err := c.Extend([]Extension{{Sequence: s, Tokens: tokens[at : at+n]}}, nil); err != nil {
			t.Fatal(err)
		}
		if at += n; n > 2 {
			s.Truncate(at - 2)
			at -= 2
		}
	}
	for l := range m.cfg.NumLayers {
		if got := s.Routes.Experts[l]; got != nil && !slices.Equal(got, experts[l]) {
			t.Errorf("layer %d: experts %v, want %v", l, got, experts[l])
		}
		if got := s.Routes.Picks[l]; got != nil && (len(got) == 0 || !slices.Equal(got, picks[l])) {
			t.Errorf("layer %d: picks %v, want %v", l, got, picks[l])
		}
	}
}

// TestCachePerToken counts what the published models keep of a token of a long
// sequence: an entry and an indexer's key for four, an entry for 128; latents.
func TestCachePerToken(t *testing.T) {
	for _, c := range []struct {
		model  string
		latent bool
		values float64
	}{
		{"deepseek-v4-pro", false, 30*(512+128)/4.0 + 31*512/128.0},
		{"deepseek-v4-flash", false, 21*(512+128)/4.0 + 20*512/128.0},
		{"deepseek-v3", true, 61 * (512 + 64)},
		{"deepseek-v3", false, 61 * 128 * (128 + 64 + 128)},
	} {
		cfg, err := arch.Builtin(c.model)
		if err != nil {
			t.Fatal(err)
		}
		size, err := CacheSizeOf(cfg, CacheOptions{Latent: c.latent})
		if err != nil {
			t.Fatal(err)
		}
		if got := size.PerToken() / 4; got != c.values {
			t.Errorf("%s, latent %v: %v values a token, want %v", c.model, c.latent, got, c.values)
		}
	}
}
