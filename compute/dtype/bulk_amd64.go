//go:build amd64 && !noasm

package dtype

import "github.com/temper-ml/temper/compute/internal/asm"

func init() {
	bulkOf[asm.AVX2] = &bulkOps{
		bf16FromF32: asm.BF16FromF32AVX2, f32FromBF16: asm.F32FromBF16AVX2,
		f32FromE4M3: asm.F32FromE4M3AVX2, e4m3FromF32: asm.E4M3FromF32AVX2,
		f32FromE2M1: asm.F32FromE2M1AVX2, e2m1FromF32: asm.E2M1FromF32AVX2,
		maxFinite: asm.MaxFiniteAVX2,
	}
	bulkOf[asm.AVX512] = &bulkOps{
		bf16FromF32: asm.BF16FromF32AVX512, f32FromBF16: asm.F32FromBF16AVX512,
		f32FromE4M3: asm.F32FromE4M3AVX512, e4m3FromF32: asm.E4M3FromF32AVX512,
		f32FromE2M1: asm.F32FromE2M1AVX512, e2m1FromF32: asm.E2M1FromF32AVX512,
		maxFinite: asm.MaxFiniteAVX512,
	}
}
