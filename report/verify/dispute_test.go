package verify_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/record/digest"
	"github.com/temper-ml/temper/report/record/trace"
	"github.com/temper-ml/temper/report/verify"
)

// party has taken steps whose operators' outputs are all at hand.
type party struct {
	*verify.Steps
	outputs [][]float32 // of the operators of every step
	lie     func(answer string) bool
}

func (p *party) Children(ctx context.Context, level int, i int64) (left, right digest.Digest, err error) {
	left, right, err = p.Steps.Children(ctx, level, i)
	if p.lies("children") {
		left[3] ^= 1
	}
	return left, right, err
}

func (p *party) Step(ctx context.Context, i int64) ([]byte, error) {
	b, err := p.Steps.Step(ctx, i)
	if p.lies("step") {
		b = []byte(strings.Replace(string(b), `"lm":`, `"lm":1`, 1))
	}
	return b, err
}

func (p *party) Operators(context.Context, int64) (verify.Operators, error) {
	if p.outputs == nil {
		return nil, nil
	}
	var es []trace.Entry
	for i, out := range p.outputs {
		es = append(es, trace.Entry{
			Operator: trace.Operator{Pass: trace.Gradient, Layer: i % 3, Row: -1, Name: fmt.Sprintf("w%d", i)},
			Size:     int64(len(out)), Digest: digest.Blocks(blocksOf(out)),
		})
	}
	return &operators{trace.New(es), p}, nil
}

func (p *party) lies(answer string) bool { return p.lie != nil && p.lie(answer) }

type operators struct {
	*trace.Trace
	p *party
}

func (o *operators) Entry(ctx context.Context, i int64) (trace.Entry, error) {
	e, err := o.Trace.Entry(ctx, i)
	if o.p.lies("entry") {
		e.Size++
	}
	return e, err
}

func (o *operators) Blocks(_ context.Context, i int64) ([]digest.Digest, error) {
	bs := blocksOf(o.p.outputs[i])
	if o.p.lies("blocks") {
		bs[len(bs)-1][0] ^= 1
	}
	return bs, nil
}

func (o *operators) Block(_ context.Context, i, b int64) ([]uint32, error) {
	var out []uint32
	for _, v := range o.p.outputs[i][b*digest.Block : min(int64(len(o.p.outputs[i])), (b+1)*digest.Block)] {
		out = append(out, math.Float32bits(v))
	}
	if o.p.lies("block") {
		out[0]++
	}
	if o.p.lies("short block") {
		out = out[:len(out)-1]
	}
	return out, nil
}

func blocksOf(values []float32) []digest.Digest {
	var ds []digest.Digest
	for at := 0; at < len(values); at += digest.Block {
		ds = append(ds, digest.BlockOf(values[at:min(len(values), at+digest.Block)]))
	}
	return ds
}

// stepTexts are steps whose loss is as given.
func stepTexts(t interface{ Fatal(...any) }, losses []float64) [][]byte {
	var texts [][]byte
	for i, v := range losses {
		b, err := verify.StepText(&record.Step{Step: int64(i), Losses: map[string]float64{"lm": v}, Time: record.Split{Wall: int64(i), Other: int64(i)}, Memory: 5})
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, b)
	}
	return texts
}

// log2 is rounded up; of 1 it is 0.
func log2(n int) int { return bits.Len(uint(n - 1)) }

// dispute is two parties that first differ at a step, an operator of it and an
// element, and may agree and differ in any way after each.
type dispute struct {
	a, b                    *party
	steps, operators        int
	step, operator, element int
}

func drawDispute(t *rapid.T) *dispute {
	d := &dispute{steps: rapid.IntRange(1, 200).Draw(t, "steps"), operators: rapid.IntRange(1, 40).Draw(t, "operators")}
	d.step, d.operator = rapid.IntRange(0, d.steps-1).Draw(t, "step"), rapid.IntRange(0, d.operators-1).Draw(t, "operator")
	a, b := make([]float64, d.steps), make([]float64, d.steps)
	for i := range a {
		a[i] = 2
		b[i] = 2
		if i > d.step && rapid.Bool().Draw(t, "differs again") || i == d.step {
			b[i] = 3
		}
	}
	var x, y [][]float32
	for i := range d.operators {
		n := rapid.IntRange(1, 3000).Draw(t, "size")
		u, v := make([]float32, n), make([]float32, n)
		if i == d.operator {
			d.element = rapid.IntRange(0, n-1).Draw(t, "element")
			v[d.element] = float32(math.Copysign(0, -1)) // other bits, the same value
			for j := d.element + 1; j < n; j += 7 {
				v[j] = 1
			}
		} else if i > d.operator && rapid.Bool().Draw(t, "other") {
			v[n-1] = 5
		}
		x, y = append(x, u), append(y, v)
	}
	d.a, d.b = &party{Steps: verify.NewSteps(stepTexts(t, a)), outputs: x}, &party{Steps: verify.NewSteps(stepTexts(t, b)), outputs: y}
	return d
}

