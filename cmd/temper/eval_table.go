package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/temper-ml/temper/eval"
)

// metricUnits are those of metrics that are no shares.
var metricUnits = map[string]string{
	"loss": "nats a token", "perplexity": "", "bits_per_byte": "bits a byte", "word_perplexity": "", "margin": "nats",
}

// evalTable prints what suites say of a model: the number that counts first.
func evalTable(out io.Writer, results []evaluated) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "suite\tkind\tmeasure\tvalue\t95 % interval\tof")
	for i := range results {
		r := &results[i]
		names := slices.Sorted(maps.Keys(r.Metrics))
		slices.SortStableFunc(names, func(a, b string) int { return first(b == r.Headline) - first(a == r.Headline) })
		suite, kind := r.Suite, string(r.Kind)
		for _, name := range names {
			value, interval := metricText(name, r.Metrics[name])
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", suite, kind, strings.ReplaceAll(name, "_", " "), value, interval, overText(r, name))
			suite, kind = "", ""
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for i := range results {
		if r := &results[i]; r.Bad+r.Long > 0 {
			fmt.Fprintf(out, "%s: left out %d bad rows and %d too long\n", r.Suite, r.Bad, r.Long)
			for _, why := range r.FirstBad {
				fmt.Fprintf(out, "  %s\n", why)
			}
		}
	}
	return nil
}

func first(is bool) int {
	if is {
		return 1
	}
	return 0
}

// heldOut is how the names of what answers to held-out questions come to begin: rewards,
// lengths in tokens, and shares of answers that did not end or could not be judged.
const heldOut = "held_out/"

// metricFormat returns how values of a metric are printed, and what they are in.
func metricFormat(name string) (format func(float64) string, unit string) {
	if rest, ok := strings.CutPrefix(name, heldOut); ok && rest != "truncated" && rest != "failed" {
		return func(x float64) string { return fmt.Sprintf("%.4g", x) }, ""
	}
	unit, isNumber := metricUnits[name[strings.LastIndexByte(name, '/')+1:]]
	if isNumber {
		return func(x float64) string { return fmt.Sprintf("%.5g", x) }, unit
	}
	return func(x float64) string { return fmt.Sprintf("%.1f %%", 100*x) }, ""
}

// metricText prints a metric and its interval.
func metricText(name string, m eval.Metric) (value, interval string) {
	format, unit := metricFormat(name)
	if value = format(m.Value); unit != "" {
		value += " " + unit
	}
	if m.Interval == nil {
		return value, "-"
	}
	return value, strings.TrimSuffix(format(m.Interval[0]), " %") + " to " + format(m.Interval[1])
}

// overText says what a metric is a mean over.
func overText(r *evaluated, name string) string {
	n := r.Metrics[name].Count
	what := "questions"
	switch {
	case name == "loss" || name == "perplexity":
		what = "tokens"
	case name == "bits_per_byte":
		what = "bytes"
	case name == "word_perplexity":
		what = "words"
	case r.Kind == eval.Preference:
		what = "pairs"
	case name == "ended" || name == "judged":
		what = "answers"
	}
	return fmt.Sprintf("%d %s", n, what)
}
