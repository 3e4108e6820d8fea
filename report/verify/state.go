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

// state is a digest of a state by the definition in docs/digests.md, made tensor
// by tensor: 32 bytes are kept of each.
type state struct {
	period, phase int64
	first         map[string]int64 // the number of each tensor's first block
	tensors       map[string]stateTensor
}

type stateTensor struct {
	kind   string
	values int64
	sum    [sha256.Size]byte
}

// newState begins the digest of tensors, given with their numbers of values, of
// which the blocks of a phase of a period are covered.
func newState(period, phase int64, sizes map[string]int64) *state {
	s := &state{period, phase, map[string]int64{}, map[string]stateTensor{}}
	next := int64(0)
	for _, name := range slices.Sorted(maps.Keys(sizes)) {
		s.first[name] = next
		next += (sizes[name] + blockValues - 1) / blockValues
	}
	return s
}

// blockValues are those of a block, leafBytes those of a leaf in the digest of a
// save's tensor (docs/checkpoints.md).
const (
	blockValues = 1 << 10
	leafBytes   = 1 << 20
)

// part is a tensor of a state under way.
type part struct {
	*state
	next int64 // block
	hash hash.Hash
}

// parts begins a tensor in those states that have it.
func parts(states []*state, name string) []*part {
	var ps []*part
	for _, s := range states {
		if first, ok := s.first[name]; ok {
			p := &part{s, first, sha256.New()}
			io.WriteString(p.hash, "temper-tensor/1\n")
			ps = append(ps, p)
		}
	}
	return ps
}

// block adds the hash of the tensor's next block.
func (p *part) block(sum [sha256.Size]byte) {
	if p.next%p.period == p.phase {
		p.hash.Write(sum[:])
	}
	p.next++
}

// end puts the tensor into its state.
func (p *part) end(name, kind string, values int64) {
	p.tensors[name] = stateTensor{kind, values, [sha256.Size]byte(p.hash.Sum(nil))}
}

// digest returns H("temper-state/1\n", period, phase, tensors).
func (s *state) digest() record.Digest {
	h := sha256.New()
	io.WriteString(h, "temper-state/1\n")
	number(h, s.period)
	number(h, s.phase)
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

// updates is the name of the optimizer's counter, two words, the low one first.
const updates = "updates"

// addUpdates adds the counter, which a save has in its data of the run.
func addUpdates(states []*state, meta any) {
	m, _ := meta.(map[string]any)
	text, _ := m[updates].(json.Number)
	n, err := text.Int64()
	if err != nil {
		return // then the digest will not be the one on record
	}
	for _, p := range parts(states, updates) {
		p.block(sha256.Sum256(binary.LittleEndian.AppendUint64(nil, uint64(n))))
		p.end(updates, "I32", 2)
	}
}

// hash streams a tensor: it returns its bytes and the digest that a save's
// manifest has of it, and adds it to the states that have it.
func (f *tensorFile) hash(name string, shape []int64, states []*state) (int64, string, error) {
	at, ok := f.at[name]
	if !ok || at.dtype != "F32" || !slices.Equal(at.shape, shape) {
		return 0, "", fmt.Errorf("it is not in the data file with shape %v", shape)
	}
	f.read++
	n := at.hi - at.lo
	leaves, ps := sha256.New(), parts(states, name)
	leaves.Write([]byte{1})
	number(leaves, n/4)
	r := io.NewSectionReader(f, at.lo, n)
	buf := make([]byte, 1+min(n, leafBytes)) // the first byte marks a leaf
	for {
		k, err := io.ReadFull(r, buf[1:])
		if k > 0 {
			hashLeaf(leaves, ps, buf[:1+k])
		}
		if err != nil || k == 0 {
			if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				return n, "", err
			}
			break
		}
	}
	for _, p := range ps {
		p.end(name, "F32", n/4)
	}
	return n, hex.EncodeToString(leaves.Sum(nil)), nil
}

// hashLeaf adds a leaf, whose first byte is its mark, to the digests of its tensor.
func hashLeaf(leaves hash.Hash, ps []*part, leaf []byte) {
	done := make(chan [sha256.Size]byte, 1)
	go func() { done <- sha256.Sum256(leaf) }()
	for rest := leaf[1:]; len(rest) > 0; {
		n := min(len(rest), 4*blockValues)
		sum := sha256.Sum256(rest[:n])
		for _, p := range ps {
			p.block(sum)
		}
		rest = rest[n:]
	}
	sum := <-done
	leaves.Write(sum[:])
}
