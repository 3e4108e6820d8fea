package validation

import (
	"fmt"
	"io"
	"math"

	"github.com/temper-ml/temper/cluster/costmodel"
)

// Write tells a person what the calibration found.
func (c *Calibration) Write(w io.Writer) error {
	e := &printer{w: w}
	e.print("calibrated on %s: step time off by %s before, %s after", layouts(len(c.Rows)), percent(c.Before.Mean), percent(c.After.Mean))
	if c.Out.N > 0 {
		e.print("; %s when the layout is left out", percent(c.Out.Mean))
	}
	e.print("\n\n  %-34s %9s %9s %9s\n", "layout", "measured", "before", "after")
	for _, r := range c.Rows {
		e.print("  %-34s %8.4gs %+8.1f%% %+8.1f%%\n", fmt.Sprintf("%s mbs=%d", r.Case.LayoutText(), r.Case.MicroBatch), r.Case.Seconds,
			100*(r.Before/r.Case.Seconds-1), 100*(r.After/r.Case.Seconds-1))
	}
	e.print("\n  %-20s %10s %10s %7s %8s  %s\n", "constant", "before", "after", "±", "learned", "meaning")
	for _, m := range c.Moved {
		e.print("  %-20s %10.4g %10.4g %6.0f%% %7.0f%%  %s\n", m.Name, m.Before, m.After, 100*m.Error, 100*m.Learned, m.Meaning)
	}
	if c.Memory.N > 0 {
		e.print("\npeak memory off by %s (nothing of it is fitted)\n", percent(c.Memory.Mean))
	}
	low, high := c.Constants.Widths().Interval(1, costmodel.Novelty{})
	e.print("\n90 %% interval of another layout on this machine: %s to %s\n", signed(low-1), signed(high-1))
	for _, r := range c.Remarks {
		e.print("note: %s\n", r)
	}
	return e.err
}

// layouts counts in words.
func layouts(n int) string {
	if n == 1 {
		return "1 layout"
	}
	return fmt.Sprintf("%d layouts", n)
}

// Confidence grades the calibration in one word: good when layouts left out are
// predicted within 5 %, fair within 10 %, poor beyond; single when there are too
// few layouts to tell.
func (c *Calibration) Confidence() string {
	switch mean := c.Out.Mean; {
	case c.Out.N == 0:
		return "single"
	case math.IsNaN(mean) || mean > 0.1:
		return "poor"
	case mean > 0.05:
		return "fair"
	}
	return "good"
}

// printer prints until the first error.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) print(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}

// Summary is a calibration in the form that --json prints.
type Summary struct {
	Layouts     int             `json:"layouts"`
	Confidence  string          `json:"confidence"`        // good, fair, poor, or single
	ErrorBefore float64         `json:"mean_error_before"` // of the step times, as a share
	ErrorAfter  float64         `json:"mean_error_after"`
	ErrorOut    *float64        `json:"mean_error_left_out,omitempty"` // each layout left out in turn
	ErrorMemory *float64        `json:"mean_error_memory,omitempty"`
	Moved       []MovedConstant `json:"constants_moved"`
	Remarks     []string        `json:"remarks,omitempty"`
}

// MovedConstant is a constant that the measurements say something about.
type MovedConstant struct {
	Name    string  `json:"name"`
	Meaning string  `json:"meaning"`
	Unit    string  `json:"unit"`
	Before  float64 `json:"before"`
	After   float64 `json:"after"`
	Error   float64 `json:"relative_error"`
	Learned float64 `json:"learned"`
}

// Summary returns the calibration in the form that --json prints.
func (c *Calibration) Summary() *Summary {
	s := &Summary{
		Layouts: len(c.Rows), Confidence: c.Confidence(), ErrorBefore: c.Before.Mean, ErrorAfter: c.After.Mean,
		Moved: []MovedConstant{}, Remarks: c.Remarks,
	}
	if c.Out.N > 0 {
		s.ErrorOut = &c.Out.Mean
	}
	if c.Memory.N > 0 {
		s.ErrorMemory = &c.Memory.Mean
	}
	for _, m := range c.Moved {
		s.Moved = append(s.Moved, MovedConstant{m.Name, m.Meaning, m.Unit, m.Before, m.After, m.Error, m.Learned})
	}
	return s
}
