package opd

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/temper-ml/temper/internal/detrand"
	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/model/deepseek/deepseektest"
	"github.com/temper-ml/temper/model/generate"
	"github.com/temper-ml/temper/train"
	"github.com/temper-ml/temper/train/optim"
)

// questions are twelve short ones of two domains, the same at every step.
func questions(int64) ([]Prompt, error) {
	out := make([]Prompt, 12)
	for i := range out {
		s := detrand.Key(9, "question", uint64(i))
		for at := range 3 + i%4 {
			out[i].Tokens = append(out[i].Tokens, int32(s.Uint64nAt(uint64(at), uint64(vocabulary.Size))))
		}
		out[i].Shares = []Share{{i % 2, 1}}
	}
	return out, nil
}

// school is a student that learns from its own answers.
type school struct {
	student *deepseek.Model
	trainer *train.Trainer
	told    []Answers
}

func newSchool(t *testing.T, steps int64, micro int, e generate.Options) *school {
	t.Helper()
	s := &school{}
	var err error
	if s.student, err = deepseek.New(deepseektest.SmallV4()); err != nil {
		t.Fatal(err)
	}
	s.student.Init(3)
	lessons, err := OnPolicy(t.Context(), s.student, Rollouts{
		Prompts: questions, Sampling: generate.Sampling{Temperature: 1, Seed: 5}, MaxTokens: 12, Sequence: 40, Engine: e,
		Tell: func(a Answers) { s.told = append(s.told, a) },
	})
	if err != nil {
		t.Fatal(err)
	}
	stage := newStage(t, lessons, Options{})
	s.trainer, err = train.New(train.Config{
		Steps: steps, Slots: 2, MicroRows: micro, Recompute: "none", NonFinite: "stop",
		Optimizer: optim.Default(), LR: optim.LRSchedule{Name: "constant", Peak: 0.015},
	}, s.student, stage, 4, func() time.Time { return time.Unix(0, 0) })
	if err == nil {
		err = s.trainer.Teach(stage, 0)
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
		r, err := s.trainer.Step(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, r.Terms["divergence"])
	}
	return out
}

// A student that learns from two teachers on its own answers comes nearer to both, by the
// same bits whatever the engine does at a time, and after an interruption.
func TestOnPolicy(t *testing.T) {
	const steps = 8
	whole := newSchool(t, steps, 1, generate.Options{})
	want := whole.learn(t, steps)
	t.Logf("divergences %.4f, first answers %+v", want, whole.told[0])
	for i := 4; i < steps; i++ {
		if !(want[i] < want[i-4]) {
			t.Errorf("divergence goes from %.4f to %.4f between steps %d and %d", want[i-4], want[i], i-4, i)
		}
	}
	if want[steps-1] > .85*want[0] {
		t.Errorf("divergence only goes from %.4f to %.4f", want[0], want[steps-1])
	}
	other := newSchool(t, steps, 3, generate.Options{Sequences: 2, StepTokens: 5})
	if got := other.learn(t, steps); !slices.Equal(got, want) {
		t.Errorf("with another engine and micro-batches: divergences %.4f", got)
	}
	first := newSchool(t, steps, 1, generate.Options{})
	got := first.learn(t, steps/2)
	second := newSchool(t, steps, 1, generate.Options{}) // resumed
	for i, p := range second.student.Params() {
		copy(p.Data, first.student.Params()[i].Data)
	}
	for i, slot := range second.trainer.Optimizer().Slots() {
		copy(slot.Data, first.trainer.Optimizer().Slots()[i].Data)
	}
	if err := second.trainer.Resume(steps/2, 0, steps/2); err != nil {
		t.Fatal(err)
	}
	if got = append(got, second.learn(t, steps)...); !slices.Equal(got, want) {
		t.Errorf("after an interruption: divergences %.4f", got)
	}
}

