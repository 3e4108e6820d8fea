package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/temper-ml/temper/cluster/campaign"
	"github.com/temper-ml/temper/cluster/costmodel"
	"github.com/temper-ml/temper/cluster/sim"
	"github.com/temper-ml/temper/internal/durable"
)

// simulation is what `temper simulate` was asked for.
type simulation struct {
	planFlags
	faults, trace, policy string
	ranks                 []int
	days                  float64
}

func newSimulateCmd() *cobra.Command {
	s := simulation{planFlags: planFlags{top: 1}}
	cmd := &cobra.Command{
		Use:   "simulate [PLAN.json]",
		Short: "run one step rank by rank on an event clock: critical path, bubble, stragglers, faults; and days of it",
		Long: `Simulate runs the program of every rank of one training step: each rank by itself,
with the durations that plan predicts. What to simulate comes from the output of
'temper plan --json' (its first plan, or --layout), or from the same flags.

--faults FILE disturbs the step: slow devices, jitter, degraded links, a hung or dead
rank, the router's preferences; simulate then says what each costs and who waits for
whom. --trace FILE writes a timeline that Perfetto (ui.perfetto.dev) opens; a name in
.gz is compressed. --days D plays that many days with failures, checkpoints and
recoveries, at the failure rates of the cluster.

With --json it prints one object: step_seconds, predicted_seconds (by plan), ranks,
stages (compute, communication, bubble, stall: mean seconds of a rank), critical_path
(parts, ranks), disturbances (name, extra_seconds), culprits, stopped, and with --days
goodput, ettr, interruptions (cause -> in these days), checkpoint_interval_seconds,
checkpoint, losses_seconds, finish (p10, p50, p90: seconds until as much is done as the
days hold undisturbed), policies (the same for each way to recover). docs/campaign.md.`,
		Example: `  temper plan --model deepseek-v4-pro --cluster ascend-910c --devices 1024cards --json > plan.json
  temper simulate plan.json --trace step.json.gz
  temper simulate plan.json --faults faults.yaml --days 30`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return s.run(cmd, args) },
	}
	s.registerStep(cmd)
	f := cmd.Flags()
	f.StringVar(&s.faults, "faults", "", "YAML file of what goes wrong in the step")
	f.StringVar(&s.trace, "trace", "", "write the timeline to this file, for Perfetto")
	f.IntSliceVar(&s.ranks, "ranks", nil, "ranks in the trace (default: the first of each stage)")
	f.Float64Var(&s.days, "days", 0, "play so many days of the step, with failures, checkpoints and recoveries")
	f.StringVar(&s.policy, "policy", "restart", "how --days recovers: restart, memory, shrink or spares; the others are compared")
	f.BoolVar(&s.asJSON, "json", false, "print one JSON object")
	return cmd
}

// plannedStep is what simulate reads of the answer of plan.
type plannedStep struct {
	Model, Cluster, Engine string
	Devices                int
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
	if len(args) == 1 {
		if err := s.fromPlan(cmd, args[0]); err != nil {
			return err
		}
	}
	if s.days < 0 || s.days > mostDays || s.days != s.days {
		return usageError{fmt.Errorf("--days is %v, must lie in 0..%d", s.days, mostDays)}
	}
	m, step, err := s.step(cmd.Context())
	if err != nil {
		return err
	}
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
	compared, err := program.Compare(faults)
	if err != nil {
		return err
	}
	if s.trace != "" {
		if err := s.writeTrace(compared.Disturbed); err != nil {
			return err
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "temper: wrote %s: open it at ui.perfetto.dev\n", s.trace)
	}
	var days *campaign.DaysResult
	if s.days > 0 {
		if days, err = s.play(m, step); err != nil {
			return err
		}
	}
	if s.asJSON {
		return printJSON(cmd.OutOrStdout(), newSimulated(step, compared, days))
	}
	w := cmd.OutOrStdout()
	fmt.Fprintf(w, "%s on %d devices of %s, %s\n\n", s.model, m.Devices, s.cluster, step.Layout)
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
func (s *simulation) step(ctx context.Context) (*costmodel.Model, *costmodel.Step, error) {
	r, err := s.request()
	if err != nil {
		return nil, nil, usageError{err}
	}
	a, err := s.answer(ctx, r)
	if err != nil {
		return nil, nil, err
	}
	if len(a.Plans) == 0 {
		for _, refused := range a.Rejected {
			return nil, nil, fmt.Errorf("nothing to simulate: %s", refused.Text)
		}
		return nil, nil, fmt.Errorf("nothing to simulate: no layout of %s fits on %d devices of %s; `temper plan` says what is too large", s.model, r.Devices, s.cluster)
	}
	o := r.Options
	o.AnyMemory = true
	m, err := costmodel.New(r.Model, r.Cluster, a.Devices, r.Workload, o)
	return m, a.Plans[0].Evaluated, err
}

// writeTrace writes the timeline whole or not at all.
func (s *simulation) writeTrace(run *sim.Run) error {
	return durable.WriteStream(durable.OS, s.trace, func(w io.Writer) error {
		return run.Trace(w, sim.TraceOptions{Ranks: s.ranks, Gzip: strings.EqualFold(filepath.Ext(s.trace), ".gz")})
	})
}
