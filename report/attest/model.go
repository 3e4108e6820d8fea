package attest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/temper-ml/temper/report/runlog"
)

// modelPredicate is the type of OpenSSF Model Signing.
const modelPredicate = "https://model_signing/signature/v1.0"

// signature is the predicate of a signed model.
type signature struct {
	Resources     []resource    `json:"resources"`
	Serialization serialization `json:"serialization"`
}

// resource is a file of a signed model.
type resource struct {
	Algorithm string `json:"algorithm"`
	Digest    string `json:"digest"`
	Name      string `json:"name"`
}

// serialization says how a directory becomes resources.
type serialization struct {
	AllowSymlinks bool     `json:"allow_symlinks"`
	HashType      string   `json:"hash_type"`
	IgnorePaths   []string `json:"ignore_paths,omitempty"`
	Method        string   `json:"method"`
}

// modelStatement is what model.json and model.sig sign.
func modelStatement(f *facts) ([]byte, error) {
	files, root, err := f.model()
	if err != nil {
		return nil, err
	}
	p := signature{Serialization: serialization{HashType: "sha256", Method: "files", IgnorePaths: ignorePaths(files)}}
	for _, f := range files {
		p.Resources = append(p.Resources, resource{"sha256", f.digest, f.name})
	}
	s := statement{
		Subject:       []descriptor{{Name: f.name(), Digest: sha256Set(root)}},
		PredicateType: modelPredicate, Predicate: p,
	}
	return s.payload()
}

// model returns the files of the exported model and their root digest.
func (f *facts) model() (files []file, root string, err error) {
	if files, err = modelFiles(f.end.Export); err != nil {
		return nil, "", err
	}
	root, err = rootDigest(files)
	return files, root, err
}

// signBundle signs a payload as the public tool does.
func signBundle(ctx context.Context, key *runlog.EnvelopeKey, hint string, payload []byte) ([]byte, error) {
	e, err := signEnvelope(ctx, key, payload)
	if err != nil {
		return nil, err
	}
	return document(&bundle{bundleType, material{PublicKey: keyHint{hint}, Entries: []string{}}, *e})
}

// publicPEM returns the file of a public key.
func publicPEM(key *runlog.EnvelopeKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", pubName, err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}

// hintOf is how a bundle names a key: the SHA-256 of its file.
func hintOf(pub []byte) string {
	sum := sha256.Sum256(pub)
	return hex.EncodeToString(sum[:])
}

// parsePEM reads the file of a P-256 key.
func parsePEM(b []byte) (*runlog.EnvelopeKey, error) {
	block, rest := pem.Decode(b)
	if block == nil || block.Type != "PUBLIC KEY" || len(rest) != 0 {
		return nil, errors.New("not one PEM block PUBLIC KEY")
	}
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	ec, ok := public.(*ecdsa.PublicKey)
	if !ok || ec.Curve != elliptic.P256() {
		return nil, errors.New("not an ECDSA key on P-256")
	}
	return runlog.EnvelopeP256(ec), nil
}
