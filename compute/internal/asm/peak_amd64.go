//go:build amd64 && !noasm

package asm

// Peak does rounds rounds of independent fused multiply-adds in registers, at
// level l, and returns how many floating-point operations that were.
func Peak(l Level, rounds int) int {
	switch l {
	case AVX512:
		peakAVX512(rounds)
		return rounds * 24 * 16 * 2
	case AVX2:
		peakAVX2(rounds)
		return rounds * 12 * 8 * 2
	}
	peakGo(rounds)
	return rounds * peakGoChains * 2
}
