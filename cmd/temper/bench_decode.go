package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/temper-ml/temper/model/generate/decodebench"
	"github.com/temper-ml/temper/train/stepbench"
)

// decodeFlags are the flags of bench step that only decoding has.
type decodeFlags struct {
	prompt, tokens int
	batches        []int
	speculate      bool
	latent         bool
}

func (f *decodeFlags) add(cmd *cobra.Command) {
	cmd.Flags().IntVar(&f.prompt, "prompt", 128, "decode: tokens of a prompt")
	cmd.Flags().IntVar(&f.tokens, "tokens", 16, "decode: tokens of a sample, of each sequence")
	cmd.Flags().IntSliceVar(&f.batches, "batch", []int{1, 8, 32}, "decode: sequences that decode together")
	cmd.Flags().BoolVar(&f.speculate, "speculate", false, "decode: draft with the mtp block")
	cmd.Flags().BoolVar(&f.latent, "latent", false, "decode: keep V3's latent vectors only")
}

// run measures decoding.
func (f *decodeFlags) run(ctx context.Context, o stepbench.Options) ([]stepbench.Result, error) {
	results, err := decodebench.Run(ctx, decodebench.Options{
		Model: o.Model, Load: o.Load, Prompt: f.prompt, Tokens: f.tokens, Samples: o.Steps, Batches: f.batches, Speculate: f.speculate, Latent: f.latent,
	})
	if err != nil {
		return nil, err
	}
	var out []stepbench.Result
	for _, r := range results {
		out = append(out, stepbench.Result(r))
	}
	return out, nil
}
