package schedule

import (
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Layouts as users of Megatron and MindSpeed write them.
func TestParseSplitReadsPublishedLayouts(t *testing.T) {
	for _, c := range []struct {
		layout             string
		parts, blocks, mtp int
		first, last        int // blocks of the first and last part
		written            string
	}{
		{"Et*4|(tttt|)*14tmL", 16, 61, 1, 4, 1, "Et*4|(tttt|)*14tmL"},
		{"Et*3|(tt|)*29,m|L", 32, 61, 1, 3, 0, "Ettt|(tt|)*29m|L"},
		{"E|(t|)*3,m|m||L", 8, 3, 2, 0, 0, "E|(t|)*3m|m||L"},
		{"Ett|(tt|)*6L", 8, 14, 0, 2, 0, "Ett|(tt|)*6L"},
		{"Et*16|t*16|t*16|t*12,m,L", 4, 60, 1, 16, 12, "Et*16|t*16|t*16|t*12mL"},
		{"Et|t|(tt|)*29tL", 32, 61, 0, 1, 1, "Et|t|(tt|)*29tL"},
		{"Et*5|t*5|t*6|t*6|t*5mL", 5, 27, 1, 5, 5, "Et*5|t*5|t*6|t*6|t*5mL"},
		{"EtL", 1, 1, 0, 1, 1, "EtL"},
		{"E(t*2|)*2(t,(t|)*2)*2L", 7, 10, 0, 2, 0, "Ett|tt|tt|t|tt|t|L"},
	} {
		s, err := ParseSplit(c.layout)
		if err != nil {
			t.Errorf("%s: %v", c.layout, err)
			continue
		}
		first, last := s.Parts[0].Blocks, s.Parts[len(s.Parts)-1].Blocks
		if len(s.Parts) != c.parts || s.Blocks() != c.blocks || s.MTP() != c.mtp || first != c.first || last != c.last {
			t.Errorf("%s: %d parts, %d blocks, %d MTP modules, first %d, last %d: want %+v", c.layout, len(s.Parts), s.Blocks(), s.MTP(), first, last, c)
		}
		if s.String() != c.written {
			t.Errorf("%s is written %s, want %s", c.layout, s, c.written)
		}
	}
}

func TestParseSplitRefusesAndSaysWhere(t *testing.T) {
	for layout, want := range map[string]string{
		"":                          "embedding is false, must be in part 0",
		"t|tL":                      "embedding is false, must be in part 0",
		"Et|Et|L":                   "embedding is true, must be in part 0 and only there",
		"Et|tE|L":                   "E must be the first letter",
		"Et|t":                      "0 heads, must have 1",
		"EtL|tL":                    "2 heads",
		"EtL|t":                     "later parts hold blocks",
		"EtLt":                      "L must be the last letter",
		"Etm|tL":                    "MTP module before the last of 2 blocks",
		"Etmt|L":                    "t follows m in one part",
		"Etx|L":                     `column 3: 'x' is no layer`,
		"Et*|L":                     "column 4: * must be followed by a number in 1..131072",
		"Et*0|L":                    "column 4: * must be followed",
		"Et*99999999999999999999|L": "column 4: * must be followed",
		"E(t|L":                     "column 2: ( is never closed",
		"Et)L":                      "column 3: ) closes nothing",
		"E(t*1000)*1000L":           "more than 131072 letters",
		"E((((((((((t))))))))))L":   "parentheses are 9 deep, must be at most 8",
		"*3":                        `column 1: '*' is no layer`,
	} {
		if _, err := ParseSplit(layout); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v\nwant %s", layout, err, want)
		}
	}
}

func FuzzParseSplit(f *testing.F) {
	for _, s := range []string{"Et*4|(tttt|)*14tmL", "E|(t|)*3,m|m||L", "((t", "E(t*9)*9L"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, layout string) {
		s, err := ParseSplit(layout)
		if err != nil {
			return
		}
		back, err := ParseSplit(s.String())
		if err != nil || back.String() != s.String() {
			t.Fatalf("%q is written %q, which reads as %v (%v)", layout, s, back, err)
		}
	})
}

