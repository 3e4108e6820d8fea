package policybench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/compute/kernel/kernelbench"
	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/posttrain/policy"
	"github.com/temper-ml/temper/posttrain/rollout"
	"github.com/temper-ml/temper/train"
	"github.com/temper-ml/temper/train/optim"
	"github.com/temper-ml/temper/train/stepbench"
)

// Options say what to measure.
type Options struct {
	// Model is the architecture; nil is the built-in bench-v4. Load, if not nil, fills
	// the parameters instead of a random initialisation.
	Model *arch.Config
	Load  func(*deepseek.Model) error
	// Rounds are measured, after one that is not.
	Rounds int
	// Prompts × Group answers of up to Tokens tokens make a round, Sequences of them
	// are sampled at a time, Updates steps learn them, MicroRows rows of Sequence
	// tokens at once.
	Prompts, Group, Tokens, Sequences int
	Updates, MicroRows, Sequence      int
	Optimizer, Recompute              string
	// Ahead lists what is measured: 0 samples in turn with the updates, 1 beside them.
	Ahead []int
}

// Run measures. Nothing else should run on the machine.
func Run(ctx context.Context, o Options) ([]stepbench.Result, error) {
	if o.Model == nil {
		var err error
		if o.Model, err = arch.Builtin("bench-v4"); err != nil {
			return nil, err
		}
	}
	if o.Rounds < 1 || len(o.Ahead) == 0 {
		return nil, errors.New("policybench: rounds must be at least 1, and ahead must list 0, 1 or both")
	}
	if kernelbench.Worked() == 0 {
		return nil, errors.New("policybench: this system does not tell how long the cores worked")
	}
	var out []stepbench.Result
	for _, ahead := range o.Ahead {
		rs, err := measure(ctx, &o, ahead)
		if err != nil {
			return nil, err
		}
		out = append(out, rs...)
	}
	return out, nil
}

// measure measures one way of sampling.
func measure(ctx context.Context, o *Options, ahead int) ([]stepbench.Result, error) {
	dir, err := os.MkdirTemp("", "policybench")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	j, err := open(ctx, o, ahead, dir)
	if err != nil {
		return nil, err
	}
	defer j.close()
	s := &samples{ahead: ahead}
	for i := range o.Rounds + 1 {
		r, err := j.round(ctx)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			s.add(r)
		}
	}
	return s.results(), nil
}

// job is a stage in progress.
type job struct {
	o       *Options
	sampler *rollout.Sampler
	stage   *policy.Stage
	trainer *train.Trainer
}

func open(ctx context.Context, o *Options, ahead int, dir string) (*job, error) {
	config := rollout.Default("grpo")
	config.Prompts, config.Group, config.MaxTokens, config.Sequences = o.Prompts, o.Group, o.Tokens, o.Sequences
	config.Updates, config.Ahead = o.Updates, ahead
	if err := config.Check("grpo", o.Sequence); err != nil {
		return nil, fmt.Errorf("policybench: %w", err)
	}
	loss, err := policy.Default("grpo", &config)
	if err != nil {
		return nil, err
	}
	questions, rules, err := task(ctx, o, dir)
	if err != nil {
		return nil, err
	}
	j := &job{o: o}
	old, reference := policy.Needs(&loss)
	if j.sampler, err = rollout.NewSampler(rollout.Options{
		Config: config, Questions: questions, Rewards: rules, Old: old, Reference: reference,
		Seed: rollout.Seed(1, "bench"), Dir: filepath.Join(dir, "rollouts"), Now: time.Now,
	}); err != nil {
		return nil, err
	}
	m, err := deepseek.New(o.Model)
	if err != nil {
		return nil, errors.Join(err, j.sampler.Close())
	}
	m.Init(1)
	if o.Load != nil {
		err = o.Load(m)
	}
	steps := int64(o.Rounds+2) * config.Steps() // a round is being sampled when the last is measured
	if err == nil {
		j.stage, err = policy.New(policy.Options{
			Loss: loss, Rollout: config, Sequence: o.Sequence, Steps: steps, Rounds: j.sampler, Policy: m, Dir: dir,
		})
	}
	if err == nil {
		j.trainer, err = train.New(o.training(steps), m, j.stage, o.Prompts*o.Group, time.Now)
	}
	if err == nil {
		j.trainer.Objective(j.stage)
		err = j.trainer.Reserve(o.Sequence)
	}
	if err != nil {
		j.close()
		return nil, err
	}
	return j, nil
}

