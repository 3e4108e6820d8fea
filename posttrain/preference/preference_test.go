package preference

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/data"
	"github.com/temper-ml/temper/data/chat"
	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/model/deepseek/deepseektest"
	"github.com/temper-ml/temper/posttrain/dpo"
	"github.com/temper-ml/temper/report/record/trace"
	"github.com/temper-ml/temper/train"
	"github.com/temper-ml/temper/train/optim"
)

// rowsOf packs n pairs into rows; the chosen answer is always the longer one.
func rowsOf(t *testing.T, n, perStep int) (*data.Stream, []train.Row) {
	t.Helper()
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, `{"prompt": "q%d", "chosen": "yes %s", "rejected": "no%d"}`+"\n", i, strings.Repeat("y", i%5), i%3)
	}
	name := filepath.Join(t.TempDir(), "pairs.jsonl")
	if err := os.WriteFile(name, []byte(text.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	l := data.Loader{Tokenizer: data.NewBytes(chat.V4{}), Encoding: chat.V4{}}
	all, _, err := l.Load(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	used, err := all.Slice(0, all.Len()-4)
	if err != nil {
		t.Fatal(err)
	}
	held, err := all.Slice(all.Len()-4, all.Len())
	if err != nil {
		t.Fatal(err)
	}
	s, err := data.NewStream(used, data.StreamConfig{SeqLen: 80, Rows: perStep, Seed: 3})
	if err != nil {
		t.Fatal(err)
	}
	h, err := data.NewStream(held, data.StreamConfig{SeqLen: 80, Rows: 1, InOrder: true})
	if err != nil {
		t.Fatal(err)
	}
	var rows []train.Row
	for g := range h.RowsPerEpoch() {
		r := h.Row(int64(g))
		rows = append(rows, train.NewRow(&r))
	}
	return s, rows
}

func newModel(t *testing.T) *deepseek.Model {
	t.Helper()
	cfg := deepseektest.SmallV4()
	cfg.VocabSize = data.NewBytes(chat.V4{}).VocabSize()
	m, err := deepseek.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	m.Init(3)
	return m
}

func computed(t *testing.T, p *Pairs, m *deepseek.Model) *Reference {
	t.Helper()
	ref := NewReference(p, "w")
	if err := ref.Compute(t.Context(), m, func(int64) error { return nil }); err != nil {
		t.Fatal(err)
	}
	return ref
}

// outcome is all that a stage computes.
type outcome struct {
	Results  []train.Result
	Measured Measured
	Bits     []uint32
	Trace    []trace.Entry // of the second step, where it is taken
}

// stage takes steps of a loss.
func stage(t *testing.T, l dpo.Loss, micro int, recompute string) outcome {
	t.Helper()
	const steps, rows = 7, 4
	s, held := rowsOf(t, 40, rows)
	m := newModel(t)
	c := train.Config{
		Steps: steps, Slots: 2, MicroRows: micro, Recompute: recompute, NonFinite: "stop",
		Optimizer: optim.Default(), LR: optim.LRSchedule{Name: "constant", Peak: 2e-3},
		Loss: train.Loss{Balance: 1e-4, Indexer: 0.01}, Router: train.Router{Train: true},
	}
	tr, err := train.New(c, m, train.Stream{Stream: s}, rows, func() time.Time { return time.Unix(0, 0) })
	if err != nil {
		t.Fatal(err)
	}
	p := NewPairs(s, steps, rows, held)
	ref := computed(t, p, m)
	o, err := NewObjective(l, ref)
	if err != nil {
		t.Fatal(err)
	}
	tr.Objective(o)
	var out outcome
	for !tr.Done() {
		r, err := tr.Step(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		out.Results = append(out.Results, r)
	}
	if out.Measured, err = Measure(t.Context(), m, &l, p, ref); err != nil {
		t.Fatal(err)
	}
	for _, q := range m.Params() {
		for _, v := range q.Data {
			out.Bits = append(out.Bits, math.Float32bits(v))
		}
	}
	return out
}

// TestStageHasTheSameBits: however a step is cut into micro-batches, and on any
// number of threads. The first step's policy is its reference.
func TestStageHasTheSameBits(t *testing.T) {
	l := dpo.Loss{Kind: "sigmoid", Beta: 0.5, SFT: 0.1}
	want := stage(t, l, 1, "none")
	first := want.Results[0].Terms
	if first[RewardChosenTerm] != 0 || first[RewardRejectedTerm] != 0 || first[AccuracyTerm] != 0 {
		t.Errorf("the first step's terms are %v: the policy is not its reference", first)
	}
	if got := first[LossTerm] - 0.1*first[SFTTerm]; math.Abs(got-math.Ln2) > 1e-7 {
		t.Errorf("the first step's loss is %v, want ln 2", got)
	}
	last := want.Results[len(want.Results)-1].Terms
	if !(last[LossTerm] < first[LossTerm]) || last[AccuracyTerm] < 0.9 || !(last[MarginTerm] > 0) || math.Abs(last[MarginTerm]-last[RewardChosenTerm]+last[RewardRejectedTerm]) > 1e-6 {
		t.Errorf("terms went from %v to %v", first, last)
	}
	if want.Measured.Right != 2 || want.Measured.Pairs != 2 || want.Measured.Tokens < 10 {
		t.Errorf("held out: %+v", want.Measured)
	}
	for _, micro := range []int{2, 4} {
		threads := kernel.SetThreads(micro)
		got := stage(t, l, micro, []string{"none", "full"}[micro/4])
		kernel.SetThreads(threads)
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%d rows a micro-batch: %s", micro, d)
		}
	}
}

func TestEveryKindLearns(t *testing.T) {
	for _, l := range []dpo.Loss{
		{Kind: "cdpo", Beta: 0.5, Smoothing: 0.1},
		{Kind: "robust", Beta: 0.5, Smoothing: 0.1},
		{Kind: "hinge", Beta: 0.5},
		{Kind: "ipo", Beta: 0.5},
		{Kind: "norm", Beta: 2},
		{Kind: "simpo", Beta: 2, Margin: 1},
		{Kind: "apo-zero", Beta: 0.5},
		{Kind: "sigmoid", Beta: 0.5, ReferenceFree: true},
	} {
		got := stage(t, l, 4, "none")
		first, last := got.Results[0].Terms, got.Results[len(got.Results)-1].Terms
		if !(last[LossTerm] < first[LossTerm]) || !(last[MarginTerm] > first[MarginTerm]) {
			t.Errorf("%s: terms went from %v to %v", l.Kind, first, last)
		}
	}
}

// TestReferenceGoesOn: a reference that is stopped anywhere ends with the bytes of
// one that is not, and a reference of another model or of other rows is refused.
func TestReferenceGoesOn(t *testing.T) {
	s, held := rowsOf(t, 40, 4)
	m := newModel(t)
	p := NewPairs(s, 1000, 4, held)
	if want := int64(s.RowsPerEpoch() + len(held)); p.Rows() != want {
		t.Fatalf("%d rows, want %d", p.Rows(), want)
	}
	whole := computed(t, p, m)
	want, err := whole.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if n := int64(len(want)); n > p.MaxBytes() || n < p.MaxBytes()-4096 {
		t.Errorf("%d bytes of at most %d", n, p.MaxBytes())
	}
	stop := errors.New("stop")
	for after := int64(1); after < p.Rows(); after += 3 {
		part := NewReference(p, "w")
		err := part.Compute(t.Context(), m, func(done int64) error {
			if done == after {
				return stop
			}
			return nil
		})
		if !errors.Is(err, stop) || part.Done() != after {
			t.Fatalf("stopped after %d rows with %v", part.Done(), err)
		}
		text, err := part.Encode()
		if err != nil {
			t.Fatal(err)
		}
		rest := NewReference(p, "w")
		if err := rest.Decode(text); err != nil || rest.Done() != after {
			t.Fatalf("%d rows, %v", rest.Done(), err)
		}
		if _, err := NewObjective(dpo.Loss{Kind: "sigmoid", Beta: 1}, rest); err == nil {
			t.Error("half a reference is taken")
		}
		if err := rest.Compute(t.Context(), m, func(int64) error { return nil }); err != nil {
			t.Fatal(err)
		}
		if got, err := rest.Encode(); err != nil || !bytes.Equal(got, want) {
			t.Errorf("stopped after %d rows, the bytes differ (%v)", after, err)
		}
	}
	for name, other := range map[string]*Reference{
		"weights": NewReference(p, "v"),
		"rows":    NewReference(NewPairs(s, 1, 2, held), "w"),
	} {
		if err := other.Decode(want); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("a cache of other %s: %v", name, err)
		}
	}
	for i := range want {
		bad := bytes.Clone(want)
		bad[i] ^= 1
		if NewReference(p, "w").Decode(bad) == nil {
			t.Fatalf("byte %d changed, and it is taken", i)
		}
		if NewReference(p, "w").Decode(want[:i]) == nil {
			t.Fatalf("cut to %d bytes, and it is taken", i)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := NewReference(p, "w").Compute(ctx, m, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that has ended: %v", err)
	}
}

// A cache is read from a folder that anybody may have written to.
func FuzzReference(f *testing.F) {
	f.Add([]byte("{}\n"))
	f.Add([]byte(`{"format":"temper-reference/1","weights":"w","rows":"r","count":1}` + "\n12345678"))
	f.Fuzz(func(t *testing.T, text []byte) {
		r := &Reference{pairs: &Pairs{held: []train.Row{{}}}, head: head{Format, "w", "r", 1}}
		if err := r.Decode(text); err == nil && r.Done() > 1 {
			t.Errorf("%d rows of 1", r.Done())
		}
	})
}

func TestObjectiveRefusesWhatIsNoPair(t *testing.T) {
	s, held := rowsOf(t, 12, 4)
	ref := computed(t, NewPairs(s, 1, 4, held), newModel(t))
	o, err := NewObjective(dpo.Loss{Kind: "sigmoid", Beta: 1}, ref)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := train.Stream{Stream: s}.Rows(0)
	if err != nil {
		t.Fatal(err)
	}
	odd := rows[0]
	odd.Segments = odd.Segments[:1]
	if err := o.Begin(0, []train.Row{odd}); err == nil || !strings.Contains(err.Error(), "no pairs") {
		t.Errorf("one answer: %v", err)
	}
	silent := rows[0]
	silent.Labels = make([]int32, len(silent.Tokens))
	for i := range silent.Labels {
		silent.Labels[i] = -1
	}
	if err := o.Begin(0, []train.Row{silent}); err == nil || !strings.Contains(err.Error(), "no token") {
		t.Errorf("an answer without labels: %v", err)
	}
	for _, l := range []dpo.Loss{{Kind: "kto", Beta: 1, Desirable: 1, Undesirable: 1}, {Kind: "sigmoid"}} {
		if _, err := NewObjective(l, ref); err == nil {
			t.Errorf("%+v is taken", l)
		}
	}
	if _, err := NewObjective(dpo.Loss{Kind: "simpo", Beta: 2}, nil); err != nil {
		t.Errorf("simpo needs no reference: %v", err)
	}
}
