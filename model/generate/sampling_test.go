package generate

import (
	"math"
	"slices"
	"sort"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// logitsOf draws a row with many equal values.
func logitsOf(t *rapid.T) []float32 {
	n := rapid.IntRange(1, 40).Draw(t, "vocabulary")
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(rapid.IntRange(-6, 6).Draw(t, "logit")) / 2
	}
	return x
}

func samplingOf(t *rapid.T) Sampling {
	return Sampling{
		Temperature: rapid.SampledFrom([]float32{0.3, 1, 2}).Draw(t, "temperature"),
		TopK:        rapid.IntRange(0, 12).Draw(t, "top-k"),
		TopP:        rapid.SampledFrom([]float32{0, 0.01, 0.5, 0.9, 1}).Draw(t, "top-p"),
	}
}

// keepSlowly is the definition of what may be drawn, by sorting everything.
func keepSlowly(s *Sampling, logits []float32) map[int32]float64 {
	ids := make([]int32, len(logits))
	p, z := make([]float64, len(logits)), 0.0
	for i, x := range logits {
		ids[i] = int32(i)
		p[i] = math.Exp(float64(x / s.Temperature))
		z += p[i]
	}
	sort.SliceStable(ids, func(a, b int) bool { return logits[ids[a]] > logits[ids[b]] })
	if s.TopK > 0 && s.TopK < len(ids) {
		ids = ids[:s.TopK]
	}
	total, sum, kept := 0.0, 0.0, map[int32]float64{}
	for _, i := range ids {
		total += p[i]
	}
	for _, i := range ids {
		if s.TopP > 0 && s.TopP < 1 && sum >= float64(float64(s.TopP)*total)*(1-1e-6) {
			break
		}
		sum += p[i]
		kept[i] = p[i]
	}
	for i := range kept {
		kept[i] /= sum
	}
	return kept
}

// TestDraw holds draws to the definition: who may be drawn, with what
// probability, and which random numbers draw it.
func TestDraw(t *testing.T) {
	var d drawer
	rapid.Check(t, func(t *rapid.T) {
		logits, s := logitsOf(t), samplingOf(t)
		want := keepSlowly(&s, logits)
		before := slices.Clone(logits)
		u := rapid.Float64Range(0, 0.999999).Draw(t, "u")
		got := d.draw(&s, u, logits)
		if !slices.Equal(before, logits) {
			t.Fatal("logits were changed")
		}
		p, ok := want[got.id]
		if !ok {
			t.Fatalf("drew %d, which must not be drawn", got.id)
		}
		if math.Abs(math.Exp(float64(got.sampled))-p) > 1e-5 {
			t.Fatalf("log-probability %v, want %v", got.sampled, math.Log(p))
		}
		var below float64
		for i, q := range want {
			if i < got.id {
				below += q
			}
		}
		if u < below-1e-5 || u > below+p+1e-5 {
			t.Fatalf("u = %v drew token %d, whose share is [%v, %v)", u, got.id, below, below+p)
		}
		if s.masks() {
			if !slices.IsSorted(got.kept) || len(got.kept) != len(want) {
				t.Fatalf("kept %v, want %d tokens", got.kept, len(want))
			}
			for _, i := range got.kept {
				if _, ok := want[i]; !ok {
					t.Fatalf("kept %d, which must not be drawn", i)
				}
			}
		} else if got.kept != nil {
			t.Fatal("kept is set without a mask")
		}
	})
}

func TestGreedyTakesLowestOfEquals(t *testing.T) {
	var d drawer
	if got := d.draw(&Sampling{}, 0.99, []float32{1, 3, 2, 3}); got.id != 1 || got.sampled != 0 {
		t.Errorf("drew %+v, want token 1", got)
	}
}

// TestNumbersDependOnNames: seed, prompt, sample and position each matter.
func TestNumbersDependOnNames(t *testing.T) {
	seen := map[uint64]bool{}
	for seed := range uint64(3) {
		for prompt := range uint64(3) {
			for sample := range uint64(3) {
				s := Sampling{Seed: seed, Prompt: prompt, Sample: sample}
				for at := range uint64(3) {
					seen[s.numbers().Uint64At(at)] = true
				}
			}
		}
	}
	if len(seen) != 81 {
		t.Errorf("%d different numbers of 81", len(seen))
	}
}

func TestRequestsRefused(t *testing.T) {
	ok := Request{Prompt: []int32{1, 2}, MaxTokens: 3}
	nan := float32(math.NaN())
	for want, change := range map[string]func(r *Request){
		"":                                      func(*Request) {},
		"prompt is empty":                       func(r *Request) { r.Prompt = nil },
		"prompt has 8 tokens, the context is 8": func(r *Request) { r.Prompt = make([]int32, 8) },
		"token 19 at position 1":                func(r *Request) { r.Prompt = []int32{1, 19} },
		"token -1 at position 0":                func(r *Request) { r.Prompt = []int32{-1} },
		"max tokens is 0":                       func(r *Request) { r.MaxTokens = 0 },
		"top log-probabilities is 20, want 0 to 19": func(r *Request) { r.TopLogProbs = 20 },
		"stop sequence 1 is empty":                  func(r *Request) { r.Stop = [][]int32{{1}, {}} },
		"token 77 of stop sequence 0":               func(r *Request) { r.Stop = [][]int32{{77}} },
		"temperature is -1":                         func(r *Request) { r.Temperature = -1 },
		"temperature is NaN":                        func(r *Request) { r.Temperature = nan },
		"temperature is 1e-09":                      func(r *Request) { r.Temperature = 1e-9 },
		"top-p is NaN":                              func(r *Request) { r.TopP = nan },
		"top-p is 1.5":                              func(r *Request) { r.TopP = 1.5 },
		"top-k is -2":                               func(r *Request) { r.TopK = -2 },
	} {
		r := ok
		change(&r)
		err := r.check(19, 8)
		if want == "" {
			if err != nil {
				t.Errorf("refused: %v", err)
			}
		} else if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

func TestStopSequences(t *testing.T) {
	r := Request{Stop: [][]int32{{5, 6}, {7}}}
	for _, c := range []struct {
		tokens []int32
		n      int
		want   bool
	}{
		{[]int32{1, 5, 6}, 2, true},
		{[]int32{1, 5, 6}, 1, false}, // its first token is the prompt's
		{[]int32{7}, 1, true},
		{[]int32{6, 5}, 2, false},
	} {
		if got := r.ends(c.tokens, c.n); got != c.want {
			t.Errorf("%v, %d generated: %v", c.tokens, c.n, got)
		}
	}
}