func (o *Options) training(steps int64) train.Config {
	c := train.Config{
		Steps: steps, Slots: 1, MicroRows: o.MicroRows, Recompute: o.Recompute, NonFinite: "stop",
		Optimizer: optim.Default(), LR: optim.LRSchedule{Name: "constant", Peak: 1e-6},
		Loss: train.Loss{Balance: 1e-4}, Router: train.Router{Train: true},
	}
	c.Optimizer.Name = o.Optimizer
	c.Optimizer.AdamW.Epsilon = 1e-8
	return c
}

func (j *job) close() {
	if j.stage != nil {
		j.stage.Close()
	}
	_ = j.sampler.Close()
}

// measured is what a round took.
type measured struct {
	sampling, updates span
	answers, learnt   int64 // tokens: of answers, and that went through the updates
}

// span is a time, and how long threads were at work in it.
type span struct{ wall, worked time.Duration }

// since returns what went by from a moment on.
func since(start time.Time, worked time.Duration) span {
	return span{time.Since(start), kernelbench.Worked() - worked}
}

// round takes a round and its steps.
func (j *job) round(ctx context.Context) (m measured, err error) {
	for {
		taken, _ := j.trainer.Steps()
		start, worked := time.Now(), kernelbench.Worked()
		r, fresh, err := j.stage.Prepare(ctx, taken)
		if err != nil {
			return m, err
		}
		m.sampling.add(since(start, worked))
		if fresh {
			for i := range r.Answers {
				m.answers += int64(len(r.Answers[i].Tokens))
			}
		}
		start, worked = time.Now(), kernelbench.Worked()
		result, err := j.trainer.Step(ctx)
		if err != nil {
			return m, err
		}
		m.updates.add(since(start, worked))
		m.learnt += result.Counts.Tokens
		if (taken+1)%int64(j.o.Updates) == 0 {
			return m, nil
		}
	}
}

func (s *span) add(o span) { s.wall, s.worked = s.wall+o.wall, s.worked+o.worked }

// idle is the share of the cores' time in which no thread was at work, in %: those that
// wait awake for others are not.
func (s *span) idle() float64 {
	return 100 * max(0, 1-s.worked.Seconds()/(s.wall.Seconds()*float64(kernel.Threads())))
}

// samples collects one value of each quantity a round.
type samples struct {
	ahead                                int
	sampling, updates, all               []float64 // tokens a second
	seconds                              []float64
	samplingIdle, updatesIdle, roundIdle []float64
}

func (s *samples) add(m measured) {
	round := m.sampling
	round.add(m.updates)
	s.seconds = append(s.seconds, round.wall.Seconds())
	s.all = append(s.all, float64(m.answers)/round.wall.Seconds())
	s.sampling = append(s.sampling, float64(m.answers)/m.sampling.wall.Seconds())
	s.updates = append(s.updates, float64(m.learnt)/m.updates.wall.Seconds())
	s.samplingIdle = append(s.samplingIdle, m.sampling.idle())
	s.updatesIdle = append(s.updatesIdle, m.updates.idle())
	s.roundIdle = append(s.roundIdle, round.idle())
}

func (s *samples) results() []stepbench.Result {
	name := fmt.Sprintf("grpo/ahead=%d", s.ahead)
	out := []stepbench.Result{
		summary(name, "answer token/s", s.all, false),
		summary(name+"/round", "s", s.seconds, true),
		summary(name+"/idle", "% of the cores", s.roundIdle, true),
	}
	if s.ahead == 0 { // beside each other, neither has a time of its own
		out = append(out,
			summary(name+"/rollout", "answer token/s", s.sampling, false), summary(name+"/rollout/idle", "% of the cores", s.samplingIdle, true),
			summary(name+"/update", "token/s", s.updates, false), summary(name+"/update/idle", "% of the cores", s.updatesIdle, true))
	}
	return out
}

// summary summarises samples by their best.
func summary(name, unit string, x []float64, least bool) stepbench.Result {
	x = slices.Sorted(slices.Values(x))
	r := stepbench.Result{Name: name, Unit: unit, Value: x[len(x)-1], Min: x[0], Median: x[len(x)/2], N: len(x)}
	if least {
		r.Value = r.Min
	}
	return r
}
