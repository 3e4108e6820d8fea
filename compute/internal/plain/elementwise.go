package plain

// Add is
//
//	for i := range dst {
//		dst[i] = a[i] + b[i]
//	}
func Add(dst, a, b []float32) {
	for i := range dst {
		dst[i] = a[i] + b[i]
	}
}

// Mul is
//
//	for i := range dst {
//		dst[i] = a[i] * b[i]
//	}
func Mul(dst, a, b []float32) {
	for i := range dst {
		dst[i] = a[i] * b[i]
	}
}

// Axpy is
//
//	for i := range dst {
//		dst[i] = FMA32(s, x[i], dst[i])
//	}
func Axpy(dst []float32, s float32, x []float32) {
	for i := range dst {
		dst[i] = FMA32(s, x[i], dst[i])
	}
}

// Scale is
//
//	for i := range dst {
//		dst[i] = dst[i] * s
//	}
func Scale(dst []float32, s float32) {
	for i := range dst {
		dst[i] *= s
	}
}

// MulAdd is
//
//	for i := range dst {
//		dst[i] = FMA32(a[i], b[i], dst[i])
//	}
func MulAdd(dst, a, b []float32) {
	for i := range dst {
		dst[i] = FMA32(a[i], b[i], dst[i])
	}
}
