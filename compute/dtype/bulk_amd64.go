//go:build amd64 && !noasm

package dtype

import "github.com/temper-ml/temper/compute/internal/asm"

// bf16FromF32 converts whole blocks of sixteen by assembly, the rest one by
// one.
func bf16FromF32(dst []uint16, src []float32) {
	n := len(src) &^ 15
	switch asm.Active() {
	case asm.AVX512:
		asm.BF16FromF32AVX512(dst[:n], src[:n])
	case asm.AVX2:
		asm.BF16FromF32AVX2(dst[:n], src[:n])
	default:
		n = 0
	}
	bf16FromF32Plain(dst[n:], src[n:])
}

// f32FromBF16 is the way back.
func f32FromBF16(dst []float32, src []uint16) {
	n := len(src) &^ 15
	switch asm.Active() {
	case asm.AVX512:
		asm.F32FromBF16AVX512(dst[:n], src[:n])
	case asm.AVX2:
		asm.F32FromBF16AVX2(dst[:n], src[:n])
	default:
		n = 0
	}
	f32FromBF16Plain(dst[n:], src[n:])
}
