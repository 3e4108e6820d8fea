package kernelbench

import (
	"fmt"

	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/internal/detrand"
)

// Shape is a workload: products that are run together.
type Shape struct {
	Name       string
	Form       kernel.Form
	M, N, K    int
	Products   int   // how many of this size, default 1
	Rows       []int // if set, one product for each, with so many rows (k if TN)
	Accumulate bool
}

// Training lists the products of a training step: a linear layer of several
// sizes, its gradients, and groups of experts.
func Training() []Shape {
	var ss []Shape
	for _, d := range [][3]int{{512, 512, 512}, {1024, 1024, 512}, {2048, 512, 2048}, {2048, 2048, 2048}} {
		t, out, in := d[0], d[1], d[2]
		size := fmt.Sprintf("tokens=%d/out=%d/in=%d", t, out, in)
		ss = append(ss,
			Shape{Name: "y/" + size, Form: kernel.NT, M: t, N: out, K: in},
			Shape{Name: "dx/" + size, Form: kernel.NN, M: t, N: in, K: out},
			Shape{Name: "dw/" + size, Form: kernel.TN, M: out, N: in, K: t, Accumulate: true})
	}
	rows := []int{0, 7, 310, 64, 129, 96, 33, 201, 148, 12, 90, 260, 55, 175, 118, 350}
	const hidden, dim = 512, 1024
	size := fmt.Sprintf("experts=%d/tokens=%d/out=%d/in=%d", len(rows), sum(rows), hidden, dim)
	return append(ss,
		Shape{Name: "y/" + size, Form: kernel.NT, Rows: rows, N: hidden, K: dim},
		Shape{Name: "dx/" + size, Form: kernel.NN, Rows: rows, N: dim, K: hidden},
		Shape{Name: "dw/" + size, Form: kernel.TN, Rows: rows, M: hidden, N: dim, Accumulate: true})
}

// Skinny lists products with one short side: decoding, few tokens per expert,
// attention scores, the map of the residual streams.
func Skinny() []Shape {
	few := make([]int, 64)
	for i := range few {
		few[i] = i % 17
	}
	return []Shape{
		{Name: "decode/tokens=1", Form: kernel.NT, M: 1, N: 2048, K: 2048},
		{Name: "decode/tokens=4", Form: kernel.NT, M: 4, N: 2048, K: 2048},
		{Name: "decode/tokens=16", Form: kernel.NT, M: 16, N: 2048, K: 2048},
		{Name: "streams/y", Form: kernel.NT, M: 1024, N: 24, K: 2048},
		{Name: "streams/dx", Form: kernel.NN, M: 1024, N: 2048, K: 24},
		{Name: "streams/dw", Form: kernel.TN, M: 24, N: 2048, K: 1024, Accumulate: true},
		{Name: "scores", Form: kernel.NT, M: 512, N: 512, K: 64, Products: 8},
		{Name: "values", Form: kernel.NN, M: 512, N: 64, K: 512, Products: 8},
		{Name: "few/y", Form: kernel.NT, Rows: few, N: 512, K: 512},
		{Name: "few/dx", Form: kernel.NN, Rows: few, N: 512, K: 512},
		{Name: "few/dw", Form: kernel.TN, Rows: few, M: 512, N: 512, Accumulate: true},
		{Name: "tiny", Form: kernel.NT, M: 8, N: 32, K: 32},
	}
}

// products allocates the shape's operands and returns its products and their
// multiply-adds.
func (s *Shape) products() (ps []kernel.Product, work float64) {
	rows := s.Rows
	if rows == nil {
		n := s.M
		if s.Form == kernel.TN {
			n = s.K
		}
		for range max(1, s.Products) {
			rows = append(rows, n)
		}
	}
	for i, n := range rows {
		m, k := n, s.K
		if s.Form == kernel.TN {
			m, k = s.M, n
		}
		p := kernel.Product{Form: s.Form, Out: matrix(m, s.N, -1), Accumulate: s.Accumulate}
		switch s.Form {
		case kernel.NT:
			p.A, p.B = matrix(m, k, i), matrix(s.N, k, i)
		case kernel.NN:
			p.A, p.B = matrix(m, k, i), matrix(k, s.N, i)
		case kernel.TN:
			p.A, p.B = matrix(k, m, i), matrix(k, s.N, i)
		}
		ps = append(ps, p)
		work += float64(m * s.N * k)
	}
	return ps, work
}

// matrix returns a matrix of values in (-1, 1) keyed by i, or of zeros if i
// is negative.
func matrix(rows, cols, i int) kernel.Mat {
	data := make([]float32, rows*cols)
	if i >= 0 {
		s := detrand.Key(uint64(i), "kernelbench")
		for j := range data {
			data[j] = float32(int32(s.Uint64At(uint64(j/2))>>(32*(j&1)))) * 0x1p-31
		}
	}
	return kernel.MatOf(data, rows, cols)
}

func sum(xs []int) (n int) {
	for _, x := range xs {
		n += x
	}
	return n
}
