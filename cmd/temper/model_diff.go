package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/temper-ml/temper/train/checkpoint/hf"
)

func newModelDiffCmd() *cobra.Command {
	var asJSON bool
	var most int
	cmd := &cobra.Command{
		Use:   "diff A B",
		Short: "compare two models tensor by tensor; exit 1 if they differ",
		Long: `Diff compares the values of two model directories as float32, whatever their
dtypes and names, and shows the largest differences first. Equal means equal bits.

With --json it prints one object: equal, tensors, different, and differences (name,
values, differ, max_abs, max_rel, at, problem) of the tensors that differ.`,
		Example: `  temper model diff base/ tuned/
  temper model diff base/ base-hf/ --json`,
		Args: exactArgs(2, "two models A and B"),
		RunE: func(cmd *cobra.Command, args []string) error {
			a, err := hf.Open(args[0])
			if err != nil {
				return err
			}
			defer a.Close()
			b, err := hf.Open(args[1])
			if err != nil {
				return err
			}
			defer b.Close()
			all, err := hf.Diff(cmd.Context(), a, b)
			if err != nil {
				return err
			}
			different := hf.Largest(all)
			if err := writeDiff(cmd.OutOrStdout(), len(all), different, most, asJSON); err != nil {
				return err
			}
			if len(different) > 0 {
				return errVerdict
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	cmd.Flags().IntVar(&most, "most", 20, "tensors to show (0: all that differ)")
	return cmd
}

// writeDiff prints the verdict and the tensors that differ.
func writeDiff(out io.Writer, total int, different []hf.Difference, most int, asJSON bool) error {
	if asJSON {
		return printJSON(out, map[string]any{
			"equal": len(different) == 0, "tensors": total, "different": len(different), "differences": append([]hf.Difference{}, different...),
		})
	}
	if len(different) == 0 {
		_, err := fmt.Fprintf(out, "equal: %d tensors, every bit\n", total)
		return err
	}
	fmt.Fprintf(out, "%d of %d tensors differ\n\n", len(different), total)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "tensor\tvalues that differ\tlargest |a-b|\trelative\tat")
	for i, d := range different {
		if i == most && most > 0 {
			fmt.Fprintf(w, "and %d more: --most 0 shows them\n", len(different)-most)
			break
		}
		if d.Problem != "" {
			fmt.Fprintf(w, "%s\t%s\n", d.Name, d.Problem)
			continue
		}
		fmt.Fprintf(w, "%s\t%d of %d\t%.4g\t%.4g\t%d\n", d.Name, d.Differ, d.Values, d.MaxAbs, d.MaxRel, d.At)
	}
	return w.Flush()
}