// Rows hold questions and answers as they are, only answers are learnt, and what the
// engine says of a token is what the student says in training: the policy is on-policy.
func TestAnswersBecomeRows(t *testing.T) {
	s := newSchool(t, 1, 1, generate.Options{})
	r := Rollouts{Prompts: questions, Sampling: generate.Sampling{Temperature: 1, Seed: 5}, MaxTokens: 12, Sequence: 40}
	lessons, err := r.answer(t.Context(), s.student, 7)
	if err != nil {
		t.Fatal(err)
	}
	prompts, _ := questions(7)
	at := 0
	sorted := order(prompts)
	for i := range lessons {
		l := &lessons[i]
		if err := l.check(threeTeachers(t)); err != nil || len(l.Row.Tokens) > 40 || len(l.teachers()) != 1 {
			t.Fatalf("row %d: %v, %d tokens, teachers %v", i, err, len(l.Row.Tokens), l.teachers())
		}
		logp, err := s.student.LogProbs(l.part([]int32{0}))
		if err != nil {
			t.Fatal(err)
		}
		for j, seg := range l.Row.Segments {
			q := &prompts[sorted[at]]
			tokens := l.Row.Tokens[seg.Start:seg.End]
			if !slices.Equal(tokens[:len(q.Tokens)], q.Tokens) || l.Shares[j][0] != q.Shares[0] {
				t.Fatalf("row %d, segment %d is not question %d", i, j, sorted[at])
			}
			for p := range tokens {
				want, next := int32(-1), int32(-1)
				if p+1 >= len(q.Tokens) && p+1 < len(tokens) {
					want = tokens[p+1]
				}
				if p+2 >= len(q.Tokens) && p+2 < len(tokens) {
					next = tokens[p+2]
				}
				if l.Row.Labels[seg.Start+p] != want || l.Row.MTPLabels[seg.Start+p] != next {
					t.Fatalf("row %d: labels of position %d are %d and %d, want %d and %d", i, seg.Start+p, l.Row.Labels[seg.Start+p], l.Row.MTPLabels[seg.Start+p], want, next)
				}
			}
			if j == 0 {
				s.sameLogProbs(t, q, uint64(sorted[at]), logp)
			}
			at++
		}
	}
	if at != len(prompts) {
		t.Errorf("%d of %d answers are in rows", at, len(prompts))
	}
}

// sameLogProbs generates one answer alone and compares.
func (s *school) sameLogProbs(t *testing.T, q *Prompt, number uint64, logp []float32) {
	t.Helper()
	e, err := generate.New(s.student, generate.Options{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := e.Run(t.Context(), []generate.Request{{
		Prompt: q.Tokens, MaxTokens: 12, Sampling: generate.Sampling{Temperature: 1, Seed: 5, Prompt: number, Sample: 7},
	}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for k, token := range got[0].Tokens {
		if p := len(q.Tokens) - 1 + k; logp[p] != token.LogProb {
			t.Errorf("question %d, token %d: log-probability %v where it was drawn, %v in training", number, k, token.LogProb, logp[p])
		}
	}
}

func TestRolloutsRefuse(t *testing.T) {
	s := newSchool(t, 1, 1, generate.Options{})
	good := Rollouts{Prompts: questions, Sampling: generate.Sampling{Temperature: 1}, MaxTokens: 12, Sequence: 40}
	for want, spoil := range map[string]func(r *Rollouts){
		"no questions":                           func(r *Rollouts) { r.Prompts = nil },
		"answers of up to 40 tokens":             func(r *Rollouts) { r.MaxTokens = 40 },
		"temperature is -1":                      func(r *Rollouts) { r.Temperature = -1 },
		"question 3 has 6 tokens, with up to 36": func(r *Rollouts) { r.MaxTokens = 36; r.Sequence = 41 },
		"out of questions": func(r *Rollouts) {
			r.Prompts = func(int64) ([]Prompt, error) { return nil, errors.New("out of questions") }
		},
		"outside the vocabulary": func(r *Rollouts) {
			r.Prompts = func(int64) ([]Prompt, error) { return []Prompt{{Tokens: []int32{1 << 20}}}, nil }
		},
	} {
		r := good
		spoil(&r)
		lessons, err := OnPolicy(t.Context(), s.student, r)
		if err == nil {
			_, err = lessons(0)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	lessons, err := OnPolicy(ctx, s.student, good)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lessons(0); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want the context's end", err)
	}
}
