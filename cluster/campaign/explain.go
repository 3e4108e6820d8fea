package campaign

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/temper-ml/temper/internal/unit"
)

// Explain writes the result for a person who has to decide: how long and what it
// costs first, then where the time goes, what failures take, and what that is of
// the pre-training.
func (r *Result) Explain(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s on %s of %s", r.Workload, devices(r.Devices), r.Cluster)
	if r.Model != "" {
		fmt.Fprintf(&b, ", %s", r.Model)
	}
	b.WriteString("\n")
	if r.Source != "" {
		fmt.Fprintf(&b, "%s.\n", strings.TrimSuffix(r.Source, "."))
	}
	r.explainFinish(&b)
	r.explainPhases(&b)
	r.explainParts(&b)
	explainFailures(&b, r.Policy, r.Seconds, r.ETTR, r.Interruptions, r.Losses, &r.Checkpoint)
	explainPolicies(&b, r.Policies, r.Policy)
	r.explainBill(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *Result) explainFinish(b *strings.Builder) {
	fmt.Fprintf(b, "\nFinished after %s, one time in ten within %s, nine in ten within %s (failures alone: %s to %s).\n",
		span(r.Finish.P50), span(r.Finish.P10), span(r.Finish.P90), span(r.FinishFailures.P10), span(r.FinishFailures.P90))
	fmt.Fprintf(b, "%s tokens trained on, %s of them written by the model itself, in %s steps; %s device-hours, goodput %.1f %%.\n",
		count(r.Tokens), count(r.Generated), count(r.Steps), count(r.DeviceHours), 100*r.Goodput)
	if r.Spread.Training > 0 {
		fmt.Fprintf(b, "The span is that of failures and of predictions that may be off for the whole run: training by %.0f %%", 100*r.Spread.Training)
		if r.Spread.Generation > 0 {
			fmt.Fprintf(b, ", generation by %.0f %%", 100*r.Spread.Generation)
		}
		b.WriteString(" (one standard deviation).\n")
	}
}

func (r *Result) explainPhases(b *strings.Builder) {
	b.WriteString("\nPhases\n")
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "  phase\tmethod\ttokens\tgenerated\tsteps\tstep\tundisturbed\twith failures\tdevice-hours\tshare\t")
	for i := range r.Phases {
		p := &r.Phases[i]
		fmt.Fprintf(w, "  %s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%.0f %%\t\n", p.Name, p.Method, count(p.Tokens), count(p.Generated), count(p.Steps),
			span(p.StepSeconds), span(p.Seconds), span(p.Wall), count(p.DeviceHours), 100*p.Seconds/r.Undisturbed)
	}
	fmt.Fprintf(w, "  all\t\t%s\t%s\t%s\t\t%s\t%s\t%s\t\t\n", count(r.Tokens), count(r.Generated), count(r.Steps), span(r.Undisturbed), span(r.Seconds), count(r.DeviceHours))
	w.Flush()
	for i := range r.Phases {
		if p := &r.Phases[i]; p.Source != "" {
			fmt.Fprintf(b, "  %s: %s\n", p.Name, p.Source)
		}
	}
}

// explainParts says what a step of each phase consists of.
func (r *Result) explainParts(b *strings.Builder) {
	b.WriteString("\nWhere a step's time goes\n")
	for i := range r.Phases {
		p := &r.Phases[i]
		fmt.Fprintf(b, "  %s: %s", p.Name, shares(p.Parts, p.StepSeconds))
		if len(p.Hidden) > 0 {
			fmt.Fprintf(b, "; beside it %s", shares(p.Hidden, p.StepSeconds))
		}
		if p.Idle > 0 {
			fmt.Fprintf(b, "; %.0f %% of device time idle", 100*p.Idle)
		}
		fmt.Fprintf(b, "\n    trains on %d devices as %s, bound by %s; rows %.0f %% full\n", p.Training, p.Layout, p.BoundBy, 100*p.Filled)
		if g := p.Generator; g != nil {
			fmt.Fprintf(b, "    generates on %d devices in groups of %d, %d sequences each, %.0f tokens/s for each device, %.0f ms a token, bound by %s; %.0f %% of the rollout waits for the longest\n",
				g.Devices, g.Replica, g.Slots, g.Rate, 1000*g.TokenTime, g.BoundBy, 100*g.Tail/g.Seconds)
		}
		if p.Prepare > 0 {
			fmt.Fprintf(b, "    before: %s for the reference model's log-probabilities\n", span(p.Prepare))
		}
	}
	fmt.Fprintf(b, "  What dominates: %s.\n", r.Dominant())
	if len(r.Options) == 0 {
		return
	}
	b.WriteString("  What would make it shorter, each change alone (what it does to learning is another question):\n")
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	for _, o := range r.Options[:min(6, len(r.Options))] {
		fmt.Fprintf(w, "    -%.1f %%\t%s\t%s\ta step takes %s\n", 100*o.Saves, o.Phase, o.Change, span(o.StepSeconds))
	}
	w.Flush()
}

// Dominant says which part of which phase takes most of the run.
func (r *Result) Dominant() string {
	var best *PhaseResult
	var part Part
	most := -1.0
	for i := range r.Phases {
		p := &r.Phases[i]
		for _, x := range p.Parts {
			if seconds := x.Value * p.Steps; seconds > most {
				best, part, most = p, x, seconds
			}
		}
	}
	if best == nil {
		return "nothing"
	}
	why := "bound by " + best.BoundBy
	if g := best.Generator; g != nil && part.Name == "rollout" {
		why = "bound by " + g.BoundBy
		if g.Tail > 0.3*g.Seconds {
			why = fmt.Sprintf("%.0f %% of it after most responses are done, for the longest", 100*g.Tail/g.Seconds)
		}
	}
	return fmt.Sprintf("%s of phase %s, %.0f %% of the run, %s", part.Name, best.Name, 100*most/r.Undisturbed, why)
}

