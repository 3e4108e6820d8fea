package data_test

import (
	"crypto/sha256"
	"encoding/binary"
	"testing"

	"github.com/temper-ml/temper/data"
)

// The digest of an order is that of the examples that the rows' segments name.
func TestOrderIsThatOfTheRows(t *testing.T) {
	d, _ := mustLoad(t, byteLoader(data.Options{}), write(t, "a.jsonl", pairs(300)))
	c := data.StreamConfig{SeqLen: 1000, Rows: 4, Seed: 7}
	s := newStream(t, d, c)
	rows := 2*int64(s.RowsPerEpoch()) + 3
	sum := d.Digest()
	text := append([]byte("temper-order/1\n"), sum[:]...)
	text = binary.LittleEndian.AppendUint64(text, uint64(rows))
	for g := range rows {
		r := s.Row(g)
		text = binary.LittleEndian.AppendUint64(text, uint64(len(r.Segments)))
		for _, seg := range r.Segments {
			text = binary.LittleEndian.AppendUint64(text, uint64(seg.Example))
		}
	}
	want := sha256.Sum256(text)
	if got := newStream(t, d, c).Order(rows); got != want {
		t.Errorf("order is %x, want %x", got, want)
	}
	c.Seed++
	if got := newStream(t, d, c).Order(rows); got == want {
		t.Error("another seed has the same order")
	}
	if got := s.Order(rows - 1); got == want {
		t.Error("a row less has the same order")
	}
}
