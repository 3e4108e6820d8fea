package audit

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/temper-ml/temper/internal/unit"
)

// show prints an interval of a variable as a person says it.
func show(v variable, i Interval) string {
	switch {
	case i.Lo <= 0 && math.IsInf(i.Hi, 1):
		return "anything"
	case math.IsInf(i.Hi, 1):
		return "at least " + one(v, i.Lo)
	case i.Lo <= 0:
		return "at most " + one(v, i.Hi)
	}
	lo, hi := one(v, i.Lo), one(v, i.Hi)
	if lo == hi {
		return lo
	}
	return lo + " to " + hi
}

// show prints what may be known of a quantity in the terms in which it was said.
func (q *said) show(i Interval) string {
	switch q.kind {
	case hoursPerT:
		return show(vDeviceTime, Exactly(q.kind.over).Div(i))
	case timePerT:
		return show(vDuration, Exactly(q.kind.over).Div(i))
	}
	return show(q.of, i)
}

// one prints a single value.
func one(v variable, x float64) string {
	switch u := info[v].unit; u {
	case "s":
		if x > 1000*365*86400 {
			return decimal(x/(365.25*86400)) + " years"
		}
		return unit.Duration(time.Duration(x * 1e9))
	case "device-s":
		return decimal(x/3600) + " device-hours"
	case "%":
		return strconv.FormatFloat(x*100, 'g', 3, 64) + " %"
	case "money/s":
		return decimal(x*3600) + " an hour"
	case "B":
		if x < 1024 {
			return strconv.FormatFloat(x, 'g', 3, 64) + " B"
		}
		return unit.Bytes(x).String()
	case "FLOP", "FLOP/s", "B/s":
		return decimal(x) + u
	case "/s":
		return decimal(x) + " tokens/s"
	default:
		return decimal(x)
	}
}

// decimal prints three digits with a suffix, or an exponent for what has none.
func decimal(x float64) string {
	switch a := math.Abs(x); {
	case a >= 1e15 || a < 1e-3 && a > 0:
		return strconv.FormatFloat(x, 'g', 3, 64) + " "
	case a < 1000:
		return strconv.FormatFloat(x, 'g', 4, 64)
	default:
		return unit.Count(int64(x)).String()
	}
}

// said is the quotation, and the source where it is not the claim's.
func (j *Judgement) said() string {
	text := ""
	if j.Quote != "" {
		text = "\"" + j.Quote + "\""
	}
	if j.Source != "" {
		text = strings.TrimPrefix(text+", "+j.Source, ", ")
	}
	return text
}

// Text prints the report for a terminal.
func (r *Report) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", r.Title)
	if r.Source != "" {
		fmt.Fprintf(&b, "Said by: %s\n", r.Source)
	}
	for _, n := range r.Notes {
		fmt.Fprintf(&b, "Note: %s\n", n)
	}
	fmt.Fprintf(&b, "%s\n\n", r.Conclusion)
	for _, s := range r.Statements {
		fmt.Fprintf(&b, "%-13s %s: %s\n", s.Verdict, s.ID, s.Text)
		if said := s.said(); said != "" {
			fmt.Fprintf(&b, "              %s\n", said)
		}
		for _, why := range s.Reasons {
			fmt.Fprintf(&b, "              %s\n", why)
		}
		if s.DecidedBy != "" {
			fmt.Fprintf(&b, "              would be decided by: %s\n", s.DecidedBy)
		}
	}
	for i, c := range r.Contradictions {
		fmt.Fprintf(&b, "\nContradiction %d, between %s\n", i+1, strings.Join(c.Statements, ", "))
		for _, line := range c.Derivation {
			fmt.Fprintf(&b, "  %s\n", line)
		}
		fmt.Fprintf(&b, "  %s\n", c.Text)
	}
	if len(r.Implied) > 0 {
		b.WriteString("\nWhat follows from the claim, for all that it leaves open\n")
		for _, v := range r.order {
			fmt.Fprintf(&b, "  %-48s %s\n", info[v].name, r.Implied[key(v)].Text)
		}
	}
	r.predictionText(&b)
	b.WriteString("\nWhat somebody needs who wants to verify it\n")
	for _, t := range r.Disclosure {
		fmt.Fprintf(&b, "  %-10s %-16s %s\n", t.State, t.Topic, t.Text)
	}
	if len(r.Assumed) > 0 {
		b.WriteString("\nTaken as known or assumed\n")
		for _, a := range r.Assumed {
			fmt.Fprintf(&b, "  %s\n", a)
		}
	}
	return b.String()
}

func (r *Report) predictionText(b *strings.Builder) {
	if r.Predicted.Statement != "" {
		fmt.Fprintf(b, "\nPredicted by the planner, 90 %% band\n")
		for _, p := range append(append([]*Prediction{}, r.Predicted.Runs...), r.Predicted.Compare...) {
			if !p.Fits {
				fmt.Fprintf(b, "  %d devices of %s (%s): does not fit: %s\n", p.Devices, p.Hardware, p.Reading, p.Why)
				continue
			}
			idle := ""
			if p.Used < p.Devices {
				idle = fmt.Sprintf(", %d of them idle because layouts divide the rest better", p.Devices-p.Used)
			}
			fmt.Fprintf(b, "  %d devices of %s (%s)%s: %s tokens/s (%s to %s), MFU %s of %s, step %s of %s tokens\n", p.Devices, p.Hardware, p.Reading, idle,
				decimal(p.TokensPerSec), decimal(p.PerDevice.Lo*float64(p.Devices)), decimal(p.PerDevice.Hi*float64(p.Devices)), one(vMFU, p.MFU), p.DType, one(vBusy, p.StepSeconds), decimal(p.StepTokens))
			fmt.Fprintf(b, "    %s; %s of %s on the fullest device; bound by %s\n", p.Layout, unit.Bytes(p.Memory), unit.Bytes(p.Capacity), p.BoundBy)
			if p.Seconds != nil {
				fmt.Fprintf(b, "    the claim's tokens take it %s in steps\n", show(vBusy, *p.Seconds))
			}
		}
		if r.Predicted.Placed != "" {
			fmt.Fprintf(b, "  %s\n", r.Predicted.Placed)
		}
		fmt.Fprintf(b, "  %s\n", r.Predicted.Statement)
	}
}
