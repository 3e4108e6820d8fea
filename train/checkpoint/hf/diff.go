package hf

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/temper-ml/temper/model/arch"
)

// Difference compares one parameter of two models.
type Difference struct {
	Name    string  `json:"name"`
	Values  int     `json:"values"`
	Differ  int64   `json:"differ"`            // values whose bits differ
	MaxAbs  float64 `json:"max_abs"`           // largest |a-b|; +Inf where one is not finite is given as 1e308
	MaxRel  float64 `json:"max_rel"`           // largest |a-b| / max(|a|, |b|)
	At      int     `json:"at"`                // index of the largest |a-b|, -1 = none
	Problem string  `json:"problem,omitempty"` // why the values could not be compared
}

// Equal reports whether the two tensors have the same bits.
func (d *Difference) Equal() bool { return d.Differ == 0 && d.Problem == "" }

// Diff compares two models parameter by parameter, in canonical order of a, then
// what only b has. Storage and names may differ: values are compared as float32.
func Diff(ctx context.Context, a, b *Source) ([]Difference, error) {
	var out []Difference
	seen := make(map[string]bool)
	for i := range a.tensors {
		t := &a.tensors[i]
		seen[t.Name] = true
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		d, err := diffTensor(a, b, t)
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	for i := range b.tensors {
		if t := &b.tensors[i]; !seen[t.Name] {
			out = append(out, Difference{Name: t.Name, Values: t.Len(), At: -1, Problem: "missing from the first model"})
		}
	}
	return out, nil
}

// diffTensor compares one parameter in chunks, in parallel.
func diffTensor(a, b *Source, t *arch.Tensor) (Difference, error) {
	d := Difference{Name: t.Name, Values: t.Len(), At: -1}
	e, ok := b.byName[t.Name]
	if !ok {
		d.Problem = "missing from the second model"
		return d, nil
	}
	if !slices.Equal(e.tensor.Shape, t.Shape) {
		d.Problem = fmt.Sprintf("shape %v in the first model, %v in the second", t.Shape, e.tensor.Shape)
		return d, nil
	}
	chunks := chunksOf(t)
	parts := make([]Difference, len(chunks))
	jobs := make([]int, len(chunks))
	for i := range jobs {
		jobs[i] = i
	}
	err := each(jobs, func(i int) (err error) { parts[i], err = diffChunk(a, b, chunks[i]); return err })
	if err != nil {
		return d, err
	}
	for i := range parts {
		p := &parts[i]
		d.Differ += p.Differ
		d.MaxRel = max(d.MaxRel, p.MaxRel)
		if p.At >= 0 && (d.At < 0 || p.MaxAbs > d.MaxAbs) {
			d.MaxAbs, d.At = p.MaxAbs, chunks[i].row*t.Cols()+p.At
		}
	}
	return d, nil
}

func diffChunk(a, b *Source, k chunk) (Difference, error) {
	n := k.rows * k.tensor.Cols()
	x, y := make([]float32, n), make([]float32, n)
	d := Difference{At: -1}
	if err := a.ReadRows(k.tensor, k.row, k.rows, x); err != nil {
		return d, err
	}
	if err := b.ReadRows(k.tensor, k.row, k.rows, y); err != nil {
		return d, err
	}
	for i := range x {
		if math.Float32bits(x[i]) == math.Float32bits(y[i]) {
			continue
		}
		d.Differ++
		abs, rel := distance(float64(x[i]), float64(y[i]))
		d.MaxRel = max(d.MaxRel, rel)
		if d.At < 0 || abs > d.MaxAbs {
			d.MaxAbs, d.At = abs, i
		}
	}
	return d, nil
}

// distance returns |a-b| and its ratio to the larger magnitude, both huge and
// finite (JSON has no infinity) when a value is not.
func distance(a, b float64) (abs, rel float64) {
	const huge = 1e308
	abs = math.Abs(a - b)
	if math.IsNaN(abs) || math.IsInf(abs, 0) {
		return huge, huge
	}
	if abs == 0 {
		return 0, 0 // +0 and -0
	}
	return abs, abs / max(math.Abs(a), math.Abs(b))
}
