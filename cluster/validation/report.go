package validation

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/temper-ml/temper/cluster/costmodel"
)

// The goals that the report holds the predictions against.
const (
	goalDense     = 0.07 // mean absolute error of dense steps
	goalMoE       = 0.15 // of steps of models with experts
	goalMemory    = 0.03 // mean absolute error of memory
	goalMemory95  = 0.06 // its 95th percentile
	goalCoverLow  = 0.85 // of rows left out, the share inside their intervals
	goalCoverHigh = 0.95
)

// Markdown writes the report: what is reached, by system and by row. figures is
// the folder of the plots, relative to the report.
func (v *Validation) Markdown(command, figures string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, `# Predicted against measured

Every published training step that temper knows, beside what `+"`temper plan`"+` predicts for it, misses included. All rows of a device
share the constants of the cost model; no row has a setting of its own. Temper's own step on a CPU is shown too, but neither fitted nor
counted. Made by

    %s

which also fails when this file no longer says what the code computes.

`, command)
	v.writeGoals(&b)
	fmt.Fprintf(&b, "![predicted against measured](%s/validation-steps.svg)\n\n", figures)
	fmt.Fprintf(&b, "![by system](%s/validation-systems.svg)\n\n", figures)
	fmt.Fprintf(&b, "![errors](%s/validation-errors.svg)\n\n", figures)
	fmt.Fprintf(&b, "![by number of devices](%s/validation-devices.svg)\n\n", figures)
	fmt.Fprintf(&b, "![memory](%s/validation-memory.svg)\n\n", figures)
	v.writeSystems(&b)
	v.writeIntervals(&b)
	v.writeConstants(&b)
	v.writeStructure(&b)
	v.writeWorst(&b)
	v.writeRows(&b)
	v.writeRules(&b)
	return []byte(b.String())
}

// check is a tick or a cross.
func check(ok bool) string {
	if ok {
		return "✓"
	}
	return "✗"
}

// writeGoals tells what was wanted and what is reached.
func (v *Validation) writeGoals(b *strings.Builder) {
	var dense, moe []*Outcome
	for _, o := range v.judged() {
		if o.MoE {
			moe = append(moe, o)
		} else {
			dense = append(dense, o)
		}
	}
	b.WriteString("## Reached\n\n| | rows | wanted | all rows in the fit | system left out |\n|---|---|---|---|---|\n")
	for _, g := range []struct {
		name  string
		group []*Outcome
		goal  float64
	}{{"step time, dense: mean absolute error", dense, goalDense}, {"step time, with experts: mean absolute error", moe, goalMoE}} {
		in, out := errorsOf(g.group, (*Outcome).Error), errorsOf(g.group, (*Outcome).OutError)
		fmt.Fprintf(b, "| %s | %d | %s | %s %s | %s %s |\n", g.name, in.N, percent(g.goal), percent(in.Mean), check(in.Mean <= g.goal), percent(out.Mean), check(out.Mean <= g.goal))
	}
	hits, outs := 0, 0
	for _, o := range v.judged() {
		if o.Hit() {
			hits++
		}
		if o.OutHit() {
			outs++
		}
	}
	n := float64(max(1, len(v.judged())))
	in, out := float64(hits)/n, float64(outs)/n
	fmt.Fprintf(b, "| 90 %% interval holds the measurement | %d | %.0f to %.0f %% | %s | %s %s |\n",
		len(v.judged()), 100*goalCoverLow, 100*goalCoverHigh, percent(in), percent(out), check(out >= goalCoverLow && out <= goalCoverHigh))
	m := errorsOf(v.judged(), (*Outcome).MemoryError)
	fmt.Fprintf(b, "| peak memory: mean absolute error | %d | %s | %s %s | not fitted |\n", m.N, percent(goalMemory), percent(m.Mean), check(m.Mean <= goalMemory))
	fmt.Fprintf(b, "| peak memory: 95th percentile | %d | %s | %s %s | not fitted |\n\n", m.N, percent(goalMemory95), percent(m.P95), check(m.P95 <= goalMemory95))
}

