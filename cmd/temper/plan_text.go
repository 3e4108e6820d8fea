package main

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/temper-ml/temper/cluster/hardware"
	"github.com/temper-ml/temper/cluster/planner"
	"github.com/temper-ml/temper/internal/unit"
)

// planText explains an answer to a person: the verdict first, then the numbers
// behind it.
func planText(r planner.Request, a *planner.Answer) string {
	var b strings.Builder
	s := a.Step
	fmt.Fprintf(&b, "%s on %s, %s, %s, %d sequences of %d tokens a step (%s tokens), %s routing, %s\n\n",
		a.Model, devicesText(r.Cluster, a.Devices), a.Engine, s.DType, s.GlobalBatch, s.Seq, unit.Count(s.Tokens), s.Routing, s.Optimizer)
	if len(a.Plans) > 0 {
		verdictText(&b, r, a)
		timeText(&b, &a.Plans[0])
		memoryText(&b, &a.Plans[0].MemoryBytes)
		rankText(&b, a)
	} else {
		shortageText(&b, a)
	}
	rejectedText(&b, a)
	smallestText(&b, a.Smallest)
	fixesText(&b, a.Fixes, a.Fits)
	for i := range a.Compare {
		compareText(&b, &a.Compare[i])
	}
	return b.String()
}

// devicesText counts devices in the words of their cluster.
func devicesText(c *hardware.Cluster, n int) string {
	text := fmt.Sprintf("%s of %s", plural(n, "device"), c.Name)
	var units []string
	if c.DevicesPerCard > 1 {
		units = append(units, fmt.Sprintf("%d cards", c.Cards(n)))
	}
	if c.NodeSize > 1 && n > c.NodeSize {
		units = append(units, fmt.Sprintf("%d nodes", c.Nodes(n)))
	}
	if len(units) > 0 {
		text += " (" + strings.Join(units, ", ") + ")"
	}
	return text
}

func verdictText(b *strings.Builder, r planner.Request, a *planner.Answer) {
	p := &a.Plans[0]
	verdict := "It fits. A step takes"
	if !a.Fits {
		verdict = "It does not fit; if it did, a step would take"
	}
	if a.Idle > 0 {
		fmt.Fprintf(b, "Nothing fits on all %d devices (%s): %d stay idle, as spares.\n", a.Devices+a.Idle, a.WhyIdle, a.Idle)
	}
	fmt.Fprintf(b, "%s %s (90 %%: %s to %s): %s tokens/s, %.0f for each device.\n",
		verdict, secondsText(p.StepSeconds), secondsText(p.StepInterval[0]), secondsText(p.StepInterval[1]), unit.Count(p.TokensPerSec), p.PerDevice)
	fmt.Fprintf(b, "MFU %.1f %% of %.4g TFLOP/s %s, operations counted by %s (%s); bound by %s.\n",
		100*p.MFU.Value, p.MFU.PeakTFLOPs, p.MFU.DType, p.MFU.Convention, othersText(p.MFU), p.BoundBy)
	if len(p.Uncertain) > 0 {
		fmt.Fprintf(b, "The interval is wide because: %s.\n", strings.Join(p.Uncertain, "; "))
	}
	fmt.Fprintf(b, "%s\n", durationText(p))
	if c := a.Certificate; c != nil {
		fmt.Fprintf(b, "Proof: %s.\n", c.Statement)
		fmt.Fprintf(b, "%s layouts: %s refused, %s bounded away, %s scored one by one, %d timed, in %s.\n", unit.Count(a.Considered),
			unit.Count(a.Rejected.Total()), unit.Count(a.Bounded), unit.Count(a.Scored), a.Timed, unit.Duration(time.Duration(a.SearchSeconds*1e9)))
	}
	fmt.Fprintf(b, "\n  %s\n  %s\n", p.Text, blocksText(p.Layout))
}

func othersText(m planner.MFU) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(m.ByConvention)) {
		if name != m.Convention {
			parts = append(parts, fmt.Sprintf("%s %.1f %%", name, 100*m.ByConvention[name]))
		}
	}
	return strings.Join(parts, ", ")
}

