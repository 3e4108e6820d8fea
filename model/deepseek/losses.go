package deepseek

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
