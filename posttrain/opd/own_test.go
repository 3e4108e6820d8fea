package opd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/temper-ml/temper/data"
	"github.com/temper-ml/temper/internal/detrand"
	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/model/deepseek/deepseektest"
	"github.com/temper-ml/temper/model/generate"
	"github.com/temper-ml/temper/nn"
	"github.com/temper-ml/temper/posttrain/rollout"
	"github.com/temper-ml/temper/report/record/digest"
	"github.com/temper-ml/temper/train"
	"github.com/temper-ml/temper/train/optim"
)

// bank is Rounds in memory, which outlives a stage as a disk does.
type bank struct {
	config  rollout.Config
	engine  generate.Options
	rounds  map[int64]*rollout.Round
	sampled int
}

// question is one of twelve short ones; odd ones are of another domain.
func question(cursor int64) *rollout.Question {
	q := &rollout.Question{Index: int(cursor % 12)}
	s := detrand.Key(9, "question", uint64(q.Index))
	for at := range 3 + q.Index%4 {
		q.Tokens = append(q.Tokens, int32(s.Uint64nAt(uint64(at), uint64(vocabulary.Size))))
	}
	q.Source = data.Source{File: "q", Line: q.Index}
	return q
}

func (b *bank) Sample(ctx context.Context, m *deepseek.Model, d digest.Digest, number, first int64) (*rollout.Round, error) {
	if r := b.rounds[number]; r != nil && r.Policy == d {
		return r, nil
	}
	b.sampled++
	c := &b.config
	r := &rollout.Round{Number: number, First: first, Used: int64(c.Prompts), Policy: d}
	var requests []generate.Request
	for cursor := first; cursor < first+r.Used; cursor++ {
		for k := range c.Group {
			r.Answers = append(r.Answers, rollout.Answer{Question: question(cursor), Cursor: cursor, Sample: k})
			requests = append(requests, generate.Request{Prompt: question(cursor).Tokens, MaxTokens: c.MaxTokens, Sampling: generate.Sampling{
				Temperature: c.Temperature, Seed: 5, Prompt: uint64(cursor), Sample: uint64(k),
			}})
		}
	}
	e, err := generate.New(m, b.engine)
	if err != nil {
		return nil, err
	}
	results, err := e.Run(ctx, requests, nil)
	if err != nil {
		return nil, err
	}
	for i := range results {
		for _, t := range results[i].Tokens {
			r.Answers[i].Tokens, r.Answers[i].LogProb = append(r.Answers[i].Tokens, t.ID), append(r.Answers[i].LogProb, t.LogProb)
		}
	}
	b.rounds[number] = r
	return r, nil
}

func (b *bank) Read(number int64) (*rollout.Round, error) {
	if r := b.rounds[number]; r != nil {
		return r, nil
	}
	return nil, fmt.Errorf("round %d is not in the bank", number)
}

func (b *bank) Seal(r *rollout.Round) error {
	r.Sealed = true
	return nil
}

// byDomain gives the questions of a domain their teacher.
func byDomain(q *rollout.Question) ([]Share, error) { return []Share{{q.Index % 2, 1}}, nil }

func newBank(updates, epochs, group int) *bank {
	c := rollout.Default("opd")
	c.Prompts, c.Group, c.MaxTokens, c.Updates, c.Epochs = 12/group, group, 12, updates, epochs
	return &bank{config: c, rounds: map[int64]*rollout.Round{}}
}

// school is a student that learns from its own answers.
type school struct {
	own     *Own
	stage   *Stage
	student *deepseek.Model
	trainer *train.Trainer
}

const room = 40

