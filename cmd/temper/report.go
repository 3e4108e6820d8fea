package main

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/temper-ml/temper/internal/durable"
	"github.com/temper-ml/temper/recipe/execution"
	"github.com/temper-ml/temper/report/render"
)

// reportFlags say which outputs are wanted; without any, curves are written.
type reportFlags struct{ out, html, tensorboard, prometheus string }

func newReportCmd() *cobra.Command {
	var f reportFlags
	cmd := &cobra.Command{
		Use:   "report RUN...",
		Short: "loss curves of a run; a page, TensorBoard events or Prometheus text about one or several",
		Long: `Without an option, or with --out, writes the loss curves of each run as CSV and SVG.
--html writes one self-contained page about all runs given, side by side;
--tensorboard a directory with a folder of events for each run; --prometheus the
last state of the runs as metrics, "-" for standard output. docs/report.md says
what each holds.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return exactArgs(1, "run directories, at least one")(cmd, args)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			w := cmd.OutOrStdout()
			if f.html+f.tensorboard+f.prometheus != "" {
				if err := f.render(w, args); err != nil {
					return err
				}
				if !cmd.Flags().Changed("out") {
					return nil
				}
			}
			for _, run := range args {
				if err := writeCurves(w, run, f.out); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&f.out, "out", ".", "directory for the curves")
	cmd.Flags().StringVar(&f.html, "html", "", "file for a page")
	cmd.Flags().StringVar(&f.tensorboard, "tensorboard", "", "directory for TensorBoard's events")
	cmd.Flags().StringVar(&f.prometheus, "prometheus", "", "file for Prometheus' text")
	return cmd
}

// render reads all runs, then writes what is asked for.
func (f *reportFlags) render(w io.Writer, dirs []string) error {
	var runs []*render.Run
	names := map[string]string{}
	for _, dir := range dirs {
		r, err := readRun(dir)
		if err != nil {
			return usageError{err}
		}
		if first, ok := names[r.Name]; ok { // names tell runs apart: use the paths
			r.Name = dir
			if first == dir {
				return usageError{fmt.Errorf("%s is given twice", dir)}
			}
		}
		names[r.Name] = dir
		runs = append(runs, r)
	}
	if f.html != "" {
		if err := writeOutput(w, f.html, func(w io.Writer) error { return render.HTML(w, runs...) }); err != nil {
			return err
		}
	}
	if f.tensorboard != "" {
		for i, r := range runs {
			dir := filepath.Join(f.tensorboard, fmt.Sprintf("%02d-%s", i+1, filepath.Base(r.Name)))
			if len(runs) == 1 {
				dir = f.tensorboard
			}
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return err
			}
			if err := writeOutput(w, filepath.Join(dir, render.TensorBoardName(r)), func(w io.Writer) error { return render.TensorBoard(w, r) }); err != nil {
				return err
			}
		}
	}
	if f.prometheus != "" {
		return writeOutput(w, f.prometheus, func(w io.Writer) error { return render.Prometheus(w, runs...) })
	}
	return nil
}

// writeOutput writes a file whole or not at all and prints its name, or writes
// to standard output for "-".
func writeOutput(out io.Writer, name string, write func(io.Writer) error) error {
	var b bytes.Buffer
	if err := write(&b); err != nil {
		return err
	}
	if name == "-" {
		_, err := out.Write(b.Bytes())
		return err
	}
	if err := durable.WriteFile(durable.OS, name, b.Bytes()); err != nil {
		return err
	}
	fmt.Fprintln(out, name)
	return nil
}

func writeCurves(w io.Writer, run, out string) error {
	curves, err := execution.Curves(run)
	if err != nil {
		return usageError{err}
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	for i := range curves {
		c := &curves[i]
		base := filepath.Join(out, filepath.Base(run)+"-"+c.Name)
		if err := writeCurve(c, base); err != nil {
			return err
		}
		fmt.Fprintln(w, base+".csv", base+".svg")
	}
	return nil
}

func sortedNames[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func writeCurve(c *execution.Curve, base string) error {
	csv, err := os.Create(base + ".csv")
	if err != nil {
		return err
	}
	defer csv.Close()
	if err := c.CSV(csv); err != nil {
		return err
	}
	svg, err := os.Create(base + ".svg")
	if err != nil {
		return err
	}
	defer svg.Close()
	return c.SVG(svg, filepath.Base(base))
}
