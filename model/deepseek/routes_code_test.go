package deepseek

import (
	"bytes"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/temper-ml/temper/internal/detrand"
	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/model/deepseek/deepseektest"
)

// imagined draws routes of an architecture without a model. Of a token's picks, keep in
// 100 are those of the token before, if they still can be.
func imagined(cfg *arch.Config, tokens int, seed uint64, keep int) *Routes {
	r := NewRoutes(cfg)
	for l := range cfg.NumLayers {
		var before []int32
		for t := range tokens {
			if cfg.IsMoE(l) {
				r.addExperts(l, drawn(seed, "experts", l, t, cfg.TopK, cfg.Experts))
			}
			if cfg.Ratio(l) == routesRatio {
				before = imaginedPicks(before, picksOf(cfg, t), (t+1)/routesRatio, detrand.Key(seed, "picks", uint64(l), uint64(t)), keep)
				r.addPicks(l, before)
			}
		}
	}
	return r
}

func imaginedPicks(before []int32, k, visible int, s detrand.Stream, keep int) []int32 {
	taken := make([]bool, visible)
	n := 0
	for i, p := range before {
		if int(s.Uint64nAt(uint64(i), 100)) < keep {
			taken[p], n = true, n+1
		}
	}
	for i := uint64(1 << 32); n < k; i++ {
		if p := s.Uint64nAt(i, uint64(visible)); !taken[p] {
			taken[p], n = true, n+1
		}
	}
	var out []int32
	for p, is := range taken {
		if is && k > 0 {
			out = append(out, int32(p))
		}
	}
	return out
}

// TestRoutesAsBytes: what is written reads back, of every model, length and likeness
// of neighbours, and nothing else does.
func TestRoutesAsBytes(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		cfg := dice{detrand.Key(rapid.Uint64().Draw(rt, "seed"), "random model"), new(uint64)}.config()
		cfg.Experts = rapid.SampledFrom([]int{1, 2, 6, 17, 256, 700}).Draw(rt, "experts")
		cfg.TopK = min(cfg.Experts, rapid.IntRange(1, 9).Draw(rt, "top-k"))
		tokens := rapid.IntRange(0, 100).Draw(rt, "tokens")
		want := imagined(cfg, tokens, rapid.Uint64().Draw(rt, "routes"), rapid.IntRange(0, 100).Draw(rt, "keep"))
		if rapid.Bool().Draw(rt, "without picks") {
			want = want.WithoutPicks()
		}
		b, err := want.AppendBinary([]byte("before"), cfg)
		if err != nil || !bytes.HasPrefix(b, []byte("before")) {
			rt.Fatal(err)
		}
		b = b[6:]
		memory, most := RoutesBytes(cfg, tokens, len(want.Picks) > 0)
		if got := bytesOf(want); got != memory || int64(len(b)) > most {
			rt.Fatalf("%d bytes in memory and %d coded, foretold %d and at most %d", got, len(b), memory, most)
		}
		got, err := DecodeRoutes(b, cfg, tokens)
		if err != nil || !reflect.DeepEqual(got, want) {
			rt.Fatalf("%v: read back %v, want %v", err, got, want)
		}
		cut := rapid.IntRange(0, len(b)-1).Draw(rt, "cut")
		for name, bad := range map[string][]byte{"cut": b[:cut], "longer": append(slices.Clone(b), 0)} {
			if _, err := DecodeRoutes(bad, cfg, tokens); err == nil {
				rt.Fatalf("%s: %d bytes of %d are read", name, len(bad), len(b))
			}
		}
		flip := slices.Clone(b)
		flip[cut] ^= 1 << rapid.IntRange(0, 7).Draw(rt, "bit")
		if other, err := DecodeRoutes(flip, cfg, tokens); err == nil {
			if again, err := other.AppendBinary(nil, cfg); err != nil || !bytes.Equal(again, flip) {
				rt.Fatalf("two forms of one value (%v)", err)
			}
		}
	})
}

// bytesOf returns what the numbers of routes take.
func bytesOf(r *Routes) (n int64) {
	for _, lists := range [][][]int32{r.Experts, r.Picks, r.Starts} {
		for _, l := range lists {
			n += 4 * int64(len(l))
		}
	}
	return n
}

// TestRecordedRoutesAsBytes: routes of real choices.
func TestRecordedRoutesAsBytes(t *testing.T) {
	for name, m := range bitModels(t) {
		b := unlabelled(randomBatch(m.Config(), 1, 21, 1, 40, 64))
		for _, want := range recorded(t, m, b, false) {
			text, err := want.AppendBinary(nil, m.cfg)
			if err != nil {
				t.Fatal(err)
			}
			got, err := DecodeRoutes(text, m.cfg, want.Len())
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s: %v: %v, want %v", name, err, got, want)
			}
		}
	}
}

