package sim

import (
	"fmt"
	"io"
	"strings"
)

// Explain writes the run in words: how long the step is, where the time of
// each stage went, which chain of ranks and instructions makes it that long,
// and who waited for whom.
func (run *Run) Explain(w io.Writer) {
	if run.Stopped != nil {
		run.explainStop(w)
	} else {
		fmt.Fprintf(w, "one step takes %s on %s in %s\n", Words(run.Wall), plural(run.Program.Ranks, "rank"), plural(len(run.Program.Stages), "stage"))
	}
	fmt.Fprintf(w, "\nwhere the time of a rank goes, by stage (mean):\n")
	fmt.Fprintf(w, "  %5s  %9s  %13s  %8s  %7s\n", "stage", "compute", "communication", "bubble", "stalls")
	wall := run.Wall.Seconds()
	for _, s := range run.Stages() {
		fmt.Fprintf(w, "  %5d  %8.2f%%  %12.2f%%  %7.2f%%  %6.2f%%\n", s.Stage, 100*s.Compute/wall, 100*s.Communication/wall, 100*s.Bubble/wall, 100*s.Stall/wall)
	}
	if run.Imbalance > 0 {
		fmt.Fprintf(w, "\nthe busiest rank of an expert group has %.3f times the mean load, on average\n", run.Imbalance)
	}
	if p := run.CriticalPath(); p != nil {
		fmt.Fprintf(w, "\n")
		p.Explain(w, run)
	}
	run.explainWaits(w)
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func (run *Run) explainStop(w io.Writer) {
	s := run.Stopped
	if s.Rank < 0 {
		fmt.Fprintf(w, "the step never ends: %d ranks wait for each other\n", s.Blocked)
		return
	}
	fmt.Fprintf(w, "the step never ends: rank %d (node %d, stage %d) was %s at %s\n", s.Rank, s.Node, run.Program.Stage(s.Rank), s.Cause, Words(s.At))
	switch {
	case s.DetectedBy == s.Rank:
		fmt.Fprintf(w, "noticed at %s by its own node\n", Words(s.Detected))
	default:
		fmt.Fprintf(w, "noticed at %s by rank %d, whose wait was the first to reach the timeout\n", Words(s.Detected), s.DetectedBy)
	}
	fmt.Fprintf(w, "until then %d ranks waited for it in vain, %d had finished\n", s.Blocked, s.Done)
}

// Explain writes the path in words: shares by what the time was spent on, the
// ranks it runs through, and how often it changes from one to another.
func (p *Path) Explain(w io.Writer, run *Run) {
	wall := run.Wall.Seconds()
	hops := 0
	for i := 1; i < len(p.Segments); i++ {
		if p.Segments[i].Rank != p.Segments[i-1].Rank {
			hops++
		}
	}
	fmt.Fprintf(w, "the critical path has %d instructions on %s and changes rank %s; it consists of\n", len(p.Segments), plural(len(p.Ranks), "rank"), plural(hops, "time"))
	for _, s := range p.Parts {
		fmt.Fprintf(w, "  %6.2f%%  %s\n", 100*s.Time.Seconds()/wall, s.Name)
	}
	fmt.Fprintf(w, "and runs mostly through\n")
	for i, s := range p.Ranks {
		if i == 4 {
			fmt.Fprintf(w, "          and %d more\n", len(p.Ranks)-4)
			break
		}
		fmt.Fprintf(w, "  %6.2f%%  %s\n", 100*s.Time.Seconds()/wall, s.Name)
	}
	if len(p.Excess) > 0 {
		fmt.Fprintf(w, "longer on it than undisturbed, by cause:\n")
		for _, x := range p.Excess[:min(5, len(p.Excess))] {
			fmt.Fprintf(w, "  %9s  rank %d (node %d): %s\n", Words(x.Time), x.Rank, x.Node, x.Cause)
		}
	}
}

func (run *Run) explainWaits(w io.Writer) {
	if len(run.Culprits) == 0 {
		return
	}
	fmt.Fprintf(w, "\nwho is waited for:\n")
	for i, c := range run.Culprits {
		if i == 5 {
			fmt.Fprintf(w, "  and %d more\n", len(run.Culprits)-5)
			break
		}
		fmt.Fprintf(w, "  rank %d (node %d, stage %d), %s: others waited %s in all, %s each on average, %d times\n",
			c.Rank, c.Node, run.Program.Stage(c.Rank), c.Cause, Words(c.Total), Words(c.Total/Time(run.Program.Ranks)), c.Times)
	}
}

// Explain writes what the disturbances cost, one by one and together, then the
// disturbed run.
func (c *Comparison) Explain(w io.Writer) {
	fmt.Fprintf(w, "undisturbed, one step takes %s\n", Words(c.Plain.Wall))
	for _, x := range c.Costs {
		if x.Stopped != nil {
			fmt.Fprintf(w, "  %s: the step never ends, noticed at %s\n", x.Name, Words(x.Stopped.Detected))
			continue
		}
		fmt.Fprintf(w, "  %s: %s longer (%+.2f%%)\n", x.Name, Words(x.Extra), 100*x.Extra.Seconds()/c.Plain.Wall.Seconds())
	}
	if len(c.Costs) > 1 && c.Disturbed.Stopped == nil {
		word := "more than"
		if c.Together < 0 {
			word = "less than"
		}
		fmt.Fprintf(w, "  all together: %s longer (%+.2f%%), %s %s their sum\n", Words(c.Disturbed.Wall-c.Plain.Wall),
			100*(c.Disturbed.Wall-c.Plain.Wall).Seconds()/c.Plain.Wall.Seconds(), Words(max(c.Together, -c.Together)), word)
	}
	fmt.Fprintf(w, "\n")
	c.Disturbed.Explain(w)
}

// Words prints a time with four significant digits and a fitting unit.
func Words(t Time) string {
	s := t.Seconds()
	a := max(s, -s)
	var text string
	switch {
	case a >= 100:
		text = fmt.Sprintf("%.1f s", s)
	case a >= 1:
		text = fmt.Sprintf("%.4g s", s)
	case a >= 1e-3:
		text = fmt.Sprintf("%.4g ms", s*1e3)
	case a >= 1e-6:
		text = fmt.Sprintf("%.4g us", s*1e6)
	default:
		text = fmt.Sprintf("%d ps", int64(t))
	}
	return strings.TrimSpace(text)
}
