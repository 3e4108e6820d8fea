package preview

import (
	"fmt"
	"io"

	"github.com/temper-ml/temper/data"
)

// Segment is the JSON form of one example within a row.
type Segment struct {
	Start      int         `json:"start"`
	End        int         `json:"end"`
	Supervised int         `json:"supervised"`
	Source     data.Source `json:"source"`
	Spans      []Span      `json:"spans,omitempty"`
}

// Row is the JSON form of one packed row.
type Row struct {
	Number     int64     `json:"row"`
	Tokens     int       `json:"tokens"`
	Supervised int       `json:"supervised"`
	Segments   []Segment `json:"segments"`
}

// DescribeRow returns the JSON form of row g of a stream; with text, the text of
// its segments too.
func DescribeRow(dec Decoder, s *data.Stream, g int64, text, tokens bool) Row {
	r := s.Row(g)
	out := Row{Number: g, Tokens: len(r.Tokens), Supervised: r.Supervised()}
	for _, seg := range r.Segments {
		e := data.Example{Tokens: r.Tokens[seg.Start:seg.End], Mask: r.Mask[seg.Start:seg.End]}
		d := Segment{Start: seg.Start, End: seg.End, Supervised: e.Supervised(), Source: seg.Source}
		if text {
			d.Spans = Spans(dec, e, tokens)
		}
		out.Segments = append(out.Segments, d)
	}
	return out
}

// Write prints the row for people: one line a segment, and its text if there.
func (r *Row) Write(w io.Writer, s Style) error {
	if _, err := fmt.Fprintf(w, "row %d: %d tokens, %d supervised, %d segments\n", r.Number, r.Tokens, r.Supervised, len(r.Segments)); err != nil {
		return err
	}
	for _, seg := range r.Segments {
		if _, err := fmt.Fprintf(w, "  [%6d, %6d)  %5d tokens  %5d supervised  %s\n",
			seg.Start, seg.End, seg.End-seg.Start, seg.Supervised, seg.Source); err != nil {
			return err
		}
		if seg.Spans != nil {
			if _, err := fmt.Fprintf(w, "%s\n", Text(seg.Spans, s)); err != nil {
				return err
			}
		}
	}
	return nil
}

// Packed is the JSON form of how a data set is packed.
type Packed struct {
	Packing       data.Packing `json:"packing"`
	RowsPerStep   int          `json:"rows_per_step"`
	StepsPerEpoch int64        `json:"steps_per_epoch"`
	Rows          []Row        `json:"rows"`
}

// Write prints the packing for people.
func (p *Packed) Write(w io.Writer, s Style) error {
	for i := range p.Rows {
		if err := p.Rows[i].Write(w, s); err != nil {
			return err
		}
	}
	k := p.Packing
	_, err := fmt.Fprintf(w, "%d examples in %d rows of %d: %d tokens, %.2f %% full, %d supervised\nrows have %d to %d tokens; %d rows a step, %d steps an epoch\n",
		k.Examples, k.Rows, k.SeqLen, k.Tokens, 100*k.Efficiency, k.Supervised, k.Shortest, k.Longest, p.RowsPerStep, p.StepsPerEpoch)
	return err
}
