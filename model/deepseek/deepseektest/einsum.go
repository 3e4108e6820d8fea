package deepseektest

import (
	"fmt"
	"strings"
)

// Einsum contracts two tensors as a formula says, for example "td,nd->tn" for x wᵀ. Each letter is an axis; letters that do
// not appear after the arrow are summed. Every letter of an operand must appear in the result or in the other operand, which
// makes the derivative an Einsum again: dA = Einsum(result,B -> A).
func (t *Tape) Einsum(formula string, a, b *Tensor) *Tensor {
	in, out, ok := strings.Cut(formula, "->")
	sa, sb, ok2 := strings.Cut(in, ",")
	if !ok || !ok2 || len(sa) != len(a.Shape) || len(sb) != len(b.Shape) {
		panic(fmt.Sprintf("deepseektest: einsum %q on shapes %v and %v", formula, a.Shape, b.Shape))
	}
	size := axisSizes(formula, sa, a.Shape, sb, b.Shape)
	shape := make([]int, len(out))
	for i := range out {
		shape[i] = size[out[i]]
	}
	data := make([]float64, product(shape))
	contract(data, out, a.Data, sa, b.Data, sb, size)
	return t.node(shape, data, func(dy []float64) {
		if g := a.grad(); g != nil {
			contract(g, sa, dy, out, b.Data, sb, size)
		}
		if g := b.grad(); g != nil {
			contract(g, sb, dy, out, a.Data, sa, size)
		}
	}, a, b)
}

func axisSizes(formula, sa string, da []int, sb string, db []int) map[byte]int {
	size := map[byte]int{}
	note := func(s string, d []int) {
		for i := range s {
			if n, seen := size[s[i]]; seen && n != d[i] {
				panic(fmt.Sprintf("deepseektest: einsum %q: axis %c is %d and %d", formula, s[i], n, d[i]))
			}
			size[s[i]] = d[i]
		}
	}
	note(sa, da)
	note(sb, db)
	return size
}

// contract adds the contraction of a and b to out: plain nested loops over the axes of out, then over the summed axes.
func contract(out []float64, so string, a []float64, sa string, b []float64, sb string, size map[byte]int) {
	axes := []byte(so)
	for _, s := range []string{sa, sb} {
		for i := range s {
			if !strings.ContainsRune(string(axes), rune(s[i])) {
				axes = append(axes, s[i])
			}
		}
	}
	step := func(s string) []int {
		shape := make([]int, len(s))
		for i := range s {
			shape[i] = size[s[i]]
		}
		st, by := strides(shape), make([]int, len(axes))
		for i, ax := range axes {
			if j := strings.IndexByte(s, ax); j >= 0 {
				by[i] = st[j]
			}
		}
		return by
	}
	to, ta, tb := step(so), step(sa), step(sb)
	sizes := make([]int, len(axes))
	for i, ax := range axes {
		sizes[i] = size[ax]
	}
	inner := len(axes) - 1
	var loop func(depth, io, ia, ib int)
	loop = func(depth, io, ia, ib int) {
		n, do, da, db := sizes[depth], to[depth], ta[depth], tb[depth]
		if depth < inner {
			for range n {
				loop(depth+1, io, ia, ib)
				io, ia, ib = io+do, ia+da, ib+db
			}
			return
		}
		if do == 0 {
			acc := 0.0
			for range n {
				acc += float64(a[ia] * b[ib])
				ia, ib = ia+da, ib+db
			}
			out[io] += acc
			return
		}
		for range n {
			out[io] += float64(a[ia] * b[ib])
			io, ia, ib = io+do, ia+da, ib+db
		}
	}
	loop(0, 0, 0, 0)
}
