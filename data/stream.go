package data

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"

	"github.com/temper-ml/temper/data/source"
	"github.com/temper-ml/temper/internal/detrand"
)

// StreamConfig decides which examples are in which step.
type StreamConfig struct {
	SeqLen int    // tokens a row may have
	Rows   int    // rows in a step, over all ranks
	Seed   uint64 // orders examples and rows
	// InOrder keeps the order of the files instead of drawing one.
	InOrder bool
	// Unpacked gives each example (each pair) a row of its own.
	Unpacked bool
}

// Stream is the endless sequence of rows that a run trains on, epoch after
// epoch. Row g, and so every step, is a pure function of the data set's digest,
// the StreamConfig and g: a run that resumes, on any number of ranks, continues
// the same sequence from a row number alone.
//
// Each epoch draws an order of the examples, packs them by best-fit decreasing
// (equal lengths in that order, so rows are composed anew), and draws an order
// of the rows. Every epoch has every example once and the same number of rows,
// since how best-fit decreasing fills rows depends on the lengths only. A step
// may take rows of two epochs. Within a row, examples stand in the order of the
// data set; the two sides of a pair are neighbours.
//
// A Stream is safe for concurrent use.
type Stream struct {
	data *Dataset
	cfg  StreamConfig
	unit int // examples that stay together: 2 for pairs

	mu     sync.Mutex
	epochs [2]*epoch // the two used last
}

// epoch is the packing of one epoch.
type epoch struct {
	number int64
	rows   [][]int // units of each row, in training order
}

// NewStream returns the stream of a data set. It packs the first epoch, so an
// example that does not fit is reported here.
func NewStream(d *Dataset, cfg StreamConfig) (*Stream, error) {
	s := &Stream{data: d, cfg: cfg, unit: 1}
	if d.kind == source.Preference {
		s.unit = 2
	}
	switch {
	case cfg.Rows <= 0:
		return nil, fmt.Errorf("data: %d rows in a step, want at least 1", cfg.Rows)
	case cfg.SeqLen < 2:
		return nil, fmt.Errorf("data: rows of %d tokens, want at least 2", cfg.SeqLen)
	}
	for u := range d.Len() / s.unit {
		if n := s.length(u); n > cfg.SeqLen {
			return nil, fmt.Errorf("data: %s: %d tokens (with its pair, if any) do not fit a row of %d: raise seq_len, or set max_tokens and overlong",
				d.Source(u*s.unit), n, cfg.SeqLen)
		}
	}
	s.epochs[0] = s.pack(0)
	return s, nil
}

// length returns the tokens of unit u.
func (s *Stream) length(u int) int {
	n := 0
	for i := range s.unit {
		n += s.data.Length(u*s.unit + i)
	}
	return n
}

// RowsPerEpoch returns the number of rows of every epoch.
func (s *Stream) RowsPerEpoch() int { return len(s.epoch(0).rows) }

// Steps returns the number of steps that cover the given number of epochs; the
// last step may reach into the next epoch.
func (s *Stream) Steps(epochs float64) int64 {
	rows := float64(epochs) * float64(s.RowsPerEpoch())
	steps := int64(rows) / int64(s.cfg.Rows)
	if float64(steps)*float64(s.cfg.Rows) < rows {
		steps++
	}
	return steps
}

// Epoch returns the packing of epoch n, made when it is not one of the last two.
func (s *Stream) epoch(n int64) *epoch {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, e := range s.epochs {
		if e != nil && e.number == n {
			if i == 1 {
				s.epochs[0], s.epochs[1] = s.epochs[1], s.epochs[0]
			}
			return s.epochs[0]
		}
	}
	s.epochs[1] = s.epochs[0]
	s.epochs[0] = s.pack(n)
	return s.epochs[0]
}

func (s *Stream) pack(n int64) *epoch {
	units := s.data.Len() / s.unit
	order := s.permutation("data.examples", n, units)
	e := &epoch{number: n}
	if s.cfg.Unpacked {
		e.rows = make([][]int, units)
		for i, u := range order {
			e.rows[i] = []int{u}
		}
		return e
	}
	lengths := make([]int, units)
	for i, u := range order {
		lengths[i] = s.length(u)
	}
	packed, err := Pack(lengths, s.cfg.SeqLen)
	if err != nil {
		panic("data: a sequence that fitted no longer fits")
	}
	for _, row := range packed {
		for i := range row {
			row[i] = order[row[i]]
		}
		slices.Sort(row)
	}
	if s.cfg.InOrder {
		slices.SortFunc(packed, func(a, b []int) int { return a[0] - b[0] })
		e.rows = packed
		return e
	}
	e.rows = make([][]int, len(packed))
	for i, r := range s.permutation("data.rows", n, len(packed)) {
		e.rows[i] = packed[r]
	}
	return e
}

