package digest

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"sync"
)

// State collects the values of one step until its digest can be told. Once made
// it allocates only for blocks that arrive in parts.
//
// Add and AddInts may be called by several goroutines that add different
// values; everything else by one alone.
type State struct {
	layout *Layout
	phase  int64
	leaves []Digest // of the covered blocks, in order
	done   []bool   // which leaves are known; bytes, so that goroutines do not meet
	outer  hash.Hash
	inner  hash.Hash
	buf    Digest // here, since what an interface's method gets is on the heap

	mu    sync.Mutex
	parts map[int64]*part // by leaf: blocks that arrive in parts
	err   error           // the first error of Add or Merge: it spoils the digest
}

// NewState returns an empty state at step 0.
func NewState(l *Layout) *State {
	n := l.leaves(0)
	return &State{
		layout: l, leaves: make([]Digest, n), done: make([]bool, n), parts: map[int64]*part{},
		outer: sha256.New(), inner: sha256.New(),
	}
}

// Reset empties the state for the values after step.
func (s *State) Reset(step int64) {
	if step < 0 {
		panic("digest: negative step")
	}
	s.phase = step % s.layout.period
	n := s.layout.leaves(s.phase)
	s.leaves, s.done = s.leaves[:n], s.done[:n]
	clear(s.done)
	clear(s.parts)
	s.err = nil
}

// Add adds values of a float32 tensor that start at offset. Values of blocks
// that the step does not cover are not read. A value may be added again, by a
// replica: if its bits differ, that is an error, here or in Sum.
func (s *State) Add(name string, offset int64, values []float32) error {
	return s.add(name, false, offset, words{floats: values})
}

// AddInts is Add for an int32 tensor.
func (s *State) AddInts(name string, offset int64, values []int32) error {
	return s.add(name, true, offset, words{ints: values})
}

func (s *State) add(name string, integer bool, offset int64, w words) error {
	i, ok := s.layout.index[name]
	if !ok {
		return s.fail(fmt.Errorf("digest: tensor %q is not in the layout", name))
	}
	t := &s.layout.tensors[i]
	n := int64(w.len())
	switch {
	case t.Integer != integer:
		return s.fail(fmt.Errorf("digest: tensor %q holds %s values, others were added", name, t.kind()))
	case offset < 0 || offset > t.Size || n > t.Size-offset:
		return s.fail(fmt.Errorf("digest: tensor %q: %d values at %d do not fit in its %d", name, n, offset, t.Size))
	}
	for b := s.covered(t, offset/Block); b*Block < offset+n; b += s.layout.period {
		lo, hi := t.span(b)
		from, to := max(lo, offset), min(hi, offset+n)
		if from >= to {
			continue
		}
		part := w.slice(int(from-offset), int(to-offset))
		leaf := (t.first + b) / s.layout.period
		var err error
		if from == lo && to == hi {
			var buf [4 * Block]byte
			err = s.settle(leaf, sha256.Sum256(encode(buf[:0], part)))
		} else {
			err = s.addPart(leaf, int(hi-lo), int(from-lo), part)
		}
		if err != nil {
			return s.fail(fmt.Errorf("digest: tensor %q, values %d to %d: %w", name, lo, hi-1, err))
		}
	}
	return nil
}

// covered returns the tensor's first covered block from b on.
func (s *State) covered(t *layoutTensor, b int64) int64 {
	k := s.layout.period
	return b + ((s.phase-t.first-b)%k+k)%k
}

// settle sets a leaf, or compares it with what is known.
func (s *State) settle(leaf int64, d Digest) error {
	if s.done[leaf] {
		if s.leaves[leaf] != d {
			return fmt.Errorf("replicas differ: block is %v and %v", s.leaves[leaf], d)
		}
		return nil
	}
	s.leaves[leaf], s.done[leaf] = d, true
	return nil
}

func (s *State) fail(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
	}
	return err
}

// Merge adds what another state of the same layout and step has.
func (s *State) Merge(o *State) error {
	if !s.layout.equal(o.layout) {
		return s.fail(fmt.Errorf("digest: states of different layouts do not merge"))
	}
	if s.phase != o.phase {
		return s.fail(fmt.Errorf("digest: states of steps %d and %d modulo %d do not merge", s.phase, o.phase, s.layout.period))
	}
	if o.err != nil {
		return s.fail(o.err)
	}
	for i, known := range o.done {
		if !known {
			continue
		}
		if err := s.settle(int64(i), o.leaves[i]); err != nil {
			return s.fail(s.at(int64(i), err))
		}
	}
	for leaf, p := range o.parts {
		if err := s.mergePart(leaf, p); err != nil {
			return s.fail(s.at(leaf, err))
		}
	}
	return nil
}

// at says which values a leaf is of.
func (s *State) at(leaf int64, err error) error {
	block := leaf*s.layout.period + s.phase
	t := s.layout.owner(block)
	lo, hi := t.span(block - t.first)
	return fmt.Errorf("digest: tensor %q, values %d to %d: %w", t.Name, lo, hi-1, err)
}

// Sum returns the digest. It is an error if a covered value is missing, or if
// any Add or Merge failed.
func (s *State) Sum() (Digest, error) {
	if s.err != nil {
		return Digest{}, s.err
	}
	for leaf, known := range s.done {
		if !known {
			return Digest{}, s.at(int64(leaf), fmt.Errorf("not all were added"))
		}
	}
	for leaf, p := range s.parts {
		if p.have < p.size {
			return Digest{}, s.at(leaf, fmt.Errorf("added whole and again in parts of which %d values are missing", p.size-p.have))
		}
	}
	return s.sum(), nil
}

// sum hashes the known leaves.
func (s *State) sum() Digest {
	l := s.layout
	s.outer.Reset()
	s.outer.Write(stateTag)
	for _, n := range [...]int64{l.period, s.phase, int64(len(l.tensors))} {
		binary.LittleEndian.PutUint64(s.buf[:], uint64(n))
		s.outer.Write(s.buf[:8])
	}
	for i := range l.tensors {
		t := &l.tensors[i]
		s.inner.Reset()
		s.inner.Write(tensorTag)
		for b := s.covered(t, 0); b < t.blocks(); b += l.period {
			s.inner.Write(s.leaves[(t.first+b)/l.period][:])
		}
		s.inner.Sum(s.buf[:0])
		s.outer.Write(t.header)
		s.outer.Write(s.buf[:])
	}
	s.outer.Sum(s.buf[:0])
	return s.buf
}

var stateTag, tensorTag = []byte("temper-state/1\n"), []byte("temper-tensor/1\n")
