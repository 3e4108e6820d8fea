package memory

import "github.com/temper-ml/temper/cluster/costmodel/operator"

// Contents is what a stage holds, added up over its parts. Searches that look at
// many layouts build it once per part and merge; [Of] builds it from a [Stage].
type Contents struct {
	Parameters operator.Parameters
	Table      int64 // values of one embedding or head table, if there are any
	Tables     int64 // values of all of them
	Largest    int64 // values of the largest block
	Boundary   int64 // bytes that the pipeline sends on
	Embedding  bool
	Head       bool
	MTP        int

	// Passing is what a moment holds only while it lasts, the worst part's.
	Passing [moments]int64

	shapes []operator.Shape // distinct shapes of weights
}

// AddEmbedding adds the input embedding.
func (t *Contents) AddEmbedding(w *operator.Works) {
	t.Embedding = true
	t.Boundary = w.Embedding.Boundary
	t.table(w)
	t.add(EmbeddingGradient, w.Embedding.Table, w.Embedding, 1)
}

// AddBlock adds a block of the trunk, times times over.
func (t *Contents) AddBlock(w *operator.Works, layer, times int, r operator.Recompute) {
	b := w.Blocks[layer]
	t.Boundary = b.Boundary
	t.Largest = max(t.Largest, b.Parameters.Total())
	t.add(BlockBackward, again(b, r)+b.BackwardPeak, b, times)
}

// AddHead adds the output head.
func (t *Contents) AddHead(w *operator.Works) {
	t.Head = true
	t.Boundary = w.Embedding.Boundary
	t.table(w)
	t.add(HeadBackward, w.Head.BackwardPeak, w.Head, 1)
}

func (t *Contents) table(w *operator.Works) {
	t.Table = w.Embedding.Parameters.Split
	t.Tables += t.Table
}

// AddMTP adds an MTP depth.
func (t *Contents) AddMTP(w *operator.Works, depth int, r operator.Recompute) {
	t.MTP++
	t.Table = w.Embedding.Parameters.Split
	b := w.Blocks[w.Model.NumLayers+depth]
	t.add(MTPBackward, again(b, r)+b.BackwardPeak, b, 1)
}

// Merge adds other contents.
func (t *Contents) Merge(u *Contents) {
	t.Parameters = t.Parameters.Add(u.Parameters)
	t.Table, t.Tables = max(t.Table, u.Table), t.Tables+u.Tables
	t.Largest, t.Boundary = max(t.Largest, u.Largest), max(t.Boundary, u.Boundary)
	t.Embedding, t.Head, t.MTP = t.Embedding || u.Embedding, t.Head || u.Head, t.MTP+u.MTP
	for m := range t.Passing {
		t.Passing[m] = max(t.Passing[m], u.Passing[m])
	}
	t.addShapes(u.shapes)
}

// Finish adds the tables that a stage holds although they are counted elsewhere:
// an input embedding that serves as head on another stage, and what MTP depths
// share with the trunk. It must be called once, when all parts are in.
func (t *Contents) Finish(w *operator.Works) {
	table := w.Embedding.Parameters.Split
	if t.Embedding && t.Head && w.Model.TieEmbeddings {
		t.Tables -= table // one table in two places
	}
	if !t.Embedding && (t.MTP > 0 || t.Head && w.Model.TieEmbeddings) {
		t.Parameters.Split += table
		if !t.Head || !w.Model.TieEmbeddings {
			t.Tables += table
		}
	}
	if !t.Head && t.MTP > 0 && !w.Model.TieEmbeddings {
		t.Parameters.Split += table
		t.Tables += table
	}
}

// again is what recomputing a part brings back for the time of its backward pass.
func again(w *operator.BlockWork, r operator.Recompute) int64 {
	if r == 0 {
		return 0
	}
	return max(0, w.Kept(0)-w.Kept(r))
}

func (t *Contents) add(m Moment, passing int64, w *operator.BlockWork, times int) {
	t.Parameters = t.Parameters.Add(w.Parameters.Times(int64(times)))
	t.Passing[m] = max(t.Passing[m], passing)
	t.addShapes(w.Weights)
}

func (t *Contents) addShapes(shapes []operator.Shape) {
next:
	for _, s := range shapes {
		for _, known := range t.shapes {
			if known == s {
				continue next
			}
		}
		t.shapes = append(t.shapes, s)
	}
}
