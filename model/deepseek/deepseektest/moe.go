package deepseektest

import "math"

// Experts names the tensors of one mixture-of-experts block and how it routes.
type Experts struct {
	Gate, Bias, Table string // router weight; selection bias or table of expert ids ("" when absent)
	Expert, Shared    string // prefixes; an expert's tensors are Expert.e.W1 and so on
	W1, W3, W2        string // suffixes of gate, up and down projection
}

// names are the three matrices of one expert: gate, up, down.
func (e Experts) names(prefix string) [3]string {
	return [3]string{prefix + e.W1, prefix + e.W3, prefix + e.W2}
}

// touch names the matrices of an expert that no token chose: their gradient is zero, not absent.
func (r *Reference) touch(names [3]string, width int) {
	r.weight(names[0], width, r.c.HiddenSize)
	r.weight(names[1], width, r.c.HiddenSize)
	r.weight(names[2], r.c.HiddenSize, width)
}

// MoE is a mixture-of-experts block over one sequence x [T, d] (section 2.5, and 7 for V3). It returns the output and the
// sequence-wise balance sum over e of f_e P_e, not yet multiplied by its coefficient.
func (r *Reference) MoE(e Experts, x *Tensor, tokens []int32) (out, balance *Tensor) {
	t, c, T := r.Tape, r.c, x.Dim(0)
	score := r.routerScores(e.Gate, x)
	picks := r.pickExperts(e, score, tokens)
	kept := t.Mul(score, t.Const(oneHot(picks, c.Experts), T, c.Experts))
	weight := kept
	if c.NormTopK {
		weight = t.Div(kept, t.SumAxis(kept, 1))
	}
	weight = t.Scale(weight, c.RoutedScale)

	out = r.SwiGLU(x, e.names(e.Shared), c.SharedIntermediate(), nil)
	for expert := range c.Experts {
		rows := rowsOf(picks, expert)
		names := e.names(e.Expert + "." + itoa(expert))
		if len(rows) == 0 {
			r.touch(names, c.MoEIntermediate)
			continue
		}
		w := t.Slice(t.Take(weight, 0, rows), 1, expert, expert+1)
		y := r.SwiGLU(t.Take(x, 0, rows), names, c.MoEIntermediate, w)
		out = t.Add(out, t.Einsum("tn,nd->td", t.Const(scatter(T, rows), T, len(rows)), y))
	}
	return out, r.balance(score, picks)
}

// routerScores are sqrt(softplus(l)) for V4 and sigmoid(l) for V3 of the logits l = x wᵀ.
func (r *Reference) routerScores(gate string, x *Tensor) *Tensor {
	l := r.Linear(x, gate, r.c.Experts)
	if r.c.ScoringFunc == "sigmoid" {
		return r.Tape.Sigmoid(l)
	}
	return r.Tape.Sqrt(r.Tape.Softplus(l))
}

// pickExperts chooses the experts of each token: by table where there is one, else the best of score + bias, in V3 within
// the best groups only. The choice is discrete: no gradient passes.
func (r *Reference) pickExperts(e Experts, score *Tensor, tokens []int32) [][]int {
	c := r.c
	picks := make([][]int, score.Dim(0))
	for q := range picks {
		if e.Table != "" {
			table := r.constant(e.Table, c.VocabSize, c.TopK)
			for _, id := range table[int(tokens[q])*c.TopK:][:c.TopK] {
				picks[q] = append(picks[q], int(id))
			}
			continue
		}
		biased := append([]float64(nil), score.Data[q*c.Experts:(q+1)*c.Experts]...)
		for i, b := range r.constant(e.Bias, c.Experts) {
			biased[i] += b
		}
		if c.ExpertGroups > 1 {
			r.limitGroups(e.Gate+"/groups", biased)
		}
		picks[q] = r.choose(e.Gate, biased, c.TopK)
	}
	return picks
}

// limitGroups sets to -Inf the scores outside the topGroups groups whose two best scores have the largest sum.
func (r *Reference) limitGroups(site string, biased []float64) {
	size := len(biased) / r.c.ExpertGroups
	group := make([]float64, r.c.ExpertGroups)
	for g := range group {
		best, _ := topK(biased[g*size:(g+1)*size], 2)
		for _, i := range best {
			group[g] += biased[g*size+i]
		}
	}
	kept := make([]bool, r.c.ExpertGroups)
	for _, g := range r.choose(site, group, r.c.TopKGroups) {
		kept[g] = true
	}
	for i := range biased {
		if !kept[i/size] {
			biased[i] = math.Inf(-1)
		}
	}
}

// balance is sum over e of f_e P_e: f_e = E/(K T) times the tokens routed to e, P_e the mean of its share of all scores.
func (r *Reference) balance(score *Tensor, picks [][]int) *Tensor {
	t, T, experts := r.Tape, score.Dim(0), r.c.Experts
	f := make([]float64, experts)
	for _, row := range picks {
		for _, e := range row {
			f[e] += float64(experts) / float64(r.c.TopK*T)
		}
	}
	share := t.Div(score, t.SumAxis(score, 1))
	mean := t.Scale(t.SumAxis(share, 0), 1/float64(T))
	return t.Sum(t.Mul(mean, t.Const(f, 1, experts)))
}

func oneHot(picks [][]int, n int) []float64 {
	m := make([]float64, len(picks)*n)
	for q, row := range picks {
		for _, e := range row {
			m[q*n+e] = 1
		}
	}
	return m
}

func rowsOf(picks [][]int, expert int) (rows []int) {
	for q, row := range picks {
		for _, e := range row {
			if e == expert {
				rows = append(rows, q)
			}
		}
	}
	return rows
}

// scatter is the T x len(rows) matrix that puts row i back at rows[i].
func scatter(T int, rows []int) []float64 {
	m := make([]float64, T*len(rows))
	for i, q := range rows {
		m[q*len(rows)+i] = 1
	}
	return m
}
