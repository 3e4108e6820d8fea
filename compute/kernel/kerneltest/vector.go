package kerneltest

import (
	"fmt"
	"testing"

	"github.com/temper-ml/temper/internal/detrand"
)

// RowKernel is an elementwise or row kernel to test: Build draws the sizes and
// arguments of a call and returns the call.
type RowKernel struct {
	Name  string
	Build func(d *Draw) (call func())
}

// Draw hands out the arguments of one trial. They depend on nothing but the
// kernel's name, the trial's number and the kind of values.
type Draw struct {
	Kind   Kind
	Large  bool // sizes that several threads share
	name   string
	stream detrand.Stream
	drawn  uint64
	bufs   []drawnBuf
}

// drawnBuf is a float32 argument in guarded memory.
type drawnBuf struct {
	data, start []float32
	check       func(t testing.TB, name string)
}

// NewDraw returns the arguments of trial i of the kernel of that name.
func NewDraw(name string, i uint64, kind Kind, large bool) *Draw {
	return &Draw{Kind: kind, Large: large, name: name, stream: detrand.Key(i, "kerneltest row "+name, uint64(kind))}
}

// next returns 64 fresh random bits.
func (d *Draw) next() uint64 {
	d.drawn++
	return d.stream.Uint64At(d.drawn)
}

// Size returns a length: 0, 1, the neighbourhood of a register's or two
// registers' length, or any up to 100.
func (d *Draw) Size() int {
	switch r := d.next(); r & 7 {
	case 0:
		return int(r >> 8 % 3)
	case 1, 2:
		return 15 + int(r>>8%3)
	case 3, 4:
		return 31 + int(r>>8%3)
	case 5:
		return 16 * int(r>>8%8)
	default:
		return int(r >> 8 % 100)
	}
}

// Rows returns a number of rows of dim elements.
func (d *Draw) Rows(dim int) int {
	if d.Large {
		return 40000/max(dim, 1) + int(d.next()%3)
	}
	return int(d.next() % 5)
}

// Flat returns the length of an elementwise argument.
func (d *Draw) Flat() int {
	if d.Large {
		return 40000 + int(d.next()%100)
	}
	return d.Size()
}

// Buf returns n values of the trial's kind times scale, in guarded memory.
func (d *Draw) Buf(n int, scale float32) []float32 {
	data, check := Guarded(n)
	Values(data, d.Kind, d.next(), "row "+d.name)
	for i := range data {
		data[i] *= scale
	}
	d.bufs = append(d.bufs, drawnBuf{data: data, start: append([]float32(nil), data...), check: check})
	return data
}

// Positive returns values like Buf's that are at least low, or NaN.
func (d *Draw) Positive(n int, low, scale float32) []float32 {
	data := d.Buf(n, scale)
	for i, v := range data {
		if v < 0 {
			v = -v
		}
		data[i] = v + low
	}
	copy(d.bufs[len(d.bufs)-1].start, data)
	return data
}

// Index returns n indices from low to high-1.
func (d *Draw) Index(n, low, high int) []int32 {
	idx := make([]int32, n)
	for i := range idx {
		idx[i] = int32(low + int(d.next()%uint64(high-low)))
	}
	return idx
}

// Reset gives all arguments their first values back.
func (d *Draw) Reset() {
	for _, b := range d.bufs {
		copy(b.data, b.start)
	}
}

// State returns a copy of all arguments as they are now.
func (d *Draw) State() []float32 {
	var all []float32
	for _, b := range d.bufs {
		all = append(all, b.data...)
	}
	return all
}

// CheckGuards fails t if anything beside the arguments was written.
func (d *Draw) CheckGuards(t testing.TB) {
	t.Helper()
	for i, b := range d.bufs {
		b.check(t, fmt.Sprintf("%s, argument %d", d.name, i))
	}
}
