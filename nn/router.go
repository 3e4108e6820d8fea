package nn

import (
	"fmt"
	"math"

	"github.com/temper-ml/temper/compute/kernel"
)

// Score is the function that turns a router's logit into an affinity.
type Score int

// The affinity functions of the DeepSeek family.
const (
	SqrtSoftplus Score = iota // V4: sqrt(log(1 + exp(l)))
	Sigmoid                   // V3: 1 / (1 + exp(-l))
)

// ParseScore reads the name used in config.json.
func ParseScore(name string) (Score, error) {
	switch name {
	case "sqrtsoftplus":
		return SqrtSoftplus, nil
	case "sigmoid":
		return Sigmoid, nil
	}
	return 0, fmt.Errorf("nn: scoring function %q, want sqrtsoftplus or sigmoid", name)
}

// Router chooses K of E experts for each token and weighs them.
//
// Scores are affinities of the logits Gate·x. A learned router takes the K
// best of score + Bias (the bias steers the load and never enters the
// weights), lower index first among equals; with Groups > 1 only experts of the
// TopGroups best groups compete, a group's score being the sum of its two best
// members. A hash router takes row token-id of Table. Experts that the pass gives
// ([Pass.Given]) take the place of a learned router's choice. The weights are the
// chosen scores, divided by their sum, times Factor.
type Router struct {
	Gate  Weight    // [E, D]
	Bias  []float32 // [E], or nil
	Table []float32 // [V, K] expert indices for a hash router, or nil

	Dim, Experts, TopK int
	Groups, TopGroups  int
	Score              Score
	Factor             float32

	logits, scores []float32 // saved: [T, E]
	sums           []float32 // saved: [T], sum of the chosen scores

	chosen []int32 // while choosing
	biased []float32
	from   int
	body   func(lo, hi int) // of the loop that chooses, bound once
}

// Routing is the outcome for one micro-batch. Pairs (token, chosen expert) have
// two orders: token order, in which the k-th pair of token t is at t·K+k with
// experts ascending, and row order, sorted by expert and then by token, in which
// the expert products run.
type Routing struct {
	TopK    int
	Chosen  []int32   // [T·K] token order: expert
	Row     []int32   // [T·K] token order: the pair's place in row order
	Token   []int32   // [N] row order: token
	Weights []float32 // [N] row order: weight of the expert's output
	Start   []int32   // [E+1]: rows of expert e are Start[e] to Start[e+1]-1
}

// Count returns the number of tokens that chose expert e.
func (r *Routing) Count(e int) int { return int(r.Start[e+1] - r.Start[e]) }

// RouterFloats returns the arena memory that [Router.Route] keeps for t tokens.
func (r *Router) RouterFloats(t int) int {
	n := t * r.TopK
	return ArenaSize(t*r.Experts, t*r.Experts, t, n, n, n, n, r.Experts+1)
}

// Route fills rt from x [T, D]. Its slices come from the arena.
func (r *Router) Route(rt *Routing, x []float32, p *Pass) {
	t, e := p.T(), r.Experts
	n := t * r.TopK
	r.logits, r.scores, r.sums = p.Arena.F32(t*e), p.Arena.F32(t*e), p.Arena.F32(t)
	rt.TopK, rt.Weights = r.TopK, p.Arena.F32(n)
	rt.Chosen, rt.Row, rt.Token, rt.Start = p.Arena.I32(n), p.Arena.I32(n), p.Arena.I32(n), p.Arena.I32(e+1)

	gate := Linear{Weight: r.Gate, In: r.Dim, Out: e}
	gate.Forward(r.logits, x, t)
	p.See("router.logits", r.logits)
	if r.Score == SqrtSoftplus {
		kernel.SqrtSoftplus(r.scores, r.logits)
	} else {
		kernel.Sigmoid(r.scores, r.logits)
	}
	p.See("router.scores", r.scores)
	if r.Table != nil {
		r.lookUp(rt.Chosen, p.Tokens)
	} else {
		r.choose(rt.Chosen, p)
	}
	p.SeeInts("router.chosen", rt.Chosen)
	rt.sort(t, e)
	r.weigh(rt, t)
	p.See("router.sums", r.sums)
	p.SeePairs("router.weights", rt.Weights, rt)
}

// lookUp takes the experts of each token id from the table, ascending.
func (r *Router) lookUp(chosen, tokens []int32) {
	k := r.TopK
	for t, id := range tokens {
		r.LookUp(chosen[t*k:(t+1)*k], id)
	}
}

// LookUp writes the K experts of a token id, ascending, to out.
func (r *Router) LookUp(out []int32, id int32) {
	k := r.TopK
	for i, v := range r.Table[int(id)*k : (int(id)+1)*k] {
		insertAscending(out[:i+1], int32(v))
	}
}

// insertAscending puts v, whose place is the last, among the ascending others.
func insertAscending(s []int32, v int32) {
	i := len(s) - 1
	for ; i > 0 && s[i-1] > v; i-- {
		s[i] = s[i-1]
	}
	s[i] = v
}

