package kerneltest

import "github.com/temper-ml/temper/compute/kernel"

// RowKernels lists every elementwise and row kernel.
func RowKernels() []RowKernel {
	var ks []RowKernel
	for _, l := range [][]RowKernel{mapKernels(), reduceKernels(), layerKernels(), softmaxKernels(), divergenceKernels(), indexKernels(), streamKernels(), formatKernels()} {
		ks = append(ks, l...)
	}
	return ks
}

func mapKernels() []RowKernel {
	ks := []RowKernel{
		{"Add", func(d *Draw) func() {
			n := d.Flat()
			dst, a, b := d.Buf(n, 1), d.Buf(n, 1), d.Buf(n, 1)
			return func() { kernel.Add(dst, a, b) }
		}},
		{"AddTo", func(d *Draw) func() {
			n := d.Flat()
			dst, a := d.Buf(n, 1), d.Buf(n, 1)
			return func() { kernel.AddTo(dst, a) }
		}},
		{"Mul", func(d *Draw) func() {
			n := d.Flat()
			dst, a, b := d.Buf(n, 1), d.Buf(n, 1), d.Buf(n, 1)
			return func() { kernel.Mul(dst, a, b) }
		}},
		{"MulAdd", func(d *Draw) func() {
			n := d.Flat()
			dst, a, b := d.Buf(n, 1), d.Buf(n, 1), d.Buf(n, 1)
			return func() { kernel.MulAdd(dst, a, b) }
		}},
		{"Axpy", func(d *Draw) func() {
			n := d.Flat()
			dst, x, s := d.Buf(n, 1), d.Buf(n, 1), d.Buf(1, 3)
			return func() { kernel.Axpy(dst, s[0], x) }
		}},
		{"Scale", func(d *Draw) func() {
			dst, s := d.Buf(d.Flat(), 1), d.Buf(1, 3)
			return func() { kernel.Scale(dst, s[0]) }
		}},
		{"Zero", func(d *Draw) func() {
			dst := d.Buf(d.Flat(), 1)
			return func() { kernel.Zero(dst) }
		}},
		{"AdamW", func(d *Draw) func() {
			n := d.Flat()
			p, g, m, v := d.Buf(n, 1), d.Buf(n, 1), d.Buf(n, 1), d.Positive(n, 0, 1)
			return func() { kernel.AdamW(p, g, m, v, 1e-3, .9, .95, 1e-20, .1, .271, .142625, .75) }
		}},
		{"SqrtSoftplusBackward", func(d *Draw) func() {
			n := d.Flat()
			dx, dy, x, y := d.Buf(n, 1), d.Buf(n, 1), d.Buf(n, 90), d.Buf(n, 1)
			return func() {
				kernel.SqrtSoftplus(y, x)
				kernel.SqrtSoftplusBackward(dx, dy, x, y)
			}
		}},
	}
	for _, f := range []struct {
		name string
		run  func(dst, src []float32)
	}{
		{"Exp", kernel.Exp},
		{"Log", kernel.Log},
		{"Sigmoid", kernel.Sigmoid},
		{"Silu", kernel.Silu},
		{"Softplus", kernel.Softplus},
		{"SqrtSoftplus", kernel.SqrtSoftplus},
	} {
		ks = append(ks, RowKernel{f.name, func(d *Draw) func() {
			n := d.Flat()
			dst, src := d.Buf(n, 1), d.Buf(n, 100)
			return func() { f.run(dst, src) }
		}})
	}
	return ks
}

func reduceKernels() []RowKernel {
	number := func(f func(a, b []float32) float32) func(d *Draw) func() {
		return func(d *Draw) func() {
			n := d.Size()
			out, a, b := d.Buf(1, 1), d.Buf(n, 1), d.Buf(n, 1)
			return func() { out[0] = f(a, b) }
		}
	}
	one := func(f func(a []float32) float32) func(d *Draw) func() {
		return number(func(a, _ []float32) float32 { return f(a) })
	}
	rows := func(f func(s, a, b []float32, rows, dim int)) func(d *Draw) func() {
		return func(d *Draw) func() {
			dim := d.Size()
			n := d.Rows(dim)
			s, a, b := d.Buf(n, 2), d.Buf(n*dim, 1), d.Buf(n*dim, 1)
			return func() { f(s, a, b, n, dim) }
		}
	}
	return []RowKernel{
		{"Dot", number(kernel.Dot)},
		{"Sum", one(kernel.Sum)},
		{"SumSquares", one(kernel.SumSquares)},
		{"MaxAbs", one(kernel.MaxAbs)},
		{"FirstNonFinite", func(d *Draw) func() {
			a, out := d.Buf(d.Flat(), 1), d.Buf(1, 1)
			return func() { out[0] = float32(kernel.FirstNonFinite(a)) }
		}},
		{"SumSquares64", func(d *Draw) func() {
			a, out := d.Buf(d.Flat(), 1), d.Buf(2, 1)
			return func() {
				s := kernel.SumSquares64(a)
				out[0] = float32(s)
				out[1] = float32(s - float64(out[0]))
			}
		}},
		{"DotRows", rows(kernel.DotRows)},
		{"ScaleRows", rows(func(s, a, _ []float32, n, dim int) { kernel.ScaleRows(a, s, n, dim) })},
		{"AxpyRows", rows(func(s, a, b []float32, n, dim int) { kernel.AxpyRows(a, s, b, n, dim) })},
		{"RowRMS", rows(func(s, a, _ []float32, n, dim int) { kernel.RowRMS(s, a, n, dim, 1e-6) })},
	}
}

