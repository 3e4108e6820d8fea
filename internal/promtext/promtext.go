// Package promtext writes metrics in Prometheus' text format, version 0.0.4.
package promtext

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// ContentType is what the text is served as.
const ContentType = "text/plain; version=0.0.4; charset=utf-8"

// Kind is the type of a metric.
type Kind string

// The kinds in use. Counters are named _total.
const (
	Gauge     Kind = "gauge"
	Counter   Kind = "counter"
	Histogram Kind = "histogram"
)

// Text collects metrics, in the order their names are first used.
type Text struct {
	families []family
	at       map[string]int
	seen     map[string]bool
	twice    string
}

// family is a metric with its series.
type family struct {
	name   string
	kind   Kind
	help   string
	series []sample
}

type sample struct {
	suffix, labels string
	value          float64
}

// New returns an empty text.
func New() *Text { return &Text{at: map[string]int{}, seen: map[string]bool{}} }

// Put adds a sample; labels are names and values in turn. A series that is put
// twice is an error of Write.
func (x *Text) Put(name string, kind Kind, help string, value float64, labels ...string) {
	x.put(name, "", kind, help, value, labels)
}

func (x *Text) put(name, suffix string, kind Kind, help string, value float64, labels []string) {
	i, ok := x.at[name]
	if !ok {
		i = len(x.families)
		x.at[name] = i
		x.families = append(x.families, family{name: name, kind: kind, help: help})
	}
	var b strings.Builder
	for i := 0; i+1 < len(labels); i += 2 {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(labels[i] + `="` + escapeLabel(labels[i+1]) + `"`)
	}
	key := name + suffix + "{" + b.String() + "}"
	if x.seen[key] && x.twice == "" {
		x.twice = key
	}
	x.seen[key] = true
	x.families[i].series = append(x.families[i].series, sample{suffix, b.String(), value})
}

// Buckets counts values by their size.
type Buckets struct {
	Bounds []float64 // upper ones, ascending
	counts []int64
	n      int64
	sum    float64
}

// Add counts a value.
func (b *Buckets) Add(v float64) {
	if b.counts == nil {
		b.counts = make([]int64, len(b.Bounds))
	}
	b.n++
	b.sum += v
	for i, bound := range b.Bounds {
		if v <= bound {
			b.counts[i]++
			return
		}
	}
}

// PutBuckets adds a histogram.
func (x *Text) PutBuckets(name, help string, b *Buckets, labels ...string) {
	labels = labels[:len(labels):len(labels)]
	below := int64(0)
	for i, bound := range b.Bounds {
		if b.counts != nil {
			below += b.counts[i]
		}
		x.put(name, "_bucket", Histogram, help, float64(below), append(labels, "le", Number(bound)))
	}
	x.put(name, "_bucket", Histogram, help, float64(b.n), append(labels, "le", "+Inf"))
	x.put(name, "_sum", Histogram, help, b.sum, labels)
	x.put(name, "_count", Histogram, help, float64(b.n), labels)
}

var (
	labelEscapes = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
	helpEscapes  = strings.NewReplacer(`\`, `\\`, "\n", `\n`)
)

func escapeLabel(s string) string { return labelEscapes.Replace(strings.ToValidUTF8(s, "�")) }

// Write writes everything that was put.
func (x *Text) Write(w io.Writer) error {
	if x.twice != "" {
		return fmt.Errorf("two values for %s: names must differ", x.twice)
	}
	out := bufio.NewWriter(w)
	for _, f := range x.families {
		fmt.Fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", f.name, helpEscapes.Replace(f.help), f.name, f.kind)
		for _, s := range f.series {
			fmt.Fprintf(out, "%s%s{%s} %s\n", f.name, s.suffix, s.labels, Number(s.value))
		}
	}
	return out.Flush()
}

// Number spells a value as the format has it.
func Number(v float64) string {
	switch {
	case math.IsNaN(v):
		return "NaN"
	case math.IsInf(v, 1):
		return "+Inf"
	case math.IsInf(v, -1):
		return "-Inf"
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}
