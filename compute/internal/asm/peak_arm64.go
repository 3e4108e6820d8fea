//go:build arm64 && !noasm

package asm

// Peak does rounds rounds of independent fused multiply-adds in registers, at
// level l, and returns how many floating-point operations that were.
func Peak(l Level, rounds int) int {
	if l == NEON {
		peakNEON(rounds)
		return rounds * 24 * 4 * 2
	}
	peakGo(rounds)
	return rounds * peakGoChains * 2
}