// TestRoutesAreRefused says why.
func TestRoutesAreRefused(t *testing.T) {
	cfg := deepseektest.SmallV4()
	good, err := imagined(cfg, 40, 1, 50).AppendBinary(nil, cfg)
	if err != nil {
		t.Fatal(err)
	}
	for want, try := range map[string]func() (*Routes, error){
		"the model has 256 positions": func() (*Routes, error) { return DecodeRoutes(good, cfg, 257) },
		"begin with \"\"":             func() (*Routes, error) { return DecodeRoutes(nil, cfg, 40) },
		"begin with \"x\"":            func() (*Routes, error) { return DecodeRoutes([]byte("x"), cfg, 40) },
		"go on after":                 func() (*Routes, error) { return DecodeRoutes(append(good[:len(good):len(good)], 1), cfg, 40) },
		"block 0 ends within":         func() (*Routes, error) { return DecodeRoutes(good[:5], cfg, 40) },
		"there is no such choice of 2 of 6 experts": func() (*Routes, error) {
			return DecodeRoutes(append([]byte{'r', 0xff}, good[2:]...), cfg, 40)
		},
	} {
		if _, err := try(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	bad := imagined(cfg, 40, 1, 50)
	bad.Experts[3][5] = 77
	if _, err := bad.AppendBinary(nil, cfg); err == nil || !strings.Contains(err.Error(), "block 3, token 2: expert 77") {
		t.Errorf("error %v", err)
	}
}

// TestSizeOfRoutes holds docs/routing.md to its numbers: bytes for each token of an
// answer of 4,096 tokens, with picks that have nothing to do with each other, which is
// the worst case, and with 9 of 10 taken over from the token before.
func TestSizeOfRoutes(t *testing.T) {
	for _, c := range []struct {
		name                  string
		experts, worst, alike int
	}{
		{"deepseek-v4-flash", 210, 1085, 684},
		{"deepseek-v4-pro", 320, 320, 320},
		{"deepseek-v3", 355, 355, 355},
	} {
		cfg, err := arch.Builtin(c.name)
		if err != nil {
			t.Fatal(err)
		}
		moe, csa := 0, 0
		for l := range cfg.NumLayers {
			if cfg.IsMoE(l) {
				moe++
			}
			if cfg.Ratio(l) == routesRatio {
				csa++
			}
		}
		const tokens = 4096
		experts := (tokens*int(newSubsets(cfg.Experts, cfg.TopK).width) + 7) / 8 * moe
		for keep, want := range map[int]int{0: c.worst, 90: c.alike} {
			size := experts
			if csa > 0 {
				size += csa * sizeOfPicks(cfg, tokens, keep)
			}
			if got := (size + tokens/2) / tokens; got != want {
				t.Errorf("%s: %d bytes a token with %d %% of the picks taken over, want %d", c.name, got, keep, want)
			}
		}
		if got := (experts + tokens/2) / tokens; got != c.experts {
			t.Errorf("%s: %d bytes a token for experts, want %d", c.name, got, c.experts)
		}
	}
}

// sizeOfPicks returns the bytes of one block's picks.
func sizeOfPicks(cfg *arch.Config, tokens, keep int) int {
	w, coder := &bitWriter{}, pickCoder{k: cfg.IndexTopK}
	coder.start()
	var before []int32
	for t := range tokens {
		if k := picksOf(cfg, t); k > 0 {
			before = imaginedPicks(before, k, (t+1)/routesRatio, detrand.Key(1, "picks", uint64(t)), keep)
			coder.put(w, before, (t+1)/routesRatio)
		}
	}
	w.align()
	return len(w.b)
}

// FuzzRoutes reads anything: an error, or routes whose form is the one that was read.
func FuzzRoutes(f *testing.F) {
	v4, v3 := deepseektest.SmallV4(), deepseektest.SmallV3()
	for _, cfg := range []*arch.Config{v4, v3} {
		for _, n := range []int{0, 1, 16, 60} {
			b, err := imagined(cfg, n, 3, 80).AppendBinary(nil, cfg)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(b, n, cfg == v3)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, tokens int, third bool) {
		cfg := v4
		if third {
			cfg = v3
		}
		r, err := DecodeRoutes(data, cfg, tokens)
		if err != nil {
			return
		}
		if again, err := r.AppendBinary(nil, cfg); err != nil || !bytes.Equal(again, data) || r.Len() != tokens {
			t.Errorf("%d tokens: read %x, wrote %x (%v)", tokens, data, again, err)
		}
	})
}
