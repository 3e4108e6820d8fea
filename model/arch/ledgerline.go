package arch

// LedgerLine is one operator of a [Ledger], over all the blocks that have it.
type LedgerLine struct {
	Operator          string
	Layers            int     // blocks with the operator; the trunk's output head counts as one
	Forward, Backward float64 // floating-point operations; a multiply-add is two
	Note              string  // what is multiplied, how often
}

// Ledger returns [Config.FLOPs] of the work by operator, in the order in which a
// step first meets them. Lines add up to its Total.
func (c *Config) Ledger(w Work) []LedgerLine {
	full := c.FLOPs(w)
	at, seen := make(map[string]int), make(map[string]int)
	var lines []LedgerLine
	for _, it := range full.Items {
		i, ok := at[it.Name]
		if !ok {
			i = len(lines)
			at[it.Name] = i
			lines = append(lines, LedgerLine{Operator: it.Name, Note: notes[it.Name]})
		}
		if last, ok := seen[it.Name]; !ok || last != it.Layer {
			lines[i].Layers++
			seen[it.Name] = it.Layer
		}
		lines[i].Forward += it.Forward
		lines[i].Backward += it.Backward
	}
	return lines
}

// notes say what an operator multiplies. Its backward pass costs twice its forward
// pass, for the gradients of both factors, unless the note says otherwise.
var notes = map[string]string{
	"mhc.map":         "maps of residual streams, each token: 2(2+s)s²D a block, s²D before a head",
	"mhc.mix":         "mixing of residual streams, each token: 2(2s+s²)D a block, sD before a head",
	"attn.query":      "query projections, each token",
	"attn.key":        "key and value projections, each token",
	"attn.window":     "scores and weighted values of keys in the sliding window, each key that a query attends",
	"attn.compressed": "scores and weighted values of compressed keys, each one visible and, where an indexer chooses, chosen",
	"attn.full":       "scores and weighted values, each earlier token of the sequence and the token itself",
	"attn.output":     "output projections, each token",
	"compressor":      "values and gates of the tokens that make up compressed keys, and their pooling",
	"indexer":         "projections and scores that choose compressed keys; backward only where its own loss is trained: gradients of weights, and of the scores of chosen keys",
	"router":          "gate, each token over all experts",
	"experts":         "routed experts, each token through as many as it is sent to",
	"shared":          "shared expert, each token",
	"dense":           "dense feed-forward network, each token",
	"mtp.join":        "projections that join the trunk with the next token's embedding, each position that has one",
	"head":            "output head, each supervised position of the trunk and of every prediction depth",
}
