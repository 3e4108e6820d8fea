package main

// rowMaps makes the elementwise functions.
func rowMaps(r *row) {
	r.flat("Add", "is plain.Add.", "dst", "a b", "", func(in, _ []vec) []vec {
		return []vec{r.add(in[0], in[1])}
	})
	r.flat("Mul", "is plain.Mul.", "dst", "a b", "", func(in, _ []vec) []vec {
		return []vec{r.mul(in[0], in[1])}
	})
	r.flat("MulAdd", "is plain.MulAdd.", "dst", "dst a b", "", func(in, _ []vec) []vec {
		return []vec{r.fma(in[1], in[2], in[0])}
	})
	r.flat("Axpy", "is plain.Axpy with x before s.", "dst", "dst x", "s", func(in, s []vec) []vec {
		return []vec{r.fma(s[0], in[1], in[0])}
	})
	r.flat("Scale", "is plain.Scale.", "dst", "dst", "s", func(in, s []vec) []vec {
		return []vec{r.mul(in[0], s[0])}
	})
	r.flat("RoundBF16", "is plain.RoundBF16.", "x", "x", "", func(in, _ []vec) []vec {
		v := in[0]
		return []vec{r.and(r.roundBF16(v), r.bits(0xffff0000))}
	})
}

// roundBF16 returns bits whose upper halves are v rounded to bfloat16.
func (r *row) roundBF16(v vec) vec {
	odd := r.and(r.shr(v, 16), r.bits(1))
	b := r.addI(r.addI(v, r.bits(0x7fff)), odd)
	r.sel(b, r.or(v, r.bits(0x400000)), v, unordered, v)
	return b
}
