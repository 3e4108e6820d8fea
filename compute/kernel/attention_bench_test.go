package kernel

import (
	"fmt"
	"testing"
)

// BenchmarkAttention runs forward and backward on four segments of 512 tokens
// with blocks of various sizes.
func BenchmarkAttention(b *testing.B) {
	for _, k := range []struct{ window, ratio, topK int }{{128, 0, 0}, {128, 4, 64}, {128, 32, 0}} {
		for _, rows := range []int{64, 128, 256, 512} {
			c := newAttentionCase(1, 8, 64, k.window, k.ratio, k.topK, 512, 512, 512, 512)
			c.a.blockRows = rows
			h := c.heads(&attentionResult{})
			forward, backward := make([]float32, c.a.Scratch(h, false)), make([]float32, c.a.Scratch(h, true))
			b.Run(fmt.Sprintf("ratio=%d/rows=%d/forward", k.ratio, rows), func(b *testing.B) {
				for b.Loop() {
					c.a.Forward(h, forward)
				}
			})
			clear(h[0].Delta)
			b.Run(fmt.Sprintf("ratio=%d/rows=%d/backward", k.ratio, rows), func(b *testing.B) {
				for b.Loop() {
					c.a.Backward(h, backward)
				}
			})
		}
	}
}