func TestSplitEven(t *testing.T) {
	for _, c := range []struct {
		layers         Layers
		stages, chunks int
		even           Even
		want           string
	}{
		{Layers{Blocks: 32}, 4, 1, Even{}, "Et*8|t*8|t*8|t*8L"},
		{Layers{Blocks: 32}, 4, 2, Even{}, "Et*4|(tttt|)*6t*4L"},
		{Layers{Blocks: 61, MTP: 1}, 16, 1, Even{First: 4, Last: 1}, "Et*4|(tttt|)*14tmL"},
		{Layers{Blocks: 30}, 4, 1, Even{Embedding: true, Head: true}, "Et*7|t*8|t*8|t*7L"},
		{Layers{Blocks: 31}, 4, 2, Even{Head: true}, "Et*4|(tttt|)*6tttL"},
		{Layers{Blocks: 26}, 4, 2, Even{First: 2}, "Et|(tttt|)*3t|t*4|t*4|t*4L"},
		{Layers{Blocks: 1}, 1, 1, Even{}, "EtL"},
	} {
		s, err := SplitEven(c.layers, c.stages, c.chunks, c.even)
		if err != nil || s.String() != c.want || s.Check() != nil || s.Blocks() != c.layers.Blocks {
			t.Errorf("%+v: %v (%v), want %s", c, s, err, c.want)
		}
	}
	for want, c := range map[string]struct {
		layers         Layers
		stages, chunks int
		even           Even
	}{
		"schedule: 61 blocks (with 0 for embedding and head) do not divide into stages*chunks = 16*1 parts, nearest legal value 64 blocks":                 {Layers{Blocks: 61}, 16, 1, Even{}},
		"schedule: 8 parts (stages*chunks) for 6 blocks: must be at most 6, nearest legal value 6":                                                         {Layers{Blocks: 6}, 4, 2, Even{}},
		"schedule: a split over 0 stages of 1 chunks: stages must lie in 1..4096 and chunks in 1..128, nearest legal value 1x1":                            {Layers{Blocks: 6}, 0, 1, Even{}},
		"schedule: a model of 0 blocks and 0 MTP modules: must have 1..65536 blocks and 0..65536 modules, nearest legal value 1 and 0":                     {Layers{}, 1, 1, Even{}},
		"schedule: first and last stage hold 4 and 0 of 61 blocks, the other 57 do not divide into 15 stages of 1 chunks, nearest legal value 64 blocks":   {Layers{Blocks: 61}, 16, 1, Even{First: 4}},
		"schedule: the first stage has 3 blocks, must be a multiple of 2 chunks, nearest legal value 4":                                                    {Layers{Blocks: 61}, 4, 2, Even{First: 3}},
		"schedule: the embedding or head counts as a block, and the blocks of the first or last stage are given: choose one of the two":                    {Layers{Blocks: 61}, 4, 1, Even{First: 3, Head: true}},
		"schedule: first and last stage hold 20 and 20 of 30 blocks, the other -10 do not divide into 2 stages of 1 chunks, nearest legal value 42 blocks": {Layers{Blocks: 30}, 4, 1, Even{First: 20, Last: 20}},
	} {
		if _, err := SplitEven(c.layers, c.stages, c.chunks, c.even); err == nil || err.Error() != want {
			t.Errorf("%+v: %v\nwant %s", c, err, want)
		}
	}
}

// bruteForce tries every split and returns the least cost of the busiest stage.
func bruteForce(c LayerCosts, s Shape) float64 {
	b, err := newBalance(c, s)
	if err != nil {
		return math.NaN()
	}
	best := math.Inf(1)
	loads := make([]float64, s.Stages)
	b.ends = make([]int, b.parts+1)
	var try func(q int)
	try = func(q int) {
		if q == b.parts {
			if b.ends[q] == len(c.Blocks) {
				top, _ := b.stages(s, loads)
				best = min(best, top)
			}
			return
		}
		for n := b.least(q); b.ends[q]+n <= len(c.Blocks); n++ {
			b.ends[q+1] = b.ends[q] + n
			try(q + 1)
		}
	}
	try(0)
	return best
}

func drawCosts(t *rapid.T, blocks int) LayerCosts {
	c := LayerCosts{Blocks: make([]float64, blocks)}
	value := rapid.Float64Range(0.5, 3)
	for i := range c.Blocks {
		c.Blocks[i] = value.Draw(t, "block")
	}
	c.Embedding = rapid.SampledFrom([]float64{0, 0.3}).Draw(t, "embedding")
	c.Head = rapid.SampledFrom([]float64{0, 0.8, 4}).Draw(t, "head")
	if rapid.Bool().Draw(t, "mtp") {
		c.MTP = []float64{1.5}
	}
	return c
}

