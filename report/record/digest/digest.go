package digest

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"math"
	"strings"
)

// prefix opens the text of a digest.
const prefix = "sha256:"

// Digest is a SHA-256. The zero value means that there is none.
type Digest [sha256.Size]byte

// String returns "sha256:" and 64 hexadecimal digits, and nothing for the zero value.
func (d Digest) String() string {
	if d.IsZero() {
		return ""
	}
	return prefix + hex.EncodeToString(d[:])
}

// IsZero reports whether d is no digest.
func (d Digest) IsZero() bool { return d == Digest{} }

// MarshalText returns String.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what MarshalText writes and nothing else.
func (d *Digest) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*d = Digest{}
		return nil
	}
	digits, ok := strings.CutPrefix(string(text), prefix)
	b, err := hex.DecodeString(digits)
	if !ok || err != nil || len(b) != len(d) || strings.ToLower(digits) != digits {
		return fmt.Errorf("digest: %q is not %q and %d lower-case hexadecimal digits", clip(text), prefix, 2*len(d))
	}
	if Digest(b).IsZero() {
		return fmt.Errorf("digest: %q is all zero: the absence of a digest is the empty text", clip(text))
	}
	*d = Digest(b)
	return nil
}

func clip(text []byte) []byte { return text[:min(len(text), 80)] }

// Ints is the digest of lists of integers:
//
//	SHA-256("temper-ints/1\n", length of label, label, number of lists,
//	        for each list: its length, its values of 4 bytes)
func Ints(label string, lists ...[]int32) Digest {
	h := sha256.New()
	open(h, "temper-ints/1\n", label, len(lists))
	var buf [4 * 256]byte
	for _, l := range lists {
		writeNumber(h, uint64(len(l)))
		for len(l) > 0 {
			n := min(len(l), len(buf)/4)
			h.Write(encode(buf[:0], words{ints: l[:n]}))
			l = l[n:]
		}
	}
	return Digest(h.Sum(nil))
}

// List is the digest of digests in order:
//
//	SHA-256("temper-list/1\n", length of label, label, number of digests, the digests)
func List(label string, digests []Digest) Digest {
	h := sha256.New()
	open(h, "temper-list/1\n", label, len(digests))
	for i := range digests {
		h.Write(digests[i][:])
	}
	return Digest(h.Sum(nil))
}

// BlockOf returns the digest block(b) of a block of at most [Block] values.
func BlockOf(values []float32) Digest { return blockOf(words{floats: values}) }

// BlockOfInts is BlockOf for int32 values.
func BlockOfInts(values []int32) Digest { return blockOf(words{ints: values}) }

func blockOf(w words) Digest {
	var buf [4 * Block]byte
	return sha256.Sum256(encode(buf[:0], w))
}

// Blocks returns the digest tensor(t) of a tensor from those of its blocks, all
// of which are covered.
func Blocks(blocks []Digest) Digest {
	h := sha256.New()
	h.Write(tensorTag)
	for i := range blocks {
		h.Write(blocks[i][:])
	}
	return Digest(h.Sum(nil))
}

func open(h hash.Hash, tag, label string, n int) {
	h.Write([]byte(tag))
	writeNumber(h, uint64(len(label)))
	h.Write([]byte(label))
	writeNumber(h, uint64(n))
}

func writeNumber(h hash.Hash, n uint64) {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], n)
	h.Write(b[:])
}

// words are values of either type; the other slice is nil.
type words struct {
	floats []float32
	ints   []int32
}

func (w words) len() int { return len(w.floats) + len(w.ints) }

func (w words) slice(lo, hi int) words {
	if w.floats != nil {
		return words{floats: w.floats[lo:hi]}
	}
	return words{ints: w.ints[lo:hi]}
}

// encode appends the little-endian bytes of the values to buf, which has room.
func encode(buf []byte, w words) []byte {
	out := buf[len(buf) : len(buf)+4*w.len()]
	for i, v := range w.floats {
		binary.LittleEndian.PutUint32(out[4*i:], math.Float32bits(v))
	}
	for i, v := range w.ints {
		binary.LittleEndian.PutUint32(out[4*i:], uint32(v))
	}
	return buf[:len(buf)+len(out)]
}
