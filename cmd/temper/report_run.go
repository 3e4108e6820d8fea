package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/recipe/execution"
	"github.com/temper-ml/temper/report/render"
	"github.com/temper-ml/temper/train"
)

// readRun fills a report's run from a run directory: its log, its recipe, and
// the configuration of its model once there is one. The log has no dates, hosts
// or links; the run stays silent about them.
func readRun(dir string) (*render.Run, error) {
	f, err := os.Open(filepath.Join(dir, "log.jsonl"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	x := runFiller{run: &render.Run{Name: filepath.Base(abs), Source: "log.jsonl"}}
	x.run.Conventions = []render.Convention{{Name: "ledger", Basis: "temper: forward and backward by what is really attended, MTP included; no recomputation, no optimizer"}}
	if b, err := os.ReadFile(filepath.Join(dir, "model", "config.json")); err == nil {
		if x.model, err = arch.ParseConfig(b); err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Join(dir, "model", "config.json"), err)
		}
		x.conventions()
	}
	if b, err := os.ReadFile(filepath.Join(dir, "recipe.yaml")); err == nil {
		x.run.Recipe = string(b)
	}
	if err := execution.ReadLog(f, func(e execution.Event) error {
		x.line++
		return x.add(e)
	}); err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name(), err)
	}
	return x.run, nil
}

// otherConventions are the ways of counting of other programs.
var otherConventions = []struct {
	by    arch.Convention
	basis string
}{
	{arch.Megatron, "6 per active matrix parameter and token, causal attention halved"},
	{arch.Verl, "as megatron, and the input embedding as if it were multiplied"},
	{arch.Torchtitan, "as megatron, attention not halved"},
}

// runFiller turns the log's events into a report's.
type runFiller struct {
	run   *render.Run
	model *arch.Config // nil: not there yet
	line  int64
}

func (x *runFiller) conventions() {
	for _, c := range otherConventions {
		x.run.Conventions = append(x.run.Conventions, render.Convention{
			Name: string(c.by), Basis: c.basis + "; documents of a step taken as equally long, the log has only their number",
		})
	}
}

func (x *runFiller) add(e execution.Event) error {
	switch e := e.(type) {
	case execution.Began:
		x.began(e)
	case execution.StageBegan:
		x.stage(e)
	case execution.Stepped:
		return x.step(e.Stage, &e.Result)
	case execution.Measured:
		x.measured(e)
	case execution.Saved:
		x.event(render.Checkpoint, e.Stage, e.Step, fmt.Sprintf("%s, %d bytes", e.Path, e.Bytes))
	case execution.Noted:
		x.event(render.Note, x.lastStage(), 0, e.Text)
	case execution.Ended:
		x.event(render.End, x.lastStage(), e.Summary.Steps, "with weights "+e.Summary.WeightsDigest)
	}
	return nil
}

func (x *runFiller) lastStage() int { return max(len(x.run.Stages)-1, 0) }

func (x *runFiller) event(kind string, stage int, steps int64, text string) {
	x.run.Events = append(x.run.Events, render.Event{
		Index: x.line, Kind: kind, Stage: stage, Steps: steps, After: len(x.run.Steps), Text: text,
	})
}

func (x *runFiller) began(e execution.Began) {
	kind := render.Begin
	if e.Resumed {
		kind = render.Resume
	}
	x.event(kind, x.lastStage(), 0, fmt.Sprintf("%d parameters, %d active", e.Parameters, e.Active))
	x.run.Peak, x.run.PeakBasis = e.PeakFLOPs, "multiply-add units, measured during the run"
	x.run.Hardware = []render.Fact{
		{Name: "instructions", Value: e.Path},
		{Name: "threads", Value: fmt.Sprint(e.Threads)},
		{Name: "multiply-add peak, measured", Value: fmt.Sprintf("%.4g FLOP/s", e.PeakFLOPs)},
	}
}

func (x *runFiller) stage(e execution.StageBegan) {
	if e.Stage != len(x.run.Stages) { // a resumed stage is on record already
		return
	}
	x.run.Stages = append(x.run.Stages, render.Stage{Name: e.Name, Method: e.Method, Steps: e.Steps})
	x.run.Data = append(x.run.Data, render.File{
		Path: "stage " + e.Name, Digest: e.Digest, Rows: e.Report.Rows, Examples: e.Report.Examples, Tokens: e.Report.Tokens,
		Supervised: e.Report.Supervised, Excluded: e.Report.TooLong + e.Report.Unlearnt + e.Report.Bad,
	})
}

func (x *runFiller) step(stage int, r *train.Result) error {
	s := render.Step{
		Index: x.line, Stage: stage, Number: r.Step, Tokens: r.Counts.Tokens, Supervised: r.Counts.Supervised,
		GradNorm: r.GradNorm, LR: r.LR, MaxViolation: r.MaxViolation, Wall: r.Time.Total, Skipped: r.Skipped,
		FLOPs: []float64{r.FLOPs}, Losses: []render.Value{{Name: "lm", Value: r.LM}},
	}
	for _, l := range []render.Value{{Name: "mtp", Value: r.MTP}, {Name: "balance", Value: r.Balance}, {Name: "indexer", Value: r.Indexer}} {
		if l.Value != 0 {
			s.Losses = append(s.Losses, l)
		}
	}
	other := r.Time.Total
	for _, p := range []render.Part{
		{Name: "model", Took: r.Time.Model}, {Name: "optimizer", Took: r.Time.Optimizer}, {Name: "reduce", Took: r.Time.Reduce}, {Name: "data", Took: r.Time.Data},
	} {
		s.Split = append(s.Split, p)
		other -= p.Took
	}
	if other > time.Duration(0) {
		s.Split = append(s.Split, render.Part{Name: "other", Took: other})
	}
	if x.model != nil && r.Counts.Segments > 0 {
		for _, c := range otherConventions {
			per, err := x.model.FLOPsPerToken(c.by, int((r.Counts.Tokens+r.Counts.Segments-1)/r.Counts.Segments))
			if err != nil {
				return err
			}
			s.FLOPs = append(s.FLOPs, per*float64(r.Counts.Tokens))
		}
	}
	x.run.Steps = append(x.run.Steps, s)
	return nil
}

func (x *runFiller) measured(e execution.Measured) {
	x.event(render.Evaluation, e.Stage, e.Step, "")
	last := &x.run.Events[len(x.run.Events)-1]
	last.Took = e.Took
	if e.Loss != nil {
		last.Values = append(last.Values, render.Value{Name: "held_out_loss", Value: e.Loss.Mean})
	}
	for _, name := range sortedNames(e.Suites) {
		last.Values = append(last.Values, render.Value{Name: name, Value: e.Suites[name].Value()})
	}
}
