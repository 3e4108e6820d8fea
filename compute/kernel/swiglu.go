package kernel

import "math"

// swigluRow returns the weight of row r, 1 without weights.
func swigluRow(weight []float32, r int) float32 {
	if weight == nil {
		return 1
	}
	return weight[r]
}

// swigluLimit makes "no limit" the limit that clamps nothing.
func swigluLimit(limit float32) float32 {
	if limit > 0 {
		return limit
	}
	return float32(math.Inf(1))
}

// SwiGLU sets h = (weight[row] * silu(min(g, limit))) * clamp(u, -limit, limit)
// over rows of f elements. weight nil means 1; a limit of 0 or less, none.
func SwiGLU(h, g, u, weight []float32, rows, f int, limit float32) {
	wantLen("SwiGLU", "h", len(h), rows*f)
	wantLen("SwiGLU", "g", len(g), rows*f)
	wantLen("SwiGLU", "u", len(u), rows*f)
	if weight != nil {
		wantLen("SwiGLU", "weight", len(weight), rows)
	}
	limit = swigluLimit(limit)
	o := ops()
	eachRow(rows, f, func(r, at, to int) {
		o.swiGLU(h[at:to], g[at:to], u[at:to], swigluRow(weight, r), limit)
	})
}

// SwiGLUBackward overwrites dg, du and dweight with the gradients of SwiGLU's
// inputs, given dh. A clamped input has gradient 0. dweight nil is skipped. dg
// may be g or dh, du may be u.
func SwiGLUBackward(dg, du, dweight, dh, g, u, weight []float32, rows, f int, limit float32) {
	wantLen("SwiGLUBackward", "dg", len(dg), rows*f)
	wantLen("SwiGLUBackward", "du", len(du), rows*f)
	wantLen("SwiGLUBackward", "dh", len(dh), rows*f)
	wantLen("SwiGLUBackward", "g", len(g), rows*f)
	wantLen("SwiGLUBackward", "u", len(u), rows*f)
	if weight != nil {
		wantLen("SwiGLUBackward", "weight", len(weight), rows)
	}
	if dweight != nil {
		wantLen("SwiGLUBackward", "dweight", len(dweight), rows)
	}
	limit = swigluLimit(limit)
	o := ops()
	eachRow(rows, f, func(r, at, to int) {
		d := o.swiGLUBack(dg[at:to], du[at:to], dh[at:to], g[at:to], u[at:to], swigluRow(weight, r), limit)
		if dweight != nil {
			dweight[r] = d
		}
	})
}
