package render

import (
	"encoding/csv"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// CSV writes a line for each step that stands, of all runs one after another.
// Columns that no run has are left out; what a step does not hold is empty.
func CSV(w io.Writer, runs ...*Run) error {
	losses, parts, conventions := columns(runs)
	out := csv.NewWriter(w)
	head := []string{"run", "position", "stage", "step", "time", "examples", "tokens", "supervised", "grad_norm", "lr", "max_violation", "skipped", "memory_bytes", "seconds"}
	head = append(head, prefix("loss_", losses)...)
	head = append(head, prefix("seconds_", parts)...)
	head = append(head, prefix("flops_", conventions)...)
	if err := out.Write(prefix("", head)); err != nil {
		return err
	}
	for _, r := range runs {
		for i := range r.Steps {
			s := &r.Steps[i]
			row := []string{
				cell(r.Name), strconv.Itoa(i), cell(r.stageName(s.Stage)), itoa(s.Number), when(s.Time), itoa(s.Examples), itoa(s.Tokens), itoa(s.Supervised),
				number(s.GradNorm), number(s.LR), number(s.MaxViolation), strconv.FormatBool(s.Skipped), itoa(s.Memory), number(s.Wall.Seconds()),
			}
			for _, name := range losses {
				row = append(row, valueCell(s.Losses, name))
			}
			for _, name := range parts {
				row = append(row, partCell(s.Split, name))
			}
			for _, name := range conventions {
				c := slices.IndexFunc(r.Conventions, func(c Convention) bool { return c.Name == name })
				if c < 0 || c >= len(s.FLOPs) || s.FLOPs[c] == 0 {
					row = append(row, "")
				} else {
					row = append(row, number(s.FLOPs[c]))
				}
			}
			if err := out.Write(row); err != nil {
				return err
			}
		}
	}
	out.Flush()
	return out.Error()
}

// columns are the names of losses, parts of time and conventions of all runs, in
// order of appearance.
func columns(runs []*Run) (losses, parts, conventions []string) {
	add := func(to *[]string, seen map[string]bool, name string) {
		if !seen[name] && len(*to) < mostNames {
			seen[name] = true
			*to = append(*to, name)
		}
	}
	l, p, c := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, r := range runs {
		for _, by := range r.Conventions {
			add(&conventions, c, by.Name)
		}
		for i := range r.Steps {
			for _, v := range r.Steps[i].Losses {
				add(&losses, l, v.Name)
			}
			for _, v := range r.Steps[i].Split {
				add(&parts, p, v.Name)
			}
		}
	}
	return losses, parts, conventions
}

func prefix(with string, names []string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = cell(with + n)
	}
	return out
}

// cell is a text that no spreadsheet takes for a formula.
func cell(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return "'" + s
	}
	return s
}

// when is a time as RFC 3339 with milliseconds, nothing without one.
func when(ms int64) string {
	if ms <= 0 {
		return ""
	}
	return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z")
}

func valueCell(values []Value, name string) string {
	for _, v := range values {
		if v.Name == name {
			return number(v.Value)
		}
	}
	return ""
}

func partCell(parts []Part, name string) string {
	for _, p := range parts {
		if p.Name == name {
			return number(p.Took.Seconds())
		}
	}
	return ""
}
