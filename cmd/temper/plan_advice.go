package main

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/temper-ml/temper/cluster/planner"
	"github.com/temper-ml/temper/internal/unit"
)

// shortageText says what is too large when nothing fits.
func shortageText(b *strings.Builder, a *planner.Answer) {
	s := a.Shortage
	switch {
	case s == nil && a.Considered == 1:
		for _, v := range a.Rejected {
			fmt.Fprintf(b, "The layout is refused: %s\n", v.Text)
		}
		return
	case s == nil:
		fmt.Fprintf(b, "Nothing fits: no layout is legal.\n")
		return
	}
	fmt.Fprintf(b, "Nothing fits. The layout that needs least takes %s of the %s of a device: %.2f times what there is, %s too much.\n\n  %s\n",
		unit.Bytes(s.Memory.Occupied), unit.Bytes(s.Memory.Capacity), s.Factor, unit.Bytes(s.Over), s.Layout)
	memoryText(b, &s.Memory)
	fmt.Fprintf(b, "\nThe largest part is %s. Nearest changes that fit: %s\n", s.Largest, strings.Join(s.Nearest, "; "))
}

// smallestText says how many devices it takes.
func smallestText(b *strings.Builder, s *planner.Smallest) {
	if s == nil {
		return
	}
	if s.Devices == 0 {
		fmt.Fprintf(b, "\nNo number of devices up to %d fits.\n", s.Sizes[len(s.Sizes)-1].Devices)
	} else {
		fmt.Fprintf(b, "\nThe fewest devices that fit: %d (%d nodes), with %s a step: %s\n", s.Devices, s.Nodes, secondsText(s.Plan.StepSeconds), s.Plan.Text)
	}
	var parts []string
	for _, size := range s.Sizes[max(0, len(s.Sizes)-8):] {
		word := "no"
		if size.Fits {
			word = "fits"
		} else if strings.HasPrefix(size.Why, "memory: ") {
			word = size.Why
		}
		parts = append(parts, fmt.Sprintf("%d %s", size.Devices, word))
	}
	fmt.Fprintf(b, "  tried: %s\n", strings.Join(parts, "; "))
}

// fixesText lists what would help.
func fixesText(b *strings.Builder, fixes []planner.Fix, fitted bool) {
	if len(fixes) == 0 {
		return
	}
	fmt.Fprintf(b, "\nWhat would help, each change searched anew\n")
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	var useless []string
	for _, f := range fixes {
		switch where := "in the same layout"; {
		case !f.Fits || f.Gain < 0.001 && fitted:
			useless = append(useless, f.Name)
		default:
			if f.Moved {
				where = "by " + f.Layout
			}
			gain := "fits"
			if fitted {
				gain = fmt.Sprintf("%+.1f %%", 100/(1-f.Gain)-100)
			}
			fmt.Fprintf(w, "  %s\t%s\t%s tokens/s\t%s\n", f.Name, gain, unit.Count(f.Tokens), where)
		}
	}
	_ = w.Flush()
	if len(useless) > 0 {
		fmt.Fprintf(b, "  of no use: %s\n", strings.Join(useless, ", "))
	}
}

// compareText is a table of two clusters side by side.
func compareText(b *strings.Builder, c *planner.Compare) {
	x, y := c.Base, c.Rate
	fmt.Fprintf(b, "\n%s against %s, equal %s\n", x.Cluster, y.Cluster, c.Basis)
	if !c.Fits {
		fmt.Fprintf(b, "  nothing fits on %d devices of %s", y.Devices, y.Cluster)
		if s := c.Shortage; s != nil {
			fmt.Fprintf(b, ": %.2f times the memory there is, mostly %s", s.Factor, s.Largest)
		}
		fmt.Fprintf(b, "\n")
		return
	}
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "\t%s\t%s\t\t\n", x.Cluster, y.Cluster)
	for _, row := range []struct {
		name, format string
		x, y         float64
	}{
		{"devices", "%.0f", float64(x.Devices), float64(y.Devices)},
		{"step, s", "%.4g", x.Step, y.Step},
		{"tokens/s", "%.4g", x.Tokens, y.Tokens},
		{"tokens/s/device", "%.4g", x.PerDevice, y.PerDevice},
		{"tokens/s/card", "%.4g", x.PerCard, y.PerCard},
		{"tokens/s/peak PFLOP/s", "%.4g", x.PerPFLOPs, y.PerPFLOPs},
		{"watts/device", "%.4g", x.Watts, y.Watts},
		{"tokens/s/kW", "%.4g", x.PerKW, y.PerKW},
		{"tokens/cost", "%.4g", x.PerCost, y.PerCost},
		{"MFU, %", "%.1f", 100 * x.MFU, 100 * y.MFU},
		{"memory free, %", "%.1f", 100 * x.Headroom, 100 * y.Headroom},
	} {
		if row.x == 0 && row.y == 0 {
			continue
		}
		ratio := ""
		if row.x > 0 && row.y > 0 {
			ratio = fmt.Sprintf("x %.2f", row.y/row.x)
		}
		fmt.Fprintf(w, "%s\t"+row.format+"\t"+row.format+"\t%s\t\n", row.name, row.x, row.y, ratio)
	}
	fmt.Fprintf(w, "bound by\t%s\t%s\t\t\n", x.BoundBy, y.BoundBy)
	_ = w.Flush()
	fmt.Fprintf(b, "  %s: %s\n", y.Cluster, c.Plans[0].Text)
}
