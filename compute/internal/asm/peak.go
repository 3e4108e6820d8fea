package asm

import "runtime"

// PeakFLOPs returns how many floating-point operations one round of Peak does
// at level l.
func PeakFLOPs(l Level) int { return 2 * 8 }

// Peak does rounds rounds of independent fused multiply-adds at level l.
func Peak(l Level, rounds int) { peakGo(rounds) }

func peakGo(rounds int) {
	var acc [8]float32
	for range rounds {
		for i, a := range acc {
			acc[i] = FMA32(a, 0.5, 1)
		}
	}
	runtime.KeepAlive(acc)
}
