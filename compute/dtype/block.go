package dtype

import "fmt"

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
	for r := range rows {
		for c0 := 0; c0 < cols; c0 += block {
			at, to := r*cols+c0, r*cols+min(c0+block, cols)
			F32FromE4M3(dst[at:to], src[at:to], scale[r/block*across+c0/block])
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
				amax = max(amax, bulk().maxFinite(src[r*cols+c0:r*cols+c1]))
			}
			s := ScaleE4M3(amax)
			scale[r0/block*across+c0/block], _ = E8M0FromF32(s)
			down := ScaleInverse(s)
			for r := r0; r < r1; r++ {
				E4M3FromF32s(dst[r*cols+c0:r*cols+c1], src[r*cols+c0:r*cols+c1], down)
			}
		}
	}
}

// DequantFP4 sets dst, rows x cols, to the E2M1 codes in packed, two a byte,
// times the E8M0 scale of each run of 32 columns. cols must be a multiple
// of 32.
func DequantFP4(dst []float32, packed, scale []uint8, rows, cols int) {
	checkFP4("DequantFP4", len(dst), len(packed), len(scale), rows, cols)
	wide := make([]float32, len(scale))
	F32FromE8M0(wide, scale)
	bulk().f32FromE2M1(dst, packed, wide)
}

// QuantFP4 is the inverse of DequantFP4: each run of 32 columns gets the scale
// ScaleE2M1 of its largest magnitude.
func QuantFP4(packed, scale []uint8, src []float32, rows, cols int) {
	checkFP4("QuantFP4", len(src), len(packed), len(scale), rows, cols)
	o := bulk()
	for g := range scale {
		x := src[g*BlockFP4 : g*BlockFP4+BlockFP4]
		s := ScaleE2M1(o.maxFinite(x))
		scale[g], _ = E8M0FromF32(s)
		o.e2m1FromF32(packed[g*BlockFP4/2:g*BlockFP4/2+BlockFP4/2], x, ScaleInverse(s))
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
