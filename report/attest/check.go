package attest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/temper-ml/temper/report/runlog"
	"github.com/temper-ml/temper/report/verify"
)

// CheckOptions say what is compared.
type CheckOptions struct {
	// Trust is what is believed of the record (see [runlog.Trust]).
	Trust runlog.Trust
	// Model and Dir are as Options.Model and Options.Out.
	Model, Dir string
	// NoModel leaves the files of the model unread.
	NoModel bool
}

// Check compares the attestations of a run with its record, and the model with
// both. It reads and writes nothing else. A check is incomplete, and not failed,
// where a run has no result or no attestations were made.
func Check(ctx context.Context, run string, o CheckOptions) []verify.Check {
	w := Options{Model: o.Model, Out: o.Dir}
	w.settle(run)
	c := &checker{dir: w.Out, model: w.Model}
	if err := c.read(run, o.Trust); err != nil {
		return c.checks
	}
	c.check(ctx, o.NoModel)
	return c.checks
}

// checker is a check in progress.
type checker struct {
	dir, model string
	facts      *facts
	docs       map[string][]byte // as they are
	checks     []verify.Check
}

// say adds a check: passed with the evidence, or failed with the error.
func (c *checker) say(name string, err error, format string, args ...any) {
	check := verify.Check{Name: "attestation " + name, Result: verify.Pass, Index: -1, Evidence: fmt.Sprintf(format, args...)}
	if err != nil {
		check.Result, check.Evidence = verify.Fail, err.Error()
	}
	c.checks = append(c.checks, check)
}

// read reads the record and the documents. An error is one that ends the check,
// which is said already.
func (c *checker) read(run string, trust runlog.Trust) (err error) {
	const name = "documents"
	incomplete := func(err error) error {
		c.checks = append(c.checks, verify.Check{Name: "attestation " + name, Result: verify.Incomplete, Evidence: err.Error(), Index: -1})
		return err
	}
	if c.facts, err = readFacts(run, trust); errors.Is(err, ErrNoResult) {
		return incomplete(err)
	} else if err != nil {
		c.say(name, err, "")
		return err
	}
	if _, err := os.Lstat(c.dir); errors.Is(err, fs.ErrNotExist) {
		return incomplete(fmt.Errorf("%s does not exist: `temper attest` makes it with the key of the run", c.dir))
	}
	c.docs = map[string][]byte{}
	for _, doc := range append(sortedKeys(mediaTypes), recordName) {
		b, err := readDocument(filepath.Join(c.dir, doc))
		if err != nil {
			c.say(name, err, "")
			return err
		}
		c.docs[doc] = b
	}
	return nil
}

// check compares document after document.
func (c *checker) check(ctx context.Context, noModel bool) {
	plain, payloads, err := derive(c.facts)
	if err != nil {
		c.say("documents", err, "")
		return
	}
	key, err := runlog.Envelope(c.facts.manifest.Signer)
	if err != nil {
		c.say("documents", err, "")
		return
	}
	c.record(ctx, key)
	for _, name := range []string{modelName, provenanceName} {
		got, err := parseEnvelope(ctx, c.docs[name], key)
		if err == nil {
			err = sameStatement(got, payloads[name])
		}
		c.say(name, wrap(name, err), "signed by %s, equal to what the record says, %d bytes", c.facts.manifest.Signer, len(got))
	}
	c.bundle(ctx, payloads[modelName])
	for _, name := range sortedKeys(plain) {
		c.say(name, wrap(name, sameText(c.docs[name], plain[name])), "equal to what the record says, %d bytes", len(plain[name]))
	}
	if noModel {
		return
	}
	files, root, err := c.facts.model()
	if err == nil {
		err = compareFiles(ctx, c.model, files)
	}
	c.say("model", err, "%d files in %s as exported and signed, digest sha256:%s%s", len(files), c.model, root, c.foreignCard(files))
}

// foreignCard says that a card was put into the model directory which is not the
// one that was derived. People may add to it; readers should know.
func (c *checker) foreignCard(files []file) string {
	if !slices.Contains(ignorePaths(files), cardName) {
		return ""
	}
	b, err := readDocument(filepath.Join(c.model, cardName))
	if errors.Is(err, fs.ErrNotExist) || err == nil && bytes.Equal(b, c.docs[cardName]) {
		return ""
	}
	return "; its " + cardName + " is not the attested card"
}

// record checks record.json: the key of the record signed the tree head that it
// ends with, and the other documents as they are.
func (c *checker) record(ctx context.Context, key *runlog.EnvelopeKey) {
	got, err := parseEnvelope(ctx, c.docs[recordName], key)
	if err == nil {
		err = checkFormat(got)
	}
	if err == nil {
		var want []byte
		if want, err = recordStatement(c.facts, listed(c.docs)); err == nil {
			err = sameStatement(got, want)
		}
	}
	c.say(recordName, wrap(recordName, err), "signed by %s: tree head of %d leaves, sha256 %s, and %d documents as they are",
		c.facts.manifest.Signer, c.facts.leaves, c.facts.root, len(mediaTypes))
}

// checkFormat refuses statements of another format than this program derives.
func checkFormat(payload []byte) error {
	format, err := lookup(payload, "predicate", "format")
	if err != nil {
		return err
	}
	if format != Format {
		return fmt.Errorf("predicate.format: %.80q, this program derives %q: attest again, or check with the program that attested", format, Format)
	}
	return nil
}

// bundle checks model.sig: the same statement as model.json's, by the key of
// model.pub, which record.json vouches for.
func (c *checker) bundle(ctx context.Context, want []byte) {
	key, err := parsePEM(c.docs[pubName])
	if err != nil {
		c.say(pubName, wrap(pubName, err), "")
		return
	}
	got, err := parseBundle(ctx, c.docs[sigName], key, hintOf(c.docs[pubName]))
	if err == nil {
		err = sameStatement(got, want)
	}
	c.say(sigName, wrap(sigName, err), "the statement of %s, signed by the key of %s, for the public tool model_signing", modelName, pubName)
}

func wrap(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", name, err)
}

// sameText refuses a text that is not the wanted one, and says where it differs.
func sameText(got, want []byte) error {
	if bytes.Equal(got, want) {
		return nil
	}
	g, w := bytes.Split(got, []byte("\n")), bytes.Split(want, []byte("\n"))
	for i := range min(len(g), len(w)) {
		if !bytes.Equal(g[i], w[i]) {
			return fmt.Errorf("line %d is %.120q, the record says %.120q", i+1, g[i], w[i])
		}
	}
	return fmt.Errorf("%d lines, the record says %d", len(g), len(w))
}

// Fails reports whether a check failed, and whether one was incomplete.
func Fails(checks []verify.Check) (failed, incomplete bool) {
	has := func(v verify.Verdict) bool {
		return slices.ContainsFunc(checks, func(c verify.Check) bool { return c.Result == v })
	}
	return has(verify.Fail), has(verify.Incomplete)
}
