package replay_test

import (
	"bytes"
	"context"
	"math"
	"strings"
	"testing"

	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/recipe/replay"
	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/record/trace"
	"github.com/temper-ml/temper/report/runlog"
	"github.com/temper-ml/temper/report/verify"
	training "github.com/temper-ml/temper/train"
)

// flipOf returns a fault: a bit of an element of an operator is changed when the
// condition holds. Its change is small, and large enough not to vanish in the
// next sum.
func flipOf(o trace.Operator, element int, when func() bool) func(trace.Operator, training.Values) {
	return func(got trace.Operator, v training.Values) {
		if got == o && when() {
			v.Set(element, v.Bits(element)^flipped)
		}
	}
}

const flipped = 1 << 18

func always() bool { return true }

// dense is an operator of every step of the micro run.
var dense = trace.Operator{Pass: trace.Forward, Layer: 2, Row: 1, Name: "feed-forward.shared.hidden"}

func TestTracesAreEqualOnEveryWay(t *testing.T) {
	at := verify.Position{Stage: 1, Step: 3}
	var first trace.Footer
	for i, way := range []replay.Way{{Threads: 1, Micro: 1}, {Threads: 3, Micro: 3, Recompute: "full"}, {SIMD: "go", Micro: 2}} {
		r := shared(t).open(t, replay.Options{Way: way})
		var b bytes.Buffer
		f, err := r.WriteTrace(context.Background(), at, &b)
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = f
		}
		if f != first || f.Operators < 500 {
			t.Errorf("%+v: %+v, want %+v", way, f, first)
		}
		d, err := r.Against(context.Background(), &b)
		if err != nil || !d.Equal || d.Operators != f.Operators {
			t.Errorf("%+v, %v", d, err)
		}
	}
}

// Two machines, one of which makes a fault, find the operator, the element and
// the two values by files alone.
func TestDisputeByFiles(t *testing.T) {
	ctx := context.Background()
	at := verify.Position{Stage: 0, Step: 3}
	good, bad := shared(t).open(t, replay.Options{}), shared(t).open(t, replay.Options{})
	bad.SetTouch(func(o trace.Operator, v training.Values) {
		if bad.Steps() == 3 {
			flipOf(dense, 5, always)(o, v)
		}
	})
	var b bytes.Buffer
	if _, err := bad.WriteTrace(ctx, at, &b); err != nil {
		t.Fatal(err)
	}
	d, err := good.Against(ctx, &b)
	if err != nil {
		t.Fatal(err)
	}
	most := int(math.Ceil(math.Log2(float64(d.Operators)))) + 1
	if d.Equal || d.Operator != dense.String() || d.Rounds > most || d.Here == d.There {
		t.Fatalf("%+v, want %s in at most %d rounds", d, dense, most)
	}
	b.Reset()
	if err := bad.WriteValues(ctx, at, d.Index, &b); err != nil {
		t.Fatal(err)
	}
	file := b.String()
	d, err = good.Against(ctx, strings.NewReader(file))
	if err != nil || d.Equal || *d.Element != 5 || d.Operator != dense.String() || d.Here == d.There || !strings.Contains(d.Here, "(0x") {
		t.Errorf("%+v, %v", d, err)
	}
	if d, err := bad.Against(ctx, strings.NewReader(file)); err != nil || !d.Equal {
		t.Errorf("%+v, %v", d, err)
	}
	for name, text := range map[string]string{
		"a changed value":    strings.Replace(file, "\n3", "\n4", 1),
		"half a file":        file[:len(file)/2],
		"another run":        strings.Replace(file, `"manifest":"sha256:`, `"manifest":"sha256:00`, 1),
		"another format":     strings.Replace(file, "values/1", "values/2", 1),
		"more than it needs": file + "00000000\n",
		"nothing":            "",
	} {
		if text == file {
			text = file[:len(file)-9] + "\n"
		}
		if d, err := good.Against(ctx, strings.NewReader(text)); err == nil {
			t.Errorf("%s is taken: %+v", name, d)
		}
	}
}

func FuzzValues(f *testing.F) {
	f.Add([]byte(`{"format":"temper-values/1","index":1,"manifest":"","stage":0,"step":0}` + "\n" +
		`{"digest":"sha256:` + strings.Repeat("0", 64) + `","layer":0,"name":"x","pass":"forward","row":0,"size":2,"type":"F32"}` + "\n0000000000000001\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := replay.CheckValues(b); err == nil && !bytes.Contains(b, []byte("temper-values/1")) {
			t.Errorf("%q is taken for values", b)
		}
	})
}

