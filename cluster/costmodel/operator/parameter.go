package operator

// Parameters counts the values of weights that one rank holds.
type Parameters struct {
	Split      int64 // of tensors that TP divides: this rank's part
	Replicated int64 // held whole by every TP rank
	Expert     int64 // of the routed experts that live here, ETP's part
	Frozen     int64 // no gradient: routing bias; part of Replicated
	Hash       int64 // entries of tables that route tokens by their id, not counted as parameters
	Muon       int64 // of Split and Replicated, what Muon trains
	MuonExpert int64 // of Expert, what Muon trains
	Quantised  int64 // of which fp8 copies lie beside the weights
	Largest    int64 // values of the largest matrix that Muon must see whole
}

// Add returns the sum of two parts.
func (p Parameters) Add(q Parameters) Parameters {
	return Parameters{
		Split: p.Split + q.Split, Replicated: p.Replicated + q.Replicated, Expert: p.Expert + q.Expert,
		Frozen: p.Frozen + q.Frozen, Hash: p.Hash + q.Hash, Muon: p.Muon + q.Muon, MuonExpert: p.MuonExpert + q.MuonExpert,
		Quantised: p.Quantised + q.Quantised, Largest: max(p.Largest, q.Largest),
	}
}

// Times returns n times the part; the largest matrix stays what it is.
func (p Parameters) Times(n int64) Parameters {
	return Parameters{
		Split: n * p.Split, Replicated: n * p.Replicated, Expert: n * p.Expert, Frozen: n * p.Frozen, Hash: n * p.Hash,
		Muon: n * p.Muon, MuonExpert: n * p.MuonExpert, Quantised: n * p.Quantised, Largest: p.Largest,
	}
}

// Dense returns the values outside the routed experts.
func (p Parameters) Dense() int64 { return p.Split + p.Replicated }

// Total returns all values.
func (p Parameters) Total() int64 { return p.Dense() + p.Expert }

// Shape is the shape of a weight on one rank.
type Shape struct{ Rows, Cols int64 }

// Len returns the number of values.
func (s Shape) Len() int64 { return s.Rows * s.Cols }

// matrix counts count matrices of one shape that TP divides and Muon trains.
func (b *builder) matrix(count, rows, cols int64) {
	values := count * rows * cols
	b.count(Parameters{Split: values / int64(b.s.TP), Muon: values / int64(b.s.TP), Largest: rows * cols})
	b.quantised(values / int64(b.s.TP))
}

// wholeMatrix counts a matrix that every TP rank holds and Muon trains.
func (b *builder) wholeMatrix(rows, cols int64) {
	b.count(Parameters{Replicated: rows * cols, Muon: rows * cols, Largest: rows * cols})
}

// table counts an embedding or a head: divided by TP, trained by AdamW.
func (b *builder) table(rows, cols int64) {
	b.count(Parameters{Split: ceil(rows, int64(b.s.TP)) * cols})
}

// bias counts a vector that TP divides.
func (b *builder) bias(has bool, values int64) {
	if has {
		b.count(Parameters{Split: values / int64(b.s.TP)})
	}
}

// whole counts vectors that every TP rank holds.
func (b *builder) whole(values, count int64) { b.count(Parameters{Replicated: values * count}) }

func (b *builder) count(p Parameters) { b.out.Parameters = b.out.Parameters.Add(p) }

// quantised counts values of which fp8 copies lie beside the weights: those that
// fp8 products read, unless weights are stored and gathered in fp8, as recipes do
// whose scales belong to whole tensors or to 32 values.
func (b *builder) quantised(values int64) {
	if b.n.DType.Quantised() && (b.n.Scaling == "" || b.n.Scaling == "blockwise") {
		b.out.Parameters.Quantised += values
	}
}

func ceil(a, b int64) int64 { return (a + b - 1) / b }
