package attest

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"

	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/runlog"
)

// MaxSize is how many bytes a document may have: that is room for 200,000 tensors
// or files.
const MaxSize = 1 << 26

// Types of payloads and statements.
const (
	payloadType   = "application/vnd.in-toto+json"
	statementType = "https://in-toto.io/Statement/v1"
	bundleType    = "application/vnd.dev.sigstore.bundle.v0.3+json"
)

// statement is an in-toto statement, version 1.
type statement struct {
	Type          string       `json:"_type"`
	Subject       []descriptor `json:"subject"`
	PredicateType string       `json:"predicateType"`
	Predicate     any          `json:"predicate"`
}

// descriptor is an in-toto resource descriptor.
type descriptor struct {
	Name        string            `json:"name,omitempty"`
	URI         string            `json:"uri,omitempty"`
	Digest      map[string]string `json:"digest,omitempty"`
	MediaType   string            `json:"mediaType,omitempty"`
	Annotations map[string]any    `json:"annotations,omitempty"`
}

// payload returns the bytes of a statement, those that are signed.
func (s *statement) payload() ([]byte, error) {
	s.Type = statementType
	return record.MarshalLimit(s, MaxSize/2)
}

// sha256Set is a digest set of one SHA-256.
func sha256Set(hex string) map[string]string { return map[string]string{"sha256": hex} }

// bundle is a Sigstore bundle of an envelope that a key without certificate
// signed.
type bundle struct {
	MediaType string        `json:"mediaType"`
	Material  material      `json:"verificationMaterial"`
	Envelope  dsse.Envelope `json:"dsseEnvelope"`
}

// material says which key to verify with. A key that is not in a transparency log
// has no entries there.
type material struct {
	PublicKey keyHint  `json:"publicKey"`
	Entries   []string `json:"tlogEntries"`
}

// keyHint is the SHA-256 of the key's file, hexadecimal.
type keyHint struct {
	Hint string `json:"hint"`
}

// signEnvelope signs a payload, as it is.
func signEnvelope(ctx context.Context, key *runlog.EnvelopeKey, payload []byte) (*dsse.Envelope, error) {
	signer, err := dsse.NewEnvelopeSigner(key)
	if err != nil {
		return nil, fmt.Errorf("envelope: %w", err)
	}
	e, err := signer.SignPayload(ctx, payloadType, payload)
	if err != nil {
		return nil, fmt.Errorf("envelope: %w", err)
	}
	return e, nil
}

// document returns the file of a value: its canonical bytes and a newline.
func document(v any) ([]byte, error) {
	b, err := record.MarshalLimit(v, MaxSize-1)
	return append(b, '\n'), err
}

// parseDocument reads the file of a value, and refuses what document would not
// have written.
func parseDocument(b []byte, v any) error {
	text, ended := bytes.CutSuffix(b, []byte("\n"))
	if !ended {
		return errors.New("no newline at its end")
	}
	return record.UnmarshalLimit(text, v, MaxSize-1)
}

// openEnvelope returns the payload of an envelope if the key signed it.
func openEnvelope(ctx context.Context, e *dsse.Envelope, key *runlog.EnvelopeKey) ([]byte, error) {
	id, _ := key.KeyID()
	switch {
	case e.PayloadType != payloadType:
		return nil, fmt.Errorf("payloadType: %.80q, want %q", e.PayloadType, payloadType)
	case len(e.Signatures) != 1:
		return nil, fmt.Errorf("signatures: %d, want 1", len(e.Signatures))
	case e.Signatures[0].KeyID != id:
		return nil, fmt.Errorf("signatures: keyid: %.120q, want %q", e.Signatures[0].KeyID, id)
	}
	payload, err := decodeBase64(e.Payload)
	if err != nil {
		return nil, fmt.Errorf("payload: %w", err)
	}
	if _, err := decodeBase64(e.Signatures[0].Sig); err != nil {
		return nil, fmt.Errorf("signatures: sig: %w", err)
	}
	v, err := dsse.NewEnvelopeVerifier(key)
	if err != nil {
		return nil, fmt.Errorf("envelope: %w", err)
	}
	if _, err := v.Verify(ctx, e); err != nil {
		return nil, fmt.Errorf("signature: not that of %.120q over this payload: %w", keyName(key), err)
	}
	return payload, nil
}

// decodeBase64 decodes standard base64 and nothing that means the same.
func decodeBase64(text string) ([]byte, error) {
	b, err := base64.StdEncoding.DecodeString(text)
	if err == nil && base64.StdEncoding.EncodeToString(b) != text {
		err = errors.New("not the one base64 text of its bytes")
	}
	return b, err
}

// keyName is what to call a key in a message.
func keyName(key *runlog.EnvelopeKey) string {
	if id, _ := key.KeyID(); id != "" {
		return id
	}
	return pubName
}

// parseEnvelope reads the file of an envelope and returns its payload if the key
// signed it.
func parseEnvelope(ctx context.Context, b []byte, key *runlog.EnvelopeKey) ([]byte, error) {
	var e dsse.Envelope
	if err := parseDocument(b, &e); err != nil {
		return nil, err
	}
	return openEnvelope(ctx, &e, key)
}

// parseBundle reads the file of a bundle and returns its payload if the key,
// whose file is given, signed it.
func parseBundle(ctx context.Context, b []byte, key *runlog.EnvelopeKey, hint string) ([]byte, error) {
	var u bundle
	if err := parseDocument(b, &u); err != nil {
		return nil, err
	}
	switch {
	case u.MediaType != bundleType:
		return nil, fmt.Errorf("mediaType: %.80q, want %q", u.MediaType, bundleType)
	case len(u.Material.Entries) != 0:
		return nil, fmt.Errorf("verificationMaterial: tlogEntries: %d, want none", len(u.Material.Entries))
	case u.Material.PublicKey.Hint != hint:
		return nil, fmt.Errorf("verificationMaterial: publicKey: hint: %.80q is not the SHA-256 of %s, %s", u.Material.PublicKey.Hint, pubName, hint)
	}
	payload, err := openEnvelope(ctx, &u.Envelope, key)
	if err != nil {
		return nil, fmt.Errorf("dsseEnvelope: %w", err)
	}
	return payload, nil
}

// readDocument reads a file that may be hostile.
func readDocument(name string) ([]byte, error) {
	info, err := os.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", name)
	}
	if info.Size() > MaxSize {
		return nil, fmt.Errorf("%s has %d bytes, want at most %d", name, info.Size(), MaxSize)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, MaxSize+1))
}
