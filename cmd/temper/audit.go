package main

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/temper-ml/temper/internal/durable"
	"github.com/temper-ml/temper/report/audit"
)

func newAuditCmd() *cobra.Command {
	var compare, html string
	var asJSON, template bool
	cmd := &cobra.Command{
		Use:   "audit CLAIM.yaml",
		Short: "holds a claim about a training run against arithmetic, physics and prediction",
		Long: `Reads what was said about a training run, statement by statement, and asks which
values of all that was not said make it hold, and whether any do. Each statement
is consistent (it agrees with something independent that could have contradicted
it), inconsistent (with the contradiction written out) or undetermined (with what
would decide it). The planner predicts the same step with its 90 % band, here and
on the hardware to compare with. What verification needs is listed as disclosed,
derivable or missing.

CLAIM is a file (docs/audit.md; --template prints one to begin with) or built in:
` + strings.Join(audit.Builtins(), ", ") + `.

With --json: one object: statements (id, verdict, reasons, decided_by),
contradictions, implied (quantity -> interval), prediction, missing, disclosure.
Exit code 0: no statement is inconsistent. 1: some are. 2: wrong use.`,
		Example: `  temper audit consortium-2026
  temper audit --template > claim.yaml
  temper audit claim.yaml --compare h800 --json`,
		Args: func(cmd *cobra.Command, args []string) error {
			if template {
				return exactArgs(0, "no claim with --template")(cmd, args)
			}
			return exactArgs(1, "a claim")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if template {
				_, err := fmt.Fprint(cmd.OutOrStdout(), audit.Template)
				return err
			}
			return runAudit(cmd, args[0], compare, html, asJSON)
		},
	}
	cmd.Flags().StringVar(&compare, "compare", "h100", "catalogue name or file of the hardware to predict the same step on")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	cmd.Flags().StringVar(&html, "html", "", "write a page that needs nothing else to this file")
	cmd.Flags().BoolVar(&template, "template", false, "print a claim file with every field, to fill in")
	return cmd
}

// runAudit answers and prints. Everything that can be refused is the user's.
func runAudit(cmd *cobra.Command, name, compare, html string, asJSON bool) error {
	claim, err := audit.Load(name)
	if err != nil {
		return usageError{err}
	}
	r, err := audit.Run(cmd.Context(), claim, newAuditWorld(), compare)
	switch {
	case err != nil && cmd.Context().Err() != nil:
		return err
	case err != nil:
		return usageError{fmt.Errorf("%s: %w", name, err)}
	}
	if html != "" {
		var page bytes.Buffer
		if err := r.HTML(&page); err != nil {
			return err
		}
		if err := durable.WriteFile(durable.OS, html, page.Bytes()); err != nil {
			return err
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "temper: wrote %s\n", html)
	}
	switch {
	case asJSON:
		err = printJSON(cmd.OutOrStdout(), r)
	default:
		_, err = fmt.Fprint(cmd.OutOrStdout(), r.Text())
	}
	if err == nil && !r.Holds() {
		err = errVerdict
	}
	return err
}
