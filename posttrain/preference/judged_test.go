package preference

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/data"
	"github.com/temper-ml/temper/data/chat"
	"github.com/temper-ml/temper/posttrain/dpo"
	"github.com/temper-ml/temper/report/record/trace"
	"github.com/temper-ml/temper/train"
	"github.com/temper-ml/temper/train/optim"
)

// told is a stream of answers with judgements that a test tells.
type told struct {
	examples []data.Example
	good     []bool
	rows     [][]int
}

func (s *told) Example(i int) data.Example { return s.examples[i] }
func (s *told) Desirable(i int) bool       { return s.good[i] }
func (s *told) Examples(g int64) []int     { return s.rows[g] }
func (s *told) RowsPerEpoch() int          { return len(s.rows) }
func (s *told) Row(g int64) data.Row {
	var r data.Row
	for _, e := range s.rows[g] {
		at := len(r.Tokens)
		r.Tokens, r.Mask = append(r.Tokens, s.examples[e].Tokens...), append(r.Mask, s.examples[e].Mask...)
		r.Segments = append(r.Segments, data.Segment{Start: at, End: len(r.Tokens), Example: e})
	}
	return r
}

// TestStepIsThatOfTRL compares whole steps with testdata/kto.py.
func TestStepIsThatOfTRL(t *testing.T) {
	b, err := os.ReadFile("testdata/kto.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		dpo.Loss
		Policy, Gradients [][]float64
		Reference         []float64
		PolicyKL          []float64 `json:"policy_kl"`
		ReferenceKL       []float64 `json:"reference_kl"`
		Labels            []bool
		Want              float64 `json:"loss"`
		KL                float64
		Chosen, Rejected  float64
	}
	if err := json.Unmarshal(b, &cases); err != nil {
		t.Fatal(err)
	}
	near := func(a, b float64) bool { return math.Abs(a-b) <= 1e-12+1e-13*math.Max(math.Abs(a), math.Abs(b)) }
	// Log-probabilities and gradients pass as float32.
	about := func(a, b float64) bool { return math.Abs(a-b) <= 2e-6*math.Max(1, math.Max(math.Abs(a), math.Abs(b))) }
	for i, c := range cases {
		c.Kind = KTO
		s := &told{good: c.Labels}
		for _, p := range c.Policy {
			n := len(p)
			s.rows = append(s.rows, []int{len(s.rows)})
			s.examples = append(s.examples, data.Example{Tokens: make([]int32, n+1), Mask: append([]bool{false}, slices.Repeat([]bool{true}, n)...)})
		}
		var rows []train.Row
		for g := range s.rows {
			r := s.Row(int64(g))
			rows = append(rows, train.NewRow(&r))
		}
		p := &Pairs{stream: s, judged: &judged{train: &parted{stream: s, limit: 64}}}
		ref := &Reference{pairs: p, of: c.Reference}
		o, err := NewJudging(c.Loss, p, ref, nil, 1)
		if err != nil {
			t.Fatal(err)
		}
		if err := o.Begin(0, rows); err != nil {
			t.Fatal(err)
		}
		var ratios []float64
		for k, v := range c.PolicyKL {
			ratios = append(ratios, v-c.ReferenceKL[k])
		}
		if o.z = dpo.Divergence(ratios); !near(o.z, c.KL) {
			t.Errorf("case %d: z is %v, want %v", i, o.z, c.KL)
		}
		total := make([]float64, len(o.Terms()))
		for g := range rows {
			n := len(c.Policy[g])
			logp, dlogp, terms := make([]float32, n+1), make([]float32, n+1), make([]float64, len(total))
			for k, v := range c.Policy[g] {
				logp[k] = float32(v)
			}
			if err := o.Loss(g, logp, dlogp, terms); err != nil {
				t.Fatal(err)
			}
			for k, v := range c.Gradients[g] {
				if !about(float64(dlogp[k]), v) {
					t.Errorf("case %d, answer %d: gradient %v, want %v", i, g, dlogp[k], v)
				}
			}
			for k, v := range terms {
				total[k] += v
			}
		}
		margin := 0.0
		if slices.Contains(c.Labels, true) && slices.Contains(c.Labels, false) {
			margin = c.Chosen - c.Rejected
		}
		for name, want := range map[string]float64{LossTerm: c.Want, DivergenceTerm: c.KL, RewardChosenTerm: c.Chosen, RewardRejectedTerm: c.Rejected, MarginTerm: margin} {
			if got := total[slices.Index(o.Terms(), name)]; !about(got, want) {
				t.Errorf("case %d: %s is %v, want %v", i, name, got, want)
			}
		}
	}
}

