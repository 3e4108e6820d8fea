package policy_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/temper-ml/temper/data"
	"github.com/temper-ml/temper/internal/detrand"
	"github.com/temper-ml/temper/internal/durable"
	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/model/deepseek/deepseektest"
	"github.com/temper-ml/temper/model/generate"
	"github.com/temper-ml/temper/posttrain/grpo"
	"github.com/temper-ml/temper/posttrain/policy"
	"github.com/temper-ml/temper/posttrain/reward"
	"github.com/temper-ml/temper/posttrain/rollout"
	"github.com/temper-ml/temper/report/record/digest"
	"github.com/temper-ml/temper/train"
	"github.com/temper-ml/temper/train/optim"
)

// bank is Rounds in memory. An answer is worth the share of its tokens that are the
// first of its question. The bank outlives the stages that use it, as a disk does.
type bank struct {
	mu       sync.Mutex
	config   rollout.Config
	dynamic  bool
	routing  bool
	rounds   map[int64]*rollout.Round
	fail     func(a *rollout.Answer) bool // verdicts that no rule gives
	before   func(ctx context.Context, number int64) error
	sequence int // engine's sequences
}

func newBank(c rollout.Config) *bank {
	return &bank{config: c, rounds: map[int64]*rollout.Round{}, sequence: 4}
}

// question returns the tokens of the question at a cursor.
func question(cursor int64) []int32 {
	s := detrand.Key(5, "questions", uint64(cursor))
	q := make([]int32, 1+s.Uint64nAt(0, 4))
	for i := range q {
		q[i] = int32(2 + s.Uint64nAt(uint64(1+i), 3))
	}
	return q
}

func (b *bank) Sample(ctx context.Context, m *deepseek.Model, d digest.Digest, number, first int64) (*rollout.Round, error) {
	b.mu.Lock()
	r := b.rounds[number]
	b.mu.Unlock()
	switch {
	case r != nil && !d.IsZero() && r.Policy != d:
		return nil, fmt.Errorf("round %d is of policy %s, not %s", number, r.Policy, d)
	case r != nil:
		return clone(r), nil
	case m == nil:
		return nil, fmt.Errorf("nothing samples round %d", number)
	}
	if b.before != nil {
		if err := b.before(ctx, number); err != nil {
			return nil, err
		}
	}
	r = &rollout.Round{Number: number, First: first, Used: int64(b.config.Prompts), Policy: d}
	if err := b.answer(ctx, m, r); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rounds[number] = r
	return clone(r), nil
}

func (b *bank) answer(ctx context.Context, m *deepseek.Model, r *rollout.Round) error {
	c := &b.config
	var requests []generate.Request
	for i := range r.Used {
		q := &rollout.Question{Question: data.Question{Tokens: question(r.First + i)}, Index: int(r.First + i)}
		for k := range c.Group {
			r.Answers = append(r.Answers, rollout.Answer{Question: q, Cursor: r.First + i, Sample: k})
			requests = append(requests, generate.Request{Prompt: q.Tokens, MaxTokens: c.MaxTokens, Routing: b.routing, Sampling: generate.Sampling{
				Temperature: c.Temperature, TopP: c.TopP, TopK: c.TopK, Seed: 7, Prompt: uint64(r.First + i), Sample: uint64(k),
			}})
		}
	}
	e, err := generate.New(m, generate.Options{Sequences: b.sequence})
	if err != nil {
		return err
	}
	results, err := e.Run(ctx, requests, nil)
	if err != nil {
		return err
	}
	for i, res := range results {
		a := &r.Answers[i]
		right := 0
		for _, t := range res.Tokens {
			a.Tokens = append(a.Tokens, t.ID)
			a.LogProb = append(a.LogProb, t.LogProb)
			a.Sampled = append(a.Sampled, t.Sampled)
			if t.ID == a.Question.Tokens[0] {
				right++
			}
		}
		a.Reason, a.Routes = res.Reason, res.Routes
		a.Verdict = reward.Verdict{Total: float64(right) / float64(len(a.Tokens))}
		a.Verdict.Failed = b.fail != nil && b.fail(a)
	}
	for lo := 0; lo < len(r.Answers); lo += c.Group {
		g := rollout.Group{Question: r.Answers[lo].Question, Cursor: r.Answers[lo].Cursor, Answers: r.Answers[lo : lo+c.Group]}
		_, rewards := g.Judged()
		switch {
		case len(rewards) < 2:
			g.Dropped = rollout.Unjudged
		case b.dynamic && grpo.Flat(rewards):
			g.Dropped = rollout.Flat
		}
		r.Groups = append(r.Groups, g)
	}
	return nil
}

