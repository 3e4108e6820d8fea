package scheduletest

import "math/bits"

// num is an integer modulo 2^61-1, a prime.
type num uint64

const prime = 1<<61 - 1

func (a num) add(b num) num {
	s := a + b
	if s >= prime {
		s -= prime
	}
	return s
}

func (a num) sub(b num) num { return a.add(prime - b) }

func (a num) mul(b num) num {
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	s := num(lo&prime) + num(hi<<3|lo>>61)
	if s >= prime {
		s -= prime
	}
	return s
}

// draw returns a number that depends on all of its arguments.
func draw(args ...int) num {
	h := uint64(0x9e3779b97f4a7c15)
	for _, a := range args {
		h ^= uint64(a)
		h *= 0xbf58476d1ce4e5b9
		h ^= h >> 31
		h *= 0x94d049bb133111eb
		h ^= h >> 29
	}
	return num(h % prime)
}

// addTo adds b to a, number by number.
func addTo(a, b []num) {
	for i, v := range b {
		a[i] = a[i].add(v)
	}
}
