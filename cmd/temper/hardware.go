package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/temper-ml/temper/cluster/hardware"
)

func newHardwareCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "hardware [NAME|FILE]",
		Short: "the catalogue of clusters; one entry or file in full, checked, with its sources",
		Long: `Without an argument: a line for each entry of the catalogue. With the name of an
entry, or the path of a file of the same form: the complete description as YAML,
every number with its grade and source, ready to be changed. docs/hardware.md
explains the fields.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			w := cmd.OutOrStdout()
			if len(args) == 1 {
				c, err := hardware.Load(args[0])
				if err != nil {
					return usageError{err}
				}
				_, err = w.Write(c.YAML())
				return err
			}
			var all []*hardware.Cluster
			for _, name := range hardware.Names() {
				c, err := hardware.Load(name)
				if err != nil {
					return err
				}
				all = append(all, c)
			}
			_, err := fmt.Fprint(w, hardware.Summary(all))
			return err
		},
	}
}
