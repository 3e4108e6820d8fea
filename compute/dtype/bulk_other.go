//go:build !amd64 || noasm

package dtype

func bf16FromF32(dst []uint16, src []float32) { bf16FromF32Plain(dst, src) }

func f32FromBF16(dst []float32, src []uint16) { f32FromBF16Plain(dst, src) }
