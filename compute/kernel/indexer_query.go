package kernel

import "math"

// queryBackward turns z, the products of one query with its entries, into dz,
// and computes the query's loss and dw. Columns beyond the query's own entries
// become zero.
func (x *Indexer) queryBackward(g *IndexerGradient, t int, z Mat, buf []float32) {
	i := t - x.Past
	n := int(g.Chosen.Count[i])
	room := x.room(g)
	scores, dI, logs := buf[:n], buf[room:room+n], buf[2*room:2*room+n]
	w := g.W.Row(i)
	clear(scores)
	for h := range x.Heads {
		row := z.Row(h)[:n]
		relu(row)
		Axpy(scores, w[h], row)
	}
	target := g.Target[i*g.Chosen.K : i*g.Chosen.K+n]
	g.Loss[i] = divergence(dI, logs, scores, target)
	Scale(dI, g.Scale)
	dw := g.DW.Row(i)
	for h := range x.Heads {
		row := z.Row(h)
		dw[h] = Dot(dI, row[:n])
		for j, d := range dI {
			if row[j] > 0 {
				row[j] = w[h] * d
			}
		}
		clear(row[n:])
	}
}

// divergence returns the divergence of softmax(scores) from target normalised
// to sum 1, and writes its gradient, the difference of the two, to d.
func divergence(d, logs, scores, target []float32) float64 {
	mass := Sum(target)
	if !(mass > 0) {
		clear(d)
		return 0
	}
	copy(d, scores)
	lse := SoftmaxSink(d, len(d), float32(math.Inf(-1)), 1)
	inv := 1 / mass
	for j, p := range target {
		logs[j] = p * inv
	}
	Axpy(d, -1, logs)
	loss := 0.0
	for j, p := range target {
		p *= inv
		if p > 0 {
			loss += float64(p * (LogF(p) - (scores[j] - lse)))
		}
	}
	return loss
}
