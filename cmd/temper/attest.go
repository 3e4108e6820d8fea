package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/temper-ml/temper/recipe"
	"github.com/temper-ml/temper/recipe/execution"
	"github.com/temper-ml/temper/report/attest"
	"github.com/temper-ml/temper/report/runlog"
	"github.com/temper-ml/temper/report/verify"
)

// attestFlags are the flags of attest.
type attestFlags struct {
	out, key, model, publish string
	check, asJSON            bool
}

func newAttestCmd() *cobra.Command {
	var f attestFlags
	cmd := &cobra.Command{
		Use:   "attest RUN",
		Short: "derive signed statements, provenance, bill of materials and model card from a run's record",
		Long: `Writes into RUN/attestations what others read of a finished run: record.json (the
record's last tree head, signed), model.json and model.sig (every file of the
model, as OpenSSF model_signing verifies it), provenance.json (SLSA), bom.json
(CycloneDX with a model card) and README.md (the model card). Everything is
derived from the record; run and demo do this when they end. The files of the
model are read and must be those that the run exported.

--check compares instead: signatures, every byte of the documents with what the
record says, and the files of the model. docs/attestations.md says what each
document holds and how to verify it with other tools.

With --json: one object: run, dir, files (name, digest, bytes), model_digest,
signer, leaves, root; of --check verdict and checks (name, result, evidence).
Exit code 0: written, or all as it should be. 1: not. 2: wrong use.`,
		Example: `  temper attest runs/mine
  temper attest runs/mine --check --key temper+a646fda1+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop`,
		Args: exactArgs(1, "a run directory"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.check {
				return f.compare(cmd, args[0])
			}
			return f.write(cmd, args[0])
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.out, "out", "", "directory of the attestations (default RUN/attestations)")
	fl.StringVar(&f.model, "model", "", "directory of the exported model (default RUN/model)")
	fl.StringVar(&f.key, "key", "", "file of the run's signing key (default: the one that signed the run, where run finds it); with --check the verifier key, or a file of it")
	fl.BoolVar(&f.check, "check", false, "compare the attestations with the record and the model")
	fl.StringVar(&f.publish, "publish", "", "new directory for a copy of the model with card and attestations, to be uploaded")
	fl.BoolVar(&f.asJSON, "json", false, "print one JSON object")
	return cmd
}

func (f *attestFlags) write(cmd *cobra.Command, run string) error {
	key, err := f.signingKey(run)
	if err != nil {
		return usageError{err}
	}
	r, err := attest.Write(cmd.Context(), run, attest.Options{Key: key, Model: f.model, Out: f.out, Publish: f.publish})
	if err != nil {
		return err
	}
	if f.asJSON {
		return printJSON(cmd.OutOrStdout(), r)
	}
	return attestText(cmd.OutOrStdout(), r, f.modelDir(run))
}

// signingKey is the key to sign with: the one given, or the one that the run was
// signed with, wherever run would find it.
func (f *attestFlags) signingKey(run string) (*runlog.Key, error) {
	if f.key != "" {
		return runlog.LoadKey(f.key)
	}
	if _, err := os.Stat(filepath.Join(run, execution.RecordName, runlog.ManifestName)); err != nil {
		return nil, fmt.Errorf("%s holds no record of a run: %w", run, err)
	}
	r, err := recipe.Load(filepath.Join(run, "recipe.yaml"), nil)
	if err != nil {
		return nil, fmt.Errorf("%w: give the run's signing key with --key", err)
	}
	k, _, err := execution.Key(r, run)
	return k, err
}

// attestRun makes the attestations of a run that this process has just ended.
func attestRun(cmd *cobra.Command, r *recipe.Recipe, run string, asJSON bool) error {
	key, _, err := execution.Key(r, run)
	if err == nil {
		_, err = attest.Write(cmd.Context(), run, attest.Options{Key: key, Written: true})
	}
	if err != nil {
		return fmt.Errorf("the run is complete and recorded, its attestations are not written: %w: `temper attest %s` writes them", err, run)
	}
	if !asJSON {
		fmt.Fprintln(cmd.OutOrStdout(), "attest ", filepath.Join(run, attest.Dir))
	}
	return nil
}

func (f *attestFlags) modelDir(run string) string {
	if f.model != "" {
		return f.model
	}
	return filepath.Join(run, attest.ModelDir)
}

// attestText prints what was written and how to verify it.
func attestText(w io.Writer, r *attest.Result, model string) error {
	var b strings.Builder
	for _, x := range r.Files {
		fmt.Fprintf(&b, "%-16s %7d bytes  %s\n", x.Name, x.Bytes, x.Digest)
	}
	fmt.Fprintf(&b, "\nin          %s\nmodel       %s\ntree head   %d leaves, sha256:%s\nsigned by   %s\n\n", r.Dir, r.Model, r.Leaves, r.Root, r.Signer)
	fmt.Fprintf(&b, "temper attest %s --check --key %s\nmodel_signing verify key %s --signature %s --public_key %s\n",
		r.Run, r.Signer, model, filepath.Join(r.Dir, "model.sig"), filepath.Join(r.Dir, "model.pub"))
	_, err := io.WriteString(w, b.String())
	return err
}

// attestChecks is the answer of attest --check.
type attestChecks struct {
	Run     string         `json:"run"`
	Verdict verify.Verdict `json:"verdict"`
	Checks  []verify.Check `json:"checks"`
}

func (f *attestFlags) compare(cmd *cobra.Command, run string) error {
	verifier := ""
	if f.key != "" {
		var err error
		if verifier, err = verifierKey(f.key); err != nil {
			return usageError{err}
		}
	}
	if f.publish != "" {
		return usageError{errors.New("--publish writes and --check does not: use one of them")}
	}
	if _, err := os.Stat(run); err != nil {
		return usageError{err}
	}
	a := attestChecks{Run: run, Verdict: verify.Pass}
	a.Checks = attest.Check(cmd.Context(), run, attest.CheckOptions{Trust: runlog.Trust{Verifier: verifier}, Model: f.model, Dir: f.out})
	if failed, incomplete := attest.Fails(a.Checks); failed {
		a.Verdict = verify.Fail
	} else if incomplete {
		a.Verdict = verify.Incomplete
	}
	var err error
	if f.asJSON {
		err = printJSON(cmd.OutOrStdout(), &a)
	} else {
		err = checksText(cmd.OutOrStdout(), &a, verifier != "")
	}
	if err == nil && a.Verdict != verify.Pass {
		err = errVerdict
	}
	return err
}

// attested is the check of a run's attestations that verify makes: one, of all
// documents. The files of the model it has compared by itself.
func attested(ctx context.Context, run string, l *verify.Log, trust runlog.Trust) []verify.Check {
	if l.Manifest == nil || l.End == nil {
		return nil // what is not complete has none
	}
	if _, err := os.Lstat(filepath.Join(run, attest.Dir)); errors.Is(err, os.ErrNotExist) {
		l.NotChecked = append(l.NotChecked, "attestations, of which there are none: temper attest makes them")
		return nil
	}
	c := verify.Check{
		Name: "attestations", Result: verify.Pass, Index: -1,
		Evidence: "every document in " + attest.Dir + " is what the record says, and signed by its key",
	}
	var wrong []string
	checks := attest.Check(ctx, run, attest.CheckOptions{Trust: trust, NoModel: true})
	for _, x := range checks {
		if x.Result != verify.Pass {
			wrong = append(wrong, x.Evidence)
		}
	}
	if failed, incomplete := attest.Fails(checks); failed {
		c.Result = verify.Fail
	} else if incomplete {
		c.Result = verify.Incomplete
	}
	if len(wrong) > 0 {
		c.Evidence = strings.Join(wrong, "; ")
	}
	return []verify.Check{c}
}

func checksText(w io.Writer, a *attestChecks, trusted bool) error {
	var b strings.Builder
	for _, c := range a.Checks {
		fmt.Fprintf(&b, "%-10s %-28s %s\n", c.Result, c.Name, c.Evidence)
	}
	fmt.Fprintf(&b, "\n%s\n", a.Verdict)
	if a.Verdict == verify.Pass && !trusted {
		b.WriteString("The key is the one that the record names; --key holds it against one that you have from elsewhere.\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}
