package deepseek

import (
	"fmt"
	"slices"

	"github.com/temper-ml/temper/nn"
)

// choices returns the batch's routes as layers read them.
func (m *Model) choices(b *Batch) [][]nn.Choices {
	if !slices.ContainsFunc(b.Routes, func(r *Routes) bool { return r != nil }) {
		return nil
	}
	if m.given == nil {
		m.given = make([][]nn.Choices, len(m.blocks))
	}
	for l := range m.given {
		m.given[l] = m.given[l][:0]
		for _, r := range b.Routes {
			var c nn.Choices
			if r != nil {
				c.Experts = r.Experts[l]
			}
			if r != nil && len(r.Picks) > 0 {
				c.Picks, c.Starts = r.Picks[l], r.Starts[l]
			}
			m.given[l] = append(m.given[l], c)
		}
	}
	return m.given
}

// checkRoutes tells what is wrong with the batch's routes.
func (m *Model) checkRoutes(b *Batch) error {
	for i, r := range b.Routes {
		if r == nil {
			continue
		}
		s := b.Segments[i]
		err := m.fits(r, b.Tokens[s.Start:s.End])
		if err == nil && r.Len() < s.Len() && b.Labels[s.End-1] >= 0 {
			err = fmt.Errorf("they are of %d tokens of %d, and the last one has a label: only one without may choose freely", r.Len(), s.Len())
		}
		if err != nil {
			return fmt.Errorf("deepseek: routes of segment %d: %w", i, err)
		}
	}
	return nil
}

// CheckRoutes tells whether the model can make these choices for the tokens of a
// sequence, or for all but its last. Experts of blocks that route by token id must be
// what the id's row of the table says.
func (m *Model) CheckRoutes(r *Routes, tokens []int32) error {
	if err := m.checkTables(); err != nil {
		return err
	}
	if err := m.fits(r, tokens); err != nil {
		return fmt.Errorf("deepseek: routes: %w", err)
	}
	return nil
}

func (m *Model) fits(r *Routes, tokens []int32) error {
	if err := r.check(m.cfg); err != nil {
		return err
	}
	n := r.Len()
	if n != len(tokens) && n != len(tokens)-1 {
		return fmt.Errorf("they are of %d tokens, the sequence has %d: want all, or all but the last", n, len(tokens))
	}
	for l := range m.blocks {
		if m.blocks[l].moe == nil || m.blocks[l].moe.Router.Table == nil {
			continue
		}
		if err := m.checkHashed(r, l, tokens[:n]); err != nil {
			return err
		}
	}
	return nil
}

// checkHashed compares the experts of a block that routes by token id.
func (m *Model) checkHashed(r *Routes, layer int, tokens []int32) error {
	router, k := &m.blocks[layer].moe.Router, m.cfg.TopK
	want := make([]int32, k)
	for t, id := range tokens {
		if id < 0 || int(id) >= m.cfg.VocabSize {
			return fmt.Errorf("token %d: id %d is outside the vocabulary of %d", t, id, m.cfg.VocabSize)
		}
		router.LookUp(want, id)
		if got := r.Experts[layer][t*k : (t+1)*k]; !slices.Equal(got, want) {
			return fmt.Errorf("block %d, token %d: experts %v, but the block routes token id %d to %v", layer, t, got, id, want)
		}
	}
	return nil
}
