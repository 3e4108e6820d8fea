package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/temper-ml/temper/cluster/campaign"
	"github.com/temper-ml/temper/cluster/hardware"
	"github.com/temper-ml/temper/cluster/planner"
	"github.com/temper-ml/temper/cluster/validation"
	"github.com/temper-ml/temper/internal/unit"
)

// plannedAnswer is an answer with everything that other rooms add to it.
type plannedAnswer struct {
	*planner.Answer
	Workload    *campaign.Result    `json:"workload,omitempty"`
	Compare     []plannedCompare    `json:"compare,omitempty"`
	Calibration *validation.Summary `json:"calibration,omitempty"`
}

// plannedCompare is another cluster with its run.
type plannedCompare struct {
	*planner.Compare
	Workload *campaign.Result   `json:"workload,omitempty"`
	Ratios   map[string]float64 `json:"ratios"`
}

// answered is what --json prints.
func (f *planFlags) answered(a *planner.Answer) any {
	out := plannedAnswer{Answer: a}
	if len(f.runs) > 0 {
		out.Workload = f.runs[0]
	}
	for i := range a.Compare {
		c := plannedCompare{Compare: &a.Compare[i], Ratios: a.Compare[i].Ratios}
		if len(f.runs) > i+1 && f.runs[i+1] != nil && f.runs[0] != nil {
			c.Workload = f.runs[i+1]
			for name, pair := range map[string][2]float64{
				"workload_seconds": {f.runs[0].Seconds, c.Workload.Seconds}, "workload_device_hours": {f.runs[0].DeviceHours, c.Workload.DeviceHours},
				"workload_energy_kwh": {f.runs[0].EnergyKWh, c.Workload.EnergyKWh}, "workload_cost": {float64(f.runs[0].Cost), float64(c.Workload.Cost)},
			} {
				if pair[0] > 0 && pair[1] > 0 {
					c.Ratios[name] = pair[0] / pair[1] // less is better
				}
			}
		}
		out.Compare = append(out.Compare, c)
	}
	if f.calibration != nil {
		out.Calibration = f.calibration.Summary()
	}
	return out
}

// play predicts the whole run of --workload on the plan's cluster and on those
// it is compared with, where the step fits.
func (f *planFlags) play(ctx context.Context, r planner.Request, a *planner.Answer) error {
	if f.run == nil {
		return nil
	}
	one := func(r planner.Request, fits bool) error {
		if !fits {
			f.runs = append(f.runs, nil)
			return nil
		}
		f.doing("playing the run on " + r.Cluster.Name)
		result, err := f.campaign(ctx, r)
		f.runs = append(f.runs, result)
		return errors.Join(err, ctx.Err())
	}
	r.Devices = a.Devices
	if err := one(r, a.Fits); err != nil {
		return err
	}
	for i := range a.Compare {
		v := r
		v.Cluster, v.Devices, v.Options.Engine = a.Compare[i].Other, a.Compare[i].Devices, nil
		if err := one(v, a.Compare[i].Fits); err != nil {
			return err
		}
	}
	return nil
}

// campaign plays the workload on one cluster. Training steps are searched for,
// each rank of sequence length and batch once.
func (f *planFlags) campaign(ctx context.Context, r planner.Request) (*campaign.Result, error) {
	policy, err := campaign.PolicyOf(f.policy, r.Cluster)
	if err != nil {
		return nil, usageError{fmt.Errorf("--policy: %w", err)}
	}
	type key struct{ devices, seq, rows int }
	known := map[key]campaign.TrainStep{}
	train := func(devices, seq, rows int) (campaign.TrainStep, error) {
		k := key{devices, seq, rows}
		if s, ok := known[k]; ok {
			return s, nil
		}
		v := r
		v.Devices, v.Workload.Seq, v.Workload.GlobalBatch = devices, seq, rows
		s, err := planner.Fastest(ctx, v, nil)
		if err != nil {
			return campaign.TrainStep{}, err
		}
		if s == nil {
			return campaign.TrainStep{}, fmt.Errorf("no layout of %d rows of %d tokens fits on %d devices", rows, seq, devices)
		}
		known[k] = campaign.StepOf(s)
		return known[k], nil
	}
	dtype := "bf16"
	if _, fp8 := r.Cluster.Device.PeakOf(hardware.FP8); fp8 && strings.HasSuffix(r.Workload.DType, "fp8") {
		dtype = "fp8"
	}
	return campaign.Play(f.run, campaign.Setting{
		Name: r.Name, DType: dtype, Model: r.Model, Cluster: r.Cluster, Devices: r.Devices, Train: train, Muon: r.Workload.Optimizer == "muon", Policy: policy,
	})
}

// durationText says how long so many tokens take at a plan's rate.
func durationText(p *planner.Plan) string {
	return fmt.Sprintf("At this rate 1 T tokens take %s, failures and pauses left out (--workload counts them).", secondsWords(1e12/p.TokensPerSec))
}

// workloadTexts explains the run on the cluster, and sets the others beside it.
func (f *planFlags) workloadTexts() string {
	var b strings.Builder
	if len(f.runs) == 0 || f.runs[0] == nil {
		return ""
	}
	b.WriteString("\nThe whole run: ")
	_ = f.runs[0].Explain(&b) // a strings.Builder does not fail
	var others []*campaign.Result
	for _, r := range f.runs[1:] {
		if r != nil {
			others = append(others, r)
		}
	}
	if len(others) > 0 {
		workloadCompare(&b, append(f.runs[:1:1], others...))
	}
	return b.String()
}

// workloadCompare is a table of the run on several clusters.
func workloadCompare(b *strings.Builder, runs []*campaign.Result) {
	fmt.Fprintf(b, "\n%s elsewhere\n", runs[0].Workload)
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, row := range []struct {
		name string
		text func(r *campaign.Result) string
	}{
		{"", func(r *campaign.Result) string { return r.Cluster }},
		{"devices", func(r *campaign.Result) string { return fmt.Sprint(r.Devices) }},
		{"done after", func(r *campaign.Result) string { return secondsWords(r.Finish.P50) }},
		{"10 %", func(r *campaign.Result) string { return secondsWords(r.Finish.P10) }},
		{"90 %", func(r *campaign.Result) string { return secondsWords(r.Finish.P90) }},
		{"device-hours", func(r *campaign.Result) string { return unit.Count(r.DeviceHours).String() }},
		{"goodput, %", func(r *campaign.Result) string { return fmt.Sprintf("%.1f", 100*r.Goodput) }},
		{"energy, MWh", func(r *campaign.Result) string { return fmt.Sprintf("%.4g", r.EnergyKWh/1000) }},
		{"cost", func(r *campaign.Result) string { return costText(r) }},
		{"of pre-training's hours, %", func(r *campaign.Result) string { return fmt.Sprintf("%.3g", 100*r.ShareOfHours) }},
	} {
		fmt.Fprintf(w, "  %s\t", row.name)
		for _, r := range runs {
			fmt.Fprintf(w, "%s\t", row.text(r))
		}
		fmt.Fprintln(w)
	}
	_ = w.Flush()
	for _, r := range runs[1:] {
		fmt.Fprintf(b, "  %s: %s\n", r.Cluster, r.Dominant())
	}
}

func costText(r *campaign.Result) string {
	if r.Cost == 0 {
		return "?"
	}
	return fmt.Sprintf("%s %s", unit.Count(float64(r.Cost)), r.Currency)
}
