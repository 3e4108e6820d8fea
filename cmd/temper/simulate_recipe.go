package main

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/temper-ml/temper/cluster/sim"
	"github.com/temper-ml/temper/cluster/validation/measured"
	"github.com/temper-ml/temper/internal/unit"
	"github.com/temper-ml/temper/posttrain"
	"github.com/temper-ml/temper/recipe"
	"github.com/temper-ml/temper/recipe/execution"
)

func isRecipe(path string) bool {
	ext := strings.ToLower(filepath.Ext(path))
	return ext == ".yaml" || ext == ".yml"
}

// ofRecipe are the flags whose values a recipe gives.
var ofRecipe = []string{"model", "seq", "global-batch", "micro-batch", "recompute", "optimizer", "layout", "schedule", "zero", "offload"}

// ofOneStep are the flags that need one step to be about.
var ofOneStep = []string{"faults", "trace", "ranks", "days", "policy", "save-constants"}

// recipeAnswer is the answer about a recipe as --json prints it.
type recipeAnswer struct {
	Recipe   string       `json:"recipe"`
	Cluster  string       `json:"cluster"`
	Seconds  float64      `json:"seconds"` // of all steps
	Interval [2]float64   `json:"seconds_interval"`
	Measured float64      `json:"measured_seconds,omitempty"` // of as many steps at the measured pace
	Stages   []stagedStep `json:"stages"`
}

// stagedStep is a step of one stage.
type stagedStep struct {
	Stage    string     `json:"stage"`
	Steps    int64      `json:"steps"`
	Rows     int        `json:"rows"`
	Tokens   float64    `json:"step_tokens"`
	Seconds  float64    `json:"step_seconds"`
	Interval [2]float64 `json:"step_seconds_interval"` // 90 %
	Measured float64    `json:"measured_seconds,omitempty"`
	Taken    int        `json:"measured_steps,omitempty"`
	Inside   *bool      `json:"inside,omitempty"` // measured, of the interval
}

// fromRecipe takes over what a recipe says. With --stage that is all, and what
// follows simulates that stage's step; else it answers for the whole recipe.
func (s *simulation) fromRecipe(cmd *cobra.Command, path string) (whole bool, err error) {
	for _, flag := range ofRecipe {
		if cmd.Flags().Changed(flag) {
			return true, usageError{fmt.Errorf("--%s is the recipe's to say: use --set", flag)}
		}
	}
	if s.devices != "" && s.devices != "1" {
		return true, usageError{fmt.Errorf("--devices is %q: a run is one rank on one device", s.devices)}
	}
	if err := s.onlyConstants(); err != nil {
		return true, usageError{err}
	}
	s.devices, s.cluster, s.layout = "1", cmp.Or(s.cluster, "cpu"), "tp=1"
	s.work.DType = cmp.Or(s.work.DType, "fp32")
	r, err := recipe.Load(path, s.set)
	if err != nil {
		return true, usageError{err}
	}
	var run *measured.Run
	if s.measured != "" {
		if run, err = runOf(r, s.measured); err != nil {
			return true, usageError{err}
		}
	}
	stop := s.waits(cmd.ErrOrStderr())
	defer stop()
	s.doing("reading the recipe's data")
	checked, err := execution.Check(cmd.Context(), r, cmp.Or(s.measured, "runs/"+r.Name))
	switch {
	case checked == nil:
		return true, err
	case err != nil:
		s.done()
		fmt.Fprintf(cmd.ErrOrStderr(), "temper: note: simulated all the same: %v\n", err)
	}
	if s.stage != "" {
		i := slices.IndexFunc(r.Stages, func(x recipe.Stage) bool { return x.Name == s.stage })
		if i < 0 {
			return true, usageError{fmt.Errorf("--stage %q: the recipe has %s", s.stage, strings.Join(stageNames(r), ", "))}
		}
		if run != nil {
			return true, usageError{errors.New("--run compares whole recipes: leave --stage out")}
		}
		if err := onlyRows(r, i, i+1); err != nil {
			return true, err
		}
		s.takeStage(r, checked, i)
		return false, nil
	}
	for _, flag := range ofOneStep {
		if cmd.Flags().Changed(flag) {
			return true, usageError{fmt.Errorf("--%s is about one step: choose its stage, as in --stage %s", flag, r.Stages[0].Name)}
		}
	}
	return true, s.wholeRecipe(cmd, r, checked, run)
}

