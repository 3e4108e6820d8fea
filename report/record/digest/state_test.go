package digest

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// tensor is a tensor with its values, as bits.
type tensor struct {
	Tensor
	bits []uint32
}

// reference is the definition of doc.go, word for word, on all values at once.
func reference(tensors []tensor, period, step int64) Digest {
	number := func(b *bytes.Buffer, n int64) { binary.Write(b, binary.LittleEndian, n) }
	var state bytes.Buffer
	state.WriteString("temper-state/1\n")
	number(&state, period)
	number(&state, step%period)
	number(&state, int64(len(tensors)))
	block := int64(0)
	for len(tensors) > 0 {
		least := 0
		for i := range tensors {
			if tensors[i].Name < tensors[least].Name {
				least = i
			}
		}
		t := tensors[least]
		tensors = append(append([]tensor{}, tensors[:least]...), tensors[least+1:]...)
		inner := bytes.NewBufferString("temper-tensor/1\n")
		for lo := 0; lo < len(t.bits); lo += 1024 {
			if block%period == step%period {
				var values bytes.Buffer
				binary.Write(&values, binary.LittleEndian, t.bits[lo:min(lo+1024, len(t.bits))])
				leaf := sha256.Sum256(values.Bytes())
				inner.Write(leaf[:])
			}
			block++
		}
		number(&state, int64(len(t.Name)))
		state.WriteString(t.Name)
		state.WriteString(map[bool]string{false: "F32", true: "I32"}[t.Integer])
		number(&state, int64(len(t.bits)))
		sum := sha256.Sum256(inner.Bytes())
		state.Write(sum[:])
	}
	return sha256.Sum256(state.Bytes())
}

