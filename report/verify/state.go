package verify

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"
	"slices"

	"github.com/temper-ml/temper/report/record"
)

// state is the digest of a state of which all blocks are covered, by the
// definition in docs/digests.md, made tensor by tensor: 32 bytes are kept of each.
type state struct {
	tensors map[string]stateTensor
}

type stateTensor struct {
	kind   string
	values int64
	sum    [sha256.Size]byte
}

func newState() *state { return &state{map[string]stateTensor{}} }

// blockBytes are those of a block of 1,024 values, leafBytes of a leaf in the
// digest of a save's tensor (docs/checkpoints.md).
const (
	blockBytes = 4 << 10
	leafBytes  = 1 << 20
)

// digest returns H("temper-state/1\n", period 1, phase 0, tensors).
func (s *state) digest() record.Digest {
	h := sha256.New()
	io.WriteString(h, "temper-state/1\n")
	number(h, 1)
	number(h, 0)
	number(h, int64(len(s.tensors)))
	for _, name := range slices.Sorted(maps.Keys(s.tensors)) {
		t := s.tensors[name]
		number(h, int64(len(name)))
		io.WriteString(h, name+t.kind)
		number(h, t.values)
		h.Write(t.sum[:])
	}
	return record.Digest("sha256:" + hex.EncodeToString(h.Sum(nil)))
}

// number hashes 8 bytes, little-endian.
func number(h hash.Hash, n int64) {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], uint64(n))
	h.Write(b[:])
}

// updates adds the optimizer's counter, which a save has in its data of the run.
func (s *state) updates(meta any) {
	m, _ := meta.(map[string]any)
	text, _ := m["updates"].(json.Number)
	n, err := text.Int64()
	if err != nil {
		return // then the digest will not be the one on record
	}
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], uint64(n))
	block := sha256.Sum256(b[:])
	h := sha256.New()
	io.WriteString(h, "temper-tensor/1\n")
	h.Write(block[:])
	s.tensors["updates"] = stateTensor{"I32", 2, [sha256.Size]byte(h.Sum(nil))}
}

// hash streams a tensor: it returns its bytes and the digest that a save's
// manifest has of it, and adds it to a state.
func (f *tensorFile) hash(name string, shape []int64, s *state) (int64, string, error) {
	at, ok := f.at[name]
	if _, twice := s.tensors[name]; twice || !ok || at.dtype != "F32" || !slices.Equal(at.shape, shape) {
		return 0, "", fmt.Errorf("it is there twice, or not in the data file with shape %v", shape)
	}
	f.read++
	n := at.hi - at.lo
	leaves, blocks := sha256.New(), sha256.New()
	leaves.Write([]byte{1})
	number(leaves, n/4)
	io.WriteString(blocks, "temper-tensor/1\n")
	r := io.NewSectionReader(f, at.lo, n)
	buf := make([]byte, 1+min(n, leafBytes)) // the first byte marks a leaf
	for {
		k, err := io.ReadFull(r, buf[1:])
		if k > 0 {
			twoHashes(leaves, blocks, buf[:1+k])
		}
		if err != nil || k == 0 {
			if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				return n, "", err
			}
			break
		}
	}
	s.tensors[name] = stateTensor{"F32", n / 4, [sha256.Size]byte(blocks.Sum(nil))}
	return n, hex.EncodeToString(leaves.Sum(nil)), nil
}

// twoHashes adds a leaf, whose first byte is its mark, to both digests of its tensor.
func twoHashes(leaves, blocks hash.Hash, leaf []byte) {
	done := make(chan [sha256.Size]byte, 1)
	go func() { done <- sha256.Sum256(leaf) }()
	for rest := leaf[1:]; len(rest) > 0; {
		n := min(len(rest), blockBytes)
		sum := sha256.Sum256(rest[:n])
		blocks.Write(sum[:])
		rest = rest[n:]
	}
	sum := <-done
	leaves.Write(sum[:])
}
