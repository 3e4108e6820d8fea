package verify

import (
	"fmt"
	"io"
	"strings"
)

// NewReport makes a verdict of a log's checks and, if any was made, its replay.
// Without a replay that covered what its plan asked for, the verdict is never pass.
func NewReport(l *Log, checks []Check, replayed *Replayed) *Report {
	r := &Report{Checks: checks, Trusted: l.trusted, Steps: l.Steps(), Segments: []Segment{}, NotChecked: l.NotChecked}
	if r.NotChecked == nil {
		r.NotChecked = []string{}
	}
	if l.Manifest != nil {
		r.Run, r.Signer = l.Manifest.Run, l.Manifest.Signer
	}
	if replayed == nil {
		r.Checks = append(r.Checks, Check{"replay", Incomplete, "no step was to be taken again", -1})
	} else {
		r.Checks = append(r.Checks, replayed.Checks...)
		r.ReplayedSteps, r.Segments, r.FirstDivergence = replayed.Steps, replayed.Segments, replayed.Divergence
	}
	if r.ReplayedSteps < r.Steps {
		r.NotChecked = append(r.NotChecked, fmt.Sprintf("%d of %s, not taken again here", r.Steps-r.ReplayedSteps, many(r.Steps, "step")))
	}
	r.Verdict = worst(r.Checks)
	return r
}

// meaning says what a verdict does and does not say.
var meaning = map[Verdict]string{
	Pass:       "the record is whole, its numbers agree, and the steps taken again came out bit for bit",
	Fail:       "something in the record is false",
	Incomplete: "nothing false was found, but not everything that a pass needs was checked",
}

// Text writes the report for people.
func (r *Report) Text(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", strings.ToUpper(string(r.Verdict)), meaning[r.Verdict])
	fmt.Fprintf(&b, "run      %q\n", r.Run)
	if r.Signer != "" {
		from := "known from elsewhere"
		if !r.Trusted {
			from = "as the record itself names it"
		}
		fmt.Fprintf(&b, "signer   %s (%s)\n", printable(r.Signer), from)
	}
	fmt.Fprintf(&b, "steps    %d, %d of them taken again here\n", r.Steps, r.ReplayedSteps)
	for _, s := range r.Segments {
		fmt.Fprintf(&b, "         stage %d, steps %d to %d\n", s.From.Stage, s.From.Step, s.To-1)
	}
	b.WriteString("\n")
	for _, c := range r.Checks {
		fmt.Fprintf(&b, "%-10s  %-17s  %s\n", c.Result, c.Name, printable(c.Evidence))
	}
	if d := r.FirstDivergence; d != nil {
		fmt.Fprintf(&b, "\nfirst divergence: entry %d, %s\n", d.Index, printable(d.String()))
	}
	if len(r.NotChecked) > 0 {
		b.WriteString("\nnot checked:\n")
		for _, s := range r.NotChecked {
			fmt.Fprintf(&b, "  %s\n", printable(s))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// printable replaces what a terminal would act on: evidence quotes files.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return '·'
		}
		return r
	}, s)
}
