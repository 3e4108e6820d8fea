package kernel

import (
	"github.com/temper-ml/temper/compute/internal/plain"
	"github.com/temper-ml/temper/compute/internal/workers"
)

// Streams is the number of residual streams of a manifold-constrained
// hyper-connection: the S of x [T, S, D].
const Streams = plain.Streams

const (
	hcMaps  = 24          // numbers that a token's map is made of: 4 pre, 4 post, 16 comb
	hcLanes = plain.Lanes // tokens mapped at once
)

// HCMap turns m [T, 24] (already multiplied by the row's rstd) into the mixing
// weights pre [T, 4], post [T, 4] and comb [T, 4, 4]:
//
//	z = fma(m, scale[g], base), g = 0 for pre, 1 for post, 2 for comb
//	pre = sigmoid(z) + eps;  post = 2*sigmoid(z)
//	comb = softmax of each row of z + eps, then its columns normalised,
//	then iters-1 times its rows and its columns
//
// To normalise a row or column is to multiply it by 1/(sum+eps).
func HCMap(pre, post, comb, m, scale, base []float32, T, iters int, eps float32) {
	checkMap("HCMap", pre, post, comb, m, scale, base, T, iters)
	l := newLoop(ops())
	l.out, l.a, l.b, l.c, l.d, l.e, l.n, l.s = pre, post, comb, m, scale, base, iters, eps
	l.over(T, hcLanes, (*loop).hcMap)
}

// hcMap maps tokens [lo, hi).
func (l *loop) hcMap(lo, hi int) {
	w := hcWork.Get()
	defer hcWork.Put(w)
	for t := lo; t < hi; t += hcLanes {
		n := min(hcLanes, hi-t)
		w.in.load(l.c[t*hcMaps:], 0, hcMaps, n)
		l.ops.hcMap((*plain.Group)(&w.out), (*plain.Group)(&w.in), (*[3]float32)(l.d), (*[hcMaps]float32)(l.e), l.n, l.s)
		w.out.store(l.out[t*4:], 0, 4, n)
		w.out.store(l.a[t*4:], 4, 4, n)
		w.out.store(l.b[t*16:], 8, 16, n)
	}
}

// HCMapBackward sets dm to the gradient of HCMap's m and adds to dscale and
// dbase those of scale and base, tokens in order (a token's contribution to
// dscale is a chain over its numbers). The normalisations are computed again.
func HCMapBackward(dm, dscale, dbase, dpre, dpost, dcomb, m, scale, base []float32, T, iters int, eps float32) {
	checkMap("HCMapBackward", dpre, dpost, dcomb, m, scale, base, T, iters)
	wantLen("HCMapBackward", "dm", len(dm), T*hcMaps)
	wantLen("HCMapBackward", "dscale", len(dscale), 3)
	wantLen("HCMapBackward", "dbase", len(dbase), hcMaps)
	o := ops()
	Parallel(T, hcLanes, func(lo, hi int) {
		w := hcWork.Get()
		defer hcWork.Put(w)
		if len(w.steps) < 2*iters-1 {
			w.steps = make([]plain.HCStep, 2*iters-1)
		}
		for t := lo; t < hi; t += hcLanes {
			n := min(hcLanes, hi-t)
			w.in.load(m[t*hcMaps:], 0, hcMaps, n)
			w.dout.load(dpre[t*4:], 0, 4, n)
			w.dout.load(dpost[t*4:], 4, 4, n)
			w.dout.load(dcomb[t*16:], 8, 16, n)
			o.hcMapBack((*plain.Group)(&w.out), (*plain.Group)(&w.dout), (*plain.Group)(&w.in),
				(*[3]float32)(scale), (*[hcMaps]float32)(base), iters, eps, w.steps)
			w.out.store(dm[t*hcMaps:], 0, hcMaps, n)
		}
	})
	for t := 0; t < T; t++ {
		hcParams(dscale, dbase, dm[t*hcMaps:][:hcMaps], m[t*hcMaps:][:hcMaps], scale)
	}
}

// hcParams adds one token's gradient of z, in dz, to those of scale and base,
// and makes it the gradient of m.
func hcParams(dscale, dbase, dz, m, scale []float32) {
	for g, ends := range [3][2]int{{0, 4}, {4, 8}, {8, hcMaps}} {
		var s float32
		for i := ends[0]; i < ends[1]; i++ {
			dbase[i] += dz[i]
			s += float32(dz[i] * m[i])
			dz[i] *= scale[g]
		}
		dscale[g] += s
	}
}

func checkMap(op string, pre, post, comb, m, scale, base []float32, T, iters int) {
	wantLen(op, "pre", len(pre), T*4)
	wantLen(op, "post", len(post), T*4)
	wantLen(op, "comb", len(comb), T*16)
	wantLen(op, "m", len(m), T*hcMaps)
	wantLen(op, "scale", len(scale), 3)
	wantLen(op, "base", len(base), hcMaps)
	if iters < 1 {
		panicf("kernel: %s: iters must be at least 1, got %d", op, iters)
	}
}

// hcGroup is a plain.Group that tokens are moved into and out of.
type hcGroup plain.Group

