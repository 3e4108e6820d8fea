package attention_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/nn"
)

// BenchmarkSparse runs the sublayer of the benchmark model, each kind forward
// and backward, on four sequences of 512 tokens.
func BenchmarkSparse(b *testing.B) {
	for _, ratio := range []int{0, 4, 32} {
		c, err := arch.Builtin("bench-v4")
		if err != nil {
			b.Fatal(err)
		}
		c.CompressRatios = []int{ratio, ratio, ratio, ratio, ratio, ratio, ratio, ratio, 0}
		l := sparse(b, c, layerParams(c), weights{})
		segs, T := segments(512, 512, 512, 512)
		x, dout := randoms(1, "x", T*c.HiddenSize), randoms(2, "dout", T*c.HiddenSize)
		out, dx := make([]float32, T*c.HiddenSize), make([]float32, T*c.HiddenSize)
		p := &nn.Pass{Arena: nn.NewArena(), Tokens: make([]int32, T), Segments: segs, IndexerScale: 1}
		b.Run(fmt.Sprintf("ratio=%d/forward", ratio), func(b *testing.B) {
			for b.Loop() {
				m := p.Arena.Mark()
				l.Forward(out, x, p)
				p.Arena.Release(m)
			}
		})
		b.Run(fmt.Sprintf("ratio=%d/both", ratio), func(b *testing.B) {
			for b.Loop() {
				m := p.Arena.Mark()
				l.Forward(out, x, p)
				l.Backward(dx, dout, x, p)
				p.Arena.Release(m)
			}
		})
	}
}

// BenchmarkPeak is the product whose speed the layers' can be held against.
func BenchmarkPeak(b *testing.B) {
	const n = 512
	x, w, y := randoms(1, "x", 4*n*n), randoms(2, "w", n*n), make([]float32, 4*n*n)
	for b.Loop() {
		kernel.MatMul(kernel.MatOf(y, 4*n, n), kernel.MatOf(x, 4*n, n), kernel.MatOf(w, n, n))
	}
	b.ReportMetric(float64(b.N)*8*n*n*n/b.Elapsed().Seconds()/1e9, "GFLOP/s")
}

// layerParams draws the parameters of layer 0's attention only.
func layerParams(c *arch.Config) map[string][]float64 {
	params := map[string][]float64{}
	for _, t := range c.Tensors() {
		if !strings.HasPrefix(t.Name, prefix) {
			continue
		}
		params[t.Name] = wide(randoms(7, t.Name, t.Len()))
		for i := range params[t.Name] {
			if len(t.Shape) > 1 {
				params[t.Name][i] *= 0.05
			}
		}
	}
	return params
}
