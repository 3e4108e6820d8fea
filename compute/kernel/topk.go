package kernel

import "math"

// TopK writes the positions of the k largest scores to index, ascending, and
// returns how many it wrote, the smaller of k and len(scores). Of equal scores
// the one with the lower position is larger; +0 and -0 are equal. NaN compares
// above everything, so that it is never hidden by being left out.
func TopK(index []int32, scores []float32, k int) int {
	if k >= len(scores) {
		for i := range scores {
			index[i] = int32(i)
		}
		return len(scores)
	}
	if k <= 0 {
		return 0
	}
	bound, ties := kthKey(scores, k)
	n := 0
	for i, s := range scores {
		key := sortKey(s)
		if key > bound || key == bound && ties > 0 {
			if key == bound {
				ties--
			}
			index[n] = int32(i)
			n++
		}
	}
	return n
}

// kthKey returns the k-th largest key and how many scores with exactly that
// key are among the k largest. It narrows the key down 8 bits at a time.
func kthKey(scores []float32, k int) (bound uint32, ties int) {
	mask := uint32(0)
	for shift := 24; shift >= 0; shift -= 8 {
		var count [256]int
		for _, s := range scores {
			if key := sortKey(s); key&mask == bound {
				count[key>>shift&0xff]++
			}
		}
		digit := 255
		for k > count[digit] {
			k -= count[digit]
			digit--
		}
		bound |= uint32(digit) << shift
		mask |= 0xff << shift
	}
	return bound, k
}

// sortKey maps floats to integers of the same order.
func sortKey(x float32) uint32 {
	if x != x {
		return math.MaxUint32
	}
	b := math.Float32bits(x + 0) // -0 becomes +0
	if b>>31 != 0 {
		return ^b
	}
	return b | 1<<31
}