// blocksText says how many blocks each position holds: "4x15, 1".
func blocksText(l planner.Layout) string {
	var parts []string
	for i := 0; i < len(l.Blocks); {
		n := 1
		for i+n < len(l.Blocks) && l.Blocks[i+n] == l.Blocks[i] {
			n++
		}
		text := fmt.Sprint(l.Blocks[i])
		if n > 1 {
			text = fmt.Sprintf("%d x %d", n, l.Blocks[i])
		}
		parts = append(parts, text)
		i += n
	}
	return fmt.Sprintf("%s of %d; blocks along the pipeline: %s", plural(l.Micros, "micro-batch"), l.MicroBatch, strings.Join(parts, ", "))
}

// timeText draws where the time of the deciding stage goes.
func timeText(b *strings.Builder, p *planner.Plan) {
	names := slices.SortedFunc(maps.Keys(p.Breakdown), func(x, y string) int {
		return cmp.Or(cmp.Compare(p.Breakdown[y], p.Breakdown[x]), cmp.Compare(x, y))
	})
	fmt.Fprintf(b, "\nWhere the time of the slowest stage goes\n")
	rest := 0.0
	for _, name := range names {
		share := p.Breakdown[name] / p.StepSeconds
		if share < 0.002 {
			rest += p.Breakdown[name]
			continue
		}
		fmt.Fprintf(b, "  %-11s %8s %5.1f %%  %s\n", name, secondsText(p.Breakdown[name]), 100*share, barOf(share))
	}
	if rest > 0 {
		fmt.Fprintf(b, "  %-11s %8s %5.1f %%\n", "the rest", secondsText(rest), 100*rest/p.StepSeconds)
	}
}

// barOf draws a share of the whole; more than all of it ends in an arrow.
func barOf(share float64) string {
	if share > 1 {
		return strings.Repeat("█", 50) + "▶"
	}
	return strings.Repeat("█", int(math.Round(50*share)))
}

func memoryText(b *strings.Builder, m *planner.Memory) {
	fmt.Fprintf(b, "\nMemory: %s of %s on the fullest rank (stage %d), at its worst in %q\n", unit.Bytes(m.Occupied), unit.Bytes(m.Capacity), m.Stage, m.PeakMoment)
	for _, part := range m.Parts() {
		if part.Bytes > 0 {
			share := float64(part.Bytes) / float64(m.Capacity)
			fmt.Fprintf(b, "  %-13s %9s %5.1f %%  %s\n", part.Name, unit.Bytes(part.Bytes), 100*share, barOf(share))
		}
	}
	if m.Host > 0 {
		fmt.Fprintf(b, "  and %s of host memory for each device\n", unit.Bytes(m.Host))
	}
}

// rankText is the table of the best layouts, of schedules, and of the front.
func rankText(b *strings.Builder, a *planner.Answer) {
	if len(a.Plans) > 1 {
		plansTable(b, "Best layouts, one for each mesh and micro-batch size", a.Plans, a.Plans[0].StepSeconds)
	}
	if len(a.Families) > 1 {
		plansTable(b, "Best of each schedule", slices.SortedFunc(maps.Values(a.Families), func(x, y planner.Plan) int { return cmp.Compare(x.StepSeconds, y.StepSeconds) }), a.Plans[0].StepSeconds)
	}
	if len(a.Pareto) > 1 {
		plansTable(b, "Slower, but with more memory free", a.Pareto, a.Plans[0].StepSeconds)
	}
}

func rejectedText(b *strings.Builder, a *planner.Answer) {
	if len(a.Rejected) == 0 || a.Considered == 1 {
		return
	}
	fmt.Fprintf(b, "\nRefused\n")
	for _, rule := range a.Rejected.Rules() {
		v := a.Rejected[rule]
		text := v.Text
		for _, room := range []string{"mesh: ", "operator: ", "schedule: "} { // the rule says it
			text = strings.TrimPrefix(text, room)
		}
		fmt.Fprintf(b, "  %s by %s: %s\n    as in %s\n", unit.Count(v.Count), rule, text, v.Example)
	}
}

// secondsText prints a duration with three significant digits.
func secondsText(s float64) string {
	switch {
	case s >= 3600:
		return unit.Duration(time.Duration(s * 1e9))
	case s >= 100:
		return fmt.Sprintf("%.0f s", s)
	case s >= 10:
		return fmt.Sprintf("%.1f s", s)
	case s >= 1:
		return fmt.Sprintf("%.2f s", s)
	case s >= 1e-3:
		return fmt.Sprintf("%.3g ms", s*1e3)
	}
	return fmt.Sprintf("%.3g us", s*1e6)
}
