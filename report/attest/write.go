package attest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/temper-ml/temper/internal/durable"
	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/runlog"
)

// The documents.
const (
	recordName     = "record.json"
	modelName      = "model.json"
	sigName        = "model.sig"
	pubName        = "model.pub"
	provenanceName = "provenance.json"
	bomName        = "bom.json"
	cardName       = "README.md"
)

// mediaTypes are those of the documents that record.json lists.
var mediaTypes = map[string]string{
	modelName:      "application/vnd.dsse.envelope.v1+json",
	sigName:        bundleType,
	pubName:        "application/x-pem-file",
	provenanceName: "application/vnd.dsse.envelope.v1+json",
	bomName:        "application/vnd.cyclonedx+json",
	cardName:       "text/markdown",
}

// Options say how attestations are written.
type Options struct {
	// FS is the file system, nil the machine's.
	FS durable.FS
	// Key is the key that signed the record.
	Key *runlog.Key
	// Model is the model directory and Out that of the attestations; empty for
	// [ModelDir] and [Dir] of the run.
	Model, Out string
	// Written says that the files of the model were digested from the disk by
	// this process as it ended the record: they are not read again.
	Written bool
	// Publish, if not empty, is a new directory for a copy of the model with the
	// card as README.md and the attestations as [Dir], which are no part of what
	// is signed.
	Publish string
}

func (o *Options) settle(run string) {
	if o.FS == nil {
		o.FS = durable.OS
	}
	if o.Model == "" {
		o.Model = filepath.Join(run, ModelDir)
	}
	if o.Out == "" {
		o.Out = filepath.Join(run, Dir)
	}
}

// Result is what was written.
type Result struct {
	Run string `json:"run"`
	// Dir is where the documents are, Files what they are.
	Dir   string        `json:"dir"`
	Files []WrittenFile `json:"files"`
	Model string        `json:"model_digest"`
	// Signer is the verifier key, Leaves and Root the tree head.
	Signer string `json:"signer"`
	Leaves int64  `json:"leaves"`
	Root   string `json:"root"`
}

// WrittenFile is a document.
type WrittenFile struct {
	Name   string        `json:"name"`
	Digest record.Digest `json:"digest"`
	Bytes  int64         `json:"bytes"`
}

// Write derives the attestations of a run from its record and writes them. It
// refuses a run without a result, a model directory that is not what the run
// exported, and a key that is not the record's.
func Write(ctx context.Context, run string, o Options) (*Result, error) {
	o.settle(run)
	f, err := readFacts(run, runlog.Trust{})
	if err != nil {
		return nil, fmt.Errorf("attest: %w", err)
	}
	if f.manifest.Signer != o.Key.Verifier() {
		return nil, fmt.Errorf("attest: the record is signed by %s, the key given is %s: give the key of the run", f.manifest.Signer, o.Key.Verifier())
	}
	files, root, err := f.model()
	if err == nil && !o.Written {
		err = compareFiles(ctx, o.Model, files)
	}
	if err != nil {
		return nil, fmt.Errorf("attest: %w", err)
	}
	docs, err := sign(ctx, f, o.Key)
	if err != nil {
		return nil, fmt.Errorf("attest: %w", err)
	}
	if err := save(o.FS, o.Out, docs); err != nil {
		return nil, fmt.Errorf("attest: %w", err)
	}
	if o.Publish != "" {
		if err := publish(ctx, &o, files, docs); err != nil {
			return nil, fmt.Errorf("attest: %w", err)
		}
	}
	r := &Result{Run: run, Dir: o.Out, Model: "sha256:" + root, Signer: f.manifest.Signer, Leaves: f.leaves, Root: f.root}
	for _, name := range slices.Sorted(maps.Keys(docs)) {
		r.Files = append(r.Files, WrittenFile{name, record.SHA256(docs[name]), int64(len(docs[name]))})
	}
	return r, nil
}

// sign makes all documents.
func sign(ctx context.Context, f *facts, key *runlog.Key) (map[string][]byte, error) {
	p256, err := key.EnvelopeP256()
	if err != nil {
		return nil, err
	}
	docs := map[string][]byte{}
	if docs[pubName], err = publicPEM(p256); err != nil {
		return nil, err
	}
	plain, payloads, err := derive(f)
	if err != nil {
		return nil, err
	}
	maps.Copy(docs, plain)
	envelope := key.Envelope()
	for name, payload := range payloads {
		if docs[name], err = signedDocument(ctx, envelope, payload); err != nil {
			return nil, err
		}
	}
	if docs[sigName], err = signBundle(ctx, p256, hintOf(docs[pubName]), payloads[modelName]); err != nil {
		return nil, err
	}
	last, err := recordStatement(f, listed(docs))
	if err != nil {
		return nil, err
	}
	docs[recordName], err = signedDocument(ctx, envelope, last)
	return docs, err
}

// derive makes what follows from the record alone: documents that are not
// signed themselves, and the payloads of those that are.
func derive(f *facts) (plain, payloads map[string][]byte, err error) {
	plain, payloads = map[string][]byte{}, map[string][]byte{}
	for _, d := range []struct {
		name string
		in   map[string][]byte
		make func(*facts) ([]byte, error)
	}{
		{modelName, payloads, modelStatement},
		{provenanceName, payloads, provenanceStatement},
		{bomName, plain, bomDocument},
		{cardName, plain, cardDocument},
	} {
		b, err := d.make(f)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", d.name, err)
		}
		d.in[d.name] = b
	}
	return plain, payloads, nil
}

// signedDocument is the file of a signed payload.
func signedDocument(ctx context.Context, key *runlog.EnvelopeKey, payload []byte) ([]byte, error) {
	e, err := signEnvelope(ctx, key, payload)
	if err != nil {
		return nil, err
	}
	return document(e)
}

// listed describes documents for record.json.
func listed(docs map[string][]byte) []descriptor {
	list := []descriptor{}
	for _, name := range slices.Sorted(maps.Keys(mediaTypes)) {
		list = append(list, descriptor{Name: name, Digest: digestSet(record.SHA256(docs[name])), MediaType: mediaTypes[name]})
	}
	return list
}

// save writes documents: a new directory appears with all of them or not at all;
// in one that exists each is replaced whole, and record.json, which lists the
// others, tells a mixture from a set.
func save(fs durable.FS, dir string, docs map[string][]byte) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	names := sortedKeys(docs)
	if len(entries) > 0 {
		for _, name := range names {
			path := filepath.Join(dir, name)
			if old, err := readDocument(path); err == nil && bytes.Equal(old, docs[name]) {
				continue
			}
			if err := durable.WriteFile(fs, path, docs[name]); err != nil {
				return err
			}
		}
		return nil
	}
	d, err := durable.NewDir(fs, dir)
	if err != nil {
		return err
	}
	defer d.Abort()
	for _, name := range names {
		if err := d.WriteFile(name, docs[name]); err != nil {
			return err
		}
	}
	return d.Commit()
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
