package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/temper-ml/temper/cluster/campaign"
	"github.com/temper-ml/temper/cluster/costmodel"
	"github.com/temper-ml/temper/cluster/costmodel/operator"
	"github.com/temper-ml/temper/cluster/hardware"
	"github.com/temper-ml/temper/cluster/planner"
	"github.com/temper-ml/temper/cluster/planner/advice"
	"github.com/temper-ml/temper/cluster/validation"
	"github.com/temper-ml/temper/distributed/schedule"
	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/train/checkpoint/hf"
)

// planFlags are what the user typed.
type planFlags struct {
	model, cluster, devices string
	work                    costmodel.Workload
	microBatch              int
	recompute, offload      string
	schedule, zero, layout  string
	engine, calibrate, save string
	compare                 []string
	basis                   string
	top                     int
	asJSON, help            bool

	others           []*hardware.Cluster // what --compare names
	workload, policy string
	run              *campaign.Workload // what --workload names
	runs             []*campaign.Result // on the cluster, then on each that it is compared with; nil where nothing fits

	*waiting
	config      *arch.Config            // instead of what model names
	seqGiven    bool                    // else a model that has learned fewer positions takes as many as it has
	calibration *validation.Calibration // when --calibrate named measured steps
}

func newPlanCmd() *cobra.Command {
	f := planFlags{waiting: &waiting{}}
	cmd := &cobra.Command{
		Use:   "plan --model M --cluster C --devices N",
		Short: "does it fit, how fast, in which layout: searches all of them and proves the best",
		Long: `Predicts one training step of a model on a cluster. Every layout (tp, cp, dp, pp,
ep, etp, virtual stages, micro-batch, schedule, recomputation, ZeRO, offloading)
is refused by a rule, bounded away, or timed; the answer says why no other is
faster under the model, with a 90 % interval for each prediction.

Without --devices: the smallest cluster that fits. With --layout: exactly that
layout, with the least recomputation that fits unless --recompute says otherwise.
Nothing fits: what is too large, what would help, exit code 1.

With --json: one object: plans (best first: layout, step_seconds,
step_seconds_interval, tokens_per_second, tokens_per_second_per_device, mfu,
memory_bytes, breakdown_seconds, bound_by), families, pareto, rejected (rule ->
count, example, text), layouts_considered, certificate, search_seconds, smallest,
what_would_help (with --what-if), compare. docs/planning.md explains every field.`,
		Example: `  temper plan --model deepseek-v4-pro --cluster ascend-910c --devices 1024cards --compare h100
  temper plan --model deepseek-v4-flash --cluster h100
  temper plan --model llama3-70b --cluster a100 --devices 64 --layout tp=4,pp=4 --json`,
		Args: exactArgs(0, "no arguments: everything is a flag"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !cmd.Flags().Changed("what-if") {
				f.help = !f.asJSON && f.layout == ""
			}
			return runPlan(cmd, &f)
		},
	}
	f.register(cmd)
	return cmd
}

func (f *planFlags) register(cmd *cobra.Command) {
	f.registerStep(cmd)
	s := cmd.Flags()
	s.StringVar(&f.workload, "workload", "", "a whole post-training run: "+strings.Join(campaign.Builtins(), ", ")+", or a YAML file")
	s.StringVar(&f.policy, "policy", "restart", "how the run of --workload recovers from failures, as for simulate")
	s.StringArrayVar(&f.compare, "compare", nil, "another cluster for the same step (repeatable)")
	s.StringVar(&f.basis, "basis", "devices", "what is equal in a comparison: devices, power or peak")
	s.IntVar(&f.top, "top", 10, "plans to rank")
	s.BoolVar(&f.help, "what-if", false, "search again with more memory, faster links, better kernels (default: on, without --json)")
	s.BoolVar(&f.asJSON, "json", false, "print one JSON object")
}

