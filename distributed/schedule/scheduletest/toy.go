package scheduletest

import (
	"fmt"

	"github.com/temper-ml/temper/distributed/mesh"
	"github.com/temper-ml/temper/distributed/schedule"
)

// The sizes of the toy model, which the degrees of a mesh must divide.
const (
	numHeads   = 4 // of an attention, split over tp
	numSlices  = 4 // of a feed-forward part (split over tp) or an expert (over etp)
	numRows    = 8 // of the embedding and the head, split over tp
	numExperts = 8 // of a block, split over ep
	topK       = 2 // experts of a token
)

// kind says what a weight belongs to.
type kind uint8

const (
	embeddingRow kind = iota
	headRow
	projection // of an MTP module; every tp rank holds it
	attentionNorm
	feedForwardNorm // norms and routers too
	router
	attentionHead
	hiddenSlice
	expertSlice
)

// Weight names one weight of the toy model.
type Weight struct {
	kind         kind
	block, index int
}

var kindNames = [...]string{
	"row of the embedding", "row of the head", "projection", "attention norm", "feed-forward norm", "router",
	"attention head", "feed-forward slice", "expert slice",
}

// String writes a weight as "attention head 2 of block 5".
func (w Weight) String() string {
	if w.block < 0 {
		return fmt.Sprintf("%s %d", kindNames[w.kind], w.index)
	}
	return fmt.Sprintf("%s %d of block %d", kindNames[w.kind], w.index, w.block)
}

// replicated reports whether every tensor-parallel rank holds the weight.
func (w Weight) replicated() bool { return w.kind >= projection && w.kind <= router }

func (w Weight) initial() num { return draw(1, int(w.kind), w.block, w.index) }

// toy is the model and the global batch of a program.
type toy struct {
	*schedule.Program
	tokens int // of a sequence, which is a microbatch of one data-parallel rank
	micros int // of all data-parallel ranks
}

// newToy fits the toy to a program. It refuses degrees that do not divide its
// sizes.
func newToy(p *schedule.Program, tokens int) (*toy, error) {
	m := p.Spec.Mesh
	if tokens == 0 {
		tokens = max(2, m.CP*m.TP)
	}
	for _, d := range [...]struct {
		axis         mesh.Axis
		degree, size int
	}{{mesh.TP, m.TP, numHeads}, {mesh.ETP, m.ETP, numSlices}, {mesh.EP, m.EP, numExperts}, {mesh.CP, m.CP * m.TP, tokens}} {
		if d.degree < 1 || d.size%d.degree != 0 {
			return nil, fmt.Errorf("scheduletest: %v is %d, must divide %d", d.axis, d.degree, d.size)
		}
	}
	return &toy{Program: p, tokens: tokens, micros: p.Spec.Mesh.DP * p.Spec.Micro}, nil
}

func (t *toy) blocks() int { return t.Spec.Split.Blocks() }

// mtpBefore counts the MTP modules of the parts before a position.
func (t *toy) mtpBefore(position int) (n int) {
	for _, p := range t.Spec.Split.Parts[:position] {
		n += p.MTP
	}
	return n
}

// isExpert reports whether a block or MTP module holds experts.
func (t *toy) isExpert(block int) bool {
	return len(t.Spec.Experts) > 0 && t.Spec.Experts[min(block, len(t.Spec.Experts)-1)]
}

// word is the token at a place of a sequence; MTP modules look beyond its end.
func word(step, micro, token int) int { return int(draw(2, step, micro, token) % numRows) }

// target is how the loss pulls at one row of the head.
func target(step, micro, token, depth, row int) num {
	return draw(3, step, micro, token+1+depth, row)
}

// expertsOf returns the experts of a token in a block.
func expertsOf(step, micro, token, block int) (out [topK]int) {
	first := int(draw(4, step, micro, token, block) % numExperts)
	second := int(draw(5, step, micro, token, block) % (numExperts - 1))
	return [topK]int{first, (first + 1 + second) % numExperts}
}

// bias makes the slices and heads of one product differ.
func bias(index int) num { return draw(6, index) }

// uses returns how often the gradient of a weight sees a token in a step.
func (t *toy) uses(w Weight, step, micro, token int) int {
	depths := t.Spec.Split.MTP()
	switch w.kind {
	case embeddingRow:
		n := 0
		for k := 0; k <= depths; k++ {
			if word(step, micro, token+k) == w.index {
				n++
			}
		}
		if t.Spec.Tied {
			n += 1 + depths
		}
		return n
	case headRow:
		return 1 + depths
	case router, expertSlice:
		e := w.index
		if w.kind == expertSlice {
			e /= numSlices
		}
		if r := expertsOf(step, micro, token, w.block); r[0] != e && r[1] != e {
			return 0
		}
	}
	return 1
}