// onlyConstants refuses to fit constants to measured steps: those of a run are of
// all its stages, and a stage is a workload of its own.
func (s *simulation) onlyConstants() error {
	if s.calibrate == "" {
		return nil
	}
	src, err := os.ReadFile(s.calibrate)
	if err == nil && !isConstants(src) {
		err = fmt.Errorf("--calibrate %s: of a recipe it takes constants that 'temper plan --calibrate ... --save-constants FILE' has saved", s.calibrate)
	}
	return err
}

func stageNames(r *recipe.Recipe) []string {
	var names []string
	for i := range r.Stages {
		names = append(names, r.Stages[i].Name)
	}
	return names
}

// onlyRows refuses stages whose rows nobody has before they run.
func onlyRows(r *recipe.Recipe, from, to int) error {
	for i := from; i < to; i++ {
		if s := &r.Stages[i]; posttrain.Asks(s.Method) {
			return usageError{fmt.Errorf("stage %s: method %s learns what the model itself answers, so a step is as long as the answers turn out: --stage simulates the other stages, and `temper check` counts what this one computes at most", s.Name, s.Method)}
		}
	}
	return nil
}

// takeStage sets the flags to what a stage does in a step. Rows are packed, so a
// sequence is as long as a row is on average; its documents see only themselves, and
// the head runs at supervised positions only: both make a step cheaper than this.
func (s *simulation) takeStage(r *recipe.Recipe, c *execution.Checked, i int) {
	stage, p := &r.Stages[i], &c.Stages[i].Packing
	model := *c.Model
	if stage.Loss.MTP == 0 && model.NumMTP > 0 {
		model.NumMTP = 0
		model.CompressRatios = model.CompressRatios[:min(len(model.CompressRatios), model.NumLayers)]
	}
	s.config, s.model = &model, r.Name
	s.work.GlobalBatch = stage.Data.Rows
	s.work.Seq = max(1, int(math.Round(float64(p.Tokens)/float64(max(1, p.Rows)))))
	s.work.Optimizer, s.work.IndexerLoss = stage.Optimizer.Name, stage.Loss.Indexer > 0
	s.microBatch, s.recompute = min(stage.MicroRows, stage.Data.Rows), stage.Recompute
	s.offload, s.zero, s.schedule = "none", "0", "auto"
}

// wholeRecipe simulates a step of every stage.
func (s *simulation) wholeRecipe(cmd *cobra.Command, r *recipe.Recipe, c *execution.Checked, run *measured.Run) error {
	if err := onlyRows(r, 0, len(r.Stages)); err != nil {
		return err
	}
	out := recipeAnswer{Recipe: r.Name, Cluster: s.cluster}
	for i := range r.Stages {
		s.doing("simulating stage " + r.Stages[i].Name)
		s.takeStage(r, c, i)
		x, err := s.stagedStep(cmd)
		if err != nil {
			return fmt.Errorf("stage %s: %w", r.Stages[i].Name, err)
		}
		x.Stage, x.Steps = r.Stages[i].Name, c.Stages[i].Steps
		pace := x.Seconds
		if run != nil && len(run.Seconds[i]) > 0 {
			x.Measured, x.Taken = measured.Settled(run.Seconds[i]), len(run.Seconds[i])
			inside := x.Interval[0] <= x.Measured && x.Measured <= x.Interval[1]
			x.Inside, pace = &inside, x.Measured
		}
		n := float64(x.Steps)
		out.Seconds += float64(n * x.Seconds)
		for k := range out.Interval {
			out.Interval[k] += float64(n * x.Interval[k])
		}
		if run != nil {
			out.Measured += float64(n * pace)
		}
		out.Stages = append(out.Stages, x)
	}
	s.done()
	if s.asJSON {
		return printJSON(cmd.OutOrStdout(), out)
	}
	return out.write(cmd)
}

