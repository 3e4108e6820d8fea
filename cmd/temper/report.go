package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/temper-ml/temper/recipe/execution"
)

func newReportCmd() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "report RUN",
		Short: "write the loss curves of a run as CSV and SVG",
		Args:  exactArgs(1, "a run directory"),
		RunE: func(cmd *cobra.Command, args []string) error {
			curves, err := execution.Curves(args[0])
			if err != nil {
				return usageError{err}
			}
			if err := os.MkdirAll(out, 0o755); err != nil {
				return err
			}
			for i := range curves {
				c := &curves[i]
				base := filepath.Join(out, filepath.Base(args[0])+"-"+c.Name)
				if err := writeCurve(c, base); err != nil {
					return err
				}
				fmt.Fprintln(cmd.OutOrStdout(), base+".csv", base+".svg")
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&out, "out", ".", "directory for the files")
	return cmd
}

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
