package train

import (
	"context"
	"encoding/json"
	"math"
	"slices"
	"testing"

	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/report/record/digest"
)

// digested takes steps with digests and returns their results.
func digested(t *testing.T, tr *Trainer, period int, steps int64) (rs []Result) {
	t.Helper()
	if err := tr.Digest(period); err != nil {
		t.Fatal(err)
	}
	for range steps {
		r, err := tr.Step(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		rs = append(rs, r)
	}
	return rs
}

func source() pairs { return pairs{4, 40, tiny().VocabSize, -1} }

func TestDigestsChangeNoResult(t *testing.T) {
	c := testConfig(3)
	plain, want := train(t, c)
	tr, m := newTrainer(t, c, source(), 4)
	got := digested(t, tr, 3, 3)
	if !slices.Equal(patterns(m), want) {
		t.Error("parameters differ from a run without digests")
	}
	for i := range got {
		if d := got[i].Digests; d.Batch.IsZero() || d.Parameters.IsZero() || d.Optimizer.IsZero() || d.Bias.IsZero() {
			t.Errorf("step %d has no digest of something: %+v", i, d)
		}
		text, err := json.Marshal(got[i])
		if err != nil {
			t.Fatal(err)
		}
		var back Result
		if err := json.Unmarshal(text, &back); err != nil || back.Digests != got[i].Digests {
			t.Errorf("step %d: digests read back as %+v, %v", i, back.Digests, err)
		}
		got[i].Digests = Digests{}
		with, _ := json.Marshal(got[i])
		without, _ := json.Marshal(plain[i])
		if string(with) != string(without) {
			t.Errorf("step %d: %s, without digests %s", i, with, without)
		}
	}
}

// TestDigestsDependOnValuesOnly: neither threads nor instruction set nor
// micro-batches nor a resumption show in a digest.
func TestDigestsDependOnValuesOnly(t *testing.T) {
	c := testConfig(4)
	tr, _ := newTrainer(t, c, source(), 4)
	want := digested(t, tr, 2, 4)
	check := func(name string, got, want []Result) {
		t.Helper()
		for i := range want {
			if got[i].Digests != want[i].Digests {
				t.Errorf("%s, step %d: %+v, want %+v", name, i, got[i].Digests, want[i].Digests)
			}
		}
	}
	defer kernel.SetThreads(kernel.SetThreads(3))
	c.MicroRows, c.Recompute = 2, "full"
	tr, _ = newTrainer(t, c, source(), 4)
	check("3 threads, 2 rows at once", digested(t, tr, 2, 4), want)

	a, m := newTrainer(t, c, source(), 4)
	digested(t, a, 2, 2)
	b, other := newTrainer(t, c, source(), 4)
	for i, p := range m.Params() {
		copy(other.Params()[i].Data, p.Data)
	}
	for i, s := range a.Optimizer().Slots() {
		copy(b.Optimizer().Slots()[i].Data, s.Data)
	}
	if err := b.Resume(2, 0, 2); err != nil {
		t.Fatal(err)
	}
	if err := b.optimizer.SetSteps(2); err != nil {
		t.Fatal(err)
	}
	check("resumed", digested(t, b, 2, 2), want[2:])
}

// TestDigestsCoverTheState flips one bit of the state between equal steps.
func TestDigestsCoverTheState(t *testing.T) {
	c := testConfig(1)
	tr, m := newTrainer(t, c, source(), 4)
	if err := tr.Digest(1); err != nil {
		t.Fatal(err)
	}
	rows, err := source().Rows(0)
	if err != nil {
		t.Fatal(err)
	}
	take := func(count int64) Digests { return tr.digests.step(0, rows, count) }
	want := take(1)
	flip := func(v *float32) { *v = math.Float32frombits(math.Float32bits(*v) ^ 1) }
	for _, p := range m.Params() {
		if len(p.Data) == 0 {
			continue
		}
		v := &p.Data[len(p.Data)-1]
		flip(v)
		if got := take(1); got.Parameters == want.Parameters || got.Optimizer != want.Optimizer {
			t.Errorf("a bit of %s: digests %+v", p.Name, got)
		}
		flip(v)
	}
	for _, s := range tr.Optimizer().Slots() {
		v := &s.Data[len(s.Data)/2]
		flip(v)
		if got := take(1); got.Optimizer == want.Optimizer || got.Parameters != want.Parameters {
			t.Errorf("a bit of %s: digests %+v", s.Name, got)
		}
		flip(v)
	}
	if take(2).Optimizer == want.Optimizer || take(1+1<<32).Optimizer == want.Optimizer {
		t.Error("the step counter is not in the optimizer's digest")
	}
	if take(1) != want {
		t.Error("the digest is not a function of the state")
	}
}

func TestBatchDigestCoversWhatTheModelSees(t *testing.T) {
	rows := func() []Row {
		r, err := source().Rows(0)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	seen := map[digest.Digest]string{}
	for name, change := range map[string]func(r []Row) []Row{
		"itself":      func(r []Row) []Row { return r },
		"a token":     func(r []Row) []Row { r[1].Tokens[3]++; return r },
		"a label":     func(r []Row) []Row { r[1].Labels[3]++; return r },
		"a MTP label": func(r []Row) []Row { r[1].MTPLabels[3]++; return r },
		"a border":    func(r []Row) []Row { r[1].Segments[0].End++; r[1].Segments[1].Start++; return r },
		"order":       func(r []Row) []Row { r[0], r[1] = r[1], r[0]; return r },
		"a row less":  func(r []Row) []Row { return r[:3] },
		"no row":      func(r []Row) []Row { return nil },
	} {
		d := BatchDigest(change(rows()))
		if seen[d] != "" {
			t.Errorf("%s has the digest of %s", name, seen[d])
		}
		seen[d] = name
	}
}

func TestSkippedStepsHaveDigests(t *testing.T) {
	c := testConfig(2)
	c.NonFinite = "skip"
	tr, m := newTrainer(t, c, source(), 4)
	m.Params()[0].Data[0] = float32(math.NaN())
	r := digested(t, tr, 1, 2)
	if !r[0].Skipped || r[0].Digests.Parameters.IsZero() {
		t.Fatalf("%+v", r[0])
	}
	if a, b := r[0].Digests, r[1].Digests; a.Parameters != b.Parameters || a.Optimizer != b.Optimizer || a.Batch == b.Batch {
		t.Errorf("a skipped step changed the state: %+v, then %+v", a, b)
	}
}

// The complete digests are those of steps with a period of 1, and one tensor's
// changes with that tensor alone.
func TestStateIsWhole(t *testing.T) {
	tr, m := newTrainer(t, testConfig(2), source(), 4)
	want := digested(t, tr, 1, 2)[1].Digests
	want.Batch = digest.Digest{}
	got, err := tr.State()
	if err != nil || got != want {
		t.Errorf("state is %+v (%v), want %+v", got, err, want)
	}
	if d, err := ParametersDigest(m); err != nil || d != want.Parameters {
		t.Errorf("parameters are %v (%v), want %v", d, err, want.Parameters)
	}
	before, err := TensorDigests(m)
	if err != nil {
		t.Fatal(err)
	}
	p := m.Params()[1]
	l, err := digest.NewLayout([]digest.Tensor{{Name: p.Name, Size: int64(len(p.Data))}}, 1)
	if err != nil {
		t.Fatal(err)
	}
	s := digest.NewState(l)
	if err := s.Add(p.Name, 0, p.Data); err != nil {
		t.Fatal(err)
	}
	if d, err := s.Sum(); err != nil || d != before[p.Name] {
		t.Errorf("%s is %v (%v), want %v", p.Name, before[p.Name], err, d)
	}
	p.Data[0]++
	after, err := TensorDigests(m)
	if err != nil {
		t.Fatal(err)
	}
	for name := range before {
		if (before[name] == after[name]) == (name == p.Name) {
			t.Errorf("%s is %v, and %v after a change of %s", name, before[name], after[name], p.Name)
		}
	}
	if more := digested(t, tr, 4, 1)[0]; more.Digests.Parameters == want.Parameters {
		t.Error("a complete digest changed the period of steps")
	}
}
