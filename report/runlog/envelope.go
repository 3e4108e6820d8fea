package runlog

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// paePrefix begins everything that is signed for a DSSE envelope. No head begins
// so: neither signature can be taken for the other.
const paePrefix = "DSSEv1 "

// p256Info keeps the P-256 key of a Key apart from all other uses of its seed.
const p256Info = "temper envelope ecdsa-p256/1"

// EnvelopeKey signs DSSE envelopes and nothing else. It has the methods that
// package dsse asks of signers and verifiers.
type EnvelopeKey struct {
	sign   func(pae []byte) ([]byte, error)
	verify func(pae, sig []byte) bool
	public crypto.PublicKey
	id     string
}

// Envelope returns the signer of envelopes of the key. Its identifier is the
// verifier key.
func (k *Key) Envelope() *EnvelopeKey {
	e, err := Envelope(k.verifier)
	if err != nil {
		panic(err) // the verifier key of a Key is well formed
	}
	e.sign = func(pae []byte) ([]byte, error) { return ed25519.Sign(k.private(), pae), nil }
	return e
}

// Envelope returns what verifies envelopes that the owner of a verifier key
// signed. It cannot sign.
func Envelope(verifier string) (*EnvelopeKey, error) {
	public, err := PublicKey(verifier)
	if err != nil {
		return nil, err
	}
	return &EnvelopeKey{
		verify: func(pae, sig []byte) bool { return ed25519.Verify(public, pae, sig) },
		public: public, id: verifier,
	}, nil
}

// EnvelopeP256 returns a signer for tools that know no Ed25519 keys. Its ECDSA
// key is derived from the key's seed (HKDF-SHA256): who has the one has the
// other, and there is no second file to keep. Signatures are deterministic
// (RFC 6979). It has no identifier.
func (k *Key) EnvelopeP256() (*EnvelopeKey, error) {
	private, err := deriveP256(k.private().Seed())
	if err != nil {
		return nil, fmt.Errorf("signing key: %w", err)
	}
	e := EnvelopeP256(&private.PublicKey)
	e.sign = func(pae []byte) ([]byte, error) {
		sum := sha256.Sum256(pae)
		return private.Sign(nil, sum[:], crypto.SHA256) // no randomness: RFC 6979
	}
	return e, nil
}

// EnvelopeP256 returns what verifies envelopes that an ECDSA key signed. It
// cannot sign.
func EnvelopeP256(public *ecdsa.PublicKey) *EnvelopeKey {
	return &EnvelopeKey{
		verify: func(pae, sig []byte) bool {
			sum := sha256.Sum256(pae)
			return ecdsa.VerifyASN1(public, sum[:], sig)
		},
		public: public,
	}
}

// deriveP256 takes the first of the seed's candidates that is a private key.
func deriveP256(seed []byte) (*ecdsa.PrivateKey, error) {
	for i := 0; ; i++ {
		scalar, err := hkdf.Key(sha256.New, seed, nil, fmt.Sprintf("%s/%d", p256Info, i), 32)
		if err != nil {
			return nil, err
		}
		// One candidate in 2^32 is not below the order of the curve.
		if k, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), scalar); err == nil || i == 8 {
			return k, err
		}
	}
}

// Sign signs the pre-authentication encoding of an envelope, and refuses
// everything else.
func (e *EnvelopeKey) Sign(_ context.Context, pae []byte) ([]byte, error) {
	if e.sign == nil {
		return nil, errors.New("signing key: this one can only verify")
	}
	if !bytes.HasPrefix(pae, []byte(paePrefix)) {
		return nil, fmt.Errorf("signing key: not the encoding of an envelope: want %q first", paePrefix)
	}
	return e.sign(pae)
}

// Verify refuses signatures that the key did not make.
func (e *EnvelopeKey) Verify(_ context.Context, pae, sig []byte) error {
	if !bytes.HasPrefix(pae, []byte(paePrefix)) || !e.verify(pae, sig) {
		return errors.New("the signature is not the key's, or what was signed was changed")
	}
	return nil
}

// KeyID returns the identifier of the key, empty if it has none.
func (e *EnvelopeKey) KeyID() (string, error) { return e.id, nil }

// Public returns the public key.
func (e *EnvelopeKey) Public() crypto.PublicKey { return e.public }

// PublicKey returns the key that is in a verifier key (name+hash+base64).
func PublicKey(verifier string) (ed25519.PublicKey, error) {
	if _, err := note.NewVerifier(verifier); err != nil {
		return nil, fmt.Errorf("verifier key %.120q: %w: want name+hash+base64", verifier, err)
	}
	text := strings.SplitN(verifier, "+", 3)[2]
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(key) != 1+ed25519.PublicKeySize {
		return nil, fmt.Errorf("verifier key %.120q: not an Ed25519 key", verifier)
	}
	return key[1:], nil
}