func (s *Stream) permutation(purpose string, n int64, length int) []int {
	if !s.cfg.InOrder {
		return detrand.Key(s.cfg.Seed, purpose, uint64(n)).Permutation(length)
	}
	order := make([]int, length)
	for i := range order {
		order[i] = i
	}
	return order
}

// units returns the units of row g.
func (s *Stream) units(g int64) []int {
	rows := int64(s.RowsPerEpoch())
	return s.epoch(g / rows).rows[g%rows]
}

// Row returns row g of the stream.
func (s *Stream) Row(g int64) Row {
	var r Row
	units := s.units(g)
	n := 0
	for _, u := range units {
		n += s.length(u)
	}
	r.Tokens, r.Mask = make([]int32, 0, n), make([]bool, 0, n)
	r.Segments = make([]Segment, 0, len(units)*s.unit)
	for _, u := range units {
		for i := u * s.unit; i < (u+1)*s.unit; i++ {
			e := s.data.Example(i)
			at := len(r.Tokens)
			r.Tokens = append(r.Tokens, e.Tokens...)
			r.Mask = append(r.Mask, e.Mask...)
			r.Segments = append(r.Segments, Segment{Start: at, End: len(r.Tokens), Example: i, Source: e.Source})
		}
	}
	return r
}

// Examples returns the numbers of the examples of row g, one for each segment.
func (s *Stream) Examples(g int64) []int {
	var all []int
	for _, u := range s.units(g) {
		for i := range s.unit {
			all = append(all, u*s.unit+i)
		}
	}
	return all
}

// Example returns an example by its number.
func (s *Stream) Example(i int) Example { return s.data.Example(i) }

// Desirable returns the judgement of an example by its number.
func (s *Stream) Desirable(i int) bool { return s.data.Desirable(i) }

// Order returns the digest of which examples are in the first n rows, in order:
// with the data set's digest, of everything that these rows are. It is SHA-256 of
//
//	"temper-order/1\n", digest of the data set, n,
//	for each row: number of examples, their indices in the data set
//
// with numbers of 8 bytes, little-endian.
func (s *Stream) Order(n int64) [sha256.Size]byte {
	h := sha256.New()
	h.Write([]byte("temper-order/1\n"))
	sum := s.data.Digest()
	h.Write(sum[:])
	buf := binary.LittleEndian.AppendUint64(make([]byte, 0, 64<<10), uint64(n))
	for g := range n {
		units := s.units(g)
		buf = flush(h, binary.LittleEndian.AppendUint64(buf, uint64(len(units)*s.unit)))
		for _, u := range units {
			for i := u * s.unit; i < (u+1)*s.unit; i++ {
				buf = flush(h, binary.LittleEndian.AppendUint64(buf, uint64(i)))
			}
		}
	}
	h.Write(buf)
	return [sha256.Size]byte(h.Sum(nil))
}

// Batch returns all rows of a step: rows step·Rows to (step+1)·Rows-1.
func (s *Stream) Batch(step int64) Batch {
	b := Batch{Step: step, Rows: make([]Row, s.cfg.Rows)}
	for i := range b.Rows {
		b.Rows[i] = s.Row(step*int64(s.cfg.Rows) + int64(i))
		b.Tokens += len(b.Rows[i].Tokens)
		b.Supervised += b.Rows[i].Supervised()
	}
	return b
}

// Supervised returns the number of supervised tokens of a step without building
// its rows: what every rank divides by, whichever rows it has.
func (s *Stream) Supervised(step int64) int {
	n := 0
	for i := range int64(s.cfg.Rows) {
		for _, u := range s.units(step*int64(s.cfg.Rows) + i) {
			for j := u * s.unit; j < (u+1)*s.unit; j++ {
				lo, hi := s.data.cols.span(j)
				n += count(s.data.cols.mask[lo:hi])
			}
		}
	}
	return n
}

// Packing describes how full the rows of an epoch are.
type Packing struct {
	Examples   int     `json:"examples"`
	Rows       int     `json:"rows"`
	SeqLen     int     `json:"seq_len"`
	Tokens     int64   `json:"tokens"`
	Supervised int64   `json:"supervised"`
	Efficiency float64 `json:"efficiency"` // tokens / (rows · seq_len)
	Longest    int     `json:"longest_row"`
	Shortest   int     `json:"shortest_row"`
}

// Packing returns the packing's statistics; they are the same for every epoch.
func (s *Stream) Packing() Packing {
	e := s.epoch(0)
	p := Packing{
		Examples: s.data.Len(), Rows: len(e.rows), SeqLen: s.cfg.SeqLen,
		Tokens: s.data.Tokens(), Supervised: s.data.Supervised(),
	}
	for i, row := range e.rows {
		n := 0
		for _, u := range row {
			n += s.length(u)
		}
		p.Longest = max(p.Longest, n)
		if i == 0 || n < p.Shortest {
			p.Shortest = n
		}
	}
	p.Efficiency = float64(p.Tokens) / float64(int64(p.Rows)*int64(p.SeqLen))
	return p
}
