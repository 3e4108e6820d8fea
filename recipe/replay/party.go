package replay

import (
	"context"
	"fmt"

	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/record/digest"
	"github.com/temper-ml/temper/report/record/trace"
	"github.com/temper-ml/temper/report/verify"
	"github.com/temper-ml/temper/train"
)

// Party takes the steps of a segment and is this machine's side of a dispute
// about them, down to single values ([verify.Dispute]). What it has of a step
// takes some 64 bytes and its entry's text; a step that is looked into is taken
// again.
func (r *Replayer) Party(ctx context.Context, seg verify.Segment) (verify.Party, error) {
	var texts [][]byte
	err := r.Replay(ctx, seg, func(b record.Body) error {
		s, ok := b.(*record.Step)
		if !ok {
			return nil
		}
		text, err := verify.StepText(s)
		texts = append(texts, text)
		return err
	})
	return &party{verify.NewSteps(texts), r, seg}, err
}

type party struct {
	*verify.Steps
	r   *Replayer
	seg verify.Segment
}

// Operators traces step i of the segment.
func (p *party) Operators(ctx context.Context, i int64) (verify.Operators, error) {
	if i < 0 || i >= p.seg.Steps() {
		return nil, fmt.Errorf("replay: no step %d of %d", i, p.seg.Steps())
	}
	at := verify.Position{Stage: p.seg.From.Stage, Step: p.seg.From.Step + i}
	entries, err := p.r.Entries(ctx, at)
	if err != nil {
		return nil, err
	}
	return &operators{trace.New(entries), p.r, at}, nil
}

// operators are those of a step.
type operators struct {
	*trace.Trace
	r  *Replayer
	at verify.Position
}

// Blocks implements [verify.Operators].
func (o *operators) Blocks(ctx context.Context, i int64) ([]digest.Digest, error) {
	t, err := o.want(ctx, i, 0, 1)
	return t.Blocks, err
}

// Block implements [verify.Operators].
func (o *operators) Block(ctx context.Context, i, block int64) ([]uint32, error) {
	t, err := o.want(ctx, i, block*digest.Block, digest.Block)
	return t.Values, err
}

// want takes the step again for values of an operator.
func (o *operators) want(ctx context.Context, i, from, count int64) (*train.Tracing, error) {
	e, err := o.Entry(ctx, i)
	if err != nil {
		return &train.Tracing{}, err
	}
	t := &train.Tracing{Want: &e.Operator, From: from, Count: count}
	return t, o.r.Trace(ctx, o.at, t)
}