// TestMismatches: no prompt meets an answer of its own, none is used twice, of
// prompts that all differ each meets the next one's, nothing is longer than a row,
// and answers are whole.
func TestMismatches(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const limit = 12
		s := &told{}
		n := rapid.IntRange(1, 12).Draw(t, "answers")
		var order []int
		for e := range n {
			prompt := rapid.SampledFrom([][]int32{{1, 2}, {1, 3}, {1, 2, 2, 2, 2}, {1}}).Draw(t, "prompt")
			answer := rapid.IntRange(1, limit-len(prompt)).Draw(t, "answer")
			x := data.Example{Tokens: slices.Concat(prompt, slices.Repeat([]int32{int32(100 + e)}, answer))}
			x.Mask = append(make([]bool, len(prompt)), slices.Repeat([]bool{true}, answer)...)
			s.examples, order = append(s.examples, x), append(order, e)
		}
		order = rapid.Permutation(order).Draw(t, "order")
		p := &parted{stream: s, limit: limit}
		m := p.cross(order)
		prompt := func(e int) []int32 { x := &s.examples[e]; return x.Tokens[:slices.Index(x.Mask, true)] }
		most, prompts, answers := 0, map[int32]int{}, map[int32]int{}
		for _, e := range order {
			same := 0
			for _, other := range order {
				if slices.Equal(prompt(e), prompt(other)) {
					same++
				}
			}
			most = max(most, same)
		}
		for _, x := range m.pairs {
			prompts[x.prompt]++
			answers[x.answer]++
			if slices.Equal(prompt(int(x.prompt)), prompt(int(x.answer))) || prompts[x.prompt] > 1 || answers[x.answer] > 1 {
				t.Fatalf("%v of %d answers in order %v", m.pairs, n, order)
			}
		}
		if all := 2*most <= n; all != (len(m.pairs) == n) || !all && len(m.pairs) < n-most {
			t.Fatalf("%d mismatches of %d answers, of which %d have one prompt", len(m.pairs), n, most)
		}
		if most == 1 && n > 1 {
			for i, x := range m.pairs {
				if x.prompt != int32(order[i]) || x.answer != int32(order[(i+1)%n]) {
					t.Fatalf("%v in order %v", m.pairs, order)
				}
			}
		}
		k := 0
		for _, r := range m.rows {
			if r.lo != k || r.hi <= r.lo {
				t.Fatalf("rows %v", m.rows)
			}
			k = r.hi
			row := p.row(m.pairs[r.lo:r.hi])
			if len(row.Tokens) > limit || len(row.Segments) != r.hi-r.lo {
				t.Fatalf("%d tokens of %d, %d answers", len(row.Tokens), limit, len(row.Segments))
			}
			for i, seg := range row.Segments {
				x := m.pairs[r.lo+i]
				all, q := row.Tokens[seg.Start:seg.End], prompt(int(x.prompt))
				answer := s.examples[x.answer].Tokens[len(prompt(int(x.answer))):]
				kept := len(all) - len(answer)
				if !slices.Equal(all[kept:], answer) || all[0] != q[0] || !slices.Equal(all[1:kept], q[len(q)-kept+1:]) || kept < len(q) && len(all) < limit {
					t.Fatalf("%v of prompt %v and answer %v", all, q, answer)
				}
				learnt := 0
				for _, l := range row.Labels[seg.Start:seg.End] {
					if l >= 0 {
						learnt++
					}
				}
				if learnt != len(answer) {
					t.Fatalf("%d of %d tokens are learnt", learnt, len(answer))
				}
			}
		}
		if k != len(m.pairs) {
			t.Fatalf("%d of %d mismatches are laid out", k, len(m.pairs))
		}
	})
}

