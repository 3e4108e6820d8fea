package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/temper-ml/temper/cluster/planbench"
	"github.com/temper-ml/temper/train/stepbench"
)

func newBenchPlanCmd() *cobra.Command {
	var (
		asJSON  bool
		samples int
	)
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "planning: layouts a second, whole searches, schedules, steps simulated rank by rank",
		Args:  exactArgs(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if samples < 1 || samples > 1000 {
				return usageError{fmt.Errorf("--samples is %d, must lie in 1..1000", samples)}
			}
			results, err := planbench.Run(cmd.Context(), samples)
			if err != nil {
				return err
			}
			var out []stepbench.Result
			for _, r := range results {
				out = append(out, stepbench.Result(r))
			}
			return report(cmd, asJSON, out)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	cmd.Flags().IntVar(&samples, "samples", 5, "samples of each quantity")
	return cmd
}
