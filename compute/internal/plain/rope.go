package plain

// Rope rotates the interleaved pairs of x, len(x) = 2*len(cos), with sign +1,
// or back with sign -1:
//
//	for i := range cos {
//		a, b := x[2*i], x[2*i+1]
//		s := sign * sin[i]
//		x[2*i] = FMA32(b, -s, float32(a*cos[i]))
//		x[2*i+1] = FMA32(a, s, float32(b*cos[i]))
//	}
func Rope(x, cos, sin []float32, sign float32) {
	for i, c := range cos {
		a, b := x[2*i], x[2*i+1]
		s := sign * sin[i]
		x[2*i] = FMA32(b, -s, float32(a*c))
		x[2*i+1] = FMA32(a, s, float32(b*c))
	}
}

// Hadamard multiplies x by the Hadamard matrix of order len(x), a power of
// two, and by scale:
//
//	for h := 1; h < len(x); h *= 2 {
//		for i := range x { // with i&h == 0
//			x[i], x[i+h] = x[i]+x[i+h], x[i]-x[i+h]
//		}
//	}
//	x *= scale
func Hadamard(x []float32, scale float32) {
	for h := 1; h < len(x); h *= 2 {
		for b := 0; b < len(x); b += 2 * h {
			for i := b; i < b+h; i++ {
				x[i], x[i+h] = x[i]+x[i+h], x[i]-x[i+h]
			}
		}
	}
	for i := range x {
		x[i] *= scale
	}
}
