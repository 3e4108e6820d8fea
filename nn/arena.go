package nn

import (
	"runtime/debug"

	"github.com/temper-ml/temper/internal/hugepages"
)

// Arena hands out scratch memory by moving a pointer. Memory is given back by
// returning to an earlier [Mark], so it nests like a stack. Pieces start on
// 64-byte boundaries relative to their chunk and are NOT cleared.
//
// The first step grows the arena chunk by chunk; once everything has been
// released, the chunks are merged into one of exactly the peak size, so later
// steps of the same shape neither allocate nor waste. An arena serves one
// goroutine.
type Arena struct {
	floats slab[float32]
	ints   slab[int32]
}

// Mark is a position in an [Arena].
type Mark struct {
	floats, ints place
}

// NewArena returns an empty arena; it takes memory from the heap on demand.
func NewArena() *Arena { return new(Arena) }

// F32 returns n float32s with arbitrary contents.
func (a *Arena) F32(n int) []float32 { return a.floats.take(n) }

// Zeros returns n float32s set to zero.
func (a *Arena) Zeros(n int) []float32 {
	s := a.floats.take(n)
	clear(s)
	return s
}

// I32 returns n int32s with arbitrary contents.
func (a *Arena) I32(n int) []int32 { return a.ints.take(n) }

// Mark returns the present position.
func (a *Arena) Mark() Mark { return Mark{a.floats.at, a.ints.at} }

// Release gives back everything taken since m. Slices taken since then must
// not be used any more.
func (a *Arena) Release(m Mark) {
	a.floats.at = m.floats
	a.ints.at = m.ints
}

// Reserve makes room for that many bytes of float32s ahead of the first use,
// so that a step whose need is known grows the arena only once. It does
// nothing to an arena in use.
func (a *Arena) Reserve(bytes int64) { a.floats.reserve(int(bytes / 4)) }

// Used returns the bytes handed out now.
func (a *Arena) Used() int64 { return 4 * int64(a.floats.at.used+a.ints.at.used) }

// Peak returns the most bytes ever handed out at once since [Arena.ResetPeak].
func (a *Arena) Peak() int64 { return 4 * int64(a.floats.peak+a.ints.peak) }

// ResetPeak makes Peak start again from the present use.
func (a *Arena) ResetPeak() {
	a.floats.peak = a.floats.at.used
	a.ints.peak = a.ints.at.used
}

// Held returns the bytes the arena has taken from the heap.
func (a *Arena) Held() int64 { return 4 * int64(a.floats.held()+a.ints.held()) }

const (
	arenaAlign = 16      // elements: 64 bytes
	arenaChunk = 1 << 18 // elements of the smallest chunk: 1 MiB
)

// ArenaSize returns how many elements an arena spends on pieces of the given
// sizes.
func ArenaSize(sizes ...int) int {
	sum := 0
	for _, n := range sizes {
		sum += aligned(n)
	}
	return sum
}

func aligned(n int) int { return (n + arenaAlign - 1) &^ (arenaAlign - 1) }

// place is a position: the chunk, the offset in it, and all elements in use.
type place struct {
	chunk, off, used int
}

type slab[T float32 | int32] struct {
	chunks [][]T
	at     place
	peak   int
}

func (s *slab[T]) take(n int) []T {
	if n < 0 {
		panic("nn: arena asked for a negative size")
	}
	size := aligned(n)
	if s.at.used == 0 && len(s.chunks) > 1 {
		s.merge()
	}
	if s.at.chunk >= len(s.chunks) || s.at.off+size > len(s.chunks[s.at.chunk]) {
		s.grow(size)
	}
	c, off := s.chunks[s.at.chunk], s.at.off
	s.at.off += size
	s.at.used += size
	s.peak = max(s.peak, s.at.used)
	return c[off : off+n : off+n]
}

// grow moves to a following chunk that holds size elements.
func (s *slab[T]) grow(size int) {
	next := s.at.chunk
	if s.at.chunk < len(s.chunks) {
		next++
	}
	if next >= len(s.chunks) || len(s.chunks[next]) < size {
		s.chunks = append(s.chunks[:next], make([]T, max(size, arenaChunk)))
	}
	s.at.chunk, s.at.off = next, 0
}

// merge replaces the chunks of an unused slab by one of the peak size.
func (s *slab[T]) merge() { s.replace(s.peak) }

func (s *slab[T]) reserve(n int) {
	if s.at.used == 0 && n > s.held() {
		s.replace(aligned(n))
	}
}

// replace makes one chunk of n elements the only one. It happens when shapes
// grow, so it can afford to have the old chunks collected first: the two never
// exist together.
func (s *slab[T]) replace(n int) {
	if len(s.chunks) > 0 {
		clear(s.chunks)
		debug.FreeOSMemory() // collect, and give back: a larger slab cannot reuse the room
	}
	s.chunks = append(s.chunks[:0], make([]T, n))
	hugepages.Advise(s.chunks[0])
	s.at = place{}
}

func (s *slab[T]) held() int {
	n := 0
	for _, c := range s.chunks {
		n += len(c)
	}
	return n
}
