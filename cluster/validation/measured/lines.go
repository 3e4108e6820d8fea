package measured

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
)

// measuredLine is a line of a file of measured steps: how long a step took, and
// in which layout if that is not the plan's.
type measuredLine struct {
	Seconds *float64 `json:"seconds"`
	Memory  *float64 `json:"memory_gib"`
	Step    *int64   `json:"step"`

	TP          *int `json:"tp"`
	PP          *int `json:"pp"`
	DP          *int `json:"dp"`
	EP          *int `json:"ep"`
	CP          *int `json:"cp"`
	Chunks      *int `json:"vpp"`
	MicroBatch  *int `json:"micro_batch"`
	GlobalBatch *int `json:"global_batch"`
	Seq         *int `json:"seq"`
}

// measuredGroup is the steps of one layout.
type measuredGroup struct {
	c       Case
	seconds []float64
}

// ReadLines reads JSON lines. A line is an object with the field
// "seconds", the time of one step; optionally "memory_gib", the peak of the
// busiest device, and "step"; and any of tp, pp, dp, ep, cp, vpp, micro_batch,
// global_batch and seq that differ from the plan's. Steps of the same layout
// become one case with their median.
func ReadLines(name string, in io.Reader, base Case) ([]Case, error) {
	var groups []*measuredGroup
	index := map[string]*measuredGroup{}
	r := bufio.NewScanner(in)
	r.Buffer(nil, 16<<20)
	for n := 1; r.Scan(); n++ {
		text := bytes.TrimSpace(r.Bytes())
		if len(text) == 0 {
			continue
		}
		l, err := decodeLine(text)
		if err != nil {
			return nil, fmt.Errorf("measured: %s:%d: %w", name, n, err)
		}
		c, err := l.apply(base)
		if err != nil {
			return nil, fmt.Errorf("measured: %s:%d: %w", name, n, err)
		}
		key := fmt.Sprint(c.LayoutText(), c.MicroBatch, c.GlobalBatch, c.Seq)
		g := index[key]
		if g == nil {
			g = &measuredGroup{c: c}
			g.c.Position = fmt.Sprintf("%s:%d", name, n)
			index[key] = g
			groups = append(groups, g)
		}
		g.seconds = append(g.seconds, *l.Seconds)
		g.c.Memory = math.Max(g.c.Memory, c.Memory)
	}
	if err := r.Err(); err != nil {
		return nil, fmt.Errorf("measured: %s: %w", name, err)
	}
	if len(groups) == 0 {
		return nil, fmt.Errorf(`measured: %s has no measured step: want lines with a field "seconds"`, name)
	}
	var cases []Case
	for _, g := range groups {
		g.c.Seconds, g.c.Steps = Settled(g.seconds), len(g.seconds)
		cases = append(cases, g.c)
	}
	return cases, nil
}

// decodeLine reads one object.
func decodeLine(text []byte) (*measuredLine, error) {
	var l measuredLine
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&l); err != nil {
		return nil, err
	}
	if l.Seconds == nil {
		return nil, fmt.Errorf(`no field "seconds"`)
	}
	if s := *l.Seconds; !(s > 0) || s > 1e6 {
		return nil, fmt.Errorf("seconds: %v, want above 0 and at most 1e6", s)
	}
	return &l, nil
}

// apply is the base with the line's own fields.
func (l *measuredLine) apply(c Case) (Case, error) {
	for _, f := range []struct {
		from *int
		to   *int
	}{
		{l.TP, &c.TP},
		{l.PP, &c.PP},
		{l.DP, &c.DP},
		{l.EP, &c.EP},
		{l.CP, &c.CP},
		{l.Chunks, &c.Chunks},
		{l.MicroBatch, &c.MicroBatch},
		{l.GlobalBatch, &c.GlobalBatch},
		{l.Seq, &c.Seq},
	} {
		if f.from != nil {
			*f.to = *f.from
		}
	}
	if l.DP == nil && c.TP > 0 && c.PP > 0 && c.CP > 0 {
		c.DP = c.Devices / (c.TP * c.PP * c.CP)
	}
	if l.Chunks != nil && c.Chunks > 1 && c.Schedule == "1f1b" {
		c.Schedule = "interleaved"
	}
	if l.Memory != nil {
		if m := *l.Memory; !(m > 0) || m > 1e6 {
			return Case{}, fmt.Errorf("memory_gib: %v, want above 0 and at most 1e6", m)
		}
		c.Memory, c.MemoryKind = *l.Memory*(1<<30), Allocated
	}
	return c, c.check()
}
