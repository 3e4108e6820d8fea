package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/temper-ml/temper/report/render"
)

// reportFlags say which outputs are wanted; without any, a summary is printed.
type reportFlags struct {
	html, tensorboard, prometheus, csv, mlperf, out string

	submission string
	verified   []string
	hardware   []string
	check      bool
	json       bool
}

func newReportCmd() *cobra.Command {
	var f reportFlags
	cmd := &cobra.Command{
		Use:   "report RUN...",
		Short: "what the records of one run or several say: a summary, a page, files for other programs",
		Long: `Reads the record of each run and checks its form and its arithmetic on the way.
Without an option it prints a summary, of several runs side by side; with --json
for programs. --html writes one self-contained page about all runs given;
--csv a line for each step; --out a directory with the loss curves of each stage
as CSV and SVG; --tensorboard a directory with a folder of events for each run;
--prometheus the last state of the runs as metrics; --mlperf the log of one run in
the form of MLPerf 6.1, with what the submitter declares from --submission. "-" for
a file is standard output. docs/report.md says what each holds.

Steps are not taken again here: give what "temper verify RUN --json" printed with
--verified, once for each RUN, in order. The exit status is 1 when a record is
found to be false; what could be read of it is reported all the same.

The page also has what "temper plan" predicts for a step of the same model, batch
and rows on as many devices of other hardware (--compare).`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return exactArgs(1, "run directories, at least one")(cmd, args)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.report(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), args)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.html, "html", "", "file for a page")
	flags.StringVar(&f.csv, "csv", "", "file for a table of steps")
	flags.StringVar(&f.out, "out", "", "directory for loss curves")
	flags.StringVar(&f.tensorboard, "tensorboard", "", "directory for TensorBoard's events")
	flags.StringVar(&f.prometheus, "prometheus", "", "file for Prometheus' text")
	flags.StringVar(&f.mlperf, "mlperf", "", "file for an MLPerf log, with --submission")
	flags.StringVar(&f.submission, "submission", "", "YAML file of what the submitter declares")
	flags.StringArrayVar(&f.verified, "verified", nil, "file with what temper verify --json found, one for each RUN")
	flags.StringSliceVar(&f.hardware, "compare", comparedTo, "hardware for which the page predicts the run's step, or none")
	flags.BoolVar(&f.check, "check", true, "check form and arithmetic; reads all files that the record names")
	flags.BoolVar(&f.json, "json", false, "print the summary as JSON")
	return cmd
}

// comparedTo is the hardware that a page compares with unless told otherwise.
var comparedTo = []string{"h100", "ascend-910c"}

// settle refuses what contradicts itself, before anything is read.
func (f *reportFlags) settle(dirs []string) error {
	dashes := 0
	for _, name := range []string{f.html, f.csv, f.prometheus, f.mlperf} {
		if name == "-" {
			dashes++
		}
	}
	switch {
	case dashes > 1 || dashes == 1 && f.json:
		return errors.New("standard output takes one of --json, --html, --csv, --prometheus and --mlperf")
	case len(f.verified) != 0 && len(f.verified) != len(dirs):
		return fmt.Errorf("--verified: %d files for %d runs, want one for each, in order", len(f.verified), len(dirs))
	case len(f.verified) != 0 && !f.check:
		return errors.New("--verified needs the record checked: leave out --check=false")
	case f.mlperf != "" && len(dirs) != 1:
		return fmt.Errorf("--mlperf: %d runs, a log is of one", len(dirs))
	case (f.mlperf != "") != (f.submission != ""):
		return errors.New("--mlperf and --submission belong together: a log says who submits")
	}
	return nil
}

// report reads all runs, then writes what is asked for.
func (f *reportFlags) report(ctx context.Context, stdout, stderr io.Writer, dirs []string) error {
	if err := f.settle(dirs); err != nil {
		return usageError{err}
	}
	runs, err := f.read(dirs)
	if err != nil {
		return err
	}
	if f.html != "" {
		if err := f.compare(ctx, runs); err != nil {
			return err
		}
	}
	names := stdout // of written files
	if f.json || f.html == "-" || f.csv == "-" || f.prometheus == "-" || f.mlperf == "-" {
		names = stderr
	}
	if err := f.write(stdout, names, dirs, runs); err != nil {
		return err
	}
	if f.json {
		if err := render.JSON(stdout, runs...); err != nil {
			return err
		}
	} else if f.html+f.csv+f.out+f.tensorboard+f.prometheus+f.mlperf == "" {
		if err := render.Text(stdout, terminalWidth(stdout), runs...); err != nil {
			return err
		}
	}
	for i, r := range runs {
		if r.Verdict != nil && r.Verdict.Result == "fail" {
			fmt.Fprintf(stderr, "temper: the record of %s is false: %s\n", dirs[i], r.Verdict.Text)
			err = errVerdict
		}
	}
	return err
}

// terminalWidth is the columns of the terminal that w is, 80 if it is none.
func terminalWidth(w io.Writer) int {
	if file, ok := w.(*os.File); ok && isTerminal(file) {
		return columns(file)
	}
	return 80
}
