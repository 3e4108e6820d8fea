package deepseek

import (
	"fmt"

	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/nn"
)

// Segment is one isolated sequence of a batch.
type Segment = nn.Segment

// Batch is one micro-batch: T tokens in contiguous segments that do not see
// each other. Positions, attention windows, compression blocks and label shifts
// start anew in each segment.
type Batch struct {
	// Tokens are the ids of the inputs.
	Tokens []int32
	// Labels[i] is the token that position i is to predict, -1 where position i
	// is not supervised.
	Labels []int32
	// Segments cover [0, T) in order.
	Segments []Segment
	// MTPLabels[i] is the token that the first multi-token-prediction block is to
	// predict at position i, the one after Labels[i]. When nil it is Labels[i+1]
	// within the segment and -1 at its end.
	MTPLabels []int32
	// Routes, if not nil, has for each segment the choices to be made in place of
	// the model's own; nil entries leave a segment free. They are of all tokens of a
	// segment, or of all but a last one without a label, as [Routes] of a generated
	// sequence are: the last token then chooses freely, and so do MTP blocks.
	Routes []*Routes
}

// check tells what is wrong with the batch for the given configuration.
func (b *Batch) check(cfg *arch.Config) error {
	n := len(b.Tokens)
	if n == 0 {
		return fmt.Errorf("deepseek: batch is empty, want at least one token")
	}
	if len(b.Labels) != n {
		return fmt.Errorf("deepseek: batch has %d labels for %d tokens", len(b.Labels), n)
	}
	if b.MTPLabels != nil && len(b.MTPLabels) != n {
		return fmt.Errorf("deepseek: batch has %d mtp labels for %d tokens", len(b.MTPLabels), n)
	}
	if err := nn.CheckSegments(b.Segments, n); err != nil {
		return fmt.Errorf("deepseek: batch: %w", err)
	}
	if b.Routes != nil && len(b.Routes) != len(b.Segments) {
		return fmt.Errorf("deepseek: batch has routes for %d segments of %d: want an entry for each, nil for one that is free", len(b.Routes), len(b.Segments))
	}
	for i, s := range b.Segments {
		if s.Len() > cfg.MaxPositions {
			return fmt.Errorf("deepseek: segment %d has %d tokens, the model has %d positions", i, s.Len(), cfg.MaxPositions)
		}
	}
	for i, id := range b.Tokens {
		if id < 0 || int(id) >= cfg.VocabSize {
			return fmt.Errorf("deepseek: token %d at position %d is outside the vocabulary of %d", id, i, cfg.VocabSize)
		}
	}
	for _, labels := range [][]int32{b.Labels, b.MTPLabels} {
		for i, id := range labels {
			if id < -1 || int(id) >= cfg.VocabSize {
				return fmt.Errorf("deepseek: label %d at position %d is neither -1 nor in the vocabulary of %d", id, i, cfg.VocabSize)
			}
		}
	}
	return nil
}

// Supervised counts the labels that are not -1.
func (b *Batch) Supervised() int {
	n := 0
	for _, l := range b.Labels {
		if l >= 0 {
			n++
		}
	}
	return n
}

// Work describes the batch to [arch.Config.FLOPs]: what a step with these options
// processes in a model with that many MTP blocks.
func (b *Batch) Work(o StepOptions, depths int) arch.Work {
	w := arch.Work{MTP: o.MTPScale != 0, IndexerLoss: o.IndexerScale != 0}
	for i, s := range b.Segments {
		w.Lengths = append(w.Lengths, s.Len())
		if b.Routes != nil {
			w.Given = append(w.Given, b.Routes[i].picked())
		}
	}
	if !w.MTP {
		depths = 0
	}
	for depth := range depths + 1 {
		w.Supervised = append(w.Supervised, b.supervisedAt(depth))
	}
	return w
}

// supervisedAt counts the labels of a prediction depth, 0 for the trunk: as
// [level.next] hands them out.
func (b *Batch) supervisedAt(depth int) int64 {
	labels, ahead := b.Labels, depth
	if depth > 0 && b.MTPLabels != nil {
		labels, ahead = b.MTPLabels, depth-1
	}
	var n int64
	for _, s := range b.Segments {
		for i := s.Start + ahead; i < s.End-depth+ahead; i++ {
			if labels[i] >= 0 {
				n++
			}
		}
	}
	return n
}

// level is the micro-batch as one prediction depth sees it. Level 0 is the
// batch itself. At each further level every segment loses its last position,
// whose next token does not exist, and tokens and labels move one place on: the
// row that was position i now stands for position i, but has embedded token i+1
// and is to predict the label after the one of the level below.
type level struct {
	tokens, labels []int32
	origin         []int32 // position in the batch that the row stands for
	ahead          []int32 // position in the batch of the row's token
	segments       []Segment
	from           []Segment // the level below's rows that stay, in the same order as segments
}

// t returns the number of rows.
func (l *level) t() int { return len(l.tokens) }

func baseLevel(b *Batch, a *nn.Arena) level {
	l := level{tokens: b.Tokens, labels: b.Labels, segments: b.Segments, origin: a.I32(len(b.Tokens))}
	for i := range l.origin {
		l.origin[i] = int32(i)
	}
	l.ahead = l.origin
	return l
}

// next fills l, whose segment slices are reused, with the level above below.
// mtpLabels, if not nil, gives the labels by position of the batch.
func (l *level) next(below *level, mtpLabels []int32, a *nn.Arena) {
	n := l.shrink(below.segments)
	l.tokens, l.labels, l.origin, l.ahead = a.I32(n), a.I32(n), a.I32(n), a.I32(n)
	for i, s := range l.segments {
		f := l.from[i]
		copy(l.tokens[s.Start:s.End], below.tokens[f.Start+1:])
		copy(l.labels[s.Start:s.End], below.labels[f.Start+1:])
		copy(l.origin[s.Start:s.End], below.origin[f.Start:])
		copy(l.ahead[s.Start:s.End], below.ahead[f.Start+1:])
	}
	if mtpLabels != nil {
		for i, at := range l.origin {
			l.labels[i] = mtpLabels[at]
		}
	}
}

// shrink takes the last position off every segment and returns how many are left.
func (l *level) shrink(segments []Segment) int {
	l.segments, l.from = l.segments[:0], l.from[:0]
	n := 0
	for _, s := range segments {
		if s.Len() > 1 {
			l.segments = append(l.segments, Segment{Start: n, End: n + s.Len() - 1})
			l.from = append(l.from, Segment{Start: s.Start, End: s.End - 1})
			n += s.Len() - 1
		}
	}
	return n
}

// rowsOf returns which of the level's segments belong to which row of the batch,
// as [nn.Pass] has it, from the pass of the level below.
func (l *level) rowsOf(below *nn.Pass) []int {
	rows, kept, from := make([]int, 0, len(below.Rows)), 0, 0
	for _, to := range below.Rows {
		for _, s := range below.Segments[from:to] {
			if s.Len() > 1 {
				kept++
			}
		}
		rows, from = append(rows, kept), to
	}
	return rows
}

// take copies the rows that stay from x, rows of the level below, to dst.
func (l *level) take(dst, x []float32, dim int) {
	for i, s := range l.segments {
		copy(dst[s.Start*dim:s.End*dim], x[l.from[i].Start*dim:])
	}
}

// addBack adds the rows dx of this level to those of the level below they came
// from: the gradient of take.
func (l *level) addBack(below, dx []float32, dim int) {
	for i, s := range l.segments {
		f := l.from[i]
		kernel.AddTo(below[f.Start*dim:f.End*dim], dx[s.Start*dim:s.End*dim])
	}
}
