package execution

import (
	"context"
	"fmt"

	"github.com/temper-ml/temper/data/tokenizer"
	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/model/generate"
	"github.com/temper-ml/temper/posttrain/pack"
	"github.com/temper-ml/temper/posttrain/policy"
	"github.com/temper-ml/temper/posttrain/reward"
	"github.com/temper-ml/temper/posttrain/rollout"
	"github.com/temper-ml/temper/recipe"
	"github.com/temper-ml/temper/train"
)

// CheckedAnswers is what a stage needs that learns from the model's own answers, if
// every answer is as long as it may be and every round asks as often as it may.
type CheckedAnswers struct {
	Questions int   `json:"questions"`
	Rounds    int64 `json:"rounds"`
	// Generations and Tokens are those of a round.
	Generations int64 `json:"generations"`
	Tokens      int64 `json:"tokens"`
	// FLOPs are those of sampling in the whole stage, and of whatever else reads the
	// answers forward only.
	FLOPs float64 `json:"flops"`
	// Engine is what sampling takes, Weights are further sets of parameters and what
	// reading with them takes, Kept the rounds in memory.
	Engine  generate.Memory `json:"engine"`
	Weights policy.Memory   `json:"weights"`
	Kept    int64           `json:"kept"`
	// Memory is what all this takes beside training: the engine's scratch memory is
	// training's, but for rounds ahead.
	Memory int64 `json:"memory"`
	// Bytes are those of the rounds' files, about, and of the weights that the stage
	// began with, if they are kept.
	Bytes int64 `json:"bytes"`
}

// checkAsking checks a stage that learns from the model's own answers.
func checkAsking(ctx context.Context, r *recipe.Recipe, i int, tok *tokenizer.Tokenizer, cfg *arch.Config) (*CheckedStage, error) {
	s := &r.Stages[i]
	d, err := r.StageData(i)
	if err != nil {
		return nil, err
	}
	specs, err := r.StageRewards(i)
	if err != nil {
		return nil, err
	}
	if len(specs) > 0 {
		if _, err := reward.New(specs); err != nil {
			return nil, err
		}
	}
	q, held, report, err := rollout.Load(ctx, d, tok, s.Rollout.MaxTokens, r.Seed)
	if err != nil {
		return nil, err
	}
	c := s.Rollout
	if n := q.Longest(); n+1 > cfg.MaxPositions {
		return nil, fmt.Errorf("a question has %d tokens, the model %d positions: there is no room for an answer", n, cfg.MaxPositions)
	}
	out := &CheckedStage{Name: s.Name, Method: s.Method, Steps: s.Steps, Data: *report}
	if held != nil {
		out.HeldOut = held.Len()
	}
	waves := int64(1)
	if s.GRPO != nil && s.GRPO.Dynamic {
		waves = int64(c.Waves)
	}
	a := &CheckedAnswers{Questions: q.Len(), Rounds: s.Steps / c.Steps(), Generations: waves * int64(c.Prompts) * int64(c.Group)}
	a.Tokens = a.Generations * int64(c.MaxTokens)
	out.Answers = a
	if s.Teaching() != nil {
		t, err := out.meet(ctx, r, s, tok, cfg)
		if err == nil {
			err = out.study(t, s, d.Files, q, held)
		}
		if err != nil {
			return nil, err
		}
	}
	if err := out.learn(s, cfg, q); err != nil {
		return nil, err
	}
	if err := a.sampling(s, cfg, q); err != nil {
		return nil, err
	}
	a.Memory = a.Engine.Cache + a.Engine.Sequences + a.Engine.Logits + a.Weights.Total() + a.Kept
	if c.Ahead > 0 {
		a.Memory += a.Engine.Scratch
	} else {
		a.Memory += max(0, a.Engine.Scratch-out.Memory.Activations)
	}
	return out, nil
}

// learn builds the steps of a round whose answers are all as long as they may be.
func (out *CheckedStage) learn(s *recipe.Stage, cfg *arch.Config, q *rollout.Questions) error {
	c := s.Rollout
	answer := make([]int32, c.MaxTokens)
	var steps [][]train.Row
	for step := range min(checkSteps, c.Updates) {
		p := pack.Packer{Room: s.Data.Sequence}
		for k := c.Prompts * step / c.Updates; k < max(1, c.Prompts*(step+1)/c.Updates); k++ {
			for range c.Group {
				if _, err := p.Add(q.At(int64(k)).Tokens, answer); err != nil {
					return err
				}
			}
		}
		if len(p.Rows) == 0 {
			continue
		}
		steps = append(steps, p.Rows)
		out.FLOPs += train.FLOPs(s.Config, cfg, p.Rows)
	}
	out.FLOPs *= float64(s.Steps) / float64(len(steps))
	var err error
	out.Memory, err = train.PlanMemory(s.Config, cfg, steps, 0, out.taught)
	return err
}

// sampling counts what sampling takes.
func (a *CheckedAnswers) sampling(s *recipe.Stage, cfg *arch.Config, q *rollout.Questions) (err error) {
	c := s.Rollout
	a.Engine, err = generate.PlanMemory(cfg, generate.Options{
		Context: min(cfg.MaxPositions, q.Longest()+c.MaxTokens), Sequences: min(c.Sequences, c.Prompts*c.Group), Speculate: c.Speculate, Latent: c.Latent,
	})
	if err != nil {
		return err
	}
	var routes, coded int64            // of an answer, in memory and at most in a file
	perToken, passes := int64(12), 1.0 // id, log-probability, and their share of a frame
	if !c.Plain() {
		perToken += 4
	}
	if g := s.GRPO; g != nil {
		if a.Weights, err = policy.PlanMemory(cfg, g, c, s.Data.Sequence); err != nil {
			return err
		}
		if g.KL.Weight > 0 {
			perToken, passes, a.Bytes = perToken+4, passes+1, a.Weights.Anchor
		}
		if g.Old == "computed" {
			perToken, passes = perToken+4, passes+1
		}
		if g.Replay {
			routes, coded = deepseek.RoutesBytes(cfg, min(cfg.MaxPositions, q.Longest()+c.MaxTokens), !g.ExpertsOnly)
		}
	}
	const perAnswer = 256 // a verdict with its reasons
	round := a.Tokens*perToken + a.Generations*(perAnswer+coded)
	a.Kept = int64(1+c.Ahead) * (2*a.Tokens*perToken + a.Generations*(perAnswer+routes))
	kept := a.Rounds
	if c.Keep > 0 {
		kept = min(kept, int64(c.Keep+1+c.Ahead))
	}
	a.Bytes += kept * round
	var w arch.Work
	for k := range c.Prompts {
		w.Lengths = append(w.Lengths, len(q.At(int64(k)).Tokens)+c.MaxTokens)
	}
	w.Supervised = []int64{int64(c.Prompts) * int64(c.MaxTokens)}
	each := float64(a.Generations) / float64(c.Prompts)
	a.FLOPs = cfg.FLOPs(w).Forward() * each * passes * float64(a.Rounds)
	return nil
}
