package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/temper-ml/temper/cluster/campaign"
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
				"workload_energy_kwh": {f.runs[0].EnergyKWh, c.Workload.EnergyKWh}, "workload_cost": {f.runs[0].Cost, c.Workload.Cost},
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
		result, err := f.campaign(ctx, r)
		f.runs = append(f.runs, result)
		return err
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
		s, err := planner.Fastest(ctx, v)
		if err != nil {
			return campaign.TrainStep{}, err
		}
		if s == nil {
			return campaign.TrainStep{}, fmt.Errorf("no layout of %d rows of %d tokens fits on %d devices", rows, seq, devices)
		}
		known[k] = campaign.StepOf(s)
		return known[k], nil
	}
	return campaign.Play(f.run, campaign.Setting{
		Name: r.Name, Model: r.Model, Cluster: r.Cluster, Devices: r.Devices, Train: train, Muon: r.Workload.Optimizer == "muon", Policy: policy,
	})
}

// durationText says how long so many tokens take at a plan's rate.
func durationText(p *planner.Plan) string {
	return fmt.Sprintf("At this rate 1 T tokens take %s, failures and pauses left out (--workload counts them).", secondsWords(1e12/p.TokensPerSec))
}

// workloadText explains a whole run.
func workloadText(b *strings.Builder, r *campaign.Result) {
	if r == nil {
		return
	}
	fmt.Fprintf(b, "\nThe run %q on %s: done after %s (10 %%: %s, 90 %%: %s), %s device-hours", r.Workload, r.Cluster,
		secondsWords(r.Finish.P50), secondsWords(r.Finish.P10), secondsWords(r.Finish.P90), unit.Count(r.DeviceHours))
	if r.EnergyKWh > 0 {
		fmt.Fprintf(b, ", %s kWh", unit.Count(r.EnergyKWh))
	}
	if r.Cost > 0 {
		fmt.Fprintf(b, ", %s %s", unit.Count(r.Cost), r.Currency)
	}
	fmt.Fprintf(b, "\n")
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "  phase\tsteps\ttokens\tgenerated\ta step\twith failures\tdevice-hours\tbound by\t")
	for i := range r.Phases {
		p := &r.Phases[i]
		fmt.Fprintf(w, "  %s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", p.Name, unit.Count(p.Steps), unit.Count(p.Tokens), unit.Count(p.Generated),
			secondsText(p.StepSeconds), secondsWords(p.Wall), unit.Count(p.DeviceHours), p.BoundBy)
	}
	_ = w.Flush()
	fmt.Fprintf(b, "  goodput %.1f %%, ETTR %.1f %%, a checkpoint every %s, recovery by %s with %d spare nodes\n",
		100*r.Goodput, 100*r.ETTR, secondsWords(r.Interval), r.Policy, r.Spares)
	losses := slices.Clone(r.Losses)
	slices.SortStableFunc(losses, func(x, y campaign.Part) int { return cmp.Compare(y.Value, x.Value) })
	for _, l := range losses {
		if share := l.Value / r.Seconds; share >= 0.001 {
			fmt.Fprintf(b, "  %6.2f %%  %s\n", 100*share, l.Name)
		}
	}
	if r.ShareOfPretraining > 0 {
		fmt.Fprintf(b, "  %.2f %% of the operations of the pre-training (%s tokens), %.2f %% of its device-hours here\n",
			100*r.ShareOfPretraining, unit.Count(r.Pretraining.Tokens), 100*r.ShareOfHours)
	}
}

// workloadTexts explains the run on every cluster.
func (f *planFlags) workloadTexts() string {
	var b strings.Builder
	for _, r := range f.runs {
		workloadText(&b, r)
	}
	return b.String()
}
