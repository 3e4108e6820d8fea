package asm

import "runtime"

// peakGo does rounds rounds of peakGoChains independent fused multiply-adds.
func peakGo(rounds int) {
	var acc [peakGoChains]float32
	for range rounds {
		for i, a := range acc {
			acc[i] = FMA32(a, 0.5, 1)
		}
	}
	runtime.KeepAlive(acc)
}

const peakGoChains = 8
