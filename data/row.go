package data

import (
	"crypto/sha256"
	"encoding/binary"
)

// Segment is one example in a row: positions [Start, End). Nothing may see
// across its bounds.
type Segment struct {
	Start, End int
	Example    int // its number in the data set
	Source     Source
}

// Row is one packed sequence: whole examples one after the other, no padding.
type Row struct {
	Tokens   []int32
	Mask     []bool // Mask[i]: token i is supervised; false at every segment's start
	Segments []Segment
}

// Supervised counts the supervised tokens.
func (r *Row) Supervised() int { return count(r.Mask) }

// Labels writes, for each position, the token ahead places later when it is in
// the same segment and supervised, else -1. One place ahead is the usual target,
// two places that of the first multi-token-prediction layer. dst is reused when
// it is large enough.
func (r *Row) Labels(dst []int32, ahead int) []int32 {
	if cap(dst) < len(r.Tokens) {
		dst = make([]int32, len(r.Tokens))
	}
	dst = dst[:len(r.Tokens)]
	for _, s := range r.Segments {
		for i := s.Start; i < s.End; i++ {
			dst[i] = -1
			if j := i + ahead; j < s.End && r.Mask[j] {
				dst[i] = r.Tokens[j]
			}
		}
	}
	return dst
}

// Batch is what one optimizer step trains on, over all ranks.
type Batch struct {
	Step       int64
	Rows       []Row
	Tokens     int
	Supervised int // the N that the step's loss is divided by
}

// Digest identifies the batch: tokens, masks and segments of its rows in order.
func (b *Batch) Digest() [32]byte {
	h := sha256.New()
	var buf []byte
	put := func(n int) { buf = binary.LittleEndian.AppendUint64(buf, uint64(n)) }
	put(len(b.Rows))
	for i := range b.Rows {
		r := &b.Rows[i]
		put(len(r.Tokens))
		put(len(r.Segments))
		for _, s := range r.Segments {
			put(s.Start)
			put(s.End)
		}
		for j, t := range r.Tokens {
			learnt := byte(0)
			if r.Mask[j] {
				learnt = 1
			}
			buf = append(binary.LittleEndian.AppendUint32(buf, uint32(t)), learnt)
			buf = flush(h, buf)
		}
	}
	h.Write(buf)
	var sum [32]byte
	h.Sum(sum[:0])
	return sum
}
