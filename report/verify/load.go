package verify

import (
	"fmt"

	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/report/record"
)

// loadRule bounds how unevenly experts can be used, and compares counts of
// routed tokens with tokens.
//
// A token goes to K different experts of E in each block, so no expert gets more
// tokens than there are while the mean is K/E of them: a block's violation
// max/mean - 1 is at most E/K - 1. The tokens of a block of the trunk are all
// tokens of a step; an MTP block works on fewer.
type loadRule struct {
	config  *arch.Config
	blocks  []int // those with experts
	counted stretch

	steps, tables int64
	highest       float64
}

func newLoadRule(c *arch.Config) loadRule {
	r := loadRule{config: c, counted: stretch{stage: -1}}
	if c == nil {
		return r
	}
	for i := range c.Blocks() {
		if c.IsMoE(i) {
			r.blocks = append(r.blocks, i)
		}
	}
	return r
}

func (r *loadRule) step(f *finding, e *record.Entry, b *record.Step) {
	if r.config == nil || b.Skipped != "" {
		return
	}
	l := b.Load
	if l == nil || len(r.blocks) == 0 {
		if (l == nil) != (len(r.blocks) == 0) {
			f.fail(e.Index, "%s: load given %v, %d blocks of the architecture have experts", say(e, b), l != nil, len(r.blocks))
		}
		return
	}
	r.steps++
	r.highest = max(r.highest, l.Max)
	most := float64(r.config.Experts)/float64(r.config.TopK) - 1
	switch {
	case !finite(l.Max, l.Mean, l.Ranks) || l.Max < 0 || l.Mean < 0 || l.Ranks < 0 || l.Mean > l.Max+1e-4:
		f.fail(e.Index, "%s: load: largest violation %v, mean %v, of ranks %v", say(e, b), l.Max, l.Mean, l.Ranks)
	case l.Max > most+1e-4:
		f.fail(e.Index, "%s: load: a violation of %v; %d of %d experts a token make at most %.4g", say(e, b), l.Max, r.config.TopK, r.config.Experts, most)
	case l.Block < 0 || l.Block >= len(r.blocks):
		f.fail(e.Index, "%s: load: block %d of %d with experts", say(e, b), l.Block, len(r.blocks))
	}
}

// routing compares counts with the tokens of their steps.
func (r *loadRule) routing(f *finding, e *record.Entry, b *record.Routing, l *Log) {
	from := r.counted.next(b.Stage, b.From, b.To)
	if from < b.From {
		gap := l.between(b.Stage, from, b.From)
		if gap.tokens == gap.skipped { // nothing was routed
			from = b.From
			r.counted = stretch{b.Stage, b.To}
		}
	}
	if from != b.From {
		f.fail(e.Index, "entry %d: routing of steps %d to %d; those from %d on are next", e.Index, b.From, b.To, from)
		return
	}
	if r.config == nil {
		return
	}
	if len(b.Counts) != len(r.blocks) {
		f.fail(e.Index, "entry %d: routing of %d blocks, %d have experts", e.Index, len(b.Counts), len(r.blocks))
		return
	}
	sum := l.between(b.Stage, b.From, b.To)
	tokens := sum.tokens - sum.skipped // what was routed before a step was given up is not counted
	r.tables++
	for i, counts := range b.Counts {
		if err := r.block(r.blocks[i], counts, tokens); err != nil {
			f.fail(e.Index, "entry %d: routing of steps %d to %d: block %d: %v", e.Index, b.From, b.To, i, err)
		}
	}
}

func (r *loadRule) block(layer int, counts []int64, tokens int64) error {
	if len(counts) != r.config.Experts {
		return fmt.Errorf("%d experts, want %d", len(counts), r.config.Experts)
	}
	var sum int64
	for i, n := range counts {
		if n > tokens {
			return fmt.Errorf("expert %d has %d of %d tokens", i, n, tokens)
		}
		sum += n
	}
	all := tokens * int64(r.config.TopK)
	if sum > all || sum%int64(r.config.TopK) != 0 || sum != all && !r.config.IsMTP(layer) {
		return fmt.Errorf("%d tokens routed, %d tokens go to %d experts each", sum, tokens, r.config.TopK)
	}
	return nil
}

func (r *loadRule) evidence() string {
	if len(r.blocks) == 0 {
		return "the architecture has no experts"
	}
	return fmt.Sprintf("%d steps and %d tables of routed tokens within what %d of %d experts a token allow, the largest violation %.4g",
		r.steps, r.tables, r.config.TopK, r.config.Experts, r.highest)
}
