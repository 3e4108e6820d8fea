package dtype

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
