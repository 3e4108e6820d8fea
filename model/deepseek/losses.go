package deepseek

import (
	"math"
)

// Losses are the sums a micro-batch contributes to a step's report. They are
// not scaled by [StepOptions]; sums do not depend on how rows were grouped (see
// [nn.Term]).
type Losses struct {
	LM        float64 // Σ -log p(label)
	Tokens    int     // supervised positions
	MTP       float64 // Σ -log p(mtp label), over all MTP blocks
	MTPTokens int     // their supervised positions
	Balance   float64 // Σ over segments and learned routers of the sequence balance loss
	Indexer   float64 // Σ over tokens and CSA layers of the indexer's divergence
	Distill   float64 // Σ weight · divergence, over lessons and positions
	// Teachers are the parts of each teacher of [StepOptions].Distill.
	Teachers []TeacherLoss
	// Counts[l][e] is how many tokens chose expert e in block l (MTP blocks after
	// the trunk). It is empty for blocks without experts, and belongs to the
	// model: the next step overwrites it.
	Counts [][]int64
}

// Add adds the sums and counts of o to l, whose Counts become its own.
func (l *Losses) Add(o Losses) {
	l.LM += o.LM
	l.Tokens += o.Tokens
	l.MTP += o.MTP
	l.MTPTokens += o.MTPTokens
	l.Balance += o.Balance
	l.Indexer += o.Indexer
	l.Distill += o.Distill
	for len(l.Teachers) < len(o.Teachers) {
		l.Teachers = append(l.Teachers, TeacherLoss{})
	}
	for j, t := range o.Teachers {
		l.Teachers[j].Divergence += t.Divergence
		l.Teachers[j].Positions += t.Positions
	}
	if l.Counts == nil {
		l.Counts = make([][]int64, len(o.Counts))
		for i, c := range o.Counts {
			l.Counts[i] = make([]int64, len(c))
		}
	}
	for i, c := range o.Counts {
		for e, n := range c {
			l.Counts[i][e] += n
		}
	}
}

// Load describes how evenly the tokens of one block were spread over its experts.
type Load struct {
	MaxViolation float64 // (max - mean) / mean
	Least        float64 // min / mean
	Variation    float64 // standard deviation / mean
	Entropy      float64 // of the shares, divided by ln E: 1 is perfectly even
	Dead         int     // experts without a token
}

// LoadOf summarises the counts of one block: see [Losses].Counts. It is zero for
// no counts.
func LoadOf(counts []int64) Load {
	var total, most int64
	least := int64(math.MaxInt64)
	var l Load
	for _, c := range counts {
		total += c
		most, least = max(most, c), min(least, c)
		if c == 0 {
			l.Dead++
		}
	}
	if total == 0 {
		return l
	}
	n := float64(len(counts))
	mean := float64(total) / n
	var squares float64
	for _, c := range counts {
		d := float64(c) - mean
		squares += float64(d * d)
		if c > 0 {
			share := float64(c) / float64(total)
			l.Entropy -= float64(share * math.Log(share))
		}
	}
	if len(counts) > 1 {
		l.Entropy /= math.Log(n)
	}
	l.MaxViolation = (float64(most) - mean) / mean
	l.Least = float64(least) / mean
	l.Variation = math.Sqrt(squares/n) / mean
	return l
}
