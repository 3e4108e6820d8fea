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
		out, metrics   string
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
signer, stages (name, steps, loss_first, loss_last, tokens, seconds, metrics, and
rollouts of stages that learn from the model's own answers: rounds, prompts,
generations, tokens, seconds, reward_first, reward_last), eval.`,
		Args: exactArgs(1, "a recipe"),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := recipe.Load(args[0], overrides)
			if err != nil {
				return usageError{err}
			}
			if out == "" {
				out = "runs/" + r.Name
			}
			if metrics != "" {
				stop, err := serveBeside(cmd, metrics, out)
				if err != nil {
					return err
				}
				defer stop()
			}
			s, err := carryOut(cmd, r, out, resume)
			if errors.Is(err, execution.ErrInterrupted) {
				return fmt.Errorf("%w: continue with --resume --out %s", err, out)
			}
			if err != nil {
				return err
			}
			return errors.Join(printSummary(cmd.OutOrStdout(), s, asJSON), attestRun(cmd, r, out, asJSON))
		},
	}
	f := cmd.Flags()
	f.StringVar(&out, "out", "", "run directory (default runs/NAME)")
	f.BoolVar(&resume, "resume", false, "continue the run that the directory holds")
	f.StringVar(&metrics, "metrics", "", "address to serve the run's metrics and dashboard at while it goes on, such as 127.0.0.1:9464")
	f.BoolVar(&asJSON, "json", false, "print the summary as one JSON object")
	f.StringArrayVar(&overrides, "set", nil, "override a field: --set stages[0].lr.peak=1e-3 (repeatable)")
	return cmd
}

// carryOut runs a recipe, signed with the key that is its, and shows how it goes.
func carryOut(cmd *cobra.Command, r *recipe.Recipe, dir string, resume bool) (*execution.Summary, error) {
	key, note, err := execution.Key(r, dir)
	if err != nil {
		return nil, err
	}
	if note != "" {
		fmt.Fprintln(cmd.ErrOrStderr(), "temper: note:", note)
	}
	p := newProgress(cmd.ErrOrStderr())
	defer p.Close()
	return execution.Run(cmd.Context(), r, execution.Options{Dir: dir, Resume: resume, Key: key, Observer: p, Now: time.Now})
}

// printSummary prints what a run came to.
func printSummary(w io.Writer, s *execution.Summary, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(s)
	}
	return summaryText(w, s)
}
