package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/data"
	"github.com/temper-ml/temper/internal/detrand"
	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/model/deepseek/deepseektest"
	"github.com/temper-ml/temper/report/record/digest"
	"github.com/temper-ml/temper/report/record/trace"
)

// ragged is a source of rows that differ in everything: documents of one token,
// of two, and long ones, in which the indexer has to choose; rows without labels.
type ragged struct {
	vocab int
	flip  int // this token of row 2 is another one; -1 = none
}

func (s ragged) Rows(step int64) ([]Row, error) {
	var rows []Row
	for i, lengths := range [][]int{{19, 1, 7}, {1}, {26}, {2, 3}, {1, 1}} {
		r := data.Row{}
		for _, n := range lengths {
			at := len(r.Tokens)
			for j := range n {
				id := detrand.Key(4, "ragged", uint64(step), uint64(i)).Uint64nAt(uint64(at+j), uint64(s.vocab))
				r.Tokens, r.Mask = append(r.Tokens, int32(id)), append(r.Mask, j > 0 && j%5 != 2)
			}
			r.Segments = append(r.Segments, data.Segment{Start: at, End: at + n})
		}
		if i == 2 && s.flip >= 0 {
			r.Tokens[s.flip] ^= 1
		}
		rows = append(rows, NewRow(&r))
	}
	return rows, nil
}

// traceModels are small models that have every kind of layer.
func traceModels() map[string]*arch.Config {
	v4, v3 := deepseektest.SmallV4(), deepseektest.SmallV3()
	v4.NumMTP, v4.CompressRatios = 2, append(v4.CompressRatios, 4)
	v3.NumMTP = 2
	return map[string]*arch.Config{"v4": v4, "v3": v3}
}

// rig takes the first step of a training again and again.
type rig struct {
	model   *deepseek.Model
	values  [][]float32
	cfg     Config
	source  Source
	teacher Teaching
	entries []trace.Entry
}

func newRig(t testing.TB, model *arch.Config) *rig {
	t.Helper()
	m, err := deepseek.New(model)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{model: m, cfg: testConfig(3), source: ragged{model.VocabSize, -1}}
	r.cfg.MicroRows, r.cfg.Slots = 2, 2
	values := deepseektest.RandomParams(model, 9)
	for _, p := range m.Params() {
		v := make([]float32, len(p.Data))
		for i := range v {
			v[i] = float32(values[p.Name][i])
		}
		r.values = append(r.values, v)
	}
	return r
}

