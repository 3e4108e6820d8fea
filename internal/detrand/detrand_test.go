package detrand

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math"
	"sort"
	"testing"
)

// The known-answer vectors of the Random123 distribution for philox4x32-10.
func TestPhiloxKnownAnswers(t *testing.T) {
	const f = 0xffffffff
	cases := []struct {
		ctr  [4]uint32
		key  [2]uint32
		want [4]uint32
	}{
		{want: [4]uint32{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
		{[4]uint32{f, f, f, f}, [2]uint32{f, f}, [4]uint32{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
		{
			[4]uint32{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
			[2]uint32{0xa4093822, 0x299f31d0},
			[4]uint32{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1},
		},
	}
	for _, c := range cases {
		if got := philox(c.ctr, c.key[0], c.key[1]); got != c.want {
			t.Errorf("philox(%x, %x) = %x, want %x", c.ctr, c.key, got, c.want)
		}
	}
}

func TestQuantileMatchesErfinv(t *testing.T) {
	for i := 1; i < 4000; i++ {
		p := float64(i) / 4000
		want := math.Sqrt2 * math.Erfinv(2*p-1)
		// The reference sees 2p-1, rounded to 2^-53: that moves its answer by 2^-53/density.
		density := math.Exp(-want*want/2) / math.Sqrt(2*math.Pi)
		if got := quantile(p); math.Abs(got-want) > 4e-15*(1+math.Abs(want))+0x1p-53/density {
			t.Fatalf("quantile(%v) = %v, want %v", p, got, want)
		}
	}
	for e := 10; e <= 52; e++ { // the far tail, where 2p-1 loses its digits
		p := math.Ldexp(1, -e)
		x := quantile(p)
		if back := 0.5 * math.Erfc(-x/math.Sqrt2); math.Abs(back-p) > 1e-12*p {
			t.Errorf("Φ(quantile(2^-%d)) = %v, want %v", e, back, p)
		}
	}
}

func TestLogarithm(t *testing.T) {
	for i := uint64(0); i < 10000; i++ {
		x := math.Ldexp(0.5+Key(1, "log").Float64At(i)/2, int(i%120)-100)
		if got, want := logarithm(x), math.Log(x); math.Abs(got-want) > 4e-16*(math.Abs(want)+1) {
			t.Fatalf("logarithm(%v) = %v, want %v", x, got, want)
		}
	}
}

func TestNormalMoments(t *testing.T) {
	const n = 200000
	s := Key(7, "moments", 3)
	var sum, sq float64
	for i := uint64(0); i < n; i++ {
		x := s.NormalAt(i)
		sum += x
		sq += float64(x * x)
	}
	// Standard errors are 1/√n and √(2/n); five of them make a false alarm impossible in practice, and the stream is fixed anyway.
	if m := sum / n; math.Abs(m) > 5/math.Sqrt(n) {
		t.Errorf("mean %v", m)
	}
	if v := sq / n; math.Abs(v-1) > 5*math.Sqrt(2.0/n) {
		t.Errorf("variance %v", v)
	}
}

func TestPermutation(t *testing.T) {
	p := Key(1, "order", 5).Permutation(1000)
	q := append([]int(nil), p...)
	sort.Ints(q)
	for i, x := range q {
		if x != i {
			t.Fatalf("not a permutation: rank %d holds %d", i, x)
		}
	}
	if sort.IntsAreSorted(p) {
		t.Error("the identity came out")
	}
	if n := len(Key(1, "order").Permutation(0)); n != 0 {
		t.Errorf("permutation of nothing has %d elements", n)
	}
}

func TestNamesAreDistinct(t *testing.T) {
	seen := map[uint64]string{}
	for _, s := range []struct {
		name string
		s    Stream
	}{
		{"a", Key(1, "a")},
		{"a/0", Key(1, "a", 0)},
		{"a/0/0", Key(1, "a", 0, 0)},
		{"b", Key(1, "b")},
		{"seed", Key(2, "a")},
		{"a\\0", Key(1, "a\x00")},
	} {
		for i := uint64(0); i < 4; i++ {
			v := s.s.Uint64At(i)
			if other, ok := seen[v]; ok {
				t.Errorf("%s element %d repeats %s", s.name, i, other)
			}
			seen[v] = s.name
		}
	}
}

// The digest below was made on amd64 and holds on every architecture.
func TestSameEverywhere(t *testing.T) {
	h := sha256.New()
	s := Key(42, "everywhere", 1, 2)
	for i := uint64(0); i < 4096; i++ {
		_ = binary.Write(h, binary.LittleEndian, []uint64{
			s.Uint64At(i), math.Float64bits(s.Float64At(i)), math.Float64bits(s.NormalAt(i)), s.Uint64nAt(i, 1000),
		})
	}
	const want = "03a45ae6ab13d3a19ceb45662c62de2197aab40e3c3cf11011612483740ef252"
	if got := hex.EncodeToString(h.Sum(nil)); got != want {
		t.Errorf("digest %s, want %s", got, want)
	}
}