// writeSystems tells the errors of each system.
func (v *Validation) writeSystems(b *strings.Builder) {
	b.WriteString("## By system\n\nBias is the signed mean: above zero, the prediction is too slow. A system that is left out takes all rows of its source with it;\n" +
		"where the others have fewer than ten rows of the device, it is as good as new to the fit.\n\n" +
		"| system | rows | bias | mean | 95 % | worst | left out: mean | worst | interval holds | device known without it | memory: rows | mean | worst |\n" +
		"|---|---|---|---|---|---|---|---|---|---|---|---|---|\n")
	for _, g := range v.systems() {
		in, out, m := errorsOf(g, (*Outcome).Error), errorsOf(g, (*Outcome).OutError), errorsOf(g, (*Outcome).MemoryError)
		hits := 0
		for _, o := range g {
			if o.OutHit() {
				hits++
			}
		}
		known := "yes"
		if g[0].Unseen {
			known = "no"
		}
		memory := "| | |"
		if m.N > 0 {
			memory = fmt.Sprintf("%d | %s | %s", m.N, percent(m.Mean), percent(m.Max))
		}
		fmt.Fprintf(b, "| %s | %d | %s | %s | %s | %s | %s | %s | %d of %d | %s | %s |\n", g[0].Case.System, in.N, signed(in.Bias), percent(in.Mean), percent(in.P95), percent(in.Max),
			percent(out.Mean), percent(out.Max), hits, len(g), known, memory)
	}
	b.WriteByte('\n')
}

// writeIntervals tells where the width of an interval comes from.
func (v *Validation) writeIntervals(b *strings.Builder) {
	w := v.Widths
	fmt.Fprintf(b, `## Intervals

A 90 %% interval is the predicted time divided and multiplied by exp(%.2f x sigma). Sigma adds, in squares, what the rows left out show:
rows of one system differ by %s from each other, systems on known devices by %s, a device with fewer than ten measured rows adds %s, a model
with experts %s. Widths that few systems tell are drawn towards what was assumed before any was seen (%s, %s and %s). The interval of a row
that was left out uses the errors of the other systems only.

| prediction for | interval |
|---|---|
`, w.Factor, percent(w.Row), percent(w.System), percent(w.Device), percent(w.MoE), percent(systemPrior), percent(devicePrior), percent(moePrior))
	for _, x := range []struct {
		name        string
		moe, unseen bool
	}{{"dense, device with ten rows", false, false}, {"dense, new device", false, true}, {"experts, device with ten rows", true, false}, {"experts, new device", true, true}} {
		low, high := w.Interval(1, costmodel.Novelty{MoE: x.moe, Device: x.unseen})
		fmt.Fprintf(b, "| %s | %s to %s |\n", x.name, signed(low-1), signed(high-1))
	}
	b.WriteByte('\n')
}

// writeConstants lists what was fitted.
func (v *Validation) writeConstants(b *strings.Builder) {
	p := v.Set.Problem()
	b.WriteString("## Constants\n\nAll numbers of the cost model that were fitted. Learned is the share of the prior's variance that the rows removed: near 0 %, the value\n" +
		"is still the prior. `@device` is a factor for one device.\n\n| constant | prior | ± | fitted | ± | learned |\n|---|---|---|---|---|---|\n")
	for i, q := range p.Parameters {
		fmt.Fprintf(b, "| `%s` | %s | %.0f %% | %s | %.0f %% | %.0f %% |\n", q.Name, short(math.Exp(q.Prior)), 100*q.Sigma,
			short(math.Exp(v.Fit.Theta[i])), 100*v.Fit.StdErr[i], 100*v.Fit.Learned(p, i))
	}
	b.WriteByte('\n')
}

// structureRows and structureBias are from where on a group counts as off.
const (
	structureRows = 3
	structureBias = 0.08
)

// writeStructure lists groups of rows that are off together: what the model
// lacks, where single rows may just be odd.
func (v *Validation) writeStructure(b *strings.Builder) {
	groups := map[string][]*Outcome{}
	var order []string
	for _, o := range v.judged() {
		k := fmt.Sprintf("%s | %s | tp=%d, cp=%d", o.Case.System, o.Case.ModelName(), o.Case.TP, o.Case.CP)
		if groups[k] == nil {
			order = append(order, k)
		}
		groups[k] = append(groups[k], o)
	}
	fmt.Fprintf(b, "## Where it is off\n\nGroups of at least %d rows of one system and model whose predictions are off together by more than %s: not noise, but something that\n"+
		"the model lacks or that the measurements had.\n\n| system | model | layout | rows | bias | mean |\n|---|---|---|---|---|---|\n", structureRows, percent(structureBias))
	for _, k := range order {
		if e := errorsOf(groups[k], (*Outcome).Error); e.N >= structureRows && math.Abs(e.Bias) > structureBias {
			fmt.Fprintf(b, "| %s | %d | %s | %s |\n", k, e.N, signed(e.Bias), percent(e.Mean))
		}
	}
	b.WriteByte('\n')
}

