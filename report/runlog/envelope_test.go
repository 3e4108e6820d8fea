package runlog_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/temper-ml/temper/report/runlog"
)

// Envelope keys sign envelopes, deterministically, and nothing that could be
// taken for a head.
func TestEnvelopeKeysSignEnvelopesOnly(t *testing.T) {
	k := key(t, 0)
	p256, err := k.EnvelopeP256()
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := runlog.Envelope(k.Verifier())
	if err != nil {
		t.Fatal(err)
	}
	pae := []byte("DSSEv1 1 t 2 {}")
	for name, pair := range map[string][2]*runlog.EnvelopeKey{
		"ed25519": {k.Envelope(), verifier},
		"p256":    {p256, runlog.EnvelopeP256(p256.Public().(*ecdsa.PublicKey))},
	} {
		signer, verifier := pair[0], pair[1]
		sig, err := signer.Sign(t.Context(), pae)
		if err != nil {
			t.Fatal(name, err)
		}
		again, err := signer.Sign(t.Context(), pae)
		if err != nil || !bytes.Equal(sig, again) {
			t.Errorf("%s: another signature the second time, %v", name, err)
		}
		if err := verifier.Verify(t.Context(), pae, sig); err != nil {
			t.Error(name, err)
		}
		for i := range sig {
			bad := bytes.Clone(sig)
			bad[i] ^= 4
			if verifier.Verify(t.Context(), pae, bad) == nil {
				t.Errorf("%s: accepts a signature with another byte %d", name, i)
			}
		}
		if verifier.Verify(t.Context(), []byte("DSSEv1 1 t 2 []"), sig) == nil {
			t.Errorf("%s: accepts a signature of something else", name)
		}
		for _, other := range []string{"", "DSSEv1", "temper-record/1\n1\nAAAA\n"} {
			if _, err := signer.Sign(t.Context(), []byte(other)); err == nil {
				t.Errorf("%s: signs %q", name, other)
			}
		}
		if _, err := verifier.Sign(t.Context(), pae); err == nil {
			t.Errorf("%s: a verifier signs", name)
		}
	}
	if id, _ := verifier.KeyID(); id != k.Verifier() {
		t.Errorf("identifier %q", id)
	}
}

// The derived key is fixed for ever: whoever published it must find it again.
// The golden bytes come from Python's cryptography: HKDF(SHA256, 32, None,
// b"temper envelope ecdsa-p256/1/0") of the seed, ec.derive_private_key.
func TestP256KeyOfASeed(t *testing.T) {
	p256, err := key(t, 0).EnvelopeP256()
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(p256.Public())
	if err != nil {
		t.Fatal(err)
	}
	const want = "3059301306072a8648ce3d020106082a8648ce3d03010703420004716516af6a0edb0fd625b3cc9f1a38440e3a2bc491daa34907e60860a631b2905609374d8dff80f867a06ba01c09346099b9d35dc15f832f3f46ddfad4ed4589"
	if got := hex.EncodeToString(der); got != want {
		t.Errorf("public key\n got %s\nwant %s", got, want)
	}
	other, err := key(t, 1).EnvelopeP256()
	if err != nil || other.Public().(*ecdsa.PublicKey).Equal(p256.Public()) {
		t.Errorf("another seed has the same key, %v", err)
	}
}

func TestVerifierKeysOfOtherForms(t *testing.T) {
	for _, text := range []string{"", "temper", "temper+00000000+AAAA", "temper+a646fda1+" + base64.StdEncoding.EncodeToString([]byte{1}), strings.Repeat("+", 1000)} {
		if _, err := runlog.Envelope(text); err == nil {
			t.Errorf("%.40q is taken for a key", text)
		}
	}
}
