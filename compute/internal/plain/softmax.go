package plain

// ExpSum overwrites x with exponentials and returns their sum:
//
//	for i := range x {
//		x[i] = ExpF(x[i] - m)
//		lane[i%16] += x[i]
//	}
//	return tree(lane)
func ExpSum(x []float32, m float32) float32 {
	var l [Lanes]float32
	for i, v := range x {
		e := ExpF(v - m)
		x[i] = e
		l[i%Lanes] += e
	}
	pad(&l, len(x))
	return tree(&l)
}

// SumExp is the sum that ExpSum returns, with x left as it is.
func SumExp(x []float32, m float32) float32 {
	var l [Lanes]float32
	for i, v := range x {
		l[i%Lanes] += ExpF(v - m)
	}
	pad(&l, len(x))
	return tree(&l)
}

// SoftmaxDX is
//
//	s := Dot(dy, p)
//	for i := range dx {
//		dx[i] = p[i] * float32(dy[i]-s)
//	}
func SoftmaxDX(dx, dy, p []float32) {
	s := Dot(dy, p)
	for i := range dx {
		dx[i] = p[i] * float32(dy[i]-s)
	}
}