// A machine whose two ways of computing differ is named, not the run.
func TestContradictingMachineIsNamed(t *testing.T) {
	paths := kernel.Paths()
	if len(paths) < 2 {
		t.Skip("this machine has one way of computing only")
	}
	x := shared(t)
	l, _ := verify.Form(x.dir, runlog.Trust{})
	r := x.open(t, replay.Options{})
	way, _ := r.Way()
	r.SetTouch(flipOf(dense, 7, func() bool { return kernel.Path() == way.SIMD }))
	got, err := verify.Replay(context.Background(), l, r, all)
	if err != nil || got.Divergence == nil || got.Divergence.Step != 0 || got.Divergence.Stage != 0 {
		t.Fatalf("%+v, %v", got, err)
	}
	e, err := r.Explain(context.Background(), got.Divergence)
	if err != nil {
		t.Fatal(err)
	}
	c := e.Machine
	if c == nil || c.Operator != dense || c.Element != 7 || c.First^c.Second != flipped || c.Ways[0].SIMD == c.Ways[1].SIMD {
		t.Errorf("%+v", c)
	}
	if s := e.String(); !strings.Contains(s, "this machine contradicts itself: forward, row 1, layer 2: feed-forward.shared.hidden, element 7") {
		t.Error(s)
	}
}

// A fault of the run itself, at one step, shows as values of the next checkpoint.
func TestFaultOfTheRunIsFoundInItsCheckpoint(t *testing.T) {
	x := shared(t)
	l, _ := verify.Form(x.dir, runlog.Trust{})
	r := x.open(t, replay.Options{})
	// To this replay, which makes the fault on every way, the run is the one that is wrong.
	r.SetTouch(func(o trace.Operator, v training.Values) {
		if r.Steps() == 2 && o == (trace.Operator{Pass: trace.Update, Layer: 1, Row: -1, Name: "layers.1.attn_norm.weight"}) {
			v.Set(3, v.Bits(3)^1)
		}
	})
	got, err := verify.Replay(context.Background(), l, r, verify.Plan{All: true})
	if err != nil || got.Divergence == nil {
		t.Fatalf("%+v, %v", got, err)
	}
	e, err := r.Explain(context.Background(), got.Divergence)
	if err != nil {
		t.Fatal(err)
	}
	if s := e.State; s == nil || s.Recorded == s.Computed || s.At.Step != 4 || s.Tensor == "" {
		t.Errorf("%+v: %s", e, e)
	}
}

// Where only what the record says of a step is false, the next checkpoint tells.
func TestFalseEntryIsToldFromFalseTraining(t *testing.T) {
	x := shared(t).clone(t)
	x.forge(t, func(bodies []record.Body) []record.Body {
		for _, b := range bodies {
			if s, ok := b.(*record.Step); ok && s.Stage == 0 && s.Step == 2 {
				s.Losses["lm"] = math.Nextafter(s.Losses["lm"], 0)
			}
		}
		return bodies
	})
	l, _ := verify.Form(x.dir, runlog.Trust{})
	r, err := replay.Open(l, replay.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got, err := verify.Replay(context.Background(), l, r, all)
	if err != nil || got.Divergence == nil || got.Divergence.Quantity != "losses.lm" || got.Divergence.Step != 2 {
		t.Fatalf("%+v, %v", got.Divergence, err)
	}
	e, err := r.Explain(context.Background(), got.Divergence)
	if err != nil || e.Same == nil || *e.Same != (verify.Position{Stage: 0, Step: 4}) || !strings.Contains(e.String(), "the record says something else") {
		t.Errorf("%s, %v", e, err)
	}
}

func TestPositionOfAStep(t *testing.T) {
	r := shared(t).open(t, replay.Options{})
	for text, want := range map[string]verify.Position{"base:4": {Stage: 0, Step: 4}, "1:0": {Stage: 1}, "sft:3": {Stage: 1, Step: 3}} {
		if got, err := r.Position(text); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"3", "base:5", "2:0", "base:-1", "", ":", "base:x"} {
		if got, err := r.Position(text); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}

// Two machines that can take the steps again end a dispute at the step, the
// operator and the element where one of them made a fault.
func TestDisputeOfTwoMachines(t *testing.T) {
	ctx := context.Background()
	seg := verify.Segment{From: verify.Position{Stage: 0}, To: 5}
	for _, step := range []int64{0, 3, 4} {
		parties := make([]verify.Party, 2)
		for i := range parties {
			r := shared(t).open(t, replay.Options{Way: replay.Way{Threads: i + 1, Micro: i + 1}})
			if i == 1 {
				r.SetTouch(func(o trace.Operator, v training.Values) {
					if r.Steps() == step {
						flipOf(dense, 11, always)(o, v)
					}
				})
			}
			var err error
			if parties[i], err = r.Party(ctx, seg); err != nil {
				t.Fatal(err)
			}
		}
		f, err := verify.Dispute(ctx, parties[0], parties[1])
		if err != nil {
			t.Fatal(err)
		}
		ops, err := parties[0].Operators(ctx, f.Step)
		if err != nil {
			t.Fatal(err)
		}
		n, _, err := ops.Published(ctx)
		if err != nil {
			t.Fatal(err)
		}
		most := 3 + int(math.Ceil(math.Log2(float64(n))))
		if f.Step != step || f.Operator == nil || *f.Operator != dense || f.Element != 11 || f.BitsA^f.BitsB != flipped || f.Rounds > most {
			t.Errorf("step %d: %+v, want %s, element 11, in at most %d rounds", step, f, dense, most)
		}
	}
}
