package verifytest

import (
	"context"

	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/verify"
)

// Replayer takes the steps of a synthetic run again, honestly. It begins
// anywhere that the log has a checkpoint.
type Replayer struct {
	Run *Run
	Log *verify.Log
	// Change, if not nil, may change what is computed.
	Change func(record.Body)
}

// Starts are the beginning of the run and of each stage, and the checkpoints.
func (r *Replayer) Starts(context.Context) ([]verify.Position, error) {
	ps := []verify.Position{{}}
	for i := range r.Log.Checkpoints {
		p := r.Log.Checkpoints[i].Position()
		ps = append(ps, p)
		if p.Step == r.Run.Options.Stages[p.Stage].Steps && p.Stage+1 < len(r.Run.Options.Stages) {
			ps = append(ps, verify.Position{Stage: p.Stage + 1})
		}
	}
	return ps, nil
}

// Replay computes the entries of a segment.
func (r *Replayer) Replay(ctx context.Context, seg verify.Segment, each func(record.Body) error) error {
	a := &author{Run: r.Run}
	give := func(b record.Body) error {
		if r.Change != nil {
			r.Change(b)
		}
		return each(b)
	}
	at := func(p verify.Position) error {
		if r.Log.EvaluationAt(p) != nil {
			e := a.evaluation(p.Stage, p.Step)
			e.Took = 0
			if err := give(e); err != nil {
				return err
			}
		}
		if t := r.Log.RoutingTo(p); t != nil && p != seg.From && t.From >= seg.From.Step {
			a.counts = nil
			for n := t.From; n < t.To; n++ {
				if r.Run.world.step(p.Stage, n).Skipped == "" {
					a.gather(r.Run.world.at(p.Stage, n).table)
				}
			}
			if err := give(&record.Routing{Stage: p.Stage, From: t.From, To: t.To, Counts: a.counts}); err != nil {
				return err
			}
		}
		if p == seg.From || !r.Run.Options.Files || r.Log.At(p) == nil {
			return nil
		}
		all, own := r.Run.world.updates(p.Stage, p.Step)
		return give(&record.Checkpoint{
			Stage: p.Stage, Step: p.Step, Parameters: whole(r.Run.world.parameters(all)), Optimizer: whole(r.Run.world.optimizer(p.Stage, own)),
		})
	}
	if err := at(seg.From); err != nil {
		return err
	}
	for n := seg.From.Step; n < seg.To; n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := give(r.Run.world.step(seg.From.Stage, n)); err != nil {
			return err
		}
		if err := at(verify.Position{Stage: seg.From.Stage, Step: n + 1}); err != nil {
			return err
		}
	}
	return nil
}