func TestSplitBalancedIsBestWithOneChunk(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Shape{Kind: OneFOneB, Stages: rapid.IntRange(1, 5).Draw(t, "stages"), Chunks: 1, Micro: 8}
		c := drawCosts(t, rapid.IntRange(s.Stages, 9).Draw(t, "blocks"))
		split, err := SplitBalanced(c, s)
		if err != nil {
			t.Fatal(err)
		}
		if err := split.Check(); err != nil {
			t.Fatal(err)
		}
		if got, want := busiest(c, s, split), bruteForce(c, s); math.Abs(got-want) > 1e-9 {
			t.Fatalf("%v: busiest stage costs %v, the best split has %v", split, got, want)
		}
	})
}

func busiest(c LayerCosts, s Shape, split Split) float64 {
	b, _ := newBalance(c, s)
	b.ends = []int{0}
	for _, p := range split.Parts {
		b.ends = append(b.ends, p.First+p.Blocks)
	}
	top, _ := b.stages(s, make([]float64, s.Stages))
	return top
}

// With several chunks the search is greedy: never worse than one block above
// the best.
func TestSplitBalancedIsCloseWithSeveralChunks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.SampledFrom([]Shape{{Interleaved, 2, 2, 4, 0}, {Interleaved, 3, 2, 6, 0}, {ZBV, 2, 2, 4, 0}, {DualPipeV, 3, 2, 6, 0}, {DualPipe, 4, 2, 8, 0}}).Draw(t, "shape")
		c := drawCosts(t, rapid.IntRange(s.Positions(), 9).Draw(t, "blocks"))
		split, err := SplitBalanced(c, s)
		if err != nil {
			t.Fatal(err)
		}
		if err := split.Check(); err != nil {
			t.Fatal(err)
		}
		if got, want := busiest(c, s, split), bruteForce(c, s); got > want+slices.Max(c.Blocks) {
			t.Fatalf("%v: busiest stage costs %v, the best split has %v", split, got, want)
		}
	})
}

func TestSplitBalancedOfDeepSeekV3(t *testing.T) {
	c := LayerCosts{Blocks: make([]float64, 61), Embedding: 0.05, Head: 1.4, MTP: []float64{2.5}}
	for i := range c.Blocks {
		c.Blocks[i] = 1
		if i < 3 {
			c.Blocks[i] = 0.8 // dense blocks
		}
	}
	s, err := SplitBalanced(c, Shape{Kind: OneFOneB, Stages: 16, Chunks: 1, Micro: 64})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := s.String(), "Et*5|(tttt|)*14mL"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestSplitBalancedRefuses(t *testing.T) {
	one := func(n int) []float64 { return make([]float64, n) }
	for want, c := range map[string]struct {
		costs LayerCosts
		shape Shape
	}{
		"8 parts (stages*chunks) for 6 blocks, must be at most 6, nearest legal value 6":                               {LayerCosts{Blocks: one(6)}, Shape{Interleaved, 4, 2, 4, 0}},
		"a model of 0 blocks, must have 1..4096 to be balanced, nearest legal value 1":                                 {LayerCosts{}, Shape{OneFOneB, 1, 1, 4, 0}},
		"cost of block 1 is NaN, must be finite and at least 0, nearest legal value 0":                                 {LayerCosts{Blocks: []float64{1, math.NaN()}}, Shape{OneFOneB, 1, 1, 4, 0}},
		"cost of head 0 is -1, must be finite and at least 0, nearest legal value 0":                                   {LayerCosts{Blocks: one(2), Head: -1}, Shape{OneFOneB, 1, 1, 4, 0}},
		"cost of MTP module 0 is +Inf, must be finite and at least 0, nearest legal value 0":                           {LayerCosts{Blocks: one(2), MTP: []float64{math.Inf(1)}}, Shape{OneFOneB, 1, 1, 4, 0}},
		"a split over -1 stages of 1 chunks: stages must lie in 1..4096 and chunks in 1..128, nearest legal value 1x1": {LayerCosts{Blocks: one(2)}, Shape{OneFOneB, -1, 1, 4, 0}},
	} {
		if _, err := SplitBalanced(c.costs, c.shape); err == nil || err.Error() != "schedule: "+want {
			t.Errorf("%v\nwant schedule: %s", err, want)
		}
	}
}
