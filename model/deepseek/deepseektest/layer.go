package deepseektest

// Linear is x wᵀ for x [T, in] and the named weight [out, in].
func (r *Reference) Linear(x *Tensor, name string, out int) *Tensor {
	return r.Tape.Einsum("ti,oi->to", x, r.weight(name, out, x.Dim(-1)))
}

// RMSNorm is w x / sqrt(mean(x²) + eps) over the last axis; an empty name means no weight.
func (r *Reference) RMSNorm(x *Tensor, name string) *Tensor {
	y := r.Tape.Mul(x, r.rms(x))
	if name == "" {
		return y
	}
	return r.Tape.Mul(y, r.weight(name, x.Dim(-1)))
}

// rms is 1/sqrt(mean(x²) + eps) over the last axis, which stays with size 1.
func (r *Reference) rms(x *Tensor) *Tensor {
	t := r.Tape
	mean := t.Scale(t.SumAxis(t.Mul(x, x), -1), 1/float64(x.Dim(-1)))
	return t.Rsqrt(t.Offset(mean, r.c.RMSNormEps))
}

// Embed looks up the rows of a table [V, d].
func (r *Reference) Embed(name string, tokens []int32) *Tensor {
	at := make([]int, len(tokens))
	for i, id := range tokens {
		at[i] = int(id)
	}
	return r.Tape.Take(r.weight(name, r.c.VocabSize, r.c.HiddenSize), 0, at)
}

// SwiGLU is w2(weight * silu(min(w1 x, limit)) * clamp(w3 x, ±limit)) with names w1, w3, w2; V3 has no limit; weight is [T, 1],
// nil for 1.
func (r *Reference) SwiGLU(x *Tensor, names [3]string, width int, weight *Tensor) *Tensor {
	t, limit := r.Tape, r.c.SwiGLULimit
	gate, up := r.Linear(x, names[0], width), r.Linear(x, names[1], width)
	if limit > 0 {
		gate, up = t.Clamp(gate, -infinity, limit), t.Clamp(up, -limit, limit)
	}
	h := t.Mul(t.Silu(gate), up)
	if weight != nil {
		h = t.Mul(h, weight)
	}
	return r.Linear(h, names[2], x.Dim(-1))
}

// crossEntropy is log sum exp(z) - z[label] for the rows with a label >= 0, as [n, 1], and those rows' indices. It is nil
// when there are none.
func (r *Reference) crossEntropy(logits *Tensor, labels []int32) (loss *Tensor, rows []int) {
	t := r.Tape
	for i, label := range labels {
		if label >= 0 {
			rows = append(rows, i)
		}
	}
	if len(rows) == 0 {
		return nil, nil
	}
	z := t.Take(logits, 0, rows)
	hot := make([]float64, len(z.Data))
	for i, row := range rows {
		hot[i*z.Dim(1)+int(labels[row])] = 1
	}
	picked := t.SumAxis(t.Mul(z, t.Const(hot, z.Shape...)), 1)
	return t.Sub(t.LogSumExp(z, 1), picked), rows
}
