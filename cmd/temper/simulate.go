package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/temper-ml/temper/cluster/campaign"
	"github.com/temper-ml/temper/cluster/costmodel"
	"github.com/temper-ml/temper/cluster/hardware"
	"github.com/temper-ml/temper/cluster/sim"
	"github.com/temper-ml/temper/internal/durable"
)

// simulation is what `temper simulate` was asked for.
type simulation struct {
	planFlags
	faults, trace, policy string
	ranks                 []int
	days                  float64

	// of a recipe
	stage, measured string
	set             []string
}

func newSimulateCmd() *cobra.Command {
	s := simulation{planFlags: planFlags{top: 1, waiting: &waiting{}}}
	cmd := &cobra.Command{
		Use:   "simulate [PLAN.json|RECIPE.yaml]",
		Short: "run one step rank by rank on an event clock: critical path, bubble, stragglers, faults; and days of it",
		Long: `Simulate runs the program of every rank of one training step: each rank by itself,
with the durations that plan predicts. What to simulate comes from the output of
'temper plan --json' (its first plan, or --layout), or from the same flags.

Of a recipe it simulates a step of every stage as temper run takes it, one rank on
--cluster (default: cpu, the machine that the catalogue measured; 'temper bench device
--out FILE' describes another), reading the data as 'temper check' does. --run RUN
compares with the steps that a run of it took. --stage NAME simulates that stage's step
alone, with everything below.

--faults FILE disturbs the step: slow devices, jitter, degraded links, a hung or dead
rank, the router's preferences; simulate then says what each costs and who waits for
whom. --trace FILE writes a timeline that Perfetto (ui.perfetto.dev) opens; a name in
.gz is compressed. --days D plays that many days with failures, checkpoints and
recoveries, at the failure rates of the cluster (with --json: 30 unless it says otherwise).

With --json it prints one object: step_seconds, predicted_seconds (by plan), ranks,
stages (compute, communication, bubble, stall: mean seconds of a rank), critical_path
(parts, ranks), disturbances (name, extra_seconds), culprits, stopped, and of the days
goodput, ettr, interruptions (cause -> in these days), checkpoint_interval_seconds,
checkpoint, losses_seconds, finish (p10, p50, p90: seconds until as much is done as the
days hold undisturbed), policies (the same for each way to recover). docs/campaign.md.
Of a recipe: recipe, cluster, seconds, seconds_interval, measured_seconds (with --run),
stages (stage, steps, rows, step_tokens, step_seconds, step_seconds_interval,
measured_seconds, measured_steps, inside).`,
		Example: `  temper plan --model deepseek-v4-pro --cluster ascend-910c --devices 1024cards --json > plan.json
  temper simulate plan.json --trace step.json.gz
  temper simulate plan.json --faults faults.yaml --days 30
  temper simulate recipe.yaml --run runs/mine`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return s.run(cmd, args) },
	}
	s.registerStep(cmd)
	f := cmd.Flags()
	f.StringVar(&s.faults, "faults", "", "YAML file of what goes wrong in the step")
	f.StringVar(&s.trace, "trace", "", "write the timeline to this file, for Perfetto")
	f.IntSliceVar(&s.ranks, "ranks", nil, "ranks in the trace (default: the first of each stage)")
	f.Float64Var(&s.days, "days", 0, "play so many days of the step, with failures, checkpoints and recoveries (30 with --json; 0: none)")
	f.StringVar(&s.policy, "policy", "restart", "how --days recovers: restart, memory, shrink or spares; the others are compared")
	f.BoolVar(&s.asJSON, "json", false, "print one JSON object")
	f.StringVar(&s.stage, "stage", "", "of a recipe: the stage whose step is simulated alone")
	f.StringVar(&s.measured, "run", "", "of a recipe: a run of it, to compare measured steps with")
	f.StringArrayVar(&s.set, "set", nil, "of a recipe: override a field, as run does")
	return cmd
}

// plannedStep is what simulate reads of the answer of plan.
type plannedStep struct {
	Model, Cluster, Engine string
	Devices                int
	Calibration            *struct{}
	Step                   struct {
		Seq         int
		GlobalBatch int `json:"global_batch"`
		DType       string
		Routing     string
		Optimizer   string
	}
	Plans []struct {
		Text string `json:"layout_text"`
	}
}

// mostPlan bounds the file that simulate reads, mostDays what it plays.
const (
	mostPlan = 64 << 20
	mostDays = 3650
	// usualDays are played for --json where --days says nothing.
	usualDays = 30
)

// fromPlan takes over what the flags did not say.
func (s *simulation) fromPlan(cmd *cobra.Command, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return usageError{err}
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, mostPlan+1))
	if err != nil {
		return err
	}
	if len(text) > mostPlan {
		return usageError{fmt.Errorf("%s is larger than %d MiB: it is no answer of 'temper plan --json'", path, mostPlan>>20)}
	}
	var p plannedStep
	if err := json.Unmarshal(text, &p); err != nil {
		return usageError{fmt.Errorf("%s is no answer of 'temper plan --json': %w", path, err)}
	}
	if p.Model == "" || p.Cluster == "" || len(p.Plans) == 0 {
		return usageError{fmt.Errorf("%s holds no plan: model %q, cluster %q, %d plans; it must be the output of 'temper plan --json'", path, p.Model, p.Cluster, len(p.Plans))}
	}
	if _, err := hardware.Load(p.Cluster); err != nil && !cmd.Flags().Changed("cluster") {
		return usageError{fmt.Errorf("%s was planned for %q, which the catalogue does not have: give the description that it was planned with, as in --cluster %s.yaml", path, p.Cluster, p.Cluster)}
	}
	if p.Calibration != nil && s.calibrate == "" {
		fmt.Fprintf(cmd.ErrOrStderr(), "temper: note: %s was calibrated; without --calibrate its step is predicted anew, with the constants of temper\n", path)
	}
	w := p.Step
	for _, take := range []struct {
		flag string
		set  func()
	}{
		{"model", func() { s.model = p.Model }},
		{"cluster", func() { s.cluster = p.Cluster }},
		{"devices", func() { s.devices = fmt.Sprint(p.Devices) }},
		{"engine", func() { s.engine = p.Engine }},
		{"seq", func() { s.work.Seq = w.Seq }},
		{"global-batch", func() { s.work.GlobalBatch = w.GlobalBatch }},
		{"dtype", func() { s.work.DType = w.DType }},
		{"routing", func() { s.work.Routing = w.Routing }},
		{"optimizer", func() { s.work.Optimizer = w.Optimizer }},
		{"layout", func() { s.layout = p.Plans[0].Text }},
	} {
		if !cmd.Flags().Changed(take.flag) {
			take.set()
		}
	}
	return nil
}