// registerStep adds the flags that say which step is meant, and how much of its
// layout is fixed.
func (f *planFlags) registerStep(cmd *cobra.Command) {
	s := cmd.Flags()
	s.StringVar(&f.model, "model", "", "built-in name, config.json or model directory")
	s.StringVar(&f.cluster, "cluster", "", "catalogue name or YAML file (see `temper hardware`)")
	s.StringVar(&f.devices, "devices", "", "number, or in larger units as in 1024cards, 8nodes; default: the fewest that fit")
	s.IntVar(&f.work.Seq, "seq", 4096, "tokens of a sequence (of a GPT at most the positions that it has learned, where the flag is left out)")
	s.IntVar(&f.work.GlobalBatch, "global-batch", 0, "sequences of a step (default 2 for each device)")
	s.IntVar(&f.microBatch, "micro-batch", 0, "sequences that pass the pipeline together (default: searched)")
	s.StringVar(&f.work.DType, "dtype", "", "of the matrix products: bf16, fp8, mxfp8, fp16, fp32 (default bf16, or the narrowest the device has)")
	s.StringVar(&f.work.Scaling, "scaling", "", "of fp8 operands: tensorwise, rowwise, blockwise (default: as the model's family was trained)")
	s.StringVar(&f.recompute, "recompute", "auto", "none, selective, full, or auto")
	s.StringVar(&f.work.Routing, "routing", "balanced", "of tokens to experts: balanced (forced) or natural")
	s.StringVar(&f.work.Optimizer, "optimizer", "adamw", "adamw or muon")
	s.StringVar(&f.schedule, "schedule", "auto", "of the pipeline: auto (those the engine has), all, or one of "+kindNames())
	s.StringVar(&f.zero, "zero", "auto", "0 to 3, or auto (those the engine has)")
	s.StringVar(&f.offload, "offload", "auto", "none, optimizer, or auto")
	s.StringVar(&f.layout, "layout", "", "exactly one layout, as in tp=2,pp=8,vpp=4,ep=64,cp=1; dp follows")
	s.StringVar(&f.engine, "engine", "", "training engine (default: the cluster's usual one)")
	s.StringVar(&f.calibrate, "calibrate", "", "measured steps of this cluster to fit constants to: CSV, or a log, JSON lines or run directory with FILE:LAYOUT where --layout is not theirs; or saved constants")
	s.StringVar(&f.save, "save-constants", "", "write the constants of --calibrate to this file, to give to --calibrate later")
}

func kindNames() string {
	var names []string
	for _, k := range schedule.Kinds() {
		names = append(names, string(k))
	}
	return strings.Join(names, ", ")
}

// runPlan answers and prints.
func runPlan(cmd *cobra.Command, f *planFlags) error {
	f.seqGiven = cmd.Flags().Changed("seq")
	r, err := f.request()
	if err != nil {
		return usageError{err}
	}
	if c := r.Model; c.HasLearnedPositions() && r.Workload.Seq > c.MaxPositions {
		fmt.Fprintf(cmd.ErrOrStderr(), "temper: note: %s has learned %d positions, planned for %d all the same\n", f.model, c.MaxPositions, r.Workload.Seq)
	}
	begin := time.Now()
	defer f.waits(cmd.ErrOrStderr())()
	f.doing("searching layouts")
	a, err := f.answer(cmd.Context(), r)
	if err != nil {
		return err
	}
	a.SearchSeconds = time.Since(begin).Seconds()
	if err := f.more(cmd.Context(), r, a); err != nil {
		return err
	}
	if err := f.play(cmd.Context(), r, a); err != nil {
		return err
	}
	f.done()
	out := cmd.OutOrStdout()
	if f.asJSON {
		err = printJSON(out, f.answered(a))
	} else {
		_, err = fmt.Fprint(out, planText(r, a), f.workloadTexts(), f.calibrationText())
	}
	if err == nil && !a.Fits {
		err = errVerdict
	}
	return err
}