// choose takes the experts that are given and selects the best ones of every other
// token, ascending in chosen.
func (r *Router) choose(chosen []int32, p *Pass) {
	m := p.Arena.Mark()
	defer p.Arena.Release(m)
	k, given := r.TopK, p.Choices()
	r.chosen, r.biased = chosen, p.Arena.F32(p.T()*r.Experts)
	if given == nil {
		r.chooseBest(0, p.T())
	}
	for i, g := range given {
		s := p.Segments[i]
		n := copy(chosen[s.Start*k:s.End*k], g.Experts) / k
		r.chooseBest(s.Start+n, s.End)
	}
	r.chosen, r.biased = nil, nil
}

// chooseBest selects for tokens from up to to.
func (r *Router) chooseBest(from, to int) {
	if r.body == nil {
		r.body = r.chooseRows
	}
	r.from = from
	kernel.Parallel(to-from, 64, r.body)
}

// chooseRows selects for tokens [lo, hi), counted from r.from.
func (r *Router) chooseRows(lo, hi int) {
	e, k := r.Experts, r.TopK
	for i := r.from + lo; i < r.from+hi; i++ {
		row, s := r.biased[i*e:(i+1)*e], r.scores[i*e:(i+1)*e]
		copy(row, s)
		if r.Bias != nil {
			for j, b := range r.Bias {
				row[j] = s[j] + b
			}
		}
		if r.Groups > 1 {
			r.dropGroups(row)
		}
		takeBest(r.chosen[i*k:(i+1)*k], row)
	}
}

// takeBest writes the indices of the largest entries of row, ascending, lower
// index first among equals, and spoils row.
func takeBest(out []int32, row []float32) {
	for i := range out {
		best := bestOf(row)
		row[best] = float32(math.Inf(-1))
		insertAscending(out[:i+1], int32(best))
	}
	for i := 1; i < len(out); i++ {
		if out[i] == out[i-1] {
			distinct(out, len(row)) // fewer than K entries were comparable: NaN or -Inf
			return
		}
	}
}

// bestOf returns the index of the first largest entry; NaN never wins.
func bestOf(row []float32) int {
	best, at := float32(math.Inf(-1)), 0
	for j, v := range row {
		if v > best {
			best, at = v, j
		}
	}
	return at
}

// distinct replaces a selection that hit non-finite scores by the first
// experts, so that routing stays well formed until the guard reports the cause.
func distinct(out []int32, experts int) {
	for i := range out {
		out[i] = int32(i % experts)
	}
}

// dropGroups sets the members of all but the best groups to -Inf.
func (r *Router) dropGroups(row []float32) {
	size := r.Experts / r.Groups
	var buf [64]float32
	scores := buf[:0]
	for g := 0; g < r.Groups; g++ {
		scores = append(scores, bestTwo(row[g*size:(g+1)*size]))
	}
	var marks [64]bool
	keep := marks[:]
	if r.Groups > len(keep) {
		keep = make([]bool, r.Groups)
	}
	for range r.TopGroups {
		g := bestOf(scores)
		scores[g] = float32(math.Inf(-1))
		keep[g] = true
	}
	for g := 0; g < r.Groups; g++ {
		if keep[g] {
			continue
		}
		for j := g * size; j < (g+1)*size; j++ {
			row[j] = float32(math.Inf(-1))
		}
	}
}

// bestTwo returns the sum of the two largest entries (the entry itself when
// there is one).
func bestTwo(s []float32) float32 {
	i := bestOf(s)
	if len(s) == 1 {
		return s[0]
	}
	second := float32(math.Inf(-1))
	for j, v := range s {
		if j != i && v > second {
			second = v
		}
	}
	return s[i] + second
}

// sort derives row order from the chosen experts.
func (rt *Routing) sort(t, experts int) {
	clear(rt.Start)
	for _, e := range rt.Chosen {
		rt.Start[e+1]++
	}
	for e := 0; e < experts; e++ {
		rt.Start[e+1] += rt.Start[e]
	}
	for i, e := range rt.Chosen {
		row := rt.Start[e]
		rt.Start[e]++
		rt.Row[i], rt.Token[row] = row, int32(i/rt.TopK)
	}
	copy(rt.Start[1:], rt.Start[:experts])
	rt.Start[0] = 0
}

// weigh computes the weights of the chosen experts.
func (r *Router) weigh(rt *Routing, t int) {
	e, k := r.Experts, r.TopK
	for i := range t {
		chosen := rt.Chosen[i*k : (i+1)*k]
		var sum float32
		for _, c := range chosen {
			sum += r.scores[i*e+int(c)]
		}
		r.sums[i] = sum
		for j, c := range chosen {
			w := r.scores[i*e+int(c)] / (sum + 1e-20)
			rt.Weights[rt.Row[i*k+j]] = float32(w * r.Factor)
		}
	}
}
