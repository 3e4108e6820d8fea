package dtype

import (
	"fmt"
	"math"
)

// BlockFP8 is the side of the square blocks of an FP8 tensor that share one
// scale, BlockFP4 the number of columns of an FP4 row that do.
const (
	BlockFP8 = 128
	BlockFP4 = 32
)

// ScaleLen returns the number of scales of a rows x cols tensor with block x
// block elements a scale; they are laid out row-major, ceil(cols/block) a row.
func ScaleLen(rows, cols, block int) int {
	return (rows + block - 1) / block * ((cols + block - 1) / block)
}

func checkLen(op, what string, have, want int) {
	if have != want {
		panic(fmt.Sprintf("dtype: %s: %s holds %d elements, want %d", op, what, have, want))
	}
}

// DequantFP8 sets dst, rows x cols, to src times the scale of each element's
// block, the product rounded to float32 (exact for a power of two in range).
func DequantFP8(dst []float32, src []uint8, scale []float32, rows, cols, block int) {
	checkLen("DequantFP8", "destination", len(dst), rows*cols)
	checkLen("DequantFP8", "source", len(src), rows*cols)
	checkLen("DequantFP8", "scale", len(scale), ScaleLen(rows, cols, block))
	across := (cols + block - 1) / block
	var table [256]float32
	for r0 := 0; r0 < rows; r0 += block {
		for c0 := 0; c0 < cols; c0 += block {
			s := scale[r0/block*across+c0/block]
			for c := range table {
				table[c] = e4m3[c] * s
			}
			for r := r0; r < min(r0+block, rows); r++ {
				d := dst[r*cols+c0 : r*cols+min(c0+block, cols)]
				for i, c := range src[r*cols+c0:][:len(d)] {
					d[i] = table[c]
				}
			}
		}
	}
}

// DequantFP8E8M0 is DequantFP8 with E8M0 scales.
func DequantFP8E8M0(dst []float32, src, scale []uint8, rows, cols, block int) {
	s := make([]float32, len(scale))
	F32FromE8M0(s, scale)
	DequantFP8(dst, src, s, rows, cols, block)
}

// QuantFP8 is the inverse of DequantFP8E8M0: each block gets the scale
// ScaleE4M3 of its largest magnitude, and dst the codes of src over scale.
func QuantFP8(dst, scale []uint8, src []float32, rows, cols, block int) {
	checkLen("QuantFP8", "destination", len(dst), rows*cols)
	checkLen("QuantFP8", "source", len(src), rows*cols)
	checkLen("QuantFP8", "scale", len(scale), ScaleLen(rows, cols, block))
	across := (cols + block - 1) / block
	for r0 := 0; r0 < rows; r0 += block {
		for c0 := 0; c0 < cols; c0 += block {
			r1, c1 := min(r0+block, rows), min(c0+block, cols)
			var amax float32
			for r := r0; r < r1; r++ {
				amax = max(amax, maxAbs(src[r*cols+c0:r*cols+c1]))
			}
			s := ScaleE4M3(amax)
			scale[r0/block*across+c0/block], _ = E8M0FromF32(s)
			down := ScaleInverse(s)
			for r := r0; r < r1; r++ {
				d := dst[r*cols+c0 : r*cols+c1]
				for i, v := range src[r*cols+c0 : r*cols+c1] {
					d[i] = E4M3FromF32(v * down)
				}
			}
		}
	}
}

// maxAbs returns the largest finite magnitude in x: one broken element must
// not take the scale of its block with it.
func maxAbs(x []float32) (m float32) {
	for _, v := range x {
		if a := float32(math.Abs(float64(v))); a > m && a <= math.MaxFloat32 {
			m = a
		}
	}
	return m
}

// DequantFP4 sets dst, rows x cols, to the E2M1 codes in packed, two a byte,
// times the E8M0 scale of each run of 32 columns. cols must be a multiple
// of 32.
func DequantFP4(dst []float32, packed, scale []uint8, rows, cols int) {
	checkFP4("DequantFP4", len(dst), len(packed), len(scale), rows, cols)
	for g, sc := range scale {
		s := E8M0ToF32(sc)
		d := dst[g*BlockFP4 : g*BlockFP4+BlockFP4]
		for i, b := range packed[g*BlockFP4/2 : g*BlockFP4/2+BlockFP4/2] {
			d[2*i] = e2m1[b&15] * s
			d[2*i+1] = e2m1[b>>4] * s
		}
	}
}

// QuantFP4 is the inverse of DequantFP4: each run of 32 columns gets the scale
// ScaleE2M1 of its largest magnitude.
func QuantFP4(packed, scale []uint8, src []float32, rows, cols int) {
	checkFP4("QuantFP4", len(src), len(packed), len(scale), rows, cols)
	for g := range scale {
		x := src[g*BlockFP4 : g*BlockFP4+BlockFP4]
		s := ScaleE2M1(maxAbs(x))
		scale[g], _ = E8M0FromF32(s)
		down := ScaleInverse(s)
		p := packed[g*BlockFP4/2 : g*BlockFP4/2+BlockFP4/2]
		for i := range p {
			p[i] = E2M1FromF32(x[2*i]*down) | E2M1FromF32(x[2*i+1]*down)<<4
		}
	}
}

func checkFP4(op string, dense, packed, scale, rows, cols int) {
	if cols%BlockFP4 != 0 {
		panic(fmt.Sprintf("dtype: %s: columns must be a multiple of %d, got %d", op, BlockFP4, cols))
	}
	checkLen(op, "dense", dense, rows*cols)
	checkLen(op, "packed", packed, rows*cols/2)
	checkLen(op, "scale", scale, rows*cols/BlockFP4)
}
