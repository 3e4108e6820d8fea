package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/temper-ml/temper/report/audit"
	"github.com/temper-ml/temper/report/render"
)

// mostRows bounds what is worth predicting: records may say anything.
const mostRows = 1 << 22

// patiently is Predict with an end.
func (w *auditWorld) patiently(ctx context.Context, q audit.Request) (*audit.Prediction, error) {
	const patience = 20 * time.Second
	short, stop := context.WithTimeout(ctx, patience)
	defer stop()
	p, err := w.Predict(short, q)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return &audit.Prediction{Hardware: q.Hardware, Why: fmt.Sprintf("none was found within %v", patience)}, nil
	}
	return p, err
}

// compare asks the planner for a step of each run's largest stage on other
// hardware: as many devices as the run had ranks, the batch and rows of the stage.
func (f *reportFlags) compare(ctx context.Context, runs []*render.Run) error {
	if slices.Equal(f.hardware, []string{"none"}) {
		return nil
	}
	w := newAuditWorld()
	for _, name := range f.hardware {
		if _, err := w.Hardware(name); err != nil {
			return usageError{err}
		}
	}
	for i, r := range runs {
		stage := r.Largest()
		if r.Model == nil || stage < 0 {
			continue // the page says what is not on record
		}
		s := &r.Stages[stage]
		if s.Batch <= 0 || s.Batch > mostRows || s.Sequence <= 0 || s.Sequence > mostRows || r.Ranks > mostRows {
			continue
		}
		batch := float64(s.Batch) * float64(s.Sequence)
		model := fmt.Sprintf("run %d", i)
		w.models[model] = r.Model
		for _, name := range f.hardware {
			p, err := w.patiently(ctx, audit.Request{
				Model: model, Hardware: name, Devices: int(max(r.Ranks, 1)), Seq: int(s.Sequence), BatchTokens: audit.Exactly(batch),
			})
			if err != nil {
				return err
			}
			r.Predictions = append(r.Predictions, render.Prediction{
				Hardware: p.Hardware, DType: p.DType, Stage: stage, Devices: int64(p.Used), Tokens: p.StepTokens, Seconds: p.StepSeconds, Low: p.StepInterval[0], High: p.StepInterval[1],
				Layout: p.Layout, BoundBy: p.BoundBy, Why: p.Why,
			})
		}
	}
	return nil
}