func (s *simulation) run(cmd *cobra.Command, args []string) error {
	s.seqGiven = len(args) == 1 || cmd.Flags().Changed("seq")
	switch {
	case len(args) == 1 && isRecipe(args[0]):
		if whole, err := s.fromRecipe(cmd, args[0]); whole || err != nil {
			return err
		}
	case s.stage != "" || s.measured != "" || s.set != nil:
		return usageError{errors.New("--stage, --run and --set are about a recipe: give one, as in RECIPE.yaml")}
	case len(args) == 1:
		if err := s.fromPlan(cmd, args[0]); err != nil {
			return err
		}
	}
	if s.days < 0 || s.days > mostDays || s.days != s.days {
		return usageError{fmt.Errorf("--days is %v, must lie in 0..%d", s.days, mostDays)}
	}
	if s.asJSON && !cmd.Flags().Changed("days") {
		s.days = usualDays
	}
	defer s.waits(cmd.ErrOrStderr())()
	s.doing("searching layouts")
	m, step, err := s.step(cmd)
	if err != nil {
		return err
	}
	s.doing("building the programs of all ranks")
	program, err := sim.New(m, step, sim.Options{})
	if err != nil {
		return err
	}
	var faults *sim.Faults
	if s.faults != "" {
		if faults, err = sim.ReadFaults(s.faults, program.Ranks, program.Node); err != nil {
			return usageError{err}
		}
	}
	s.doing(fmt.Sprintf("simulating %d ranks", program.Ranks))
	compared, err := interruptible(cmd.Context(), func() (*sim.Comparison, error) { return program.Compare(faults) })
	if err != nil {
		return err
	}
	if s.trace != "" {
		s.doing("writing " + s.trace)
		if err := s.writeTrace(cmd.Context(), compared.Disturbed); err != nil {
			return err
		}
		s.done()
		fmt.Fprintf(cmd.ErrOrStderr(), "temper: wrote %s: open it at ui.perfetto.dev\n", s.trace)
	}
	var days *campaign.DaysResult
	if s.days > 0 {
		s.doing(fmt.Sprintf("playing %g days", s.days))
		if days, err = interruptible(cmd.Context(), func() (*campaign.DaysResult, error) { return s.play(m, step) }); err != nil {
			return err
		}
	}
	s.done()
	if s.asJSON {
		return printJSON(cmd.OutOrStdout(), newSimulated(step, compared, days))
	}
	w := cmd.OutOrStdout()
	fmt.Fprintf(w, "%s on %s of %s, %s\n\n", s.model, plural(m.Devices, "device"), s.cluster, step.Layout)
	if len(compared.Costs) > 0 {
		compared.Explain(w)
	} else {
		compared.Plain.Explain(w)
	}
	if days != nil {
		fmt.Fprintln(w)
		return days.Explain(w)
	}
	return nil
}

// step predicts the step that is simulated: of --layout, or the fastest.
func (s *simulation) step(cmd *cobra.Command) (*costmodel.Model, *costmodel.Step, error) {
	r, err := s.request()
	if err != nil {
		return nil, nil, usageError{err}
	}
	a, err := s.answer(cmd.Context(), r)
	if err != nil {
		return nil, nil, err
	}
	if len(a.Plans) == 0 {
		if rules := a.Rejected.Rules(); a.Shortage == nil && len(rules) > 0 {
			return nil, nil, fmt.Errorf("nothing to simulate: %s", a.Rejected[rules[0]].Text)
		}
		return nil, nil, fmt.Errorf("nothing to simulate: no layout of %s fits on %s of %s; `temper plan` says what is too large", s.model, plural(r.Devices, "device"), s.cluster)
	}
	if !a.Fits {
		for _, rule := range a.Rejected.Rules() {
			s.done()
			fmt.Fprintf(cmd.ErrOrStderr(), "temper: note: this layout does not fit, simulated as if it did: %s\n", a.Rejected[rule].Text)
		}
	}
	o := r.Options
	o.AnyMemory = true
	m, err := costmodel.New(r.Model, r.Cluster, a.Devices, r.Workload, o)
	return m, a.Plans[0].Evaluated, err
}

// writeTrace writes the timeline whole or not at all.
func (s *simulation) writeTrace(ctx context.Context, run *sim.Run) error {
	return durable.WriteStream(durable.OS, s.trace, func(w io.Writer) error {
		return run.Trace(stoppable{ctx, w}, sim.TraceOptions{Ranks: s.ranks, Gzip: strings.EqualFold(filepath.Ext(s.trace), ".gz")})
	})
}