// load puts n tokens' rows of width numbers in columns [at, at+width); lanes
// from n on are zero.
func (g *hcGroup) load(rows []float32, at, width, n int) {
	for i := 0; i < width; i++ {
		col := &g[at+i]
		for l := 0; l < n; l++ {
			col[l] = rows[l*width+i]
		}
		clear(col[n:])
	}
}

// store is the inverse of load.
func (g *hcGroup) store(rows []float32, at, width, n int) {
	for i := 0; i < width; i++ {
		for l := 0; l < n; l++ {
			rows[l*width+i] = g[at+i][l]
		}
	}
}

// hcScratch is what a thread maps sixteen tokens in.
type hcScratch struct {
	in, out, dout hcGroup
	steps         []plain.HCStep
}

var hcWork workers.Freelist[hcScratch]

// HCPre mixes the streams of x [T, S, D] into a sublayer's input a [T, D]:
// a = Σ_j pre[j]*x[j], fused in the order of j.
func HCPre(a, x, pre []float32, T, D int) {
	checkStreams("HCPre", x, a, T, D)
	wantLen("HCPre", "pre", len(pre), T*4)
	l := newLoop(ops())
	l.out, l.a, l.b, l.n = a, x, pre, D
	l.rows(T, 8*D, func(l *loop, t, _, _ int) {
		l.ops.hcPre(l.out[t*l.n:(t+1)*l.n], l.a[t*4*l.n:(t+1)*4*l.n], (*[4]float32)(l.b[t*4:]))
	})
}

// HCPreBackward adds pre[j]*da to dx and sets dpre[j] = Dot(da, x[j]).
func HCPreBackward(dx, dpre, da, x, pre []float32, T, D int) {
	checkStreams("HCPreBackward", x, da, T, D)
	wantLen("HCPreBackward", "dx", len(dx), T*4*D)
	wantLen("HCPreBackward", "dpre", len(dpre), T*4)
	wantLen("HCPreBackward", "pre", len(pre), T*4)
	o := ops()
	eachToken(T, D, func(t int) {
		at, to := t*4*D, (t+1)*4*D
		o.hcPreBack(dx[at:to], (*[4]float32)(dpre[t*4:]), da[t*D:t*D+D], x[at:to], (*[4]float32)(pre[t*4:]))
	})
}

// HCPost makes the next streams y [T, S, D] from x and the sublayer's output f
// [T, D]: y[k] = post[k]*f + Σ_j comb[j][k]*x[j], fused in that order.
func HCPost(y, x, f, post, comb []float32, T, D int) {
	checkStreams("HCPost", x, f, T, D)
	wantLen("HCPost", "y", len(y), T*4*D)
	wantLen("HCPost", "post", len(post), T*4)
	wantLen("HCPost", "comb", len(comb), T*16)
	l := newLoop(ops())
	l.out, l.a, l.b, l.c, l.d, l.n = y, x, f, post, comb, D
	l.rows(T, 8*D, func(l *loop, t, _, _ int) {
		at, to := t*4*l.n, (t+1)*4*l.n
		l.ops.hcPost(l.out[at:to], l.a[at:to], l.b[t*l.n:(t+1)*l.n], (*[4]float32)(l.c[t*4:]), (*[16]float32)(l.d[t*16:]))
	})
}

// HCPostBackward overwrites dx, df, dpost and dcomb with the gradients of
// HCPost's inputs, given dy [T, S, D]:
//
//	df = Σ_k post[k]*dy[k];  dx[j] = Σ_k comb[j][k]*dy[k]
//	dpost[k] = Dot(dy[k], f);  dcomb[j][k] = Dot(dy[k], x[j])
func HCPostBackward(dx, df, dpost, dcomb, dy, x, f, post, comb []float32, T, D int) {
	checkStreams("HCPostBackward", x, f, T, D)
	checkStreams("HCPostBackward", dx, df, T, D)
	wantLen("HCPostBackward", "dy", len(dy), T*4*D)
	for _, a := range [...]struct {
		name string
		have int
		per  int
	}{{"dpost", len(dpost), 4}, {"post", len(post), 4}, {"dcomb", len(dcomb), 16}, {"comb", len(comb), 16}} {
		wantLen("HCPostBackward", a.name, a.have, T*a.per)
	}
	o := ops()
	eachToken(T, D, func(t int) {
		at, to := t*4*D, (t+1)*4*D
		o.hcPostBack(dx[at:to], df[t*D:t*D+D], (*[4]float32)(dpost[t*4:]), (*[16]float32)(dcomb[t*16:]),
			dy[at:to], x[at:to], f[t*D:t*D+D], (*[4]float32)(post[t*4:]), (*[16]float32)(comb[t*16:]))
	})
}

func checkStreams(op string, x, row []float32, T, D int) {
	wantLen(op, "streams", len(x), T*4*D)
	wantLen(op, "row", len(row), T*D)
}

// eachToken runs f for each token over threads.
func eachToken(T, D int, f func(t int)) {
	eachRow(T, 8*D, func(t, _, _ int) { f(t) })
}
