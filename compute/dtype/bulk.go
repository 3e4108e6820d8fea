package dtype

import "fmt"

func sameLen(op string, dst, src int) {
	if dst != src {
		panic(fmt.Sprintf("dtype: %s: destination holds %d elements, source %d", op, dst, src))
	}
}

// BF16FromF32 rounds each element of src to bfloat16. The lengths must agree.
func BF16FromF32(dst []uint16, src []float32) {
	sameLen("BF16FromF32", len(dst), len(src))
	bf16FromF32(dst, src)
}

// F32FromBF16 widens each element of src. The lengths must agree.
func F32FromBF16(dst []float32, src []uint16) {
	sameLen("F32FromBF16", len(dst), len(src))
	f32FromBF16(dst, src)
}

// F32FromF16 widens each element of src. The lengths must agree.
func F32FromF16(dst []float32, src []uint16) {
	sameLen("F32FromF16", len(dst), len(src))
	for i, v := range src {
		dst[i] = F16ToF32(v)
	}
}

// E4M3FromF32s rounds each element of src to E4M3, unscaled. The lengths must
// agree.
func E4M3FromF32s(dst []uint8, src []float32) {
	sameLen("E4M3FromF32s", len(dst), len(src))
	for i, v := range src {
		dst[i] = E4M3FromF32(v)
	}
}

// F32FromE4M3 widens each element of src, unscaled. The lengths must agree.
func F32FromE4M3(dst []float32, src []uint8) {
	sameLen("F32FromE4M3", len(dst), len(src))
	for i, v := range src {
		dst[i] = e4m3[v]
	}
}

// F32FromE8M0 widens each element of src. The lengths must agree.
func F32FromE8M0(dst []float32, src []uint8) {
	sameLen("F32FromE8M0", len(dst), len(src))
	for i, v := range src {
		dst[i] = E8M0ToF32(v)
	}
}
