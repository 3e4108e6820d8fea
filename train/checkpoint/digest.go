package checkpoint

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"math"
	"sync"

	"github.com/temper-ml/temper/compute/kernel"
)

// leafValues is the number of float32 values in a leaf of 1 MiB.
const leafValues = 1 << 18

// Sum is the digest of one tensor's values; see the package comment.
type Sum [sha256.Size]byte

// String returns the digest in hexadecimal.
func (s Sum) String() string { return hex.EncodeToString(s[:]) }

// SumOf returns the digest of the values, computed on several threads.
func SumOf(data []float32) Sum {
	leaves := make([]Sum, leafCount(len(data)))
	kernel.Parallel(len(leaves), 1, func(lo, hi int) {
		buf := leafBuffers.Get().(*[4 * leafValues]byte)
		defer leafBuffers.Put(buf)
		for i := lo; i < hi; i++ {
			leaves[i] = hashLeaf(encodeLeaf(buf[:0], leaf(data, i)))
		}
	})
	return root(len(data), leaves)
}

// Digest returns the SHA-256, in hexadecimal, of a list of tensors: for each one
// a line of name, shape and digest. It is the digest of a model's weights when
// the list holds the parameters in canonical order.
func Digest(tensors []Tensor) string {
	h := sha256.New()
	io.WriteString(h, "temper tensors 1\n")
	for i := range tensors {
		t := &tensors[i]
		fmt.Fprintf(h, "%q %v %v\n", t.Name, t.Shape, SumOf(t.Data))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// leafBuffers holds room for the bytes of a leaf.
var leafBuffers = sync.Pool{New: func() any { return new([4 * leafValues]byte) }}

func leafCount(n int) int { return (n + leafValues - 1) / leafValues }

// leaf returns the values of leaf i.
func leaf(data []float32, i int) []float32 {
	return data[i*leafValues : min(len(data), (i+1)*leafValues)]
}

// encodeLeaf appends the little-endian bytes of the values to buf[:0].
func encodeLeaf(buf []byte, values []float32) []byte {
	buf = buf[:4*len(values)]
	for i, v := range values {
		binary.LittleEndian.PutUint32(buf[4*i:], math.Float32bits(v))
	}
	return buf
}

func hashLeaf(b []byte) Sum {
	h := sha256.New()
	h.Write([]byte{0})
	h.Write(b)
	return Sum(h.Sum(nil))
}

func root(n int, leaves []Sum) Sum {
	h := sha256.New()
	h.Write([]byte{1})
	var count [8]byte
	binary.LittleEndian.PutUint64(count[:], uint64(n))
	h.Write(count[:])
	for i := range leaves {
		h.Write(leaves[i][:])
	}
	return Sum(h.Sum(nil))
}
