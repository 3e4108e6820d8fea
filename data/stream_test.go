package data_test

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/temper-ml/temper/data"
)

func newStream(t testing.TB, d *data.Dataset, c data.StreamConfig) *data.Stream {
	t.Helper()
	s, err := data.NewStream(d, c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Every epoch has every example once, whole, and no row is overfull.
func TestEveryEpochHasEveryExampleOnce(t *testing.T) {
	d, _ := mustLoad(t, byteLoader(data.Options{}), write(t, "a.jsonl", pairs(300)))
	for _, c := range []data.StreamConfig{
		{SeqLen: 1000, Rows: 4, Seed: 7}, {SeqLen: 1000, Rows: 4, InOrder: true}, {SeqLen: 1000, Rows: 4, Unpacked: true},
	} {
		s := newStream(t, d, c)
		n := int64(s.RowsPerEpoch())
		var rows [2][]string
		for epoch := range int64(2) {
			seen := make([]int, d.Len())
			for g := epoch * n; g < (epoch+1)*n; g++ {
				r := s.Row(g)
				checkRow(t, d, &r, c)
				key := ""
				for _, seg := range r.Segments {
					seen[seg.Example]++
					key += seg.Source.String() + " "
				}
				rows[epoch] = append(rows[epoch], key)
			}
			for i, times := range seen {
				if times != 1 {
					t.Fatalf("%+v: example %d is %d times in epoch %d", c, i, times, epoch)
				}
			}
		}
		if same := slices.Equal(rows[0], rows[1]); same != c.InOrder {
			t.Errorf("%+v: two epochs are in the same order: %t", c, same)
		}
		slices.Sort(rows[0])
		slices.Sort(rows[1])
		if same := slices.Equal(rows[0], rows[1]); same != (c.InOrder || c.Unpacked) {
			t.Errorf("%+v: two epochs have the same rows: %t", c, same)
		}
	}
}

// checkRow holds a row to its data set: segments tile it and are its examples.
func checkRow(t *testing.T, d *data.Dataset, r *data.Row, c data.StreamConfig) {
	t.Helper()
	if len(r.Tokens) > c.SeqLen || len(r.Tokens) != len(r.Mask) {
		t.Fatalf("a row of %d tokens and %d mask bits, at most %d", len(r.Tokens), len(r.Mask), c.SeqLen)
	}
	at := 0
	for _, s := range r.Segments {
		e := d.Example(s.Example)
		if s.Start != at || s.Source != e.Source || !slices.Equal(r.Tokens[s.Start:s.End], e.Tokens) || !slices.Equal(r.Mask[s.Start:s.End], e.Mask) {
			t.Fatalf("segment %+v is not example %d", s, s.Example)
		}
		at = s.End
	}
	if at != len(r.Tokens) {
		t.Fatalf("the segments end at %d of %d", at, len(r.Tokens))
	}
}

// A step is a function of its number: another stream, asked in another order, by
// ranks that each build some of the rows, sees the same batches.
func TestStepIsAFunctionOfItsNumber(t *testing.T) {
	d, _ := mustLoad(t, byteLoader(data.Options{}), write(t, "a.jsonl", pairs(150)))
	c := data.StreamConfig{SeqLen: 700, Rows: 6, Seed: 3}
	a, b := newStream(t, d, c), newStream(t, d, c)
	steps := a.Steps(3)
	digests := make([][32]byte, steps)
	for step := range steps {
		batch := a.Batch(step)
		digests[step] = batch.Digest()
		if batch.Supervised != a.Supervised(step) || batch.Supervised == 0 {
			t.Errorf("step %d: %d supervised tokens in the rows, %d counted before", step, batch.Supervised, a.Supervised(step))
		}
	}
	for step := steps - 1; step >= 0; step-- {
		resumed := b.Batch(step)
		if resumed.Digest() != digests[step] {
			t.Fatalf("step %d differs when reached backwards", step)
		}
		for i := range resumed.Rows {
			if row := b.Row(step*6 + int64(i)); !slices.Equal(row.Tokens, resumed.Rows[i].Tokens) {
				t.Fatalf("row %d of step %d differs when built alone", i, step)
			}
		}
	}
	c.Seed++
	batch := newStream(t, d, c).Batch(0)
	if batch.Digest() == digests[0] {
		t.Error("another seed gives the same first step")
	}
	if got, want := a.Steps(2), int64((2*a.RowsPerEpoch()+5)/6); got != want {
		t.Errorf("%d steps cover two epochs, want %d", got, want)
	}
}

// The order must never change: runs are replayed from it.
func TestOrderIsPinned(t *testing.T) {
	d, _ := mustLoad(t, byteLoader(data.Options{}), write(t, "a.jsonl", pairs(12)))
	s := newStream(t, d, data.StreamConfig{SeqLen: 300, Rows: 1, Seed: 42})
	var got []int
	for g := range int64(2 * s.RowsPerEpoch()) {
		r := s.Row(g)
		for _, seg := range r.Segments {
			got = append(got, seg.Example)
		}
		got = append(got, -1)
	}
	want := pinnedOrder
	if !slices.Equal(got, want) {
		t.Errorf("rows are %#v,\nwere always %#v", got, want)
	}
}

func TestPairsStayTogether(t *testing.T) {
	var b strings.Builder
	for i := range 60 {
		b.WriteString(`{"prompt": "u", "chosen": "` + strings.Repeat("g", i+1) + `", "rejected": "` + strings.Repeat("b", 61-i) + "\"}\n")
	}
	d, _ := mustLoad(t, byteLoader(data.Options{}), write(t, "p.jsonl", b.String()))
	s := newStream(t, d, data.StreamConfig{SeqLen: 200, Rows: 2})
	for g := range int64(s.RowsPerEpoch()) {
		r := s.Row(g)
		for i := 0; i < len(r.Segments); i += 2 {
			if a, b := r.Segments[i].Example, r.Segments[i+1].Example; a%2 != 0 || b != a+1 {
				t.Errorf("row %d: examples %d and %d are not a pair", g, a, b)
			}
		}
	}
}

func TestStreamRefuses(t *testing.T) {
	d, _ := mustLoad(t, byteLoader(data.Options{}), write(t, "a.jsonl", pairs(40)))
	for _, c := range []data.StreamConfig{{SeqLen: 100, Rows: 1}, {SeqLen: 1000, Rows: 0}, {SeqLen: 1, Rows: 1}} {
		if _, err := data.NewStream(d, c); err == nil {
			t.Errorf("%+v was accepted", c)
		}
	}
}

// Labels never cross a segment and never name what is not supervised; one place
// ahead they name every supervised token once.
func TestLabels(t *testing.T) {
	d, _ := mustLoad(t, byteLoader(data.Options{}), write(t, "a.jsonl", pairs(80)))
	s := newStream(t, d, data.StreamConfig{SeqLen: 900, Rows: 1})
	rapid.Check(t, func(t *rapid.T) {
		r := s.Row(rapid.Int64Range(0, 50).Draw(t, "row"))
		ahead := rapid.IntRange(1, 3).Draw(t, "ahead")
		labels := r.Labels(nil, ahead)
		named := 0
		for _, seg := range r.Segments {
			for i := seg.Start; i < seg.End; i++ {
				want := int32(-1)
				if j := i + ahead; j < seg.End && r.Mask[j] {
					want = r.Tokens[j]
					named++
				}
				if labels[i] != want {
					t.Fatalf("position %d of segment [%d, %d): label %d, want %d", i, seg.Start, seg.End, labels[i], want)
				}
			}
		}
		if ahead == 1 && named != r.Supervised() {
			t.Fatalf("%d labels for %d supervised tokens", named, r.Supervised())
		}
	})
}

func TestPackingStatistics(t *testing.T) {
	d, report := mustLoad(t, byteLoader(data.Options{}), write(t, "a.jsonl", pairs(400)))
	p := newStream(t, d, data.StreamConfig{SeqLen: 1024, Rows: 8}).Packing()
	if p.Tokens != report.Tokens || p.Supervised != report.Supervised || p.Examples != 400 {
		t.Errorf("packing %+v, report %+v", p, report)
	}
	if p.Efficiency < 0.97 || p.Efficiency > 1 || p.Longest > 1024 {
		t.Errorf("rows are %.3f full, the longest has %d of 1024", p.Efficiency, p.Longest)
	}
}

var pinnedOrder = []int{0, 1, 3, 4, -1, 5, 6, 7, -1, 2, 8, 9, -1, 10, 11, -1, 0, 1, 3, 4, -1, 5, 6, 7, -1, 10, 11, -1, 2, 8, 9, -1}
