package preference

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"

	"github.com/temper-ml/temper/data"
	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/report/record/digest"
	"github.com/temper-ml/temper/train"
)

// Stream gives packed pairs in training order; data.Stream is one.
type Stream interface {
	Row(g int64) data.Row
	Examples(g int64) []int
	RowsPerEpoch() int
}

// Pairs are all that a stage needs a reference for: what it trains on and what it
// holds out, pairs or judged answers.
type Pairs struct {
	stream Stream
	used   int64 // rows of the stream, each once, that hold all examples trained on
	batch  int64 // rows of a step
	held   []train.Row
	judged *judged // nil for pairs
}

// NewPairs describes a stage of steps of batch rows each, which is measured on held.
func NewPairs(s Stream, steps int64, batch int, held []train.Row) *Pairs {
	p := &Pairs{stream: s, used: int64(s.RowsPerEpoch()), batch: int64(batch), held: held}
	if steps <= p.used/p.batch { // fewer than an epoch: those rows alone
		p.used = steps * p.batch
	}
	return p
}

// Rows is the number of rows that a reference is computed of.
func (p *Pairs) Rows() int64 {
	n := p.used + int64(len(p.held))
	if p.judged != nil {
		n += p.judged.rows
	}
	return n
}

// Row returns one of them: those trained on come first, then those held out, then
// mismatched answers, step by step.
func (p *Pairs) Row(i int64) train.Row {
	switch held := i - p.used; {
	case held < 0:
		r := p.stream.Row(i)
		return train.NewRow(&r)
	case held < int64(len(p.held)):
		return p.held[held]
	default:
		return p.judged.row(held - int64(len(p.held)))
	}
}

// MaxBytes bounds the size of a reference's file.
func (p *Pairs) MaxBytes() int64 {
	const headRoom = 4 << 10
	n := int64(0)
	for i := range p.used {
		n += int64(len(p.stream.Examples(i)))
	}
	for i := range p.held {
		n += int64(len(p.held[i].Segments))
	}
	if p.judged != nil {
		n += p.judged.answers
	}
	return headRoom + 8*n
}

// Digest identifies the rows.
func (p *Pairs) Digest() digest.Digest {
	list := make([]digest.Digest, p.Rows())
	for i := range list {
		r := p.Row(int64(i))
		list[i] = r.Digest()
	}
	return digest.List("reference rows", list)
}

// Reference holds log-probabilities of answers by a stage's first weights, row by
// row, as far as they are computed.
type Reference struct {
	pairs  *Pairs
	head   head
	values [][]float64 // by row and segment
	of     []float64   // by example of the stream, once complete; NaN: not trained on
}

// head is the first line of a cache.
type head struct {
	Format  string `json:"format"`
	Weights string `json:"weights"`
	Rows    string `json:"rows"`
	Count   int64  `json:"count"`
}

// Format names the format of a cache: a line of JSON, then for each row, and each
// of its segments, the sum of the log-probabilities of its labels as the eight
// bytes of a float64, little-endian, then the SHA-256 of all that.
const Format = "temper-reference/1"

// NewReference returns an empty reference of pairs by weights of a digest. Without
// one it takes that of the first cache it is given.
func NewReference(p *Pairs, weights string) *Reference {
	return &Reference{pairs: p, head: head{Format, weights, p.Digest().String(), p.Rows()}}
}

// Done is how many rows are computed.
func (r *Reference) Done() int64 { return int64(len(r.values)) }

// Complete reports whether all rows are.
func (r *Reference) Complete() bool { return r.Done() == r.head.Count }

// Compute goes on with the rows that are left, in order, and tells each of the
// number done. What is done when the context ends stays.
func (r *Reference) Compute(ctx context.Context, m *deepseek.Model, each func(done int64) error) error {
	for !r.Complete() {
		if err := ctx.Err(); err != nil {
			return err
		}
		row := r.pairs.Row(r.Done())
		sums, err := answers(m, &row)
		if err != nil {
			return fmt.Errorf("reference: row %d: %w", r.Done(), err)
		}
		r.values = append(r.values, sums)
		if err := each(r.Done()); err != nil {
			return err
		}
	}
	return nil
}