// request reads the flags.
func (f *planFlags) request() (planner.Request, error) {
	r := planner.Request{Name: f.model, Workload: f.work, Top: f.top}
	for _, need := range []struct{ flag, value string }{{"--model", f.model}, {"--cluster", f.cluster}} {
		if need.value == "" {
			return r, fmt.Errorf("%s is missing: see --help", need.flag)
		}
	}
	var err error
	if r.Model = f.config; r.Model == nil {
		if r.Model, err = hf.LoadConfig(f.model); err != nil {
			return r, err
		}
	}
	if c := r.Model; c.HasLearnedPositions() && !f.seqGiven {
		r.Workload.Seq = min(r.Workload.Seq, c.MaxPositions)
	}
	if r.Cluster, err = hardware.Load(f.cluster); err != nil {
		return r, err
	}
	if f.devices != "" {
		if r.Devices, err = hardware.ParseDevices(r.Cluster, f.devices); err != nil {
			return r, err
		}
	}
	if f.top < 1 || f.top > 1000 {
		return r, fmt.Errorf("--top is %d, must lie in 1..1000", f.top)
	}
	if r.Workload.DType == "" {
		r.Workload.DType = string(r.Cluster.Device.Usual())
	}
	if r.Workload.GlobalBatch == 0 {
		r.Workload.GlobalBatch = max(64, 2*r.Devices)
	}
	if err := r.Workload.Check(r.Cluster); err != nil {
		return r, err
	}
	if err := f.chooseEngine(&r); err != nil {
		return r, err
	}
	if err := f.early(&r); err != nil {
		return r, err
	}
	return r, errors.Join(f.constants(&r), f.space(&r))
}

// early refuses, before any search, what would be refused after it: clusters to
// compare with, what is equal between them, and the run.
func (f *planFlags) early(r *planner.Request) error {
	for _, name := range f.compare {
		c, err := hardware.Load(name)
		if err != nil {
			return err
		}
		if err := r.Workload.Check(c); err != nil {
			return fmt.Errorf("--compare %s: %w", name, err)
		}
		if _, err := advice.Equivalent(r.Cluster, max(1, r.Devices), c, f.basis, r.Workload.DType); err != nil {
			return fmt.Errorf("--compare %s: %w", name, err)
		}
		f.others = append(f.others, c)
	}
	if f.workload == "" {
		return nil
	}
	if _, err := campaign.PolicyOf(f.policy, r.Cluster); err != nil {
		return fmt.Errorf("--policy: %w", err)
	}
	var err error
	f.run, err = campaign.Read(f.workload)
	return err
}

// chooseEngine takes --engine, or the usual one. Selective recomputation came to
// Megatron together with sequence parallelism.
func (f *planFlags) chooseEngine(r *planner.Request) (err error) {
	name := f.engine
	if name == "" {
		if f.recompute != "selective" || costmodel.UsualEngine(r.Model, r.Cluster) != "megatron-2021" {
			return nil
		}
		name = "megatron-2022"
	}
	r.Options.Engine, err = operator.EngineNamed(name)
	return err
}

// usualZero is the ZeRO stage that the engine runs with unless told otherwise.
func usualZero(r planner.Request) string {
	e := r.Options.Engine
	if e == nil {
		if e, _ = operator.EngineNamed(costmodel.UsualEngine(r.Model, r.Cluster)); e == nil {
			return ""
		}
	}
	switch {
	case e.FSDP:
		return "3"
	case e.DistributedOptim:
		return "1"
	}
	return "0"
}

// space limits the search to what the flags fix.
func (f *planFlags) space(r *planner.Request) error {
	s := &r.Space
	if f.microBatch < 0 || f.microBatch > r.Workload.GlobalBatch {
		return fmt.Errorf("--micro-batch is %d, must lie in 1..%d, the global batch", f.microBatch, r.Workload.GlobalBatch)
	}
	if f.microBatch > 0 {
		s.MicroBatch = []int{f.microBatch}
	}
	for _, c := range []struct {
		flag, value string
		legal       []string
		list        *[]string
	}{
		{"--recompute", f.recompute, []string{"none", "selective", "full"}, &s.Recompute},
		{"--offload", f.offload, []string{"none", "optimizer"}, &s.Offload},
	} {
		switch {
		case slices.Contains(c.legal, c.value):
			*c.list = []string{c.value}
		case c.value != "auto" && c.value != "":
			return fmt.Errorf("%s is %q, want %s or auto", c.flag, c.value, strings.Join(c.legal, ", "))
		}
	}
	switch levels := []string{"0", "1", "2", "3"}; {
	case slices.Contains(levels, f.zero):
		s.Zero = []int{slices.Index(levels, f.zero)}
	case f.zero != "auto" && f.zero != "":
		return fmt.Errorf("--zero is %q, want 0, 1, 2, 3 or auto", f.zero)
	}
	switch f.schedule {
	case "auto", "":
	case "all":
		s.Schedules = planner.Schedules()
	default:
		k, err := schedule.ParseKind(f.schedule)
		if err != nil {
			return err
		}
		s.Schedules = []schedule.Kind{k}
	}
	return nil
}

