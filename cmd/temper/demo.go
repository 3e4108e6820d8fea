package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/temper-ml/temper/recipe"
	"github.com/temper-ml/temper/recipe/demo"
	"github.com/temper-ml/temper/recipe/execution"
	"github.com/temper-ml/temper/report/runlog"
	"github.com/temper-ml/temper/report/verify"
	"github.com/temper-ml/temper/train/checkpoint/hf"
)

func newDemoCmd() *cobra.Command {
	var (
		out            string
		resume, asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "train a tiny DeepSeek-V4 from nothing to a tuned checkpoint, in minutes",
		Long: `Writes a small text, questions on units of measure and requests, some of which
do harm; pre-trains a tiny DeepSeek-V4 (every kind of layer, hash routing, MTP) on
the text, instruction-tunes it, teaches it by pairs of answers to refuse what does
harm, has it practise on questions whose answers rules judge, and measures it on
questions and requests it has never seen, before and after each stage. Then it verifies
the run as anybody can: the form of its record,
its arithmetic, and a few of its steps, taken again on other instructions and
threads, which must come out the same in every bit. A page about all of it is left in
report.html. The recipe it runs is left in the run directory: copy it to
start your own.`,
		Args: exactArgs(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if out == "" {
				var err error
				if out, err = os.MkdirTemp("", "temper-demo-"); err != nil {
					return err
				}
			}
			path, err := demo.Setup(out)
			if err != nil {
				return err
			}
			r, err := recipe.Load(path, nil)
			if err != nil {
				return err
			}
			run := filepath.Join(out, "run")
			s, err := carryOut(cmd, r, run, resume)
			if errors.Is(err, execution.ErrInterrupted) {
				return fmt.Errorf("%w: continue with temper demo --resume --out %s", err, out)
			}
			if err != nil {
				return err
			}
			model, err := hf.Open(filepath.Join(run, "model"))
			if err != nil {
				return fmt.Errorf("the checkpoint that was written does not open: %w", err)
			}
			defer model.Close()
			if err := errors.Join(printSummary(cmd.OutOrStdout(), s, asJSON), attestRun(cmd, r, run, asJSON)); err != nil {
				return err
			}
			return verifyDemo(cmd, s, asJSON)
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "directory for data and run (default: a new temporary one)")
	cmd.Flags().BoolVar(&resume, "resume", false, "continue a demo that was stopped, in --out")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the summary as one JSON object, as run --json does")
	return cmd
}

// verifyDemo judges the run that was made and says the verdict in two lines, or
// everything if it is not a pass.
func verifyDemo(cmd *cobra.Command, s *execution.Summary, asJSON bool) error {
	out := cmd.OutOrStdout()
	if asJSON { // its last line is the summary
		out = cmd.ErrOrStderr()
	}
	f := &verifyFlags{replay: "1"} // and one of the other stage
	plan, err := f.plan()
	if err != nil {
		return err
	}
	v, err := f.judge(cmd, s.Run, runlog.Trust{Verifier: s.Signer}, nil, plan)
	if err != nil {
		return err
	}
	if v.Verdict != verify.Pass {
		return errors.Join(v.Text(out), errVerdict)
	}
	fmt.Fprintf(out, "verify  PASS: form, arithmetic, and %d of %d steps taken again on %s (the run: %s), equal in every bit\n", v.ReplayedSteps, v.Steps, v.Replay.Way, v.Replay.Run)
	fmt.Fprintf(out, "        all steps: temper verify %s --replay all\n", s.Run)
	page := filepath.Join(filepath.Dir(s.Run), "report.html")
	if err := reportVerified(cmd.Context(), s.Run, page, v.Report); err != nil {
		return err
	}
	fmt.Fprintf(out, "report  %s\n", page)
	return nil
}
