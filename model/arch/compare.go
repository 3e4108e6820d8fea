package arch

// Difference is one operator as a convention counts it and as the ledger does, in
// operations per token, both passes.
type Difference struct {
	Operator           string
	Ledger, Convention float64
	Note               string // why they differ, empty if they do not
}

// Compare tells how a convention's figure comes out of the ledger's, operator by
// operator: columns add up to [Config.FLOPsPerToken] by the two. Its figure is built
// from [Config.Operations] here, product by product, and there by a closed form.
func (c *Config) Compare(by Convention, seq int) ([]Difference, error) {
	if _, err := c.FLOPsPerToken(by, seq); err != nil {
		return nil, err
	}
	w := Work{Lengths: []int{seq}}
	var out []Difference
	for _, l := range c.Ledger(w) {
		out = append(out, Difference{Operator: l.Operator, Ledger: (l.Forward + l.Backward) / float64(seq)})
	}
	counted := map[string]float64{}
	if by == ByLedger {
		for _, d := range out {
			counted[d.Operator] = d.Ledger
		}
	} else {
		counted = c.convention(by, w)
	}
	for i := range out {
		out[i].Convention = counted[out[i].Operator]
		delete(counted, out[i].Operator)
	}
	for _, operator := range []string{"indexer", "embedding"} { // what the ledger may have no line for
		if v, ok := counted[operator]; ok {
			out = append(out, Difference{Operator: operator, Convention: v})
		}
	}
	for i := range out {
		if d := &out[i]; d.Ledger != d.Convention {
			d.Note = differences[by][d.Operator]
			if d.Note == "" {
				d.Note = differences[""][d.Operator]
			}
		}
	}
	return out, nil
}

// convention counts the products of the work as a convention does: those with
// weights as if every token passed through them forward and twice backward, none
// between residual streams, none of pooling and choosing; attention by its keys.
func (c *Config) convention(by Convention, w Work) map[string]float64 {
	tokens, out := int64(w.Lengths[0]), map[string]float64{}
	w.IndexerLoss = true // its weights count whether they are trained or not
	for _, o := range c.Operations(w) {
		if o.Pass != Forward {
			continue
		}
		switch o.Name {
		case "scores", "values", "pooling", "mixing", "weights":
			continue
		}
		out[o.Operator] += float64(6 * (o.Executed() / tokens))
	}
	for l := range c.NumLayers {
		own, compressed := c.keysPerQuery(l, tokens, by != Torchtitan)
		operator := "attn.full"
		if c.LayerWindow(l) > 0 {
			operator = "attn.window"
		}
		out[operator] += float64(c.perKey() * own)
		if c.Ratio(l) != 0 {
			out["attn.compressed"] += float64(c.perKey() * compressed)
		}
	}
	if by == Verl {
		out["embedding"] = 6 * float64(c.VocabSize*c.HiddenSize)
	}
	return out
}

// differences say why a convention and the ledger count an operator differently; those
// under the empty name are common to all.
var differences = map[Convention]map[string]string{
	"": {
		"mhc.mix":         "the conventions count products with weights only",
		"compressor":      "the conventions pass every token through, the ledger those of whole blocks, and count no pooling",
		"indexer":         "the conventions count its weights as trained, whether it is needed or not, and no scores",
		"attn.full":       "half of a square, where the diagonal makes it half of n(n+1)",
		"attn.window":     "",
		"attn.compressed": "",
	},
	Verl: {"embedding": "a look-up, counted as if it were a product"},
	Torchtitan: {
		"attn.full":       "the whole square, as if no token came later than another",
		"attn.window":     "every query with the keys of the last one",
		"attn.compressed": "every query with the keys of the last one",
	},
}
