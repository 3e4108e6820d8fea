//go:build noasm || !(amd64 || arm64)

package asm

// Peak does rounds rounds of independent fused multiply-adds, at level l, and
// returns how many floating-point operations that were.
func Peak(l Level, rounds int) int {
	peakGo(rounds)
	return rounds * peakGoChains * 2
}