func newSchool(t *testing.T, b *bank, steps int64, micro int) *school {
	t.Helper()
	s := &school{}
	var err error
	if s.student, err = deepseek.New(deepseektest.SmallV4()); err != nil {
		t.Fatal(err)
	}
	s.student.Init(3)
	s.own, err = NewOwn(OwnOptions{
		Rollout: b.config, Sequence: room, Steps: steps, Rounds: b, Student: s.student, Shares: byDomain,
		Cursor: func(round int64) (int64, error) { return round * int64(b.config.Prompts), nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	s.stage = newStage(t, s.own.Lessons, Options{})
	s.trainer, err = train.New(train.Config{
		Steps: steps, Slots: 2, MicroRows: micro, Recompute: "none", NonFinite: "stop",
		Optimizer: optim.Default(), LR: optim.LRSchedule{Name: "constant", Peak: 0.015},
	}, s.student, s.stage, 4, func() time.Time { return time.Unix(0, 0) })
	if err == nil {
		err = s.trainer.Teach(s.stage, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// learn takes steps up to one and returns the divergences.
func (s *school) learn(t *testing.T, to int64) []float64 {
	t.Helper()
	var out []float64
	for n, _ := s.trainer.Steps(); n < to; n++ {
		_, fresh, err := s.own.Prepare(t.Context(), n)
		if err == nil && fresh {
			from, end := s.own.Span(n)
			err = s.stage.Prepare(t.Context(), from, end)
		}
		if err != nil {
			t.Fatal(err)
		}
		loads := s.stage.Loads
		r, err := s.trainer.Step(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if s.stage.Loads != loads {
			t.Errorf("step %d loads a teacher, its round was prepared", n)
		}
		out = append(out, r.Terms["divergence"])
	}
	return out
}

// A student that learns from two teachers on its own answers comes nearer to both, by the
// same bits whatever the engine does at a time, and after an interruption anywhere in a
// round.
func TestOwn(t *testing.T) {
	for _, shape := range [][3]int{{1, 1, 1}, {2, 2, 1}, {3, 1, 4}} {
		const steps = 8
		b := newBank(shape[0], shape[1], shape[2])
		whole := newSchool(t, b, steps, 1)
		want := whole.learn(t, steps)
		t.Logf("%v: divergences %.4f", shape, want)
		if want[steps-1] > .85*want[0] {
			t.Errorf("%v: divergence only goes from %.4f to %.4f", shape, want[0], want[steps-1])
		}
		if rounds := (steps-1)/b.config.Steps() + 1; int64(b.sampled) != rounds || int64(whole.stage.Loads) > 2*rounds {
			t.Errorf("%v: sampled %d rounds and loaded %d teachers, want %d and two each", shape, b.sampled, whole.stage.Loads, rounds)
		}
		other := newBank(shape[0], shape[1], shape[2])
		other.engine = generate.Options{Sequences: 2, StepTokens: 5}
		if got := newSchool(t, other, steps, 3).learn(t, steps); !slices.Equal(got, want) {
			t.Errorf("%v: with another engine and micro-batches: divergences %.4f", shape, got)
		}
		for _, at := range []int64{3, 4} {
			kept := newBank(shape[0], shape[1], shape[2])
			first := newSchool(t, kept, steps, 1)
			got := first.learn(t, at)
			second := newSchool(t, kept, steps, 1) // resumed
			for i, p := range second.student.Params() {
				copy(p.Data, first.student.Params()[i].Data)
			}
			for i, slot := range second.trainer.Optimizer().Slots() {
				copy(slot.Data, first.trainer.Optimizer().Slots()[i].Data)
			}
			if err := second.trainer.Resume(at, 0, at); err != nil {
				t.Fatal(err)
			}
			if got = append(got, second.learn(t, steps)...); !slices.Equal(got, want) {
				t.Errorf("%v: after an interruption at %d: divergences %.4f", shape, at, got)
			}
			if kept.sampled != b.sampled {
				t.Errorf("%v: an interruption at %d has %d rounds sampled, want %d", shape, at, kept.sampled, b.sampled)
			}
		}
	}
}

// Every answer is in a row of its teacher, whole, only the answer is learnt, and
// what the engine said of a token is what the student says in training. The updates
// of an epoch share the answers out.
func TestAnswersBecomeRows(t *testing.T) {
	b := newBank(3, 2, 2)
	s := newSchool(t, b, 6, 1)
	r, fresh, err := s.own.Prepare(t.Context(), 0)
	if err != nil || !fresh || !r.Sealed {
		t.Fatal(fresh, err)
	}
	seen := map[string]int{}
	for step := range int64(6) {
		if _, fresh, err := s.own.Prepare(t.Context(), step); err != nil || fresh {
			t.Fatal(fresh, err)
		}
		lessons, err := s.own.Lessons(step)
		if err != nil {
			t.Fatal(err)
		}
		for i := range lessons {
			l := &lessons[i]
			if err := l.check(threeTeachers(t)); err != nil || len(l.Row.Tokens) > room || len(l.teachers()) != 1 {
				t.Fatalf("row %d: %v, %d tokens, teachers %v", i, err, len(l.Row.Tokens), l.teachers())
			}
			logp, err := s.student.LogProbs(l.part([]int32{0}))
			if err != nil {
				t.Fatal(err)
			}
			for j, seg := range l.Row.Segments {
				a := answerOf(t, r, l.Row.Tokens[seg.Start:seg.End])
				if a == nil || l.Shares[j][0].Teacher != a.Question.Index%2 {
					t.Fatalf("step %d, row %d, segment %d is no answer, or of another teacher: %v", step, i, j, l.Shares[j])
				}
				seen[fmt.Sprint(a.Cursor, a.Sample)]++
				if n := l.labels([]int32{int32(j)}); n != len(a.Tokens) {
					t.Errorf("%d labels for %d tokens of an answer", n, len(a.Tokens))
				}
				for k := range a.Tokens {
					if p := len(a.Question.Tokens) - 1 + k; j == 0 && logp[p] != a.LogProb[k] {
						t.Errorf("token %d: log-probability %v where it was drawn, %v in training", k, a.LogProb[k], logp[p])
					}
				}
			}
		}
	}
	for which, n := range seen {
		if n != 2 {
			t.Errorf("answer %s is learnt %d times, want once in each of two epochs", which, n)
		}
	}
	if len(seen) != 12 {
		t.Errorf("%d answers are learnt, want 12", len(seen))
	}
}

// answerOf finds an answer by its question and its tokens.
func answerOf(t *testing.T, r *rollout.Round, tokens []int32) *rollout.Answer {
	t.Helper()
	for i := range r.Answers {
		if a := &r.Answers[i]; slices.Equal(tokens, slices.Concat(a.Question.Tokens, a.Tokens)) {
			return a
		}
	}
	return nil
}

func TestOwnRefuses(t *testing.T) {
	good := func() OwnOptions {
		b := newBank(2, 1, 1)
		return OwnOptions{Rollout: b.config, Sequence: room, Steps: 4, Rounds: b, Student: newSchool(t, b, 4, 1).student, Shares: byDomain}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for want, try := range map[string]func(o OwnOptions) error{
		"rollout.max_tokens": func(o OwnOptions) error { o.Rollout.MaxTokens = room; _, err := NewOwn(o); return err },
		"0 steps":            func(o OwnOptions) error { o.Steps = 0; _, err := NewOwn(o); return err },
		"rollout.ahead: 1":   func(o OwnOptions) error { o.Rollout.Ahead = 1; _, err := NewOwn(o); return err },
		"nobody to teach it": func(o OwnOptions) error { o.Shares = nil; _, err := NewOwn(o); return err },
		"step 4 is not of the stage's 4": func(o OwnOptions) error {
			w, err := NewOwn(o)
			if err == nil {
				_, _, err = w.Prepare(t.Context(), 4)
			}
			return err
		},
		"round 0 is not in the bank": func(o OwnOptions) error { // continued within a round whose file is gone
			w, err := NewOwn(o)
			if err == nil {
				_, _, err = w.Prepare(t.Context(), 1)
			}
			return err
		},
		"round 1: nothing tells": func(o OwnOptions) error {
			w, err := NewOwn(o)
			if err == nil {
				_, _, err = w.Prepare(t.Context(), 2)
			}
			return err
		},
		"the round of step 3 is not prepared": func(o OwnOptions) error {
			w, err := NewOwn(o)
			if err == nil {
				_, _, err = w.Prepare(t.Context(), 0)
			}
			if err == nil {
				_, err = w.Lessons(3)
			}
			return err
		},
		"context canceled": func(o OwnOptions) error {
			w, err := NewOwn(o)
			if err == nil {
				_, _, err = w.Prepare(ctx, 0)
			}
			return err
		},
		"nobody knows it": func(o OwnOptions) error {
			o.Shares = func(*rollout.Question) ([]Share, error) { return nil, errors.New("nobody knows it") }
			w, err := NewOwn(o)
			if err == nil {
				_, _, err = w.Prepare(t.Context(), 0)
			}
			if err == nil {
				_, err = w.Lessons(0)
			}
			return err
		},
	} {
		if err := try(good()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if _, err := Pack([]rollout.Answer{{Question: question(0), Tokens: make([]int32, room)}}, room, byDomain); err == nil {
		t.Error("an answer that does not fit is cut")
	}
}

// Whole vocabularies of two teachers take, on the student's own answers, no more than 1 %
// of the logits that there would be, and the step what was planned for it.
func TestMemoryOfRounds(t *testing.T) {
	const vocab = 24000
	wide := func(width int) *arch.Config {
		c := deepseektest.SmallV4()
		c.VocabSize, c.HiddenSize = vocab, width
		return c
	}
	cfg := wide(deepseektest.SmallV4().HiddenSize)
	student, err := deepseek.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	student.Init(3)
	var teachers []Teacher
	for i, width := range []int{16, 40} {
		teachers = append(teachers, Teacher{Name: fmt.Sprint("expert", i), Config: wide(width), Load: func() (*deepseek.Model, error) {
			m, err := deepseek.NewFrozen(wide(width))
			if err == nil {
				m.Init(uint64(20 + i))
			}
			return m, err
		}})
	}
	b := newBank(1, 1, 1)
	b.config.MaxTokens = 30
	both := func(*rollout.Question) ([]Share, error) { return []Share{{0, .5}, {1, .5}}, nil }
	own, err := NewOwn(OwnOptions{Rollout: b.config, Sequence: room, Steps: 1, Rounds: b, Student: student, Shares: both})
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(t.Context(), Vocabulary{Size: vocab}, teachers, own.Lessons, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, _, err := own.Prepare(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	rows, err := s.Rows(0)
	if err != nil {
		t.Fatal(err)
	}
	tr, err := train.New(train.Config{
		Steps: 1, Slots: 1, MicroRows: len(rows), Recompute: "none", NonFinite: "stop",
		Optimizer: optim.Default(), LR: optim.LRSchedule{Name: "constant", Peak: 0.01},
	}, student, s, len(rows), time.Now)
	if err == nil {
		err = tr.Teach(s, 0)
	}
	if err == nil {
		_, err = tr.Step(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	labels, tokens := int(train.Count(rows).Supervised), 0
	var segments []nn.Segment
	for _, r := range rows {
		for _, g := range r.Segments {
			segments = append(segments, nn.Segment{Start: tokens + g.Start, End: tokens + g.End})
		}
		tokens += len(r.Tokens)
	}
	head := nn.Head{Linear: nn.Linear{Out: vocab}}
	if share := float64(head.DistillFloats(labels, 2, 0, false)) / float64(labels*vocab); share > .01 {
		t.Errorf("%d labels: holds %.3f %% of the logits, want at most 1 %%", labels, 100*share)
	}
	// A plan has a label at every position.
	plan, err := deepseek.PlanStep(cfg, segments, deepseek.StepOptions{Distill: s.Shape(), DistillScale: 1})
	if err != nil {
		t.Fatal(err)
	}
	logits := int64(4 * labels * vocab)
	if peak, _ := student.Peak(); float64(peak) > 1.01*float64(plan.Activations) || logits < 3*peak {
		t.Errorf("the step holds %d bytes, planned %d, all logits of the model alone are %d", peak, plan.Activations, logits)
	}
}
