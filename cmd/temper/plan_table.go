package main

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/temper-ml/temper/cluster/planner"
	"github.com/temper-ml/temper/internal/unit"
)

// layoutColumns are the axes of a layout, in the order of a table.
var layoutColumns = []struct {
	name string
	of   func(p *planner.Plan) any
}{
	{"tp", func(p *planner.Plan) any { return p.Layout.TP }},
	{"cp", func(p *planner.Plan) any { return p.Layout.CP }},
	{"dp", func(p *planner.Plan) any { return p.Layout.DP }},
	{"pp", func(p *planner.Plan) any { return p.Layout.PP }},
	{"vpp", func(p *planner.Plan) any { return p.Layout.VPP }},
	{"ep", func(p *planner.Plan) any { return p.Layout.EP }},
	{"etp", func(p *planner.Plan) any { return p.Layout.ETP }},
	{"mbs", func(p *planner.Plan) any { return p.Layout.MicroBatch }},
	{"schedule", func(p *planner.Plan) any { return p.Layout.Schedule }},
	{"recompute", func(p *planner.Plan) any { return p.Layout.Recompute }},
	{"zero", func(p *planner.Plan) any { return p.Layout.Zero }},
	{"offload", func(p *planner.Plan) any { return p.Layout.Offload }},
}

// plansTable sets plans below each other. What all have in common stands in the
// title, so that a row fits a terminal.
func plansTable(b *strings.Builder, title string, plans []planner.Plan, best float64) {
	var columns []int
	var common []string
	for i, c := range layoutColumns {
		first, same := c.of(&plans[0]), true
		for j := range plans {
			same = same && c.of(&plans[j]) == first
		}
		if same {
			common = append(common, fmt.Sprintf("%s=%v", c.name, first))
		} else {
			columns = append(columns, i)
		}
	}
	fmt.Fprintf(b, "\n%s\n", title)
	if len(common) > 0 {
		fmt.Fprintf(b, "  all with %s\n", strings.Join(common, ","))
	}
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "\tstep\t\tmemory\t")
	for _, i := range columns {
		fmt.Fprintf(w, "%s\t", layoutColumns[i].name)
	}
	fmt.Fprintln(w)
	for j := range plans {
		p := &plans[j]
		fmt.Fprintf(w, "\t%s\t+%.1f %%\t%s\t", secondsText(p.StepSeconds), 100*(p.StepSeconds/best-1), unit.Bytes(p.MemoryBytes.Occupied))
		for _, i := range columns {
			fmt.Fprintf(w, "%v\t", layoutColumns[i].of(p))
		}
		fmt.Fprintln(w)
	}
	_ = w.Flush()
}
