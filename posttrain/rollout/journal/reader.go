package journal

import (
	"encoding/binary"
	"errors"
	"math"

	"github.com/temper-ml/temper/model/generate"
)

// errPayload is of a frame with a right checksum and an impossible content.
var errPayload = errors.New("the frame has a valid checksum and no valid content")

// reader takes a payload apart; bad says that it ended too early.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) left() int { return len(r.b) }

// take returns the next n bytes, or sets bad.
func (r *reader) take(n int) []byte {
	if n > len(r.b) {
		r.bad, r.b = true, nil
		return nil
	}
	p := r.b[:n]
	r.b = r.b[n:]
	return p
}

func (r *reader) byte() byte {
	if p := r.take(1); p != nil {
		return p[0]
	}
	return 0
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) uint32() uint32 {
	if p := r.take(4); p != nil {
		return binary.LittleEndian.Uint32(p)
	}
	return 0
}

func (r *reader) uint64() uint64 {
	if p := r.take(8); p != nil {
		return binary.LittleEndian.Uint64(p)
	}
	return 0
}

func (r *reader) float32() float32 { return math.Float32frombits(r.uint32()) }
func (r *reader) float64() float64 { return math.Float64frombits(r.uint64()) }

func (r *reader) text() string {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.bad, r.b = true, nil
		return ""
	}
	return string(r.take(int(n)))
}

// digest fills d.
func (r *reader) digest(d []byte) { copy(d, r.take(len(d))) }

func reason(v uint64) generate.Reason { return generate.Reason(v) }
