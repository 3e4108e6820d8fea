package train

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/temper-ml/temper/compute/kernel"
)

// crossEntropy is what a stage minimises without an objective.
type crossEntropy struct{ n int64 }

func (crossEntropy) Terms() []string { return []string{"loss"} }

func (c *crossEntropy) Begin(_ int64, rows []Row) error {
	c.n = Count(rows).Supervised
	return nil
}

func (c *crossEntropy) Loss(_ int, logp, dlogp []float32, terms []float64) error {
	for i, l := range logp {
		dlogp[i] = -float32(1 / float64(c.n))
		terms[0] -= float64(l) / float64(c.n)
	}
	return nil
}

// TestObjectiveOfCrossEntropy: the same objective by the other way has the same bits.
func TestObjectiveOfCrossEntropy(t *testing.T) {
	source := pairs{4, 40, tiny().VocabSize, -1}
	plain, a := newTrainer(t, testConfig(3), source, 4)
	other, b := newTrainer(t, testConfig(3), source, 4)
	other.Objective(&crossEntropy{})
	for !plain.Done() {
		want, err := plain.Step(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got, err := other.Step(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got.LM != want.LM || got.GradNorm != want.GradNorm || got.MTP != want.MTP {
			t.Errorf("step %d: %+v, want %+v", want.Step, got, want)
		}
		// LM rounds each term to 2^-28, the objective each row: 40 tokens a row.
		if d := got.Terms["loss"] - got.LM; d > 1e-7 || d < -1e-7 {
			t.Errorf("step %d: the objective's loss is %v, LM %v", want.Step, got.Terms["loss"], got.LM)
		}
	}
	for i, p := range a.Params() {
		for j, v := range p.Data {
			if v != b.Params()[i].Data[j] {
				t.Fatalf("%s[%d] differs", p.Name, j)
			}
		}
	}
}

// duel wants the first segment of each row to be likelier than the second.
type duel struct{ rows int }

func (duel) Terms() []string { return []string{"loss", "won", "longest"} }

func (duel) Largest() int { return 1 }

func (d *duel) Begin(_ int64, rows []Row) error {
	d.rows = len(rows)
	return nil
}

func (d *duel) Loss(row int, logp, dlogp []float32, terms []float64) error {
	cut, margin := len(logp)/3+row, 0.0
	for i, l := range logp {
		if i < cut {
			margin += float64(l)
		} else {
			margin -= float64(l)
		}
	}
	terms[0] = -margin / float64(d.rows)
	if margin > 0 {
		terms[1] = 1
	}
	terms[2] = float64(len(logp))
	for i := range dlogp {
		dlogp[i] = 1 / float32(d.rows)
		if i < cut {
			dlogp[i] = -dlogp[i]
		}
	}
	return nil
}

// TestObjectiveSplit: micro-batches, threads and recomputation change no bit.
func TestObjectiveSplit(t *testing.T) {
	defer kernel.SetThreads(kernel.Threads())
	var want []Result
	for i, c := range []struct {
		micro, threads int
		recompute      string
	}{{1, 1, "none"}, {2, 2, "full"}, {4, 3, "selective"}, {3, 1, "full"}} {
		kernel.SetThreads(c.threads)
		config := testConfig(3)
		config.MicroRows, config.Recompute = c.micro, c.recompute
		tr, _ := newTrainer(t, config, pairs{4, 40, tiny().VocabSize, -1}, 4)
		tr.Objective(&duel{})
		var got []Result
		for !tr.Done() {
			r, err := tr.Step(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, r)
		}
		if i == 0 {
			want = got
			if n := want[0].Terms["longest"]; n != 40 {
				t.Errorf("the longest row has %v tokens, not 40", n)
			}
			if want[2].Terms["loss"] >= want[0].Terms["loss"] {
				t.Errorf("the loss went from %v to %v", want[0].Terms["loss"], want[2].Terms["loss"])
			}
			continue
		}
		for j := range got {
			if !maps.Equal(got[j].Terms, want[j].Terms) || got[j].GradNorm != want[j].GradNorm {
				t.Errorf("%+v, step %d: %v and norm %v, want %v and %v", c, j, got[j].Terms, got[j].GradNorm, want[j].Terms, want[j].GradNorm)
			}
		}
	}
}

// refusing refuses a step, or a row of it.
type refusing struct {
	duel
	begin bool
}

func (r *refusing) Begin(step int64, rows []Row) error {
	if r.begin {
		return errors.New("no reference")
	}
	return r.duel.Begin(step, rows)
}

func (r *refusing) Loss(row int, logp, dlogp []float32, terms []float64) error {
	if row == 2 {
		return errors.New("row 2 is bad")
	}
	return r.duel.Loss(row, logp, dlogp, terms)
}

func TestObjectiveRefuses(t *testing.T) {
	for _, c := range []struct {
		o    refusing
		want string
	}{{refusing{begin: true}, "step 0: objective: no reference"}, {refusing{}, "rows 2 to 3: objective: row 2 is bad"}} {
		config := testConfig(1)
		config.MicroRows = 2
		tr, m := newTrainer(t, config, pairs{4, 40, tiny().VocabSize, -1}, 4)
		tr.Objective(&c.o)
		before := append([]float32(nil), m.Params()[0].Data...)
		if _, err := tr.Step(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
		if taken, _ := tr.Steps(); taken != 0 {
			t.Errorf("%d steps taken", taken)
		}
		for i, v := range m.Params()[0].Data {
			if v != before[i] {
				t.Fatal("a refused step changed parameters")
			}
		}
	}
}