func layoutOf(t testing.TB, tensors []tensor, period int) *Layout {
	var list []Tensor
	for i := range tensors {
		tensors[i].Size = int64(len(tensors[i].bits))
		list = append(list, tensors[i].Tensor)
	}
	l, err := NewLayout(list, period)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// add adds the values [lo, hi) of a tensor.
func add(s *State, t *tensor, lo, hi int) error {
	if t.Integer {
		v := make([]int32, hi-lo)
		for i := range v {
			v[i] = int32(t.bits[lo+i])
		}
		return s.AddInts(t.Name, int64(lo), v)
	}
	return s.Add(t.Name, int64(lo), floats(t.bits[lo:hi]))
}

func floats(bits []uint32) []float32 {
	v := make([]float32, len(bits))
	for i, b := range bits {
		v[i] = math.Float32frombits(b)
	}
	return v
}

// fill makes values from a small linear congruence: the same in any language.
func fill(n int, x uint32) []uint32 {
	v := make([]uint32, n)
	for i := range v {
		x = x*1664525 + 1013904223
		v[i] = x
	}
	return v
}

func whole(t testing.TB, tensors []tensor, period int, step int64) Digest {
	s := NewState(layoutOf(t, tensors, period))
	s.Reset(step)
	for i := range tensors {
		if err := add(s, &tensors[i], 0, len(tensors[i].bits)); err != nil {
			t.Fatal(err)
		}
	}
	d, err := s.Sum()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestGolden holds the format still. The digests are from testdata/reference.py.
func TestGolden(t *testing.T) {
	tensors := []tensor{
		{Tensor{Name: "w"}, fill(5000, 1)},
		{Tensor{Name: "empty"}, nil},
		{Tensor{Name: "b"}, []uint32{0x80000000, 0x7fc00001, 0xff800000, 1}}, // -0, a NaN, -inf, the least value
		{Tensor{Name: "n", Integer: true}, fill(1024, 7)},
	}
	for _, c := range []struct {
		period int
		step   int64
		want   string
	}{
		{1, 0, "sha256:ef2d0f297371da379be13f1e6029fb766d6cf7251414b806973dcbe8d0954d86"},
		{3, 0, "sha256:632bb8a630cb59d9c6bbba0322475db469b7b6294867ade5d9aa9a87ee14d5ad"},
		{3, 1, "sha256:7895e941db84a4fe289f0e466d21d2be385c6cc5556072a738c63a187f7e7234"},
		{3, 1000001, "sha256:8b3be3b845fb66ccfbd54f3e2bf16ff63eb606ab8bd4e74f1a045c1ebfa17226"},
		{50, 49, "sha256:9a182f90677faeb0557b8d1c35f6978ff706fd272ee421d0761af5918940d5ed"},
	} {
		if got := whole(t, tensors, c.period, c.step).String(); got != c.want {
			t.Errorf("period %d, step %d: %s, want %s", c.period, c.step, got, c.want)
		}
	}
	if got, want := Ints("row", []int32{1, -1}, nil, fill32(700)).String(), "sha256:0b32885fed9436e995a59acb50881514c389cbe89d0dd623780c54a8af983a0c"; got != want {
		t.Errorf("Ints is %s, want %s", got, want)
	}
	if got, want := List("batch", []Digest{Ints("a"), Ints("b")}).String(), "sha256:1d17657ceaea30542c33518743644b0e753b0cd7797d7e154ab8d6fafff1b097"; got != want {
		t.Errorf("List is %s, want %s", got, want)
	}
}

func fill32(n int) []int32 {
	v := make([]int32, n)
	for i, b := range fill(n, 3) {
		v[i] = int32(b)
	}
	return v
}

func drawTensors(t *rapid.T) []tensor {
	var tensors []tensor
	for i, n := range rapid.SliceOfN(rapid.SampledFrom([]int{0, 1, 7, 1023, 1024, 1025, 2048, 3000, 5121}), 1, 5).Draw(t, "sizes") {
		tensors = append(tensors, tensor{Tensor{Name: string(rune('z' - i)), Integer: i == 2}, fill(n, uint32(i))})
	}
	return tensors
}

// TestShardsInAnyOrderGiveTheWhole splits tensors at random places over ranks,
// some of it twice, adds in random order and merges in random order.
func TestShardsInAnyOrderGiveTheWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tensors := drawTensors(t)
		period := rapid.IntRange(1, 9).Draw(t, "period")
		step := rapid.Int64Range(0, 1<<40).Draw(t, "step")
		var list []Tensor
		type shard struct{ tensor, lo, hi int }
		var shards []shard
		for i := range tensors {
			n := len(tensors[i].bits)
			tensors[i].Size = int64(n)
			list = append(list, tensors[i].Tensor)
			for lo := 0; lo < n; {
				hi := min(n, lo+rapid.SampledFrom([]int{1, 500, 1024, 1500, 6000}).Draw(t, "length"))
				for range rapid.SampledFrom([]int{1, 1, 2}).Draw(t, "copies") {
					shards = append(shards, shard{i, lo, hi})
				}
				lo = hi
			}
		}
		l, err := NewLayout(list, period)
		if err != nil {
			t.Fatal(err)
		}
		shards = append(shards, partners(shards, func(s shard) bool { return s.hi-s.lo < 1024 })...)
		ranks := make([]*State, rapid.IntRange(1, 4).Draw(t, "ranks"))
		for i := range ranks {
			ranks[i] = NewState(l)
			ranks[i].Reset(step)
		}
		for _, s := range rapid.Permutation(shards).Draw(t, "order") {
			r := ranks[rapid.IntRange(0, len(ranks)-1).Draw(t, "rank")]
			if err := add(r, &tensors[s.tensor], s.lo, s.hi); err != nil {
				t.Fatal(err)
			}
		}
		for len(ranks) > 1 {
			if err := ranks[len(ranks)-2].Merge(ranks[len(ranks)-1]); err != nil {
				t.Fatal(err)
			}
			ranks = ranks[:len(ranks)-1]
		}
		got, err := ranks[0].Sum()
		if err != nil {
			t.Fatal(err)
		}
		if want := reference(tensors, int64(period), step); got != want {
			t.Fatalf("%d shards give %v, the reference %v", len(shards), got, want)
		}
	})
}

// partners returns the shards that want again.
func partners[S any](shards []S, again func(S) bool) (out []S) {
	for _, s := range shards {
		if again(s) {
			out = append(out, s)
		}
	}
	return out
}

// TestEveryBitCountsWithinAPeriod flips each bit of some values of every block.
func TestEveryBitCountsWithinAPeriod(t *testing.T) {
	const period = 4
	tensors := []tensor{{Tensor{Name: "a"}, make([]uint32, 2500)}, {Tensor{Name: "b", Integer: true}, make([]uint32, 3)}, {Tensor{Name: "c"}, fill(4097, 5)}}
	digests := func() (d [period]Digest) {
		for i := range d {
			d[i] = whole(t, tensors, period, int64(i))
		}
		return d
	}
	want := digests()
	for i := range tensors {
		for _, at := range []int{0, 1, 2, 1023, 1024, 2047, 2048, 2499, 4095, 4096} {
			for bit := 0; bit < 32 && at < len(tensors[i].bits); bit++ {
				tensors[i].bits[at] ^= 1 << bit
				got, changed := digests(), 0
				for j := range got {
					if got[j] != want[j] {
						changed++
					}
				}
				if changed != 1 {
					t.Errorf("tensor %s, value %d, bit %d: %d of %d digests changed, want 1", tensors[i].Name, at, bit, changed, period)
				}
				tensors[i].bits[at] ^= 1 << bit
			}
		}
	}
}

