package deepseek

import (
	"slices"

	"github.com/temper-ml/temper/model/arch"
)

// Routes are the discrete choices that the trunk made for the tokens of a
// sequence. Given with a [Batch], they are made again; what weighs them, routers'
// and indexers' scores, is computed anew.
type Routes struct {
	// Experts[l] are the experts of block l, TopK for each token, ascending; nil if
	// the block has none.
	Experts [][]int32
	// Picks[l] are the compressed entries that block l chose for each token,
	// ascending: those of token t from Starts[l][t] up to Starts[l][t+1]. A token
	// without any attends to all that it sees. Nil if the block chooses none; both
	// are nil as a whole if they are not part of the routes: see [Routes.WithoutPicks].
	Picks, Starts [][]int32

	topK int
}

// NewRoutes returns routes of no tokens for a model.
func (m *Model) NewRoutes() *Routes { return NewRoutes(m.cfg) }

// NewRoutes returns routes of no tokens for models of an architecture.
func NewRoutes(cfg *arch.Config) *Routes {
	n := cfg.NumLayers
	r := &Routes{Experts: make([][]int32, n), Picks: make([][]int32, n), Starts: make([][]int32, n), topK: cfg.TopK}
	for l := range n {
		if cfg.IsMoE(l) {
			r.Experts[l] = []int32{}
		}
		if cfg.Ratio(l) == routesRatio {
			r.Picks[l], r.Starts[l] = []int32{}, []int32{0}
		}
	}
	return r
}

// WithoutPicks returns the same experts without compressed entries: replayed, indexers
// choose freely. Picks are most of the size of routes, and grow with the context.
func (r *Routes) WithoutPicks() *Routes { return &Routes{Experts: r.Experts, topK: r.topK} }

// picked returns of how many tokens compressed entries are given.
func (r *Routes) picked() int {
	if r == nil || len(r.Picks) == 0 {
		return 0
	}
	return r.Len()
}

// Len returns the number of tokens.
func (r *Routes) Len() int {
	for l := range r.Experts {
		switch {
		case r.Experts[l] != nil && r.topK > 0:
			return len(r.Experts[l]) / r.topK
		case l < len(r.Starts) && r.Starts[l] != nil:
			return len(r.Starts[l]) - 1
		}
	}
	return 0
}

func (r *Routes) addExperts(layer int, chosen []int32) {
	r.Experts[layer] = append(r.Experts[layer], chosen...)
}

// addPicks adds the choice for one token.
func (r *Routes) addPicks(layer int, entries []int32) {
	r.Picks[layer] = append(r.Picks[layer], entries...)
	r.Starts[layer] = append(r.Starts[layer], int32(len(r.Picks[layer])))
}

func (r *Routes) truncate(n int) {
	for l, e := range r.Experts {
		if e != nil {
			r.Experts[l] = e[:n*r.topK]
		}
	}
	for l, s := range r.Starts {
		if s != nil {
			r.Starts[l] = s[:n+1]
			r.Picks[l] = r.Picks[l][:s[n]]
		}
	}
}

func (r *Routes) clone() *Routes {
	c := &Routes{topK: r.topK}
	for l := range r.Experts {
		c.Experts = append(c.Experts, slices.Clone(r.Experts[l]))
	}
	for l := range r.Picks {
		c.Picks = append(c.Picks, slices.Clone(r.Picks[l]))
		c.Starts = append(c.Starts, slices.Clone(r.Starts[l]))
	}
	return c
}
