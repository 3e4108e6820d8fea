package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/temper-ml/temper/internal/durable"
	"github.com/temper-ml/temper/recipe/replay"
	"github.com/temper-ml/temper/report/verify"
)

// disputes reports whether one step is asked about, and not the whole run.
func (f *verifyFlags) disputes() bool { return f.trace != "" || f.against != "" }

// checkDispute refuses flags that do not go together.
func (f *verifyFlags) checkDispute(dir string) error {
	switch {
	case f.trace != "" && f.against != "":
		return errors.New("--against compares the step that its file is of: leave --trace out")
	case f.trace == "" && (f.out != "" || f.operator >= 0):
		return errors.New("--out and --operator belong to --trace")
	case f.out == "" || f.out == "-":
		return nil
	}
	run, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	out, err := filepath.Abs(f.out)
	if err != nil {
		return err
	}
	if out == run || strings.HasPrefix(out, run+string(filepath.Separator)) {
		return fmt.Errorf("--out: %s lies in the run directory, where nothing is written: choose another place", f.out)
	}
	return nil
}

// dispute writes a trace of a step on this machine, or compares the step with
// what another machine wrote of it.
func (f *verifyFlags) dispute(cmd *cobra.Command, l *verify.Log, checks []verify.Check) error {
	for _, c := range checks {
		if c.Result == verify.Fail {
			fmt.Fprintf(cmd.ErrOrStderr(), "temper: note: the record does not pass: %s: %s\n", c.Name, c.Evidence)
		}
	}
	r, err := replay.Open(l, replay.Options{Data: f.data, Model: f.model, Way: f.way, Programs: f.programs})
	if err != nil {
		return err
	}
	defer r.Close()
	fmt.Fprintln(cmd.ErrOrStderr(), "temper: computing on", r.Describe())
	w := &waiting{}
	w.doing("taking the step")
	defer w.waits(cmd.ErrOrStderr())()
	if f.against != "" {
		return f.compare(cmd, r, w)
	}
	at, err := r.Position(f.trace)
	if err != nil {
		return usageError{fmt.Errorf("--trace: %w", err)}
	}
	write := func(w io.Writer) error {
		if f.operator >= 0 {
			return r.WriteValues(cmd.Context(), at, f.operator, w)
		}
		_, err := r.WriteTrace(cmd.Context(), at, w)
		return err
	}
	if f.out == "" || f.out == "-" {
		return write(cmd.OutOrStdout())
	}
	return durable.WriteStream(durable.OS, f.out, write)
}

// compare says on what this machine and the one that wrote a file differ.
func (f *verifyFlags) compare(cmd *cobra.Command, r *replay.Replayer, w *waiting) error {
	file, err := os.Open(f.against)
	if err != nil {
		return usageError{err}
	}
	defer file.Close()
	d, err := r.Against(cmd.Context(), file)
	w.done()
	if err != nil {
		return fmt.Errorf("%s: %w", f.against, err)
	}
	if f.asJSON {
		err = printJSON(cmd.OutOrStdout(), d)
	} else {
		err = disputeText(cmd.OutOrStdout(), d, f.against)
	}
	if err == nil && !d.Equal {
		err = errVerdict
	}
	return err
}

func disputeText(w io.Writer, d *replay.Dispute, file string) error {
	step := fmt.Sprintf("stage %d, step %d", d.Stage, d.Step)
	var err error
	switch {
	case d.Equal && d.Element == nil && d.Operator != "":
		_, err = fmt.Fprintf(w, "%s: %s is here what %s has of it, in every bit\n", step, d.Operator, file)
	case d.Equal:
		_, err = fmt.Fprintf(w, "%s: all %d operators are here what %s has of them\n", step, d.Operators, file)
	case d.Element != nil:
		_, err = fmt.Fprintf(w, "%s: %s differs first in element %d\n  here   %s\n  there  %s\n", step, d.Operator, *d.Element, d.Here, d.There)
	default:
		_, err = fmt.Fprintf(w, `%s: operator %d of %d is the first that differs, after %d rounds: %s
  here   %s
  there  %s
Everything that it reads was equal. For the element, let the other machine write its values
(temper verify RUN --trace %d:%d --operator %d --out FILE) and give that file to --against.
`, step, d.Index, d.Operators, d.Rounds, d.Operator, d.Here, d.There, d.Stage, d.Step, d.Index)
	}
	return err
}
