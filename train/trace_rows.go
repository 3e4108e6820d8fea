package train

import (
	"fmt"

	"github.com/temper-ml/temper/nn"
	"github.com/temper-ml/temper/report/record/digest"
	"github.com/temper-ml/temper/report/record/trace"
)

// watched collects the outputs of a micro-batch's operators. Operators run for
// all its rows at once; a trace has a row's operators together, so that it does
// not show which rows were together.
type watched struct {
	watch  nn.Watch
	tracer *tracer
	first  int64 // index of the first row in the step
	seen   []seen
	index  map[placed]int
	names  map[[2]string]string
	floats []float32
	ints   []int32
}

// placed is an operator without a row.
type placed struct {
	place nn.Place
	name  string
}

// seen is what an operator computed for each row.
type seen struct {
	key     placed
	entries []trace.Entry
	parts   []account // while an output comes in parts
}

func (w *watched) init(t *tracer) {
	w.tracer = t
	w.watch.See = w.see
	w.index, w.names = map[placed]int{}, map[[2]string]string{}
}

// rows starts a micro-batch with these rows, whose first is the step's row first.
func (t *tracer) rows(rows []Row, first int) *nn.Watch {
	if t == nil {
		return nil
	}
	w := &t.watched
	w.first = int64(first)
	w.watch.Rows = w.watch.Rows[:0]
	n := 0
	for i := range rows {
		n += len(rows[i].Segments)
		w.watch.Rows = append(w.watch.Rows, n)
	}
	return &w.watch
}

// rowsDone delivers what a micro-batch's operators computed, row by row.
func (t *tracer) rowsDone(rows []Row) {
	if t == nil {
		return
	}
	w := &t.watched
	for i := range w.seen {
		s := &w.seen[i]
		for r := range s.parts {
			s.entries = append(s.entries, t.settle(w.operator(s.key, r), false, &s.parts[r]))
		}
	}
	for r := range rows {
		t.data(&rows[r], w.first+int64(r))
		for i := range w.seen {
			t.deliver(w.seen[i].entries[r])
		}
	}
	w.seen = w.seen[:0]
	clear(w.index)
}

// data shows a row as the model sees it.
func (t *tracer) data(row *Row, index int64) {
	var borders []int32
	for _, s := range row.Segments {
		borders = append(borders, int32(s.Start), int32(s.End))
	}
	for _, d := range []struct {
		name   string
		values []int32
	}{{"data.tokens", row.Tokens}, {"data.labels", row.Labels}, {"data.mtp_labels", row.MTPLabels}, {"data.segments", borders}} {
		t.output(trace.Operator{Pass: trace.Forward, Layer: -1, Row: index, Name: d.name}, sheet{ints: d.values})
	}
}

// operator is the key of row r of the micro-batch.
func (w *watched) operator(k placed, r int) trace.Operator {
	pass := trace.Forward
	if k.place.Backward {
		pass = trace.Backward
	}
	full := [2]string{k.place.Sublayer, k.name}
	name, ok := w.names[full]
	if !ok {
		name = k.place.Sublayer + "." + k.name
		w.names[full] = name
	}
	return trace.Operator{Pass: pass, Layer: k.place.Layer, Row: w.first + int64(r), Name: name}
}

// see takes an output.
func (w *watched) see(o *nn.Output) {
	key := placed{o.Place, o.Name}
	key.place.Again = false
	if w.tracer.Touch != nil {
		w.touch(o, key)
	}
	if o.Again {
		w.compare(o, key)
		return
	}
	if o.Part {
		w.part(o, key)
		return
	}
	if _, known := w.index[key]; known {
		w.tracer.fail(fmt.Errorf("train: %s is computed twice in one pass", w.operator(key, 0)))
		return
	}
	s := w.add(key)
	for r := range o.Rows {
		op := w.operator(key, r)
		a := account{keep: w.tracer.wants(op)}
		a.add(w.sheet(o, r))
		s.entries = append(s.entries, w.tracer.settle(op, o.Ints != nil, &a))
	}
}

func (w *watched) add(key placed) *seen {
	w.index[key] = len(w.seen)
	w.seen = append(w.seen, seen{key: key})
	return &w.seen[len(w.seen)-1]
}

// part takes a part of an output.
func (w *watched) part(o *nn.Output, key placed) {
	at, known := w.index[key]
	if !known {
		at = len(w.seen)
		s := w.add(key)
		for r := range o.Rows {
			s.parts = append(s.parts, account{keep: w.tracer.wants(w.operator(key, r))})
		}
	}
	for r := range o.Rows {
		w.seen[at].parts[r].add(w.sheet(o, r))
	}
}

// compare holds what is computed again against what it was.
func (w *watched) compare(o *nn.Output, key placed) {
	at, known := w.index[key]
	if !known {
		w.tracer.fail(fmt.Errorf("train: %s is computed again but never was before", w.operator(key, 0)))
		return
	}
	for r := range o.Rows {
		var a account
		a.add(w.sheet(o, r))
		a.finish()
		if x, y := w.seen[at].entries[r].Digest, digest.Blocks(a.blocks); x != y {
			w.tracer.fail(&RecomputeError{w.operator(key, r), x, y})
		}
	}
}

// sheet lays out a row of an output.
func (w *watched) sheet(o *nn.Output, r int) sheet {
	runs := o.Runs[o.Rows[r].Start:o.Rows[r].End]
	if len(runs) == 0 {
		return sheet{}
	}
	if len(runs) == 1 {
		return sheet{o.Floats, o.Ints}.cut(runs[0].Start, runs[0].End)
	}
	w.floats, w.ints = w.floats[:0], w.ints[:0]
	for _, x := range runs {
		s := sheet{o.Floats, o.Ints}.cut(x.Start, x.End)
		w.floats, w.ints = append(w.floats, s.floats...), append(w.ints, s.ints...)
	}
	if o.Ints != nil {
		return sheet{ints: w.ints}
	}
	return sheet{floats: w.floats}
}

// touch lets Touch change an output of one part; those of several are shown to
// it part by part.
func (w *watched) touch(o *nn.Output, key placed) {
	for r := range o.Rows {
		runs := o.Runs[o.Rows[r].Start:o.Rows[r].End]
		n := 0
		for _, x := range runs {
			n += x.Len()
		}
		if n == 0 {
			continue
		}
		at := func(i int) int {
			for _, x := range runs {
				if i < x.Len() {
					return x.Start + i
				}
				i -= x.Len()
			}
			panic("train: there is no such value")
		}
		w.tracer.Touch(w.operator(key, r), Values{o.Floats, o.Ints, at, n})
	}
}
