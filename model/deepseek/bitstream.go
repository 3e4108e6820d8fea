package deepseek

import "math/bits"

// bitWriter appends bits to bytes, the low bits of a byte first.
type bitWriter struct {
	b   []byte
	acc uint64
	n   uint // bits of acc, fewer than 8 between calls
}

// put appends the low n bits of v, n at most 56.
func (w *bitWriter) put(v uint64, n uint) {
	w.acc |= v << w.n
	w.n += n
	for ; w.n >= 8; w.n -= 8 {
		w.b = append(w.b, byte(w.acc))
		w.acc >>= 8
	}
}

// wide appends the low n bits of v, n at most 64.
func (w *bitWriter) wide(v uint64, n uint) {
	if n > 32 {
		w.put(v&(1<<32-1), 32)
		v, n = v>>32, n-32
	}
	w.put(v, n)
}

// unary appends n ones and a zero.
func (w *bitWriter) unary(n int) {
	for ; n >= 32; n -= 32 {
		w.put(1<<32-1, 32)
	}
	w.put(1<<uint(n)-1, uint(n)+1)
}

// align fills the last byte with zeros.
func (w *bitWriter) align() {
	if w.n > 0 {
		w.put(0, 8-w.n)
	}
}

// bitReader reads what a bitWriter wrote. After the end it reads zeros and is short.
type bitReader struct {
	b     []byte
	acc   uint64
	n     uint
	short bool
}

// fill makes at least n bits available, n at most 56.
func (r *bitReader) fill(n uint) {
	for r.n < n {
		if len(r.b) == 0 {
			r.short = true
			r.n = n
			return
		}
		r.acc |= uint64(r.b[0]) << r.n
		r.b = r.b[1:]
		r.n += 8
	}
}

// take reads n bits, n at most 56.
func (r *bitReader) take(n uint) uint64 {
	r.fill(n)
	v := r.acc & (1<<n - 1)
	r.acc >>= n
	r.n -= n
	return v
}

// wide reads n bits, n at most 64.
func (r *bitReader) wide(n uint) uint64 {
	if n <= 32 {
		return r.take(n)
	}
	low := r.take(32)
	return low | r.take(n-32)<<32
}

// unary counts ones before a zero; more than most are as good as none.
func (r *bitReader) unary(most int) int {
	n := 0
	for {
		r.fill(1)
		ones := min(bits.TrailingZeros64(^r.acc), int(r.n))
		n += ones
		r.acc >>= uint(ones)
		r.n -= uint(ones)
		if r.n > 0 || r.short || n > most {
			break
		}
	}
	r.take(1)
	return n
}

// align skips to the next byte and tells whether the bits on the way are zeros.
func (r *bitReader) align() bool { return r.take(r.n%8) == 0 }

// rest returns how many bits are left.
func (r *bitReader) rest() int { return 8*len(r.b) + int(r.n) }

// riceParameter is the number of low bits of gaps that are written as they are, for a
// list of n numbers below u.
func riceParameter(n, u int) uint {
	if n == 0 {
		return 0
	}
	const log2 = 693 // thousandths
	return uint(bits.Len64(uint64(u-n) * log2 / uint64(1000*n)))
}

// riceBits returns what [bitWriter.list] writes.
func riceBits(list []int32, u int) int {
	r, last := riceParameter(len(list), u), int32(-1)
	n := len(list) * int(1+r)
	for _, x := range list {
		n += int(x-last-1) >> r
		last = x
	}
	return n
}

// list appends ascending numbers below u, as gaps in Rice's code. Their count is known
// to the reader.
func (w *bitWriter) list(list []int32, u int) {
	r, last := riceParameter(len(list), u), int32(-1)
	for _, x := range list {
		gap := uint64(x - last - 1)
		w.unary(int(gap >> r))
		w.put(gap&(1<<r-1), r)
		last = x
	}
}

// list reads n ascending numbers below u into out[:0]. It tells whether they are.
func (r *bitReader) list(out []int32, n, u int) ([]int32, bool) {
	p, last := riceParameter(n, u), -1
	out = out[:0]
	for range n {
		high := r.unary(u >> p)
		last += 1 + (high<<p | int(r.take(p)))
		if last >= u || high > u>>p || r.short {
			return out, false
		}
		out = append(out, int32(last))
	}
	return out, true
}

// gammaBits returns what [bitWriter.gamma] writes.
func gammaBits(n int) int { return 2*bits.Len(uint(n+1)) - 1 }

// gamma appends a number in Elias' gamma code.
func (w *bitWriter) gamma(n int) {
	size := bits.Len(uint(n + 1))
	w.unary(size - 1)
	w.put(uint64(n+1)&(1<<(size-1)-1), uint(size-1))
}

// gamma reads a number; it is more than most if there is none up to most.
func (r *bitReader) gamma(most int) int {
	size := r.unary(32)
	if size > 31 {
		return most + 1
	}
	return int(1<<size|r.take(uint(size))) - 1
}