// answersOf are streams of answers, and of what is held out of them: pairs taken
// apart, or judged rows.
func answersOf(t *testing.T, paired bool, perStep int) (s, held *data.Stream) {
	t.Helper()
	var text strings.Builder
	for i := range 24 {
		if paired {
			fmt.Fprintf(&text, `{"prompt": "q%d", "chosen": "yes %s", "rejected": "no%d"}`+"\n", i, strings.Repeat("y", i%5), i%3)
			continue
		}
		fmt.Fprintf(&text, `{"prompt": "q%d", "completion": "yes %s", "label": true}`+"\n"+`{"prompt": "p%d", "completion": "no%d", "label": false}`+"\n", i, strings.Repeat("y", i%5), i, i%3)
	}
	name := filepath.Join(t.TempDir(), "answers.jsonl")
	if err := os.WriteFile(name, []byte(text.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	l := data.Loader{Tokenizer: data.NewBytes(chat.V4{}), Encoding: chat.V4{}}
	all, _, err := l.Load(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	used, err := all.Slice(0, all.Len()-8)
	if err != nil {
		t.Fatal(err)
	}
	rest, err := all.Slice(all.Len()-8, all.Len())
	if err != nil {
		t.Fatal(err)
	}
	if paired {
		used = used.Judged()
	}
	if s, err = data.NewStream(used, data.StreamConfig{SeqLen: 80, Rows: perStep, Seed: 3}); err != nil {
		t.Fatal(err)
	}
	if held, err = data.NewStream(rest, data.StreamConfig{SeqLen: 80, Rows: 1, InOrder: true}); err != nil {
		t.Fatal(err)
	}
	return s, held
}

// judge takes steps of kto.
func judge(t *testing.T, l dpo.Loss, paired bool, micro int, recompute string) outcome {
	t.Helper()
	const steps, rows = 7, 4
	s, held := answersOf(t, paired, rows)
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
	p := NewJudged(&l, s, held, Shape{Steps: steps, Batch: rows, Sequence: 80, Held: held.RowsPerEpoch(), Paired: paired})
	var ref *Reference
	if l.NeedsReference() {
		ref = computed(t, p, m)
		text, err := ref.Encode()
		if n := int64(len(text)); err != nil || n > p.MaxBytes() || n < p.MaxBytes()-4096 {
			t.Errorf("%d bytes of at most %d, %v", n, p.MaxBytes(), err)
		}
		again := NewReference(p, "w")
		if err := again.Decode(text); err != nil || !cmp.Equal(again.values, ref.values) {
			t.Errorf("the reference is not the one that was written: %v", err)
		}
	}
	o, err := NewJudging(l, p, ref, m, micro)
	if err != nil {
		t.Fatal(err)
	}
	tr.Objective(o)
	var out outcome
	for !tr.Done() {
		if len(out.Results) == 1 {
			tr.Trace(&train.Tracing{Each: func(e trace.Entry) error { out.Trace = append(out.Trace, e); return nil }})
		}
		r, err := tr.Step(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		rows, err := train.Stream{Stream: s}.Rows(r.Step)
		if err != nil {
			t.Fatal(err)
		}
		alone := train.FLOPs(c, m.Config(), rows)
		if extra := m.Config().FLOPs(p.MismatchWork(r.Step)).Forward(); r.FLOPs != alone+extra || l.NeedsReference() != (extra > 0) {
			t.Errorf("step %d: %v operations, %v of its rows and %v of mismatched answers", r.Step, r.FLOPs, alone, extra)
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

// TestJudgingHasTheSameBits: however a step is cut into micro-batches, on any number
// of threads. The first step's policy is its reference, and z is 0.
func TestJudgingHasTheSameBits(t *testing.T) {
	l := dpo.Loss{Kind: KTO, Beta: 0.5, Desirable: 1, Undesirable: 1.2, SFT: 0.1}
	for _, paired := range []bool{true, false} {
		want := judge(t, l, paired, 1, "none")
		first := want.Results[0].Terms
		for _, name := range []string{RewardChosenTerm, RewardRejectedTerm, AccuracyTerm, MarginTerm, DivergenceTerm} {
			if first[name] != 0 {
				t.Errorf("the first step's terms are %v: the policy is not its reference", first)
			}
		}
		shown := func(e trace.Entry) bool { return e.Pass == trace.State && e.Name == "objective" }
		if i := slices.IndexFunc(want.Trace, shown); i < 0 || want.Trace[i].Size != 2*want.Results[1].Counts.Segments {
			t.Error("the trace does not show every mismatched answer's log-ratio")
		}
		last := want.Results[len(want.Results)-1].Terms
		if !(last[LossTerm] < first[LossTerm]) || last[AccuracyTerm] < 0.8 || !(last[MarginTerm] > 0) || !(last[DivergenceTerm] > 0) {
			t.Errorf("terms went from %v to %v", first, last)
		}
		if q := want.Measured; q.Pairs != map[bool]int64{true: 4, false: 8}[paired] || q.Right < 3 || q.Answers == paired || q.Tokens < 20 || !(q.Loss > 0) || !(q.Divergence > 0) {
			t.Errorf("held out: %+v", q)
		}
		for _, micro := range []int{2, 4} {
			threads := kernel.SetThreads(micro)
			got := judge(t, l, paired, micro, []string{"none", "full"}[micro/4])
			kernel.SetThreads(threads)
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("%d rows a micro-batch: %s", micro, d)
			}
		}
	}
	free := judge(t, dpo.Loss{Kind: KTO, Beta: 0.01, Desirable: 1, Undesirable: 1, ReferenceFree: true}, true, 4, "none")
	if z := free.Results[6].Terms[DivergenceTerm]; z != 0 || free.Measured.Divergence != 0 {
		t.Errorf("without a reference z is %v", z)
	}
}

// TestDivergenceIsThatOfTheStep computes z from scratch.
func TestDivergenceIsThatOfTheStep(t *testing.T) {
	const rows = 3
	l := dpo.Loss{Kind: KTO, Beta: 1, Desirable: 1, Undesirable: 1}
	s, held := answersOf(t, true, rows)
	m := newModel(t)
	p := NewJudged(&l, s, held, Shape{Steps: 9, Batch: rows, Sequence: 80, Held: 1, Paired: true})
	ref := computed(t, p, m)
	m.Init(4)
	o, err := NewJudging(l, p, ref, m, 2)
	if err != nil {
		t.Fatal(err)
	}
	before := newModel(t)
	for _, step := range []int64{0, 5, 8} { // of three epochs
		in, err := train.Stream{Stream: s}.Rows(step)
		if err == nil {
			err = o.Begin(step, in)
		}
		if err != nil {
			t.Fatal(err)
		}
		got, err := o.Forward(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var all []data.Example
		for g := step * rows; g < (step+1)*rows; g++ {
			for _, e := range s.Examples(g) {
				all = append(all, s.Example(e))
			}
		}
		prompt := func(x data.Example) string { return fmt.Sprint(x.Tokens[:slices.Index(x.Mask, true)]) }
		first, most := map[string]int{}, map[string]int{}
		shift := 0
		for i, x := range all {
			if most[prompt(x)]++; most[prompt(x)] == 1 {
				first[prompt(x)] = i
			}
			shift = max(shift, most[prompt(x)])
		}
		slices.SortStableFunc(all, func(a, b data.Example) int { return first[prompt(a)] - first[prompt(b)] })
		var want []float64
		for i, x := range all {
			y := all[(i+shift)%len(all)]
			end, from := slices.Index(x.Mask, true), slices.Index(y.Mask, true)
			r := data.Row{Tokens: slices.Concat(x.Tokens[:end], y.Tokens[from:]), Mask: slices.Concat(x.Mask[:end], y.Mask[from:])}
			r.Segments = []data.Segment{{Start: 0, End: len(r.Tokens)}}
			row := train.NewRow(&r)
			now, err1 := answers(m, &row)
			then, err2 := answers(before, &row)
			if err1 != nil || err2 != nil {
				t.Fatal(err1, err2)
			}
			want = append(want, now[0]-then[0])
		}
		if !slices.Equal(got, want) || len(got) != len(all) || o.z != dpo.Divergence(want) {
			t.Errorf("step %d: %v, want %v", step, got, want)
		}
	}
}

// TestJudgingOfOneKind: answers that are all desirable, or all to one prompt, are
// learnt without anything being divided by zero.
func TestJudgingOfOneKind(t *testing.T) {
	s := &told{good: []bool{true, true}, rows: [][]int{{0}, {1}}}
	for range 2 {
		s.examples = append(s.examples, data.Example{Tokens: []int32{1, 2, 3}, Mask: []bool{false, true, true}})
	}
	l := dpo.Loss{Kind: KTO, Beta: 1, Desirable: 1, Undesirable: 1}
	p := NewJudged(&l, s, nil, Shape{Steps: 1, Batch: 2, Sequence: 8})
	ref := computed(t, p, newModel(t))
	o, err := NewJudging(l, p, ref, newModel(t), 1)
	if err != nil {
		t.Fatal(err)
	}
	var rows []train.Row
	for g := range s.rows {
		r := s.Row(int64(g))
		rows = append(rows, train.NewRow(&r))
	}
	if err := o.Begin(0, rows); err != nil {
		t.Fatal(err)
	}
	if ratios, err := o.Forward(t.Context()); err != nil || len(ratios) != 0 || o.z != 0 {
		t.Errorf("ratios %v, z %v, %v", ratios, o.z, err)
	}
	terms := make([]float64, len(o.Terms()))
	if err := o.Loss(0, []float32{-1, -1, 0}, make([]float32, 3), terms); err != nil {
		t.Fatal(err)
	}
	for k, v := range terms {
		if v-v != 0 {
			t.Errorf("%s is %v", o.Terms()[k], v)
		}
	}
}

// TestJudgingByBrokenWeights: mismatched answers whose log-probability is not finite
// are the step's fault, skipped or stopped at as any other; and a context that has
// ended ends the forward pass with nothing changed.
func TestJudgingByBrokenWeights(t *testing.T) {
	l := dpo.Loss{Kind: KTO, Beta: 1, Desirable: 1, Undesirable: 1}
	s, held := answersOf(t, false, 2)
	m := newModel(t)
	p := NewJudged(&l, s, held, Shape{Steps: 3, Batch: 2, Sequence: 80, Held: 1})
	ref := computed(t, p, m)
	o, err := NewJudging(l, p, ref, m, 1)
	if err != nil {
		t.Fatal(err)
	}
	c := train.Config{
		Steps: 3, Slots: 1, MicroRows: 1, Recompute: "none", NonFinite: "skip",
		Optimizer: optim.Default(), LR: optim.LRSchedule{Name: "constant", Peak: 2e-3}, Router: train.Router{Train: true},
	}
	tr, err := train.New(c, m, train.Stream{Stream: s}, 2, func() time.Time { return time.Unix(0, 0) })
	if err != nil {
		t.Fatal(err)
	}
	tr.Objective(o)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := tr.Step(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that has ended: %v", err)
	}
	for _, q := range m.Params() {
		if q.Name == "head.weight" {
			for i := range q.Data {
				q.Data[i] = float32(math.NaN())
			}
		}
	}
	r, err := tr.Step(t.Context())
	if err != nil || !r.Skipped || !strings.Contains(r.Why, "mismatched answers") {
		t.Errorf("skipped %v: %q, %v", r.Skipped, r.Why, err)
	}
	if taken, skipped := tr.Steps(); taken != 1 || skipped != 1 {
		t.Errorf("%d steps taken, %d skipped", taken, skipped)
	}
}