func devices(n int) string {
	if n == 1 {
		return "1 device"
	}
	return fmt.Sprintf("%d devices", n)
}

// explainFailures says what happened in so many seconds, and what it took.
func explainFailures(b *strings.Builder, policy string, seconds, ettr float64, causes, losses Parts, c *Checkpoint) {
	n := causes.Sum()
	fmt.Fprintf(b, "\nFailures, with policy %s: ", policy)
	if n == 0 {
		fmt.Fprintf(b, "none, in any of the trials\n")
	} else {
		fmt.Fprintf(b, "%.3g interruptions, one every %s; they and checkpoints take %s, %.1f %% of the run (ETTR %.1f %%)\n",
			n, span(seconds/n), span(losses.Sum()), 100*losses.Sum()/seconds, 100*ettr)
		fmt.Fprintf(b, "  goes to: %s\n", shares(losses, seconds))
		fmt.Fprintf(b, "  causes: %s\n", most(causes, 6))
	}
	fmt.Fprintf(b, "  A checkpoint is %.3g TB, %.3g GB from each device: training stops for %s, storage has it after %s, loading takes %s.\n",
		c.Bytes/1e12, c.PerDevice/1e9, span(c.Save), span(c.Write), span(c.Load))
	fmt.Fprintf(b, "  One every %s", span(c.Interval))
	if n > 0 {
		fmt.Fprintf(b, " (Young %s, Daly %s, best of those simulated %s: %.2f %% shorter)", span(c.Young), span(c.Daly), span(c.Simulated), 100*c.Gain)
	}
	fmt.Fprintf(b, "\n")
}

func explainPolicies(b *strings.Builder, all []PolicyResult, used string) {
	if len(all) == 0 {
		return
	}
	best := slices.MinFunc(all, func(x, y PolicyResult) int { return cmp.Compare(x.Seconds, y.Seconds) })
	fmt.Fprintf(b, "\nWays to recover, all against the same failures; %s with saving %s is fastest\n", best.Name, best.Saving)
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "  policy\tsaving\tgoodput\tETTR\tfinish P50\tP90\tlonger\tdevice-hours\tspare nodes")
	for i := range all {
		p := &all[i]
		name := p.Name
		if name == used && p.Saving != "blocking" {
			name += " *"
		}
		fmt.Fprintf(w, "  %s\t%s\t%.1f %%\t%.1f %%\t%s\t%s\t%.1f %%\t%s\t%d\n", name, p.Saving, 100*p.Goodput, 100*p.ETTR, span(p.Finish.P50), span(p.Finish.P90),
			100*(p.Seconds/best.Seconds-1), count(p.DeviceHours), p.Spares)
	}
	w.Flush()
	fmt.Fprintf(b, "  * what the figures above are for\n")
}

func (r *Result) explainBill(b *strings.Builder) {
	if e := &r.Energy; e.Hall > 0 {
		fmt.Fprintf(b, "\nEnergy: %.4g MWh (%s: %s); devices alone at most %.4g MWh, with hosts and network %.4g MWh\n", e.Hall/1000, e.Grade, e.Weakest, e.Devices/1000, e.AllIn/1000)
	}
	if r.Cost > 0 {
		fmt.Fprintf(b, "Cost: %s %s\n", count(float64(r.Cost)), r.Currency)
	} else {
		b.WriteString("Cost: not known, the cluster has no price (a YAML file with base and price gives one)\n")
	}
	if r.ShareOfPretraining == 0 {
		b.WriteString("Share of pre-training: not known, the workload says nothing of it (pretraining: {tokens, seq})\n")
		return
	}
	fmt.Fprintf(b, "Of a pre-training on %s tokens: %.3g %% of the operations", count(r.Pretraining.Tokens), 100*r.ShareOfPretraining)
	if r.PretrainingHours > 0 {
		fmt.Fprintf(b, ", %.3g %% of the device-hours (%s here)", 100*r.ShareOfHours, count(r.PretrainingHours))
	}
	b.WriteString("\n")
}

// shares lists parts with their share of a whole, largest first.
func shares(p Parts, whole float64) string {
	var out []string
	for _, x := range sorted(p) {
		if x.Value > 0 {
			out = append(out, fmt.Sprintf("%s %s (%.1f %%)", x.Name, span(x.Value), 100*x.Value/whole))
		}
	}
	return strings.Join(out, ", ")
}

// most lists the n largest parts and sums up the rest.
func most(p Parts, n int) string {
	list := sorted(p).some()
	var out []string
	for _, x := range list[:min(n, len(list))] {
		out = append(out, fmt.Sprintf("%s %.3g", x.Name, x.Value))
	}
	if len(list) > n {
		out = append(out, fmt.Sprintf("others %.3g", list[n:].Sum()))
	}
	return strings.Join(out, ", ")
}

func sorted(p Parts) Parts {
	out := slices.Clone(p)
	slices.SortStableFunc(out, func(x, y Part) int { return cmp.Compare(y.Value, x.Value) })
	return out
}

// span prints seconds as a person says them.
func span(seconds float64) string {
	if !(seconds < math.MaxInt64/1e9) {
		return "for ever"
	}
	return unit.Duration(time.Duration(seconds * 1e9))
}

func count(x float64) string { return unit.Count(math.Round(x)).String() }
