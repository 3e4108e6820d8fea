package deepseek

import "slices"

// Routes are the discrete choices that the trunk made for the tokens of a
// sequence.
type Routes struct {
	// Experts[l] are the experts of block l, TopK for each token, ascending; nil if
	// the block has none.
	Experts [][]int32
	// Picks[l] are the compressed entries that block l chose for each token,
	// ascending: those of token t from Starts[l][t] up to Starts[l][t+1]. A token
	// without any attends to all that it sees. Nil if the block chooses none.
	Picks, Starts [][]int32

	topK int
}

// NewRoutes returns routes of no tokens for a model.
func (m *Model) NewRoutes() *Routes {
	n := len(m.blocks)
	r := &Routes{Experts: make([][]int32, n), Picks: make([][]int32, n), Starts: make([][]int32, n), topK: m.cfg.TopK}
	for l := range n {
		if m.cfg.IsMoE(l) {
			r.Experts[l] = []int32{}
		}
		if m.chooses(l) {
			r.Picks[l], r.Starts[l] = []int32{}, []int32{0}
		}
	}
	return r
}

// chooses tells whether a block of the trunk chooses compressed entries.
func (m *Model) chooses(layer int) bool { return m.cfg.Ratio(layer) == 4 }

func (r *Routes) addExperts(layer int, chosen []int32) {
	r.Experts[layer] = append(r.Experts[layer], chosen...)
}

// addPicks adds the choice for one token.
func (r *Routes) addPicks(layer int, entries []int32) {
	r.Picks[layer] = append(r.Picks[layer], entries...)
	r.Starts[layer] = append(r.Starts[layer], int32(len(r.Picks[layer])))
}

func (r *Routes) truncate(n int) {
	for l := range r.Experts {
		if r.Experts[l] != nil {
			r.Experts[l] = r.Experts[l][:n*r.topK]
		}
		if r.Picks[l] != nil {
			r.Starts[l] = r.Starts[l][:n+1]
			r.Picks[l] = r.Picks[l][:r.Starts[l][n]]
		}
	}
}

func (r *Routes) clone() *Routes {
	c := &Routes{topK: r.topK}
	for l := range r.Experts {
		c.Experts = append(c.Experts, slices.Clone(r.Experts[l]))
		c.Picks = append(c.Picks, slices.Clone(r.Picks[l]))
		c.Starts = append(c.Starts, slices.Clone(r.Starts[l]))
	}
	return c
}
