package digest

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
)

// part is a block that arrives in parts: its bytes and which of its values are here.
// They stay until Reset, so that a replica's parts can be compared.
type part struct {
	size, have int
	bytes      [4 * Block]byte
	present    [Block]bool
}

var errReplica = errors.New("replicas differ")

// addPart adds values of the leaf's block, which has size values, from at on.
func (s *State) addPart(leaf int64, size, at int, w words) error {
	var buf [4 * Block]byte
	b := encode(buf[:0], w)
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.open(leaf, size)
	for i := range w.len() {
		if err := p.put(at+i, b[4*i:]); err != nil {
			return err
		}
	}
	return s.close(leaf, p)
}

// mergePart adds the values that another state's part has.
func (s *State) mergePart(leaf int64, o *part) error {
	p := s.open(leaf, o.size)
	for i := range o.size {
		if !o.present[i] {
			continue
		}
		if err := p.put(i, o.bytes[4*i:]); err != nil {
			return err
		}
	}
	return s.close(leaf, p)
}

func (s *State) open(leaf int64, size int) *part {
	p := s.parts[leaf]
	if p == nil {
		p = &part{size: size}
		s.parts[leaf] = p
	}
	return p
}

// close settles the leaf once all of its values are here.
func (s *State) close(leaf int64, p *part) error {
	if p.have < p.size {
		return nil
	}
	return s.settle(leaf, sha256.Sum256(p.bytes[:4*p.size]))
}

// put sets value i to the first four bytes of b, or compares it.
func (p *part) put(i int, b []byte) error {
	at := p.bytes[4*i:]
	if p.present[i] {
		if binary.LittleEndian.Uint32(at) != binary.LittleEndian.Uint32(b) {
			return errReplica
		}
		return nil
	}
	copy(at[:4], b)
	p.present[i] = true
	p.have++
	return nil
}