func layerKernels() []RowKernel {
	norm := func(weights, dws bool) func(d *Draw) func() {
		return func(d *Draw) func() {
			dim := d.Size()
			n := d.Rows(dim)
			y, x, dx, dy := d.Buf(n*dim, 1), d.Buf(n*dim, 1), d.Buf(n*dim, 1), d.Buf(n*dim, 1)
			rstd := d.Buf(n, 1)
			var w, dw []float32
			if weights {
				w = d.Buf(dim, 2)
			}
			if dws {
				dw = d.Buf(dim, 1)
			}
			return func() {
				kernel.RMSNorm(y, rstd, x, w, n, dim, 1e-6)
				kernel.RMSNormBackward(dx, dw, dy, x, w, rstd, n, dim)
			}
		}
	}
	swiglu := func(weighted bool, limit float32) func(d *Draw) func() {
		return func(d *Draw) func() {
			f := d.Size()
			n := d.Rows(f)
			h, g, u, dh := d.Buf(n*f, 1), d.Buf(n*f, 12), d.Buf(n*f, 12), d.Buf(n*f, 1)
			dg, du := d.Buf(n*f, 1), d.Buf(n*f, 1)
			var w, dw []float32
			if weighted {
				w, dw = d.Buf(n, 1), d.Buf(n, 1)
			}
			return func() {
				kernel.SwiGLU(h, g, u, w, n, f, limit)
				kernel.SwiGLUBackward(dg, du, dw, dh, g, u, w, n, f, limit)
			}
		}
	}
	rope := func(inverse bool) func(d *Draw) func() {
		return func(d *Draw) func() {
			nf := []int{0, 1, 4, 8, 16, 32, 5}[d.next()%7]
			heads, dim := 1+int(d.next()%3), 2*nf+int(d.next()%20)
			n := d.Rows(heads * dim)
			x, cos, sin := d.Buf(n*heads*dim, 1), d.Buf(n*nf, 1), d.Buf(n*nf, 1)
			return func() { kernel.Rope(x, n, heads, dim, cos, sin, inverse) }
		}
	}
	return []RowKernel{
		{"RMSNorm", norm(true, true)},
		{"RMSNorm without weights", norm(false, false)},
		{"RMSNorm with frozen weights", norm(true, false)},
		{"SwiGLU", swiglu(true, 10)},
		{"SwiGLU without weights", swiglu(false, 10)},
		{"SwiGLU without limit", swiglu(true, 0)},
		{"Rope", rope(false)},
		{"Rope back", rope(true)},
		{"Hadamard", func(d *Draw) func() {
			dim := 1 << (d.next() % 9)
			n := d.Rows(dim)
			x := d.Buf(n*dim, 1)
			return func() { kernel.Hadamard(x, n, dim) }
		}},
	}
}

func softmaxKernels() []RowKernel {
	return []RowKernel{
		{"SoftmaxSink", func(d *Draw) func() {
			n := d.Size()
			p, s := d.Buf(n+3, 20), d.Buf(2, 5)
			return func() { s[0] = kernel.SoftmaxSink(p, n, s[1], .125) }
		}},
		{"SoftmaxRows", func(d *Draw) func() {
			dim := d.Size()
			n := d.Rows(dim)
			x, lse, dy, dx := d.Buf(n*dim, 20), d.Buf(n, 1), d.Buf(n*dim, 1), d.Buf(n*dim, 1)
			return func() {
				kernel.SoftmaxRows(x, lse, n, dim)
				kernel.SoftmaxRowsBackward(dx, dy, x, n, dim)
			}
		}},
		{"CrossEntropy", func(d *Draw) func() {
			dim := d.Size() + 1
			n := d.Rows(dim)
			loss, lse, x, coef := d.Buf(n, 1), d.Buf(n, 1), d.Buf(n*dim, 20), d.Buf(n, 1)
			labels := d.Index(n, -1, dim)
			return func() { kernel.CrossEntropy(loss, lse, x, labels, coef, n, dim) }
		}},
		{"ReverseKL", func(d *Draw) func() {
			dim := d.Size() + 1
			n := d.Rows(dim)
			kl, x, y, coef := d.Buf(n, 1), d.Buf(n*dim, 20), d.Buf(n*dim, 20), d.Buf(n, 1)
			return func() { kernel.ReverseKL(kl, x, y, coef, n, dim) }
		}},
		{"CrossEntropyForward", func(d *Draw) func() {
			dim := d.Size() + 1
			n := d.Rows(dim)
			logp, lse, x := d.Buf(n, 1), d.Buf(n, 1), d.Buf(n*dim, 20)
			labels := d.Index(n, -1, dim)
			return func() { kernel.CrossEntropyForward(logp, lse, x, labels, n, dim) }
		}},
	}
}

