package arch

// Count returns the number of trained parameters of the trunk (total), of the
// MTP blocks (mtp, not part of total), and how many of the trunk take part in one
// token (active): of the routed experts TopK, and no input embedding, because
// looking a row up multiplies nothing. Routing biases count, hash tables do not.
func (c *Config) Count() (total, mtp, active int64) {
	for _, t := range c.Tensors() {
		n := int64(t.Len())
		switch {
		case t.Role == GateHash:
			continue
		case t.Layer >= c.NumLayers:
			mtp += n
			continue
		}
		total += n
		if t.Role != Embed && t.Expert < c.TopK { // experts are equal in size: the first TopK stand for any
			active += n
		}
	}
	return total, mtp, active
}

// State is the memory that training holds for the parameters, in bytes.
type State struct {
	Weights   int64 // float32 master weights, hash tables included
	Gradients int64 // float32
	Optimizer int64 // float32 moments: two per value for AdamW, one for Muon
}

// Total returns the sum of the parts.
func (s State) Total() int64 { return s.Weights + s.Gradients + s.Optimizer }

// StateBytes returns the memory for weights, gradients and optimizer state, MTP
// included, with Muon on the matrices or with AdamW on everything.
func (c *Config) StateBytes(muon bool) State {
	var s State
	for _, t := range c.Tensors() {
		n := 4 * int64(t.Len())
		s.Weights += n
		switch {
		case t.Frozen:
		case t.Optim == Matrix && muon:
			s.Gradients += n
			s.Optimizer += n
		default:
			s.Gradients += n
			s.Optimizer += 2 * n
		}
	}
	return s
}
