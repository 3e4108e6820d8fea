package dtype

import "fmt"

func sameLen(op string, dst, src int) {
	if dst != src {
		panic(fmt.Sprintf("dtype: %s: destination holds %d elements, source %d", op, dst, src))
	}
}

// blocks returns how many of n elements are in whole blocks of sixteen, which
// the assembly converts; the rest goes through the plain loop.
func blocks(n int) int { return n &^ 15 }

// BF16FromF32 rounds each element of src to bfloat16. The lengths must agree.
func BF16FromF32(dst []uint16, src []float32) {
	sameLen("BF16FromF32", len(dst), len(src))
	n := blocks(len(src))
	bulk().bf16FromF32(dst[:n], src[:n])
	bf16FromF32Plain(dst[n:], src[n:])
}

// F32FromBF16 widens each element of src. The lengths must agree.
func F32FromBF16(dst []float32, src []uint16) {
	sameLen("F32FromBF16", len(dst), len(src))
	n := blocks(len(src))
	bulk().f32FromBF16(dst[:n], src[:n])
	f32FromBF16Plain(dst[n:], src[n:])
}

// F32FromF16 widens each element of src. The lengths must agree.
func F32FromF16(dst []float32, src []uint16) {
	sameLen("F32FromF16", len(dst), len(src))
	for i, v := range src {
		dst[i] = F16ToF32(v)
	}
}

// E4M3FromF32s rounds each element of src times down to E4M3: down is the
// inverse of the group's scale. The lengths must agree.
func E4M3FromF32s(dst []uint8, src []float32, down float32) {
	sameLen("E4M3FromF32s", len(dst), len(src))
	n := blocks(len(src))
	bulk().e4m3FromF32(dst[:n], src[:n], down)
	e4m3FromF32Plain(dst[n:], src[n:], down)
}

// F32FromE4M3 sets each element of dst to the value of a code of src times
// scale. The lengths must agree.
func F32FromE4M3(dst []float32, src []uint8, scale float32) {
	sameLen("F32FromE4M3", len(dst), len(src))
	n := blocks(len(src))
	bulk().f32FromE4M3(dst[:n], src[:n], scale)
	f32FromE4M3Plain(dst[n:], src[n:], scale)
}

// F32FromE8M0 widens each element of src. The lengths must agree.
func F32FromE8M0(dst []float32, src []uint8) {
	sameLen("F32FromE8M0", len(dst), len(src))
	for i, v := range src {
		dst[i] = E8M0ToF32(v)
	}
}