// clone is a round as another process reads it.
func clone(r *rollout.Round) *rollout.Round {
	c := *r
	c.Answers, c.Groups = slices.Clone(r.Answers), slices.Clone(r.Groups)
	at := 0
	for i := range c.Groups {
		n := len(c.Groups[i].Answers)
		c.Groups[i].Answers = c.Answers[at : at+n]
		at += n
	}
	return &c
}

func (b *bank) Read(number int64) (*rollout.Round, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch r := b.rounds[number]; {
	case r == nil:
		return nil, fmt.Errorf("round %d: %w", number, os.ErrNotExist)
	case !r.Sealed:
		return nil, fmt.Errorf("round %d is %w", number, rollout.ErrUnsealed)
	default:
		return clone(r), nil
	}
}

func (b *bank) Amend(r *rollout.Round, answers ...int) error {
	for _, i := range answers {
		if a := &r.Answers[i]; a.Old == nil && a.Reference == nil {
			return fmt.Errorf("answer %d has nothing to amend", i)
		}
	}
	return nil
}

func (b *bank) Seal(r *rollout.Round) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	r.Sealed = true
	b.rounds[r.Number] = clone(r)
	return nil
}

// setup is a stage of the task of a bank.
type setup struct {
	arch    *arch.Config
	loss    grpo.Config
	rollout rollout.Config
	train   train.Config
	notes   []string
	dir     string
	fs      durable.FS
}

// newSetup returns a stage of a variant; change may change it before defaults follow
// from its rounds.
func newSetup(t testing.TB, variant string, steps int64, change func(*setup)) *setup {
	t.Helper()
	s := &setup{
		arch:    deepseektest.SmallV4(),
		rollout: rollout.Config{Prompts: 4, Group: 8, MaxTokens: 6, Temperature: 1, TopP: 1, Updates: 1, Epochs: 1, Waves: 1, Sequences: 4},
		train: train.Config{
			Steps: steps, Slots: 2, MicroRows: 1, Recompute: "none", NonFinite: "stop",
			Optimizer: optim.Default(), LR: optim.LRSchedule{Name: "constant", Peak: 0.03},
			Router: train.Router{Train: true},
		},
		dir: t.TempDir(),
	}
	s.train.Optimizer.Name = "adamw"
	s.train.Optimizer.AdamW.Epsilon = 1e-8
	if change != nil {
		change(s)
	}
	var err error
	if s.loss, err = policy.Default(variant, &s.rollout); err != nil {
		t.Fatal(err)
	}
	return s
}

const sequence = 24

// job is a stage of a setup in progress.
type job struct {
	*setup
	model   *deepseek.Model
	anchor  *deepseek.Model
	stage   *policy.Stage
	trainer *train.Trainer
}

func newModel(t testing.TB, c *arch.Config) *deepseek.Model {
	t.Helper()
	m, err := deepseek.New(c)
	if err != nil {
		t.Fatal(err)
	}
	m.Init(3)
	return m
}

// begin opens a stage at step 0 with the weights of m.
func (s *setup) begin(t testing.TB, m *deepseek.Model, b policy.Rounds) *job {
	t.Helper()
	j := &job{setup: s, model: m}
	o := policy.Options{
		Loss: s.loss, Rollout: s.rollout, Sequence: sequence, Steps: s.train.Steps, Rounds: b, Policy: m, Dir: s.dir, FS: s.fs,
		Cursor: func(round int64) (int64, error) { return round * int64(s.rollout.Prompts), nil },
		Note:   func(n string) { s.notes = append(s.notes, n) },
	}
	var err error
	if s.loss.KL.Weight > 0 {
		j.anchor = newModel(t, s.arch)
		o.Anchor = j.anchor
	}
	if j.stage, err = policy.New(o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(j.stage.Close)
	if j.trainer, err = train.New(s.train, m, j.stage, 8, func() time.Time { return time.Unix(0, 0) }); err != nil {
		t.Fatal(err)
	}
	j.trainer.Objective(j.stage)
	return j
}

// step takes one step.
func (j *job) step(ctx context.Context) (train.Result, error) {
	taken, _ := j.trainer.Steps()
	if _, _, err := j.stage.Prepare(ctx, taken); err != nil {
		return train.Result{}, err
	}
	return j.trainer.Step(ctx)
}

// run takes all steps.
func (j *job) run(t testing.TB) []train.Result {
	t.Helper()
	var out []train.Result
	for !j.trainer.Done() {
		r, err := j.step(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, r)
	}
	return out
}

// weights are the bits of a model's parameters.
func weights(t testing.TB, m *deepseek.Model) digest.Digest {
	t.Helper()
	d, err := train.ParametersDigest(m)
	if err != nil {
		t.Fatal(err)
	}
	return d
}
