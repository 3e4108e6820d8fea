// Package detrand makes random numbers that depend on what they are for and on
// nothing else.
//
// A Stream is named by a seed, a purpose and coordinates (step, sample, layer,
// ...); element i of a stream is a pure function of that name and i. There is
// no state to share, save or lose: a resumed run, another number of threads or
// another layout of ranks draws the same numbers, because nobody draws.
//
// The generator is Philox4x32-10 (Salmon et al., "Parallel random numbers: as
// easy as 1, 2, 3", SC 2011); the key is derived from the name with SHA-256.
// Everything here is integer arithmetic or float64 arithmetic without fused
// operations, so the values are the same on every architecture.
package detrand

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
)

// Stream is one named, infinite, random-access sequence of random numbers.
// The zero Stream is valid but is everybody's: use Key.
type Stream struct {
	k0, k1 uint32 // Philox key
	hi     uint64 // high half of the counter: the part of the name beyond the key
}

// Key returns the stream of (seed, purpose, coords). Two different names give
// unrelated streams; the same name gives the same stream on every machine.
func Key(seed uint64, purpose string, coords ...uint64) Stream {
	buf := make([]byte, 0, 16+len(purpose)+8*len(coords))
	buf = binary.LittleEndian.AppendUint64(buf, seed)
	buf = binary.LittleEndian.AppendUint64(buf, uint64(len(purpose)))
	buf = append(buf, purpose...)
	for _, c := range coords {
		buf = binary.LittleEndian.AppendUint64(buf, c)
	}
	sum := sha256.Sum256(buf)
	return Stream{
		k0: binary.LittleEndian.Uint32(sum[0:]),
		k1: binary.LittleEndian.Uint32(sum[4:]),
		hi: binary.LittleEndian.Uint64(sum[8:]),
	}
}

// Uint64At returns element i of the stream: uniform over all 64-bit values.
func (s Stream) Uint64At(i uint64) uint64 {
	b := philox([4]uint32{uint32(i >> 1), uint32(i >> 33), uint32(s.hi), uint32(s.hi >> 32)}, s.k0, s.k1)
	if i&1 == 0 {
		return uint64(b[0]) | uint64(b[1])<<32
	}
	return uint64(b[2]) | uint64(b[3])<<32
}

// Float64At returns element i as a uniform number in [0, 1), a multiple of 2^-53.
func (s Stream) Float64At(i uint64) float64 {
	return float64(s.Uint64At(i)>>11) * 0x1p-53
}

// Uint64nAt returns a number in [0, n) from element i. Its bias is below n/2^64.
func (s Stream) Uint64nAt(i, n uint64) uint64 {
	if n == 0 {
		panic("detrand: Uint64nAt of an empty range")
	}
	hi, _ := bits.Mul64(s.Uint64At(i), n)
	return hi
}

// Permutation returns a uniformly random ordering of 0..n-1 (Fisher-Yates over
// the stream's elements 0..n-2).
func (s Stream) Permutation(n int) []int {
	p := make([]int, n)
	for i := range p {
		p[i] = i
	}
	for i := n - 1; i > 0; i-- {
		j := int(s.Uint64nAt(uint64(n-1-i), uint64(i)+1))
		p[i], p[j] = p[j], p[i]
	}
	return p
}

// philox is ten rounds of Philox4x32.
func philox(c [4]uint32, k0, k1 uint32) [4]uint32 {
	const m0, m1 = 0xD2511F53, 0xCD9E8D57
	const w0, w1 = 0x9E3779B9, 0xBB67AE85
	for range 10 {
		h0, l0 := bits.Mul32(m0, c[0])
		h1, l1 := bits.Mul32(m1, c[2])
		c = [4]uint32{h1 ^ c[1] ^ k0, l1, h0 ^ c[3] ^ k1, l0}
		k0 += w0
		k1 += w1
	}
	return c
}