// answers returns the summed log-probability of each segment's labels.
func answers(m *deepseek.Model, row *train.Row) ([]float64, error) {
	logp, err := m.LogProbs(&deepseek.Batch{Tokens: row.Tokens, Labels: row.Labels, MTPLabels: row.MTPLabels, Segments: row.Segments})
	if err != nil {
		return nil, err
	}
	sums := make([]float64, len(row.Segments))
	for i := range row.Segments {
		if sums[i], _ = sum(row, i, logp); sums[i]-sums[i] != 0 {
			return nil, fmt.Errorf("the log-probability of answer %d is %v: %w", i, sums[i], deepseek.ErrNonFinite)
		}
	}
	return sums, nil
}

// sum adds up the log-probabilities of the labels of segment i, in their order.
func sum(row *train.Row, i int, logp []float32) (total float64, labels int64) {
	for j := row.Segments[i].Start; j < row.Segments[i].End; j++ {
		if row.Labels[j] >= 0 {
			total += float64(logp[j])
			labels++
		}
	}
	return total, labels
}

// finish makes values findable by example.
func (r *Reference) finish() {
	if r.of != nil {
		return
	}
	r.of = []float64{}
	for i := range r.pairs.used {
		for j, e := range r.pairs.stream.Examples(i) {
			for len(r.of) <= e {
				r.of = append(r.of, math.NaN())
			}
			r.of[e] = r.values[i][j]
		}
	}
}

// Encode returns the cache of what is computed: the same bytes wherever it is.
func (r *Reference) Encode() ([]byte, error) {
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(r.head); err != nil {
		return nil, err
	}
	for _, row := range r.values {
		for _, v := range row {
			_ = binary.Write(&b, binary.LittleEndian, v) // a buffer takes all
		}
	}
	s := sha256.Sum256(b.Bytes())
	b.Write(s[:])
	return b.Bytes(), nil
}

// Decode continues with a cache, which must be of the same weights and rows;
// those that are computed in it are not computed again.
func (r *Reference) Decode(text []byte) error {
	end := len(text) - sha256.Size
	line := bytes.IndexByte(text, '\n')
	if end < 0 || line < 0 || line >= end || sha256.Sum256(text[:end]) != [sha256.Size]byte(text[end:]) {
		return fmt.Errorf("it is damaged: its bytes do not have the SHA-256 that they end with")
	}
	var h head
	if err := json.Unmarshal(text[:line], &h); err != nil {
		return fmt.Errorf("line 1: %w", err)
	}
	want := r.head
	if want.Weights == "" {
		want.Weights = h.Weights
	}
	for _, q := range []struct {
		name      string
		got, want any
	}{
		{"format", h.Format, want.Format},
		{"weights", h.Weights, want.Weights},
		{"rows", h.Rows, want.Rows},
		{"count", h.Count, want.Count},
	} {
		if q.got != q.want {
			return fmt.Errorf("it is another reference's: %s %v, want %v", q.name, q.got, q.want)
		}
	}
	var values [][]float64
	for body := text[line+1 : end]; len(body) > 0; {
		if int64(len(values)) == h.Count {
			return fmt.Errorf("it goes on after %d rows", h.Count)
		}
		row := r.pairs.Row(int64(len(values)))
		sums := make([]float64, len(row.Segments))
		n, err := binary.Decode(body, binary.LittleEndian, sums)
		if err != nil {
			return fmt.Errorf("row %d: cut short", len(values))
		}
		body = body[n:]
		values = append(values, sums)
	}
	r.head, r.values, r.of = want, values, nil
	return nil
}
