package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit codes: what a script may rely on.
const (
	exitDone   = 0 // done and good
	exitFailed = 1 // failed, or the verdict is negative
	exitUsage  = 2 // wrong use
)

// errVerdict says that the command worked and its answer is no: exit 1, and
// nothing more to print.
var errVerdict = errors.New("negative verdict")

// usageError marks what the user typed wrong, to exit with 2.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

// run is the whole program: results go to stdout, everything else to stderr.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	root := newRootCmd()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	var usage usageError
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, errVerdict):
		return exitFailed
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "temper: %v\n", err)
		return exitUsage
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		fmt.Fprintln(stderr, "temper: interrupted")
		return exitFailed
	default:
		fmt.Fprintf(stderr, "temper: %v\n", err)
		return exitFailed
	}
}

// newRootCmd assembles the subcommands; each lives in a file of its name.
func newRootCmd() *cobra.Command {
	root := &cobra.Command{
		Use:           "temper",
		Short:         "full-parameter post-training of DeepSeek-style Mixture-of-Experts models, with a record that anyone can check",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("unknown command %q: `temper --help` lists the commands", args[0])}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w: see `%s --help`", err, cmd.CommandPath())}
	})
	root.AddCommand(
		newDemoCmd(),
		newRunCmd(),
		newCheckCmd(),
		newModelCmd(),
		newEvalCmd(),
		newServeCmd(),
		newRolloutsCmd(),
		newChatCmd(),
		newReportCmd(),
		newVerifyCmd(),
		newAttestCmd(),
		newAuditCmd(),
		newDashboardCmd(),
		newDataCmd(),
		newPlanCmd(),
		newSimulateCmd(),
		newBenchCmd(),
		newHardwareCmd(),
		newTokenizerCmd(),
		newVersionCmd(),
	)
	return root
}

// exactArgs requires n positional arguments and names them when they are missing.
func exactArgs(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == n {
			return nil
		}
		return usageError{fmt.Errorf("%s takes %s, got %d arguments: see `%s --help`", cmd.CommandPath(), what, len(args), cmd.CommandPath())}
	}
}
