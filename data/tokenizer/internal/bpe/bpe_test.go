package bpe

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/temper-ml/temper/internal/detrand"
)

// naive merges as the package comment says, one pair at a time.
func naive(t *pairTable, ids []int32) []int32 {
	ids = slices.Clone(ids)
	for {
		at, low := -1, noMerge
		for i := 1; i < len(ids); i++ {
			if v := t.get(ids[i-1], ids[i]); v < low {
				at, low = i-1, v
			}
		}
		if at < 0 {
			return ids
		}
		ids[at] = int32(uint32(low))
		ids = slices.Delete(ids, at+1, at+2)
	}
}

// randomTable has merges over a few symbols in random order, so that late merges meet early ones.
func randomTable(rng detrand.Stream) *pairTable {
	t := newPairTable(60)
	next := int32(4)
	for i := range uint64(60) {
		a, b := int32(rng.Uint64nAt(2*i, uint64(next))), int32(rng.Uint64nAt(2*i+1, uint64(next)))
		if t.get(a, b) == noMerge {
			t.put(pairKey(a, b), i<<32|uint64(next))
			next++
		}
	}
	return t
}

func TestMergesEqualNaive(t *testing.T) {
	seeds := uint64(100)
	if testing.Short() {
		seeds = 10
	}
	for seed := range seeds {
		rng := detrand.Key(seed, "bpe merge")
		table := randomTable(rng)
		for n := range 40 {
			word := make([]int32, n*n/8)
			for i := range word {
				word[i] = int32(rng.Uint64nAt(uint64(1000+n*1000+i), 4))
			}
			want := naive(table, word)
			linear := &merger{ids: slices.Clone(word)}
			if got := linear.mergeLinear(table); len(word) > 1 && !slices.Equal(got, want) {
				t.Fatalf("seed %d, %d: linear gives %d, want %d", seed, word, got, want)
			}
			if len(word) < 2 {
				continue
			}
			heap := &merger{ids: slices.Clone(word)}
			if got := heap.mergeHeap(table); !slices.Equal(got, want) {
				t.Fatalf("seed %d, %d: heap gives %d, want %d", seed, word, got, want)
			}
		}
	}
}

func TestPairTable(t *testing.T) {
	table := newPairTable(1000)
	for i := range int32(1000) {
		table.put(pairKey(i, i*i), uint64(i))
	}
	table.put(pairKey(7, 49), 12345)
	for i := range int32(1000) {
		want := uint64(i)
		if i == 7 {
			want = 12345
		}
		if got := table.get(i, i*i); got != want {
			t.Errorf("pair %d: got %d, want %d", i, got, want)
		}
		if got := table.get(i, i*i+1); got != noMerge {
			t.Errorf("pair %d, which is not there: got %d", i, got)
		}
	}
}

// A long word must not take quadratic time: a megabyte of one letter ends at once or never.
func TestLongWord(t *testing.T) {
	vocab := map[string]int32{"a": 0}
	var merges [][2]string
	for n := 1; n <= 64; n *= 2 {
		token := strings.Repeat("a", n)
		merges = append(merges, [2]string{token, token})
		vocab[token+token] = int32(len(vocab))
	}
	m, err := New(Config{Vocab: vocab, Merges: merges})
	if err != nil {
		t.Fatal(err)
	}
	length := 1 << 20
	if testing.Short() {
		length = 1 << 16
	}
	if got := m.AppendWord(nil, strings.Repeat("a", length)); len(got) != length/128 || got[0] != 7 {
		t.Errorf("got %d tokens, want %d", len(got), length/128)
	}
}