func indexKernels() []RowKernel {
	return []RowKernel{
		{"GatherRows", func(d *Draw) func() {
			dim := d.Size() + 1
			n := d.Rows(dim)
			dst, src, idx := d.Buf(n*dim, 1), d.Buf(7*dim, 1), d.Index(n, -1, 7)
			return func() { kernel.GatherRows(dst, src, idx, dim) }
		}},
		{"ScatterRows", func(d *Draw) func() {
			dim := d.Size() + 1
			n := d.Rows(dim)
			dst, src, idx := d.Buf((n+1)*dim, 1), d.Buf(n*dim, 1), make([]int32, n)
			for i, p := range d.stream.Permutation(n) {
				idx[i] = int32(p)
			}
			return func() { kernel.ScatterRows(dst, src, idx, dim) }
		}},
		{"ScatterAddRows", func(d *Draw) func() {
			dim := d.Size() + 1
			n := d.Rows(dim)
			dst, src, idx := d.Buf(33*dim, 1), d.Buf(n*dim, 1), d.Index(n, -1, 33)
			return func() { kernel.EmbeddingBackward(dst, src, idx, dim) }
		}},
		{"CombineRows", func(d *Draw) func() {
			dim, k := d.Size()+1, 1+int(d.next()%6)
			n := d.Rows(dim)
			dst, src, idx := d.Buf(n*dim, 1), d.Buf(9*dim, 1), d.Index(n*k, -1, 9)
			return func() { kernel.CombineRows(dst, src, idx, k, dim) }
		}},
	}
}

func streamKernels() []RowKernel {
	hcMap := func(back bool) func(d *Draw) func() {
		return func(d *Draw) func() {
			T, iters := d.Size(), 1+int(d.next()%20)
			if d.Large {
				T += 40
			}
			m, scale, base := d.Buf(T*24, 3), d.Buf(3, 1), d.Buf(24, 1)
			pre, post, comb := d.Buf(T*4, 1), d.Buf(T*4, 1), d.Buf(T*16, 1)
			if !back {
				return func() { kernel.HCMap(pre, post, comb, m, scale, base, T, iters, 1e-6) }
			}
			dm, dscale, dbase := d.Buf(T*24, 1), d.Buf(3, 1), d.Buf(24, 1)
			return func() {
				kernel.HCMapBackward(dm, dscale, dbase, pre, post, comb, m, scale, base, T, iters, 1e-6)
			}
		}
	}
	return []RowKernel{
		{"HCMap", hcMap(false)},
		{"HCMapBackward", hcMap(true)},
		{"HCPre", func(d *Draw) func() {
			D := d.Size()
			T := d.Rows(4 * D)
			a, x, pre := d.Buf(T*D, 1), d.Buf(T*4*D, 1), d.Buf(T*4, 1)
			dx, dpre, da := d.Buf(T*4*D, 1), d.Buf(T*4, 1), d.Buf(T*D, 1)
			return func() {
				kernel.HCPre(a, x, pre, T, D)
				kernel.HCPreBackward(dx, dpre, da, x, pre, T, D)
			}
		}},
		{"HCPost", func(d *Draw) func() {
			D := d.Size()
			T := d.Rows(4 * D)
			y, x, f, post, comb := d.Buf(T*4*D, 1), d.Buf(T*4*D, 1), d.Buf(T*D, 1), d.Buf(T*4, 1), d.Buf(T*16, 1)
			dx, df, dpost, dcomb, dy := d.Buf(T*4*D, 1), d.Buf(T*D, 1), d.Buf(T*4, 1), d.Buf(T*16, 1), d.Buf(T*4*D, 1)
			return func() {
				kernel.HCPost(y, x, f, post, comb, T, D)
				kernel.HCPostBackward(dx, df, dpost, dcomb, dy, x, f, post, comb, T, D)
			}
		}},
	}
}

func formatKernels() []RowKernel {
	quant := func(group int, f func(x []float32, group int)) func(d *Draw) func() {
		return func(d *Draw) func() {
			x := d.Buf(d.Flat(), 300)
			return func() { f(x, group) }
		}
	}
	return []RowKernel{
		{"FakeQuantFP8", quant(64, kernel.FakeQuantFP8)},
		{"FakeQuantFP8 odd", quant(19, kernel.FakeQuantFP8)},
		{"FakeQuantFP4", quant(32, kernel.FakeQuantFP4)},
		{"RoundBF16", func(d *Draw) func() {
			x := d.Buf(d.Flat(), 1)
			return func() { kernel.RoundBF16(x) }
		}},
	}
}
