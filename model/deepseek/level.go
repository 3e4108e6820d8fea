package deepseek

import (
	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/nn"
)

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
