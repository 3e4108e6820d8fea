package kernel

import "math"

// attentionCase is one set of operands with the results of the naive float64
// computation: query by query, key list by key list, straight from the
// definition, together with bounds on what float32 may differ by.
type attentionCase struct {
	a                     *Attention
	dim                   int
	q, kv, ckv, sink, do_ []float32
	o, dq                 []float64
	dkv, dckv, dsink      []float64
	target                []float64
	lse                   []float64
	// bounds on the float32 error of each of the above
	eo, edq, edkv, edckv, edsink, etarget []float64
}

const unit32 = 1.0 / (1 << 24) // rounding error of float32, relative

// list returns the rows of kv and of ckv that the query at token t attends.
func (c *attentionCase) list(t int) (tokens, entries []int) {
	entry := 0
	for _, s := range c.a.Segments {
		if t < s.End {
			lo := s.Start
			if c.a.Window > 0 {
				lo = max(lo, t-c.a.Window+1)
			}
			for k := lo; k <= t; k++ {
				tokens = append(tokens, k)
			}
			if c.a.Ratio > 0 {
				n := (t - s.Start + 1) / c.a.Ratio
				for e := range n {
					if c.a.Chosen == nil || int(c.a.Chosen.Count[t]) == n {
						entries = append(entries, entry+e)
					}
				}
				if entries == nil && c.a.Chosen != nil {
					for _, e := range c.a.Chosen.row(t) {
						entries = append(entries, entry+int(e))
					}
				}
			}
			return tokens, entries
		}
		if c.a.Ratio > 0 {
			entry += s.Len() / c.a.Ratio
		}
	}
	panic("token outside all segments")
}

// key returns key j of a list and where its gradient goes.
func (c *attentionCase) key(tokens, entries []int, j int) (row []float32, grad, bound []float64) {
	at := func(x []float32, g, e []float64, i int) ([]float32, []float64, []float64) {
		return x[i*c.dim : (i+1)*c.dim], g[i*c.dim : (i+1)*c.dim], e[i*c.dim : (i+1)*c.dim]
	}
	if j < len(tokens) {
		return at(c.kv, c.dkv, c.edkv, tokens[j])
	}
	return at(c.ckv, c.dckv, c.edckv, entries[j-len(tokens)])
}

// solve computes the naive results. Gradients follow the formulas that
// attention_test.go checks against finite differences of the forward pass.
func (c *attentionCase) solve() {
	T, H, D := c.a.Segments[len(c.a.Segments)-1].End, c.a.Heads, c.dim
	f := func(n int) []float64 { return make([]float64, n) }
	c.o, c.dq, c.lse = f(T*H*D), f(T*H*D), f(T*H)
	c.dkv, c.dckv, c.dsink = f(len(c.kv)), f(len(c.ckv)), f(H)
	c.eo, c.edq, c.edkv, c.edckv, c.edsink = f(T*H*D), f(T*H*D), f(len(c.kv)), f(len(c.ckv)), f(H)
	if c.a.Chosen != nil {
		c.target, c.etarget = f(T*c.a.Chosen.K), f(T*c.a.Chosen.K)
	}
	for t := range T {
		for h := range H {
			c.solveRow(t, h)
		}
	}
}

func (c *attentionCase) solveRow(t, h int) {
	D, scale := c.dim, float64(c.a.Scale)
	r := t*c.a.Heads + h
	q, do := c.q[r*D:(r+1)*D], c.do_[r*D:(r+1)*D]
	o, eo := c.o[r*D:(r+1)*D], c.eo[r*D:(r+1)*D]
	tokens, entries := c.list(t)
	n := len(tokens) + len(entries)
	s, p, dp := make([]float64, n), make([]float64, n), make([]float64, n)
	es, edp, top := 0.0, make([]float64, n), math.Inf(-1)
	for j := range s {
		k, _, _ := c.key(tokens, entries, j)
		abs := 0.0
		for d := range q {
			s[j] += float64(q[d]) * float64(k[d]) * scale
			abs += math.Abs(float64(q[d]) * float64(k[d]) * scale)
			dp[j] += float64(do[d]) * float64(k[d])
			edp[j] += math.Abs(float64(do[d]) * float64(k[d]))
		}
		// a chain of D products, scaling, subtracting the maximum or lse, exp
		es = math.Max(es, float64(D+2)*unit32*abs+4*unit32*math.Abs(s[j]))
		edp[j] *= float64(D) * unit32
		top = math.Max(top, s[j])
	}
	sum := 0.0
	if c.sink != nil {
		top = math.Max(top, float64(c.sink[h]))
		sum = math.Exp(float64(c.sink[h]) - top)
	}
	for j := range s {
		sum += math.Exp(s[j] - top)
	}
	c.lse[r] = top + math.Log(sum)
	ep := 2*es + float64(n/16+12)*unit32 + 4*unit32*math.Abs(c.lse[r]) // relative error of p
	delta, absDelta := 0.0, 0.0
	for j := range p {
		p[j] = math.Exp(s[j] - c.lse[r])
		k, _, _ := c.key(tokens, entries, j)
		for d := range o {
			o[d] += p[j] * float64(k[d])
			eo[d] += p[j] * math.Abs(float64(k[d])) * (ep + float64(n)*unit32)
		}
	}
	edelta := 0.0
	for d := range o {
		delta += o[d] * float64(do[d])
		absDelta += math.Abs(o[d] * float64(do[d]))
		edelta += eo[d] * math.Abs(float64(do[d]))
	}
	edelta += float64(D/16+6) * unit32 * absDelta
	rows := float64(c.a.Segments[len(c.a.Segments)-1].End * c.a.Heads) // longest chain of rows
	for j := range p {
		k, g, e := c.key(tokens, entries, j)
		ds := p[j] * (dp[j] - delta) * scale
		abs := p[j] * (math.Abs(dp[j]) + math.Abs(delta)) * scale
		eds := abs*(ep+4*unit32) + p[j]*(edp[j]+edelta)*scale
		for d := range q {
			c.dq[r*D+d] += ds * float64(k[d])
			c.edq[r*D+d] += (eds + math.Abs(ds)*float64(n)*unit32) * math.Abs(float64(k[d]))
			g[d] += ds*float64(q[d]) + p[j]*float64(do[d])
			e[d] += (eds+math.Abs(ds)*rows*unit32)*math.Abs(float64(q[d])) + p[j]*(ep+rows*unit32)*math.Abs(float64(do[d]))
		}
		if i := j - len(tokens); i >= 0 && c.target != nil {
			c.target[t*c.a.Chosen.K+i] += p[j]
			c.etarget[t*c.a.Chosen.K+i] += p[j] * (ep + float64(c.a.Heads)*unit32)
		}
	}
	if c.sink != nil {
		mass := math.Exp(float64(c.sink[h]) - c.lse[r])
		c.dsink[h] -= mass * delta
		c.edsink[h] += mass * (math.Abs(delta)*(ep+rows*unit32) + edelta)
	}
}