// TestNamesTypesAndSizesCount: the same bytes under another description are another state.
func TestNamesTypesAndSizesCount(t *testing.T) {
	zeros := make([]uint32, 2048)
	seen := map[Digest]string{}
	for name, tensors := range map[string][]tensor{
		"one":      {{Tensor{Name: "ab"}, zeros}},
		"renamed":  {{Tensor{Name: "ac"}, zeros}},
		"integers": {{Tensor{Name: "ab", Integer: true}, zeros}},
		"shorter":  {{Tensor{Name: "ab"}, zeros[:2047]}},
		"split":    {{Tensor{Name: "a"}, zeros[:1024]}, {Tensor{Name: "b"}, zeros[1024:]}},
		"moved":    {{Tensor{Name: "a"}, zeros[:1023]}, {Tensor{Name: "b"}, zeros[1023:]}},
		"empty":    {{Tensor{Name: "ab"}, zeros}, {Tensor{Name: "b"}, nil}},
		"none":     {},
	} {
		for _, period := range []int{1, 2} {
			d := whole(t, tensors, period, 0)
			if seen[d] != "" {
				t.Errorf("%s, period %d, has the digest of %s", name, period, seen[d])
			}
			seen[d] = name
		}
	}
}

func TestWhatDoesNotAddUpIsAnError(t *testing.T) {
	l, err := NewLayout([]Tensor{{Name: "w", Size: 2500}, {Name: "n", Integer: true, Size: 4}}, 1)
	if err != nil {
		t.Fatal(err)
	}
	v, n := make([]float32, 2500), make([]int32, 4)
	other := make([]float32, 2500)
	other[1500] = math.Float32frombits(1 << 31)
	short, err := NewLayout([]Tensor{{Name: "w", Size: 2499}}, 1)
	if err != nil {
		t.Fatal(err)
	}
	full := func(s *State) { s.Add("w", 0, v); s.AddInts("n", 0, n) }
	for _, c := range []struct {
		do   func(s *State)
		want string
	}{
		{func(s *State) { s.Add("v", 0, v) }, `tensor "v" is not in the layout`},
		{func(s *State) { s.AddInts("w", 0, n) }, "holds F32 values"},
		{func(s *State) { s.Add("w", 1, v) }, "2500 values at 1 do not fit in its 2500"},
		{func(s *State) { s.Add("w", -1, v) }, "at -1"},
		{func(s *State) { s.Add("w", math.MaxInt64, v) }, "do not fit"},
		{func(s *State) { s.Add("w", 0, v) }, `tensor "n", values 0 to 3: not all were added`},
		{func(s *State) { s.Add("w", 0, v[:2499]); s.AddInts("n", 0, n) }, "values 2048 to 2499: not all"},
		{func(s *State) { full(s); s.Add("w", 0, other) }, "values 1024 to 2047: replicas differ"},
		{func(s *State) { s.Add("w", 1400, other[1400:1600]); full(s); s.Add("w", 1400, v[1400:1600]) }, "values 1024 to 2047: replicas differ"},
		{func(s *State) { full(s); s.Add("w", 1500, other[1500:1501]) }, "added whole and again in parts of which 1023 values are missing"},
		{func(s *State) { full(s); s.Add("w", 1030, other[1030:]); s.Add("w", 0, other[:1030]) }, "replicas differ"},
		{func(s *State) { s.Merge(NewState(short)) }, "different layouts"},
	} {
		s := NewState(l)
		c.do(s)
		if _, err := s.Sum(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error is %v, want one with %q", err, c.want)
		}
		s.Reset(0)
		full(s)
		if _, err := s.Sum(); err != nil {
			t.Errorf("after Reset: %v", err)
		}
	}
}

func TestMergeChecksPhaseAndFaults(t *testing.T) {
	l, err := NewLayout([]Tensor{{Name: "w", Size: 5000}}, 2)
	if err != nil {
		t.Fatal(err)
	}
	a, b := NewState(l), NewState(l)
	b.Reset(1)
	if err := a.Merge(b); err == nil || !strings.Contains(err.Error(), "steps 0 and 1 modulo 2") {
		t.Errorf("error is %v", err)
	}
	a.Reset(3)
	b.Add("x", 0, nil)
	if err := a.Merge(b); err == nil {
		t.Error("a state whose Add failed was merged")
	}
}