// short prints a number to four significant digits.
func short(x float64) string { return fmt.Sprintf("%.4g", x) }

// worstRows is how many misses are singled out.
const worstRows = 12

// writeWorst singles out the largest errors.
func (v *Validation) writeWorst(b *strings.Builder) {
	all := v.all()
	slices.SortStableFunc(all, func(x, y *Outcome) int {
		switch a, c := math.Abs(x.Residual), math.Abs(y.Residual); {
		case a > c:
			return -1
		case a < c:
			return 1
		}
		return 0
	})
	fmt.Fprintf(b, "## The %d worst\n\n| where | model | layout | mbs | measured, s | predicted, s | error |\n|---|---|---|---|---|---|---|\n", min(worstRows, len(all)))
	for _, o := range all[:min(worstRows, len(all))] {
		c := o.Case
		fmt.Fprintf(b, "| %s | %s | %s | %d | %s | %s | %s |\n", c.Position, c.ModelName(), c.LayoutText(), c.MicroBatch, short(c.Seconds), short(o.Seconds), signed(o.Error()))
	}
	b.WriteByte('\n')
}

// writeRows lists every row by system.
func (v *Validation) writeRows(b *strings.Builder) {
	b.WriteString("## Every row\n\nLow and high are the 90 % interval, ✓ says that it holds the measurement; then the error and the same for the system left out of the fit.\n" +
		"Memory is in GiB.\n")
	for _, g := range v.systems() {
		memory := errorsOf(g, (*Outcome).MemoryError).N > 0
		head, rule := "| where | model | devices | layout | mbs | batch | seq | format | recompute | measured, s | predicted, s | error | low | high | | left out | |", "|"+strings.Repeat("---|", 17)
		if memory {
			head, rule = head+" memory | predicted | error |", rule+"---|---|---|"
		}
		fmt.Fprintf(b, "\n### %s\n\n%s.\n\n%s\n%s\n", g[0].Case.System, sources(g), head, rule)
		for _, o := range g {
			v.writeRow(b, o, memory)
		}
	}
	b.WriteByte('\n')
}

// writeRow writes one row.
func (v *Validation) writeRow(b *strings.Builder, o *Outcome, memory bool) {
	c := o.Case
	fmt.Fprintf(b, "| %s | %s | %d | %s | %d | %d | %d | %s | %s | %s | %s | %s | %s | %s | %s | %s | %s |",
		c.Position, c.ModelName(), c.Devices, c.LayoutText(), c.MicroBatch, c.GlobalBatch, c.Seq, c.Format(), c.Recompute,
		short(c.Seconds), short(o.Seconds), signed(o.Error()), short(o.Low), short(o.High), check(o.Hit()), signed(o.OutError()), check(o.OutHit()))
	if memory {
		const gib = 1 << 30
		if e := o.MemoryError(); math.IsNaN(e) {
			b.WriteString(" | | |")
		} else {
			fmt.Fprintf(b, " %.1f | %.1f | %s |", c.Memory/gib, o.Memory/gib, signed(e))
		}
	}
	b.WriteByte('\n')
}

// sources lists the sources of a group with their grades, each once.
func sources(g []*Outcome) string {
	var out []string
	for _, o := range g {
		s := fmt.Sprintf("%s (%s)", o.Case.Source, o.Case.Grade)
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return "Source: " + strings.Join(out, "; ")
}

// writeRules lists the rules that filled what rows left open, with how often.
func (v *Validation) writeRules(b *strings.Builder) {
	count := map[string]int{}
	var order []string
	for _, o := range v.all() {
		for _, a := range o.Case.Assumed {
			if count[a] == 0 {
				order = append(order, a)
			}
			count[a]++
		}
	}
	b.WriteString("## What rows left open\n\nFields that a publication does not give are filled by rule, the same for all rows.\n\n| rule | rows |\n|---|---|\n")
	for _, a := range order {
		fmt.Fprintf(b, "| %s | %d |\n", a, count[a])
	}
}