// step takes the step, traced.
func (r *rig) step(t testing.TB, tr *Tracing) (Result, *trace.Trace) {
	t.Helper()
	for i, p := range r.model.Params() {
		copy(p.Data, r.values[i])
	}
	trainer, err := New(r.cfg, r.model, r.source, 5, func() time.Time { return time.Unix(0, 0) })
	if err != nil {
		t.Fatal(err)
	}
	if err := trainer.Teach(r.teacher, 0.5); err != nil {
		t.Fatal(err)
	}
	r.entries = nil
	if tr != nil {
		tr.Each = func(e trace.Entry) error { r.entries = append(r.entries, e); return nil }
		trainer.Trace(tr)
	}
	res, err := trainer.Step(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return res, trace.New(r.entries)
}

// mustTrace is step for a trace that must be complete.
func (r *rig) mustTrace(t testing.TB, tr *Tracing) *trace.Trace {
	t.Helper()
	_, got := r.step(t, tr)
	if tr.Err != nil {
		t.Fatal(tr.Err)
	}
	return got
}

func TestTraceChangesNoResult(t *testing.T) {
	for name, model := range traceModels() {
		r := newRig(t, model)
		plain, _ := r.step(t, nil)
		want := patterns(r.model)
		traced, _ := r.step(t, &Tracing{})
		if fmt.Sprint(plain) != fmt.Sprint(traced) || !slices.Equal(patterns(r.model), want) {
			t.Errorf("%s: a traced step is another one: %+v, untraced %+v", name, traced, plain)
		}
	}
}

// TestTraceRoots holds every bit of a step of the small models still, on any
// machine, and the operators' names and order with them.
func TestTraceRoots(t *testing.T) {
	for name, want := range map[string]string{
		"v4": "sha256:897576f92265e92afb3f4705e221da400261a34d0bdb36b4ecace9cc6e543ec2",
		"v3": "sha256:fec336f361a62587b1f772504221ca41f2a4fe0e3ef906387568ea81e9a69ea3",
	} {
		r := newRig(t, traceModels()[name])
		if got := trace.Root(r.mustTrace(t, &Tracing{}).Entries()).String(); got != want {
			t.Errorf("%s: root is %s, want %s", name, got, want)
		}
	}
}

// TestTraceDependsOnValuesOnly: whatever does not change results does not change
// a trace either.
func TestTraceDependsOnValuesOnly(t *testing.T) {
	for name, model := range traceModels() {
		for _, indexer := range []float64{0.1, 0} {
			r := newRig(t, model)
			r.cfg.Loss.Indexer = indexer
			want := r.mustTrace(t, &Tracing{})
			check := func(what string) {
				t.Helper()
				got := r.mustTrace(t, &Tracing{})
				if i := got.First(want); i >= 0 {
					t.Fatalf("%s, indexer loss %v, %s: entry %d is %+v, want %+v", name, indexer, what, i,
						entryAt(got, i), entryAt(want, i))
				}
			}
			for _, r.cfg.MicroRows = range []int{1, 3, 5} {
				check(fmt.Sprint("micro_rows ", r.cfg.MicroRows))
				for _, r.cfg.Recompute = range []string{"selective", "full", "none"} {
					check(fmt.Sprint("micro_rows ", r.cfg.MicroRows, " recompute ", r.cfg.Recompute))
				}
			}
			for n := range 4 {
				old := kernel.SetThreads(n + 1)
				check(fmt.Sprint(n+1, " threads"))
				kernel.SetThreads(old)
			}
			for _, path := range kernel.Paths() {
				old, err := kernel.SetPath(path)
				if err != nil {
					t.Fatal(err)
				}
				check(path)
				if _, err := kernel.SetPath(old); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

func entryAt(t *trace.Trace, i int64) any {
	if e := t.Entries(); i < int64(len(e)) {
		return e[i]
	}
	return "no entry"
}

// fault is one changed value.
type fault struct {
	at      trace.Operator
	element int
	was, is uint32
}

// touch makes the fault each time that the operator runs.
func (f *fault) touch(o trace.Operator, v Values) {
	if o != f.at || f.element >= v.Len() {
		return
	}
	f.was = v.Bits(f.element)
	f.is = f.was ^ 1
	if o.Name == "attention.indexer.chosen" { // another entry that the query sees
		f.is = max(f.was, 2) - 1
		if f.was < 2 {
			f.is = f.was ^ 1
		}
	}
	v.Set(f.element, f.is)
}

// locate makes a fault and has it found by the traces alone; nil if they find
// another operator.
func (r *rig) locate(t *testing.T, honest *trace.Trace, f *fault) *trace.Finding {
	t.Helper()
	faulty := r.mustTrace(t, &Tracing{Touch: f.touch})
	found, err := trace.Find(context.Background(), honest, faulty)
	if err != nil {
		t.Fatal(err)
	}
	if found == nil || found.A == nil || found.B == nil {
		t.Fatalf("fault in %s, element %d: found %+v", f.at, f.element, found)
	}
	if found.A.Operator != f.at || found.B.Operator != f.at {
		t.Errorf("fault in %s, element %d: the first difference is at %s", f.at, f.element, found.A.Operator)
		return nil
	}
	return found
}

// element finds the value, from what the two parties have of the operator.
func (r *rig) element(t *testing.T, found *trace.Finding, f *fault) {
	t.Helper()
	a, b := Tracing{Want: &found.A.Operator}, Tracing{Want: &found.A.Operator, Touch: f.touch}
	r.mustTrace(t, &a)
	r.mustTrace(t, &b)
	for _, c := range []struct {
		e *trace.Entry
		t *Tracing
	}{{found.A, &a}, {found.B, &b}} {
		if err := c.e.CheckBlocks(c.t.Blocks); err != nil {
			t.Fatal(err)
		}
		for i, d := range c.t.Blocks {
			if err := trace.CheckBlock(d, c.t.Values[i*digest.Block:min(len(c.t.Values), (i+1)*digest.Block)]); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i := range a.Values {
		if a.Values[i] == b.Values[i] {
			continue
		}
		if i != f.element || a.Values[i] != f.was || b.Values[i] != f.is {
			t.Errorf("fault in %s, element %d, %08x to %08x: found element %d, %08x and %08x",
				f.at, f.element, f.was, f.is, i, a.Values[i], b.Values[i])
		}
		return
	}
	t.Errorf("fault in %s, element %d: the values are equal", f.at, f.element)
}

// faultable tells whether a fault can be made at an operator: what the step
// starts from, and its data, are others than the trainer's.
func faultable(o trace.Operator) bool {
	return o.Pass != trace.State && !strings.HasPrefix(o.Name, "data.")
}

// TestEveryOperatorIsACause makes a fault in every operator once, at some layer
// and row, or with TEMPER_EVERY=1, which takes minutes, at every layer. An
// operator that came before what it reads from would not be the first to differ.
func TestEveryOperatorIsACause(t *testing.T) {
	for name, model := range traceModels() {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, model)
			honest := r.mustTrace(t, &Tracing{})
			entries := honest.Entries()
			done := map[trace.Operator]bool{}
			stream := detrand.Key(7, "every", 0)
			for i, at := range stream.Permutation(len(entries)) {
				e := entries[at]
				key := e.Operator
				key.Row = 0
				if os.Getenv("TEMPER_EVERY") == "" {
					key.Layer, key.Name = 0, strings.Map(withoutDigits, key.Name)
				}
				if done[key] || !faultable(e.Operator) {
					continue
				}
				done[key] = true
				r.locate(t, honest, &fault{at: e.Operator, element: int(stream.Uint64nAt(uint64(i)+1<<32, uint64(e.Size)))})
			}
			t.Logf("%d operators", len(done))
		})
	}
}

func withoutDigits(c rune) rune {
	if c >= '0' && c <= '9' {
		return -1
	}
	return c
}

// TestFaultsAreFound makes faults anywhere, under other micro-batches and
// recomputation than those of the honest party.
func TestFaultsAreFound(t *testing.T) {
	trials := 100
	if testing.Short() {
		trials = 20
	}
	for name, model := range traceModels() {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, model)
			honest := r.mustTrace(t, &Tracing{})
			for trial := range uint64(trials) {
				s := detrand.Key(8, "faults:"+name, trial)
				r.cfg.MicroRows = 1 + int(s.Uint64nAt(0, 5))
				r.cfg.Recompute = []string{"none", "selective", "full"}[s.Uint64nAt(1, 3)]
				var e trace.Entry
				for i := uint64(2); e.Size == 0 || !faultable(e.Operator); i++ {
					e = honest.Entries()[s.Uint64nAt(i, uint64(len(honest.Entries())))]
				}
				f := &fault{at: e.Operator, element: int(s.Uint64nAt(1<<20, uint64(e.Size)))}
				if found := r.locate(t, honest, f); found != nil {
					r.element(t, found, f)
				}
			}
		})
	}
}

// TestTokenFaultIsFound: the first thing that differs is the row's data, at the token.
func TestTokenFaultIsFound(t *testing.T) {
	r := newRig(t, traceModels()["v4"])
	want := trace.Operator{Pass: trace.Forward, Layer: -1, Row: 2, Name: "data.tokens"}
	a := Tracing{Want: &want}
	honest := r.mustTrace(t, &a)
	r.source = ragged{19, 11}
	b := Tracing{Want: &want}
	faulty := r.mustTrace(t, &b)
	if i := honest.First(faulty); honest.Entries()[i].Operator != want {
		t.Fatalf("the first difference is at %s", honest.Entries()[i].Operator)
	}
	for i := range a.Values {
		if (a.Values[i] != b.Values[i]) != (i == 11) {
			t.Errorf("token %d is %d and %d", i, a.Values[i], b.Values[i])
		}
	}
}

// TestRecomputationIsCompared makes faults that happen once only.
func TestRecomputationIsCompared(t *testing.T) {
	for _, name := range []string{"attention.q", "attention.norm", "feed-forward.experts.gate", "feed-forward.router.chosen"} {
		r := newRig(t, traceModels()["v4"])
		r.cfg.Recompute = "full"
		f := fault{at: trace.Operator{Pass: trace.Forward, Layer: 2, Row: 2, Name: name}, element: 3}
		times := 0
		tr := Tracing{Touch: func(o trace.Operator, v Values) {
			if o == f.at {
				if times++; times == 2 {
					f.touch(o, v)
				}
			}
		}}
		r.step(t, &tr)
		var bad *RecomputeError
		if !errors.As(tr.Err, &bad) || bad.Operator != f.at {
			t.Errorf("a fault when %s was computed again: %v", f.at, tr.Err)
		}
	}
}

func TestWantedValuesAreARange(t *testing.T) {
	r := newRig(t, traceModels()["v3"])
	op := trace.Operator{Pass: trace.Backward, Layer: 1, Row: 0, Name: "attention.keys"}
	all := Tracing{Want: &op}
	r.mustTrace(t, &all)
	if len(all.Values) != 27*4*10 || len(all.Blocks) != 2 {
		t.Fatalf("%d values in %d blocks", len(all.Values), len(all.Blocks))
	}
	part := Tracing{Want: &op, From: 1024, Count: 7}
	r.mustTrace(t, &part)
	if !slices.Equal(part.Values, all.Values[1024:1031]) {
		t.Errorf("values %v, want %v", part.Values, all.Values[1024:1031])
	}
}

func TestTraceEndsWithAnError(t *testing.T) {
	r := newRig(t, traceModels()["v3"])
	r.cfg.NonFinite = "skip"
	for i := range r.values[0] {
		r.values[0][i] = float32(math.Inf(1))
	}
	tr := Tracing{}
	if res, _ := r.step(t, &tr); !res.Skipped || tr.Err == nil || !IsNonFinite(tr.Err) {
		t.Errorf("a skipped step: %+v, %v", res, tr.Err)
	}
}

// TestEveryOperatorIsDocumented compares the names in docs/trace.md with those
// that the traces of the models have.
func TestEveryOperatorIsDocumented(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "docs", "trace.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, operators, ok := strings.Cut(string(text), "## Operators")
	if !ok {
		t.Fatal("docs/trace.md has no list of operators")
	}
	documented := map[string]bool{}
	for _, m := range regexp.MustCompile("`([a-z_.-]+)`").FindAllStringSubmatch(operators, -1) {
		documented[m[1]] = true
	}
	seen := map[string]bool{"attention": true, "feed-forward": true, "embedding": true, "mtp": true, "head": true}
	for _, model := range traceModels() {
		r := newRig(t, model)
		names := map[string]bool{}
		for _, p := range r.model.Params() {
			names[p.Name] = true
		}
		entries := r.mustTrace(t, &Tracing{}).Entries()
		r.teacher = &noise{vocab: model.VocabSize, lessons: 1}
		for _, e := range append(entries, r.mustTrace(t, &Tracing{}).Entries()...) {
			name := e.Name
			if e.Row >= 0 && !strings.HasPrefix(name, "data.") {
				_, name, _ = strings.Cut(name, ".")
			}
			if names[name] || strings.Contains(name, "/") {
				continue
			}
			if seen[name] = true; !documented[name] {
				t.Errorf("%s: %q is not in docs/trace.md", e.Operator, name)
				documented[name] = true
			}
		}
	}
	for name := range documented {
		if !seen[name] {
			t.Errorf("docs/trace.md has an operator %q that no trace has", name)
		}
	}
}