func (d *dispute) check(f *verify.Finding) error {
	switch {
	case f == nil:
		return errors.New("nothing found")
	case f.Step != int64(d.step) || f.Quantity != "losses.lm" || f.A != "2" || f.B != "3":
		return fmt.Errorf("found %+v, want step %d", f, d.step)
	case f.Operator == nil || f.Operator.Name != fmt.Sprintf("w%d", d.operator) || f.Element != int64(d.element) || f.BitsA != 0 || f.BitsB != 1<<31:
		return fmt.Errorf("found %v and %+v, want operator %d, element %d", f.Operator, f, d.operator, d.element)
	case f.Rounds > log2(d.steps)+log2(d.operators):
		return fmt.Errorf("%d rounds for %d steps of %d operators", f.Rounds, d.steps, d.operators)
	}
	return nil
}

// The first difference is found in at most log2(steps) + log2(operators) rounds,
// also where states that differ are equal again later.
func TestDisputeFindsTheFirstDifference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := drawDispute(t)
		f, err := verify.Dispute(context.Background(), d.a, d.b)
		if err == nil {
			err = d.check(f)
		}
		if err != nil {
			t.Fatal(err)
		}
		if f, err := verify.Dispute(context.Background(), d.a, d.a); f != nil || err != nil {
			t.Fatalf("of one party with itself: %+v, %v", f, err)
		}
	})
}

// A party that shows what it has not published is named, whatever it lies about.
func TestDisputeNamesWhoLies(t *testing.T) {
	for about, most := range map[string]int{"children": 6, "step": 0, "entry": 0, "blocks": 0, "block": 0, "short block": 0} {
		lied := 0
		rapid.Check(t, func(t *rapid.T) {
			d := drawDispute(t)
			after := rapid.IntRange(0, most).Draw(t, "after")
			liar, name := d.a, "a"
			if rapid.Bool().Draw(t, "b") {
				liar, name = d.b, "b"
			}
			did := false
			liar.lie = func(answer string) bool {
				if answer == about {
					after--
				}
				did = did || answer == about && after == -1
				return answer == about && after == -1
			}
			f, err := verify.Dispute(context.Background(), d.a, d.b)
			if !did {
				if err = errors.Join(err, d.check(f)); err != nil {
					t.Fatal(err)
				}
				return
			}
			lied++
			var ours *verify.LieError
			var traces *trace.LieError
			if !(errors.As(err, &ours) && ours.Party == name) && !(errors.As(err, &traces) && traces.Party == name) {
				t.Fatalf("party %s lied about %s: %v", name, about, err)
			}
		})
		if lied == 0 {
			t.Errorf("nobody lied about %s", about)
		}
	}
}

func TestDisputeEndsWhereAPartyCannotGoOn(t *testing.T) {
	a, b := stepTexts(t, []float64{1, 2, 3}), stepTexts(t, []float64{1, 2, 4})
	out := [][]float32{{1}, {2}}
	for name, c := range map[string]struct {
		a, b  *party
		equal bool
	}{
		"no operators":   {&party{Steps: verify.NewSteps(a)}, &party{Steps: verify.NewSteps(b), outputs: out}, false},
		"equal traces":   {&party{Steps: verify.NewSteps(a), outputs: out}, &party{Steps: verify.NewSteps(b), outputs: out}, true},
		"shorter trace":  {&party{Steps: verify.NewSteps(a), outputs: out}, &party{Steps: verify.NewSteps(b), outputs: out[:1]}, false},
		"another output": {&party{Steps: verify.NewSteps(a), outputs: out}, &party{Steps: verify.NewSteps(b), outputs: [][]float32{{1}, {2, 2}}}, false},
	} {
		f, err := verify.Dispute(context.Background(), c.a, c.b)
		if err != nil || f.Step != 2 || f.TracesEqual != c.equal || f.Element != -1 {
			t.Errorf("%s: %+v, %v", name, f, err)
		}
	}
	if _, err := verify.Dispute(context.Background(), verify.NewSteps(a), verify.NewSteps(b[:2])); err == nil {
		t.Error("stretches of 3 and 2 steps are disputed")
	}
	if _, err := verify.Dispute(context.Background(), verify.NewSteps(nil), verify.NewSteps(a)); err == nil {
		t.Error("no steps are disputed")
	}
}