// stagedStep simulates the step that the flags describe.
func (s *simulation) stagedStep(cmd *cobra.Command) (stagedStep, error) {
	m, step, err := s.step(cmd)
	if err != nil {
		return stagedStep{}, err
	}
	program, err := sim.New(m, step, sim.Options{})
	if err != nil {
		return stagedStep{}, err
	}
	done, err := interruptible(cmd.Context(), func() (*sim.Run, error) { return program.Run(nil) })
	if err != nil {
		return stagedStep{}, err
	}
	wall := done.Wall.Seconds()
	scale := wall / step.Seconds
	return stagedStep{
		Rows: s.work.GlobalBatch, Tokens: s.work.Tokens(), Seconds: wall,
		Interval: [2]float64{step.Low * scale, step.High * scale},
	}, nil
}

// runOf reads the steps of a run, which must be one of the recipe.
func runOf(r *recipe.Recipe, dir string) (*measured.Run, error) {
	run, err := measured.ReadRun(dir)
	if err != nil {
		return nil, err
	}
	for i := range r.Stages {
		is, want := run.Stages[i], &r.Stages[i]
		switch {
		case is == nil: // not reached yet
		case is.Name != want.Name || is.Batch != 0 && is.Batch != int64(want.Data.Rows) || is.Optimizer != "" && is.Optimizer != want.Optimizer.Name:
			return nil, fmt.Errorf("--run %s: its stage %d is %q with %d rows and %s, the recipe's is %q with %d rows and %s: it is a run of something else",
				dir, i, is.Name, is.Batch, is.Optimizer, want.Name, want.Data.Rows, want.Optimizer.Name)
		}
	}
	return run, nil
}

func (a *recipeAnswer) write(cmd *cobra.Command) error {
	out := cmd.OutOrStdout()
	fmt.Fprintf(out, "%s on one device of %s\n\n", a.Recipe, a.Cluster)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	head := "stage\tsteps\ttokens a step\ta step takes\t90 %\tall of them"
	if a.Measured > 0 {
		head += "\tmeasured\tof simulated"
	}
	fmt.Fprintln(w, head)
	outside := false
	for _, x := range a.Stages {
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s to %s\t%s", x.Stage, x.Steps, unit.Count(int64(x.Tokens)), seconds(x.Seconds), seconds(x.Interval[0]), seconds(x.Interval[1]), seconds(x.Seconds*float64(x.Steps)))
		switch {
		case x.Measured > 0:
			where := "outside the interval"
			if *x.Inside {
				where = "inside the interval"
			}
			outside = outside || !*x.Inside
			fmt.Fprintf(w, "\t%s (%d steps)\t%.2f times, %s", seconds(x.Measured), x.Taken, x.Measured/x.Seconds, where)
		case a.Measured > 0:
			fmt.Fprint(w, "\tno step yet\t")
		}
		fmt.Fprintln(w)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nall steps take %s (90 %%: %s to %s)", seconds(a.Seconds), seconds(a.Interval[0]), seconds(a.Interval[1]))
	if a.Measured > 0 {
		fmt.Fprintf(out, ", %s at the measured pace", seconds(a.Measured))
	}
	_, err := fmt.Fprintln(out, "; start, evaluations, checkpoints and export come on top")
	if outside && err == nil {
		_, err = fmt.Fprintf(out, "\nOutside: the run shared its machine, or that is another than %s describes: `temper bench device --out FILE` describes this one for --cluster FILE\n", a.Cluster)
	}
	return err
}

func seconds(x float64) string { return unit.Duration(time.Duration(x * 1e9)) }
