package schedule

// Part is what one position of the pipeline holds: a run of consecutive blocks
// and the special layers.
type Part struct {
	First, Blocks int  // blocks First, First+1, ..., Blocks of them
	Embedding     bool // the input embedding
	MTP           int  // multi-token-prediction modules
	Head          bool // the output head and the loss
}

// Split cuts a model into parts, by position along the forward pass.
// Shape.Position says which part a chunk of a stage holds.
type Split struct {
	Parts []Part
}

// Blocks returns the number of blocks in all parts.
func (s Split) Blocks() int {
	n := 0
	for _, p := range s.Parts {
		n += p.Blocks
	}
	return n
}

// MTP returns the number of multi-token-prediction modules in all parts.
func (s Split) MTP() int {
	n := 0
	for _, p := range s.Parts {
		n += p.MTP
	}
	return n
}
