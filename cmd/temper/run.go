package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/temper-ml/temper/recipe"
	"github.com/temper-ml/temper/recipe/execution"
)

func newRunCmd() *cobra.Command {
	var (
		out            string
		resume, asJSON bool
		overrides      []string
	)
	cmd := &cobra.Command{
		Use:   "run RECIPE.yaml",
		Short: "carry out a recipe: train, evaluate, save, export",
		Long: `Carries out a recipe in a run directory. Ctrl-C, a kill or a crash leave a
run that --resume continues with the same bits.

With --json the last line of standard output is one object: run, steps, tokens,
loss_first, loss_last, tokens_per_second, mfu, wall_seconds, weights_digest,
stages (name, steps, loss_first, loss_last, tokens, seconds, metrics), eval.`,
		Args: exactArgs(1, "a recipe"),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := recipe.Load(args[0], overrides)
			if err != nil {
				return usageError{err}
			}
			if out == "" {
				out = "runs/" + r.Name
			}
			p := newProgress(cmd.ErrOrStderr())
			s, err := execution.Run(cmd.Context(), r, execution.Options{Dir: out, Resume: resume, Observer: p, Now: time.Now})
			p.Close()
			if errors.Is(err, execution.ErrInterrupted) {
				return fmt.Errorf("%w: continue with --resume --out %s", err, out)
			}
			if err != nil {
				return err
			}
			return printSummary(cmd.OutOrStdout(), s, asJSON)
		},
	}
	f := cmd.Flags()
	f.StringVar(&out, "out", "", "run directory (default runs/NAME)")
	f.BoolVar(&resume, "resume", false, "continue the run that the directory holds")
	f.BoolVar(&asJSON, "json", false, "print the summary as one JSON object")
	f.StringArrayVar(&overrides, "set", nil, "override a field: --set stages[0].lr.peak=1e-3 (repeatable)")
	return cmd
}

// printSummary prints what a run came to.
func printSummary(w io.Writer, s *execution.Summary, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(s)
	}
	return summaryText(w, s)
}