func TestLayoutRules(t *testing.T) {
	for _, c := range []struct {
		tensors []Tensor
		period  int
		want    string
	}{
		{nil, 0, "period is 0"},
		{[]Tensor{{Size: 1}}, 1, "no name"},
		{[]Tensor{{Name: "a"}, {Name: "b"}, {Name: "a"}}, 1, `"a" appears twice`},
		{[]Tensor{{Name: "a", Size: -1}}, 1, "-1 values"},
		{[]Tensor{{Name: "a", Size: 1 << 55}, {Name: "b", Size: 1<<55 + 1}}, 1, "after 36028797018963968 others"},
	} {
		if _, err := NewLayout(c.tensors, c.period); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error is %v, want one with %q", err, c.want)
		}
	}
}

func TestStepsDoNotAllocate(t *testing.T) {
	tensors := []tensor{{Tensor{Name: "w"}, fill(100000, 1)}}
	s := NewState(layoutOf(t, tensors, 3))
	v := floats(tensors[0].bits)
	step := int64(0)
	if n := testing.AllocsPerRun(20, func() {
		s.Reset(step)
		s.Add("w", 0, v)
		if _, err := s.Sum(); err != nil {
			t.Fatal(err)
		}
		step++
	}); n != 0 {
		t.Errorf("a step allocates %v times, want 0", n)
	}
}

func TestText(t *testing.T) {
	d := Ints("x")
	text, _ := d.MarshalText()
	var back Digest
	if err := back.UnmarshalText(text); err != nil || back != d {
		t.Errorf("%s reads back as %v, %v", text, back, err)
	}
	if err := back.UnmarshalText(nil); err != nil || !back.IsZero() {
		t.Errorf("the empty text reads as %v, %v", back, err)
	}
	if text, err := back.MarshalText(); len(text) != 0 || err != nil || back.String() != "" {
		t.Errorf("the zero value is written as %q, %v", text, err)
	}
	for _, bad := range []string{"sha256:", "sha256:00", strings.ToUpper(string(text)), "md5:" + string(text[7:]), string(text) + "0", string(text[:70]) + "G", "sha256:" + strings.Repeat("0", 64), strings.Repeat("x", 1000)} {
		if err := back.UnmarshalText([]byte(bad)); err == nil || len(err.Error()) > 300 {
			t.Errorf("%q: error %v", bad, err)
		}
	}
}

// FuzzState: any sequence of shards ends in an error or in the reference.
func FuzzState(f *testing.F) {
	f.Add([]byte{0, 0, 0, 255, 255}, uint8(1), uint8(0))
	f.Add([]byte{0, 0, 0, 4, 0, 0, 4, 0, 255, 255}, uint8(2), uint8(1))
	tensors := []tensor{{Tensor{Name: "w", Size: 3000}, fill(3000, 9)}}
	v := floats(tensors[0].bits)
	f.Fuzz(func(t *testing.T, script []byte, period, step uint8) {
		l, err := NewLayout([]Tensor{tensors[0].Tensor}, int(period))
		if err != nil {
			return
		}
		s := NewState(l)
		s.Reset(int64(step))
		for ; len(script) >= 5; script = script[5:] {
			lo := int(binary.LittleEndian.Uint16(script[1:])) % 3001
			hi := min(3000, lo+int(binary.LittleEndian.Uint16(script[3:])))
			if script[0]&1 == 0 {
				s.Add("w", int64(lo), v[lo:hi])
				continue
			}
			o := NewState(l)
			o.Reset(int64(step))
			o.Add("w", int64(lo), v[lo:hi])
			if err := s.Merge(o); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := s.Sum(); err == nil && got != reference(tensors, int64(period), int64(step)) {
			t.Fatalf("sum is %v, the reference %v", got, reference(tensors, int64(period), int64(step)))
		}
	})
}

func BenchmarkAdd(b *testing.B) {
	v := floats(fill(1<<20, 1))
	l, err := NewLayout([]Tensor{{Name: "w", Size: 1 << 20}}, 1)
	if err != nil {
		b.Fatal(err)
	}
	s := NewState(l)
	b.SetBytes(4 << 20)
	b.ReportAllocs()
	for b.Loop() {
		s.Reset(0)
		s.Add("w", 0, v)
		if _, err := s.Sum(); err != nil {
			b.Fatal(err)
		}
	}
}
