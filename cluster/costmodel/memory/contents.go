package memory

import "github.com/temper-ml/temper/cluster/costmodel/operator"

// contents is what a stage holds, added up over its chunks.
type contents struct {
	params    operator.Parameters
	root      int64 // values of embedding and head tables on this rank
	largest   int64 // values of the largest block
	kept      []int64
	shapes    []operator.Shape // distinct shapes of weights
	head      *operator.BlockWork
	embedding *operator.BlockWork
	blocks    []*operator.BlockWork // distinct kinds
	first     []int                 // the last block of each kind: its backward runs first
	mtp       []*operator.BlockWork
	boundary  int64
}

// read adds up the stage.
func (s *Stage) read() *contents {
	t := &contents{kept: make([]int64, len(s.Chunks)), boundary: s.Works.Embedding.Boundary}
	for i, ch := range s.Chunks {
		if ch.Embedding {
			t.embedding = s.Works.Embedding
			t.add(i, s, t.embedding)
		}
		for l := ch.First; l < ch.First+ch.Blocks; l++ {
			t.block(i, l, s, s.Works.Blocks[l])
		}
		if ch.Head {
			t.head = s.Works.Head
			t.add(i, s, t.head)
		}
		for d := range ch.MTP {
			w := s.Works.Blocks[s.Works.Model.NumLayers+d]
			t.mtp = append(t.mtp, w)
			t.add(i, s, w)
		}
	}
	t.copies(s)
	return t
}

func (t *contents) add(chunk int, s *Stage, w *operator.BlockWork) {
	t.params = t.params.Add(w.Parameters)
	t.kept[chunk] += w.Kept(s.Recompute)
	for _, shape := range w.Weights {
		t.shape(shape)
	}
}

func (t *contents) block(chunk, layer int, s *Stage, w *operator.BlockWork) {
	t.largest = max(t.largest, w.Parameters.Total())
	for i, known := range t.blocks {
		if known == w {
			t.first[i] = layer
			t.params = t.params.Add(w.Parameters)
			t.kept[chunk] += w.Kept(s.Recompute)
			return
		}
	}
	t.blocks = append(t.blocks, w)
	t.first = append(t.first, layer)
	t.add(chunk, s, w)
}

func (t *contents) shape(shape operator.Shape) {
	for _, known := range t.shapes {
		if known == shape {
			return
		}
	}
	t.shapes = append(t.shapes, shape)
}

// copies adds the tables that a stage holds although they are counted elsewhere:
// an input embedding that serves as head on another stage, and what MTP depths
// share with the trunk.
func (t *contents) copies(s *Stage) {
	table := s.Works.Embedding.Parameters.Split
	if s.Works.Model.TieEmbeddings && t.head != nil && t.embedding == nil {
		t.params.Split += table
	}
	if len(t.mtp) > 0 {
		if t.embedding == nil {
			t.params.Split += table
		}
		if t.head == nil {
			t.params.Split += table
		}
	}
	if t.embedding != nil || len(t.mtp) > 0 {
		t.root += table
	}
	if t.head != nil || len(t.mtp) > 0 {
		t.root += table
	}
}

// live returns the activation bytes in flight at the stage's worst moment.
func (t *contents) live(s *Stage) int64 {
	if s.Order != nil {
		return s.Order.Peak(s.Index, t.kept, nil)
	}
	var sum int64
	for i, ch := range s.Chunks {
		sum += int64(float64(t.kept[i]) * ch.InFlight)
	}
	return sum
}
