package dtype

import (
	"math"

	"github.com/temper-ml/temper/compute/internal/asm"
)

// bulkOps is one instruction set's version of the bulk conversions. The
// lengths of all but maxFinite are whole blocks of sixteen.
type bulkOps struct {
	bf16FromF32 func(dst []uint16, src []float32)
	f32FromBF16 func(dst []float32, src []uint16)
	f32FromE4M3 func(dst []float32, src []uint8, scale float32)
	e4m3FromF32 func(dst []uint8, src []float32, down float32)
	f32FromE2M1 func(dst []float32, packed []uint8, scale []float32)
	e2m1FromF32 func(packed []uint8, src []float32, down float32)
	maxFinite   func(a []float32) float32
}

// plainBulk is the definition.
var plainBulk = bulkOps{
	bf16FromF32: bf16FromF32Plain, f32FromBF16: f32FromBF16Plain,
	f32FromE4M3: f32FromE4M3Plain, e4m3FromF32: e4m3FromF32Plain,
	f32FromE2M1: f32FromE2M1Plain, e2m1FromF32: e2m1FromF32Plain,
	maxFinite: maxFinitePlain,
}

// bulkOf holds the conversions of each level.
var bulkOf = [...]*bulkOps{asm.Go: &plainBulk, asm.AVX2: &plainBulk, asm.AVX512: &plainBulk, asm.NEON: &plainBulk}

// bulk returns the conversions of the active path.
func bulk() *bulkOps { return bulkOf[asm.Active()] }

func bf16FromF32Plain(dst []uint16, src []float32) {
	for i, v := range src {
		dst[i] = BF16FromF32Bits(v)
	}
}

func f32FromBF16Plain(dst []float32, src []uint16) {
	for i, v := range src {
		dst[i] = BF16ToF32(v)
	}
}

// f32FromE4M3Plain is
//
//	for i := range dst {
//		dst[i] = E4M3ToF32(src[i]) * scale
//	}
func f32FromE4M3Plain(dst []float32, src []uint8, scale float32) {
	for i, c := range src {
		dst[i] = e4m3[c] * scale
	}
}

// e4m3FromF32Plain is
//
//	for i := range dst {
//		dst[i] = E4M3FromF32(src[i] * down)
//	}
func e4m3FromF32Plain(dst []uint8, src []float32, down float32) {
	for i, v := range src {
		dst[i] = E4M3FromF32(v * down)
	}
}

// f32FromE2M1Plain is, for each group g of 32 elements,
//
//	dst[32*g+i] = E2M1ToF32(nibble 32*g+i of packed) * scale[g]
func f32FromE2M1Plain(dst []float32, packed []uint8, scale []float32) {
	for g, s := range scale {
		d := dst[g*BlockFP4 : g*BlockFP4+BlockFP4]
		for i, b := range packed[g*BlockFP4/2 : g*BlockFP4/2+BlockFP4/2] {
			d[2*i] = e2m1[b&15] * s
			d[2*i+1] = e2m1[b>>4] * s
		}
	}
}

// e2m1FromF32Plain is
//
//	for i := range packed {
//		packed[i] = E2M1FromF32(src[2*i]*down) | E2M1FromF32(src[2*i+1]*down)<<4
//	}
func e2m1FromF32Plain(packed []uint8, src []float32, down float32) {
	for i := range packed {
		packed[i] = E2M1FromF32(src[2*i]*down) | E2M1FromF32(src[2*i+1]*down)<<4
	}
}

// maxFinitePlain returns the largest finite magnitude in a: one broken element
// must not take the scale of its block with it.
func maxFinitePlain(a []float32) (m float32) {
	for _, v := range a {
		if x := float32(math.Abs(float64(v))); x > m && x <= math.MaxFloat32 {
			m = x
		}
	}
	return m
}
