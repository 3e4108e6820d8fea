package deepseek

import (
	"fmt"

	"github.com/temper-ml/temper/model/arch"
)

// routesRatio is the ratio of blocks that choose compressed entries.
const routesRatio = 4

// Check tells whether r can be the routes of a sequence of a model of this
// architecture: each block has what it chooses, for every token, in range, visible,
// ascending and as many as it takes. It does not know the tables of blocks that route
// by token id: see [Model.CheckRoutes].
func (r *Routes) Check(cfg *arch.Config) error {
	if err := r.check(cfg); err != nil {
		return fmt.Errorf("deepseek: routes: %w", err)
	}
	return nil
}

func (r *Routes) check(cfg *arch.Config) error {
	blocks, n := cfg.NumLayers, r.Len()
	switch {
	case len(r.Experts) != blocks || len(r.Picks) != blocks && len(r.Picks) > 0 || len(r.Starts) != len(r.Picks):
		return fmt.Errorf("they have experts of %d blocks, picks of %d and starts of %d, want all %d of the trunk, those that route by token id and those without a choice included",
			len(r.Experts), len(r.Picks), len(r.Starts), blocks)
	case cfg.Experts > 0 && r.topK != cfg.TopK:
		return fmt.Errorf("they have %d experts for each token, the model takes %d", r.topK, cfg.TopK)
	}
	for l := range blocks {
		if err := r.checkExperts(cfg, l, n); err != nil {
			return fmt.Errorf("block %d%w", l, err)
		}
		if len(r.Picks) == 0 {
			continue
		}
		if err := r.checkPicks(cfg, l, n); err != nil {
			return fmt.Errorf("block %d%w", l, err)
		}
	}
	return nil
}

// checkExperts continues a message that names the block.
func (r *Routes) checkExperts(cfg *arch.Config, layer, n int) error {
	experts, k := r.Experts[layer], cfg.TopK
	if !cfg.IsMoE(layer) {
		if len(experts) > 0 {
			return fmt.Errorf(": %d experts are given, it has none", len(experts))
		}
		return nil
	}
	if len(experts) != n*k {
		return fmt.Errorf(": %d experts are given, want %d for each of %d tokens", len(experts), k, n)
	}
	for t := range n {
		if err := ascending(experts[t*k:(t+1)*k], cfg.Experts); err != nil {
			return fmt.Errorf(", token %d: expert %w", t, err)
		}
	}
	return nil
}

// checkPicks continues a message that names the block.
func (r *Routes) checkPicks(cfg *arch.Config, layer, n int) error {
	picks, starts := r.Picks[layer], r.Starts[layer]
	if cfg.Ratio(layer) != routesRatio {
		if len(picks) > 0 || len(starts) > 0 {
			return fmt.Errorf(": %d picks are given, it chooses no compressed entries", len(picks))
		}
		return nil
	}
	if len(starts) != n+1 || starts[0] != 0 || int(starts[n]) != len(picks) {
		return fmt.Errorf(": %d picks from %d starts are given for %d tokens, want %d starts, from 0 to the number of picks", len(picks), len(starts), n, n+1)
	}
	at := 0
	for t := range n {
		want := picksOf(cfg, t)
		if got := int(starts[t+1]) - at; got != want {
			return fmt.Errorf(", token %d: %d of %d visible entries are picked, want %d", t, got, (t+1)/routesRatio, want)
		}
		if at+want > len(picks) {
			return fmt.Errorf(", token %d: there are only %d picks", t, len(picks))
		}
		if err := ascending(picks[at:at+want], (t+1)/routesRatio); err != nil {
			return fmt.Errorf(", token %d: entry %w of its own sequence that it sees", t, err)
		}
		at += want
	}
	return nil
}

// picksOf returns how many entries a token picks: none if it attends all that it sees.
func picksOf(cfg *arch.Config, token int) int {
	if (token+1)/routesRatio <= cfg.IndexTopK {
		return 0
	}
	return cfg.IndexTopK
}

// ascending tells whether a choice of n is one. It continues a message.
func ascending(choice []int32, n int) error {
	last := int32(-1)
	for _, c := range choice {
		switch {
		case c < 0 || int(c) >= n:
			return fmt.Errorf("%d is not one of the %d", c, n)
		case c == last:
			return fmt.Errorf("%d is chosen twice, of the %d", c, n)
		case c < last:
			return fmt.Errorf("%d comes after %d, want them ascending, of the %d", c, last, n)
		}
		last = c
	}
	return nil
}
