package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/temper-ml/temper/posttrain/policy/policybench"
	"github.com/temper-ml/temper/train/stepbench"
)

// grpoFlags are the flags of bench step that only reinforcement learning has.
type grpoFlags struct {
	prompts, group, tokens, sequences, updates int
	ahead                                      []int
}

func (f *grpoFlags) add(cmd *cobra.Command) {
	cmd.Flags().IntVar(&f.prompts, "prompts", 8, "grpo: questions of a round")
	cmd.Flags().IntVar(&f.group, "group", 8, "grpo: answers to each")
	cmd.Flags().IntVar(&f.tokens, "answer", 128, "grpo: tokens of an answer")
	cmd.Flags().IntVar(&f.sequences, "sequences", 32, "grpo: answers sampled at a time")
	cmd.Flags().IntVar(&f.updates, "updates", 1, "grpo: optimizer steps of a round")
	cmd.Flags().IntSliceVar(&f.ahead, "ahead", []int{0, 1}, "grpo: 0 samples in turn with the updates, 1 beside them")
}

// run measures rounds.
func (f *grpoFlags) run(ctx context.Context, o stepbench.Options) ([]stepbench.Result, error) {
	return policybench.Run(ctx, policybench.Options{
		Model: o.Model, Load: o.Load, Rounds: o.Steps, Prompts: f.prompts, Group: f.group, Tokens: f.tokens, Sequences: f.sequences,
		Updates: f.updates, MicroRows: o.MicroRows, Sequence: o.Sequence, Optimizer: o.Optimizer, Recompute: o.Recompute, Ahead: f.ahead,
	})
}