// answer evaluates one layout, searches, or looks for the smallest cluster.
func (f *planFlags) answer(ctx context.Context, r planner.Request) (*planner.Answer, error) {
	switch {
	case f.layout != "":
		return f.one(r)
	case r.Devices > 0:
		a, err := advice.SearchWithin(ctx, r)
		return a, asUsage(err)
	}
	s, err := advice.FindSmallest(ctx, r)
	if err != nil {
		return nil, asUsage(err)
	}
	a, err := planner.Search(ctx, s.Request(r))
	if err == nil {
		a.Smallest = s
	}
	return a, asUsage(err)
}

// asUsage makes what no layout could satisfy a matter of wrong use.
func asUsage(err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	return usageError{err}
}

// one evaluates the layout of --layout; flags that it leaves open fill it in.
// What to recompute is chosen, where nothing says it: the least that fits.
func (f *planFlags) one(r planner.Request) (*planner.Answer, error) {
	if r.Devices == 0 {
		return nil, usageError{errors.New("--devices is missing: --layout needs it")}
	}
	text := f.layoutText()
	if zero := usualZero(r); zero != "" && !hasKey(text, "zero") {
		text = "zero=" + zero + "," + text
	}
	choices := []string{text}
	if !hasKey(text, "recompute") {
		choices = []string{"recompute=none," + text, "recompute=selective," + text, "recompute=full," + text}
	}
	var a *planner.Answer
	for _, text := range choices {
		l, err := costmodel.ParseLayout(text, r.Devices)
		if err == nil {
			a, err = planner.One(r, l)
		}
		if err != nil {
			return refusal(r, text, err)
		}
		if a.Fits {
			break
		}
	}
	return a, nil
}

// refusal is the answer about a layout that breaks a rule.
func refusal(r planner.Request, text string, err error) (*planner.Answer, error) {
	var refused *costmodel.Rejection
	if !errors.As(err, &refused) {
		return nil, asUsage(err)
	}
	a := planner.Refused(r)
	a.Rejected[refused.Rule] = planner.Refusal{Count: 1, Example: text, Text: refused.Text}
	return a, nil
}

// hasKey reports whether a layout says anything about key.
func hasKey(layout, key string) bool {
	return strings.Contains(","+strings.ReplaceAll(layout, " ", ""), ","+key+"=")
}

// layoutText is --layout with what other flags say about it.
func (f *planFlags) layoutText() string {
	text := f.layout
	for _, more := range []struct{ key, value string }{
		{"mbs", positive(f.microBatch)},
		{"recompute", chosen(f.recompute)},
		{"zero", chosen(f.zero)},
		{"offload", chosen(f.offload)},
		{"schedule", chosen(f.schedule)},
	} {
		if more.value != "" && !hasKey(text, more.key) {
			text = more.key + "=" + more.value + "," + text
		}
	}
	return text
}

func positive(n int) string {
	if n > 0 {
		return fmt.Sprint(n)
	}
	return ""
}

func chosen(s string) string {
	if s == "auto" || s == "all" {
		return ""
	}
	return s
}

// more adds what would help, and other clusters.
func (f *planFlags) more(ctx context.Context, r planner.Request, a *planner.Answer) error {
	r.Devices = a.Devices
	var err error
	f.doing("searching for what would help")
	if f.help || !a.Fits && f.layout == "" && !f.asJSON {
		if a.Fixes, err = advice.WhatWouldHelp(ctx, r, a); err != nil {
			return err
		}
	}
	if !a.Fits && f.layout == "" && a.Smallest == nil {
		if a.Smallest, err = advice.FindLarger(ctx, r); err != nil {
			return err
		}
	}
	for _, c := range f.others {
		f.doing("searching layouts on " + c.Name)
		begin := time.Now()
		other, err := advice.CompareWith(ctx, r, a, c, f.basis)
		if err != nil {
			return asUsage(err)
		}
		other.SearchSeconds = time.Since(begin).Seconds()
		a.Compare = append(a.Compare, *other)
	}
	return nil
}