func TestPrefixSuffixUnknown(t *testing.T) {
	vocab := map[string]int32{"<unk>": 0, "a": 1, "##b": 2, "##c</w>": 3, "a</w>": 4, "ab": 5, "abc</w>": 6, "<0xE4>": 7, "<0xB8>": 8, "<0xAD>": 9}
	merges := [][2]string{{"a", "##b"}, {"ab", "##c</w>"}}
	for _, c := range []struct {
		cfg  Config
		word string
		want []int32
	}{
		{Config{Prefix: "##", Suffix: "</w>"}, "abc", []int32{6}},
		{Config{Prefix: "##", Suffix: "</w>"}, "a", []int32{4}},
		{Config{Prefix: "##", Suffix: "</w>"}, "axc", []int32{1, 3}},
		{Config{Prefix: "##", Suffix: "</w>", Unknown: "<unk>"}, "axyc", []int32{1, 0, 0, 3}},
		{Config{Prefix: "##", Suffix: "</w>", Unknown: "<unk>", FuseUnknown: true}, "axyc", []int32{1, 0, 3}},
		{Config{Prefix: "##", Suffix: "</w>", Unknown: "<unk>", FuseUnknown: true}, "axyz", []int32{1, 0}},
		{Config{Prefix: "##", ByteFallback: true, Unknown: "<unk>"}, "a\xe4\xb8\xad", []int32{1, 0}}, // the bytes of ## have no tokens
	} {
		c.cfg.Vocab, c.cfg.Merges = vocab, merges
		m, err := New(c.cfg)
		if err != nil {
			t.Fatal(err)
		}
		if got := m.AppendWord(nil, c.word); !slices.Equal(got, c.want) {
			t.Errorf("%+v: %q gives %d, want %d", c.cfg, c.word, got, c.want)
		}
	}
	m, err := New(Config{Vocab: vocab, ByteFallback: true})
	if err != nil {
		t.Fatal(err)
	}
	if got := m.AppendWord(nil, "a中a"); !slices.Equal(got, []int32{1, 7, 8, 9, 1}) {
		t.Errorf("byte fallback: got %d", got)
	}
}

func TestCacheIsBoundedAndRight(t *testing.T) {
	vocab := map[string]int32{}
	for c := '0'; c <= '9'; c++ {
		vocab[string(c)] = c - '0'
	}
	m, err := New(Config{Vocab: vocab})
	if err != nil {
		t.Fatal(err)
	}
	words := 3 * cacheSlots
	if testing.Short() {
		words = cacheSlots / 4
	}
	for range 2 {
		for i := range words {
			word := fmt.Sprint(i)
			got := m.AppendWord(nil, word)
			for j, id := range got {
				if id != int32(word[j]-'0') {
					t.Fatalf("%s: got %d", word, got)
				}
			}
		}
	}
}

func TestByteToken(t *testing.T) {
	for b := range 256 {
		if got, ok := IsByteToken(ByteToken(byte(b))); !ok || got != byte(b) {
			t.Errorf("byte %d: got %d, %t", b, got, ok)
		}
	}
	for _, s := range []string{"", "<0x1>", "<0x1G>", "<0x123>", "x0x12>", "<0X12>"} {
		if _, ok := IsByteToken(s); ok {
			t.Errorf("%q passes for a byte token", s)
		}
	}
}

// Ties go to the pair with the lower ids, and a pair as frequent as the minimum is still merged.
func TestTrainingOrder(t *testing.T) {
	words := map[string]int64{"cd": 5, "ab": 5, "xy": 4, "zz": 3}
	for minimum, want := range map[int64][][2]string{
		0: {{"a", "b"}, {"c", "d"}, {"x", "y"}, {"z", "z"}},
		4: {{"a", "b"}, {"c", "d"}, {"x", "y"}},
		5: {{"a", "b"}, {"c", "d"}},
		6: nil,
	} {
		got := Trainer{VocabSize: 300, MinFrequency: minimum}.Train(words)
		if !slices.Equal(got.Merges, want) {
			t.Errorf("minimum %d: got %q, want %q", minimum, got.Merges, want)
		}
		if len(got.Tokens) != 256+len(want) {
			t.Errorf("minimum %d: got %d tokens, want %d", minimum, len(got.Tokens), 256+len(want))
		}
	}
	if got := (Trainer{VocabSize: 259, Specials: []string{"<s>", "a"}}).Train(words); len(got.Tokens) != 259 || got.Tokens[1] != "a" {
		t.Errorf("a special token that is a byte too: %d tokens, %q", len(got.Tokens), got.Tokens[:3])
	}
}
