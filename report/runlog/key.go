package runlog

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// KeyVariable is the environment variable that gives a signing key, or the name
// of a file that holds one.
const KeyVariable = "TEMPER_SIGNING_KEY"

// keyName is the name in new keys.
const keyName = "temper"

// keyPrefix begins the text of a signing key.
const keyPrefix = "PRIVATE+KEY+"

// Key signs heads.
type Key struct {
	signer   note.Signer
	private  func() ed25519.PrivateKey // a function, which no printing of a Key shows
	verifier string
}

// Verifier returns the verifier key, which is public: who has it can check what
// the key signed.
func (k *Key) Verifier() string { return k.verifier }

// String returns the verifier key, so that printing a Key betrays nothing.
func (k *Key) String() string { return k.verifier }

// NewKey makes a key that no file holds.
func NewKey() (*Key, error) {
	text, _, err := note.GenerateKey(rand.Reader, keyName)
	if err != nil {
		return nil, fmt.Errorf("signing key: %w", err)
	}
	return ParseKey(text)
}

// ParseKey reads a signing key: PRIVATE+KEY+name+hash+base64, as package
// sumdb/note writes it. Errors do not repeat the key.
func ParseKey(text string) (*Key, error) {
	text = strings.TrimSpace(text)
	signer, err := note.NewSigner(text)
	if err != nil {
		return nil, fmt.Errorf("signing key: %w: want PRIVATE+KEY+name+hash+base64", err)
	}
	f := strings.SplitN(text, "+", 5)
	seed, err := base64.StdEncoding.DecodeString(f[len(f)-1])
	if err != nil || len(seed) != 1+ed25519.SeedSize {
		return nil, fmt.Errorf("signing key %s: not an Ed25519 key", signer.Name())
	}
	private := ed25519.NewKeyFromSeed(seed[1:])
	verifier, err := note.NewEd25519VerifierKey(signer.Name(), private.Public().(ed25519.PublicKey))
	if err != nil {
		return nil, fmt.Errorf("signing key: %w", err)
	}
	return &Key{signer, func() ed25519.PrivateKey { return private }, verifier}, nil
}

// DefaultKey returns the user's key: what [KeyVariable] gives, or else the file
// temper/signing.key of the user's configuration directory, which is made on
// first use. created tells that it was.
func DefaultKey() (k *Key, created bool, err error) {
	given := os.Getenv(KeyVariable)
	if strings.HasPrefix(given, keyPrefix) {
		k, err = ParseKey(given)
	} else if given != "" {
		k, err = LoadKey(given)
	}
	if err != nil {
		return nil, false, fmt.Errorf("%s: %w", KeyVariable, err)
	}
	if given != "" {
		return k, false, nil
	}
	name, err := KeyFile()
	if err != nil {
		return nil, false, err
	}
	return FileKey(name)
}

// KeyFile returns the name of the user's key file, whether or not it exists.
func KeyFile() (string, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("signing key: %w: give one in %s", err, KeyVariable)
	}
	return filepath.Join(dir, "temper", "signing.key"), nil
}

// LoadKey reads a key file, which nobody but its owner may read.
func LoadKey(name string) (*Key, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("signing key: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxHeadLine {
		return nil, fmt.Errorf("signing key: %s is no file of at most %d bytes", name, maxHeadLine)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("signing key: %s has mode %#o, others may read it: make a new one, or chmod 600 it if nobody has", name, info.Mode().Perm())
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("signing key: %w", err)
	}
	k, err := ParseKey(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return k, nil
}

// FileKey reads a key file, or makes it, with mode 0600, if it does not exist.
// When several processes make it at once, one key wins and all return it.
func FileKey(name string) (k *Key, created bool, err error) {
	if k, err = LoadKey(name); !errors.Is(err, os.ErrNotExist) {
		return k, false, err
	}
	text, _, err := note.GenerateKey(rand.Reader, keyName)
	if err != nil {
		return nil, false, fmt.Errorf("signing key: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return nil, false, fmt.Errorf("signing key: %w: or give one in %s", err, KeyVariable)
	}
	tmp, err := os.CreateTemp(filepath.Dir(name), ".signing.key-*") // mode 0600
	if err != nil {
		return nil, false, fmt.Errorf("signing key: %w: or give one in %s", err, KeyVariable)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.WriteString(text + "\n")
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err != nil {
		return nil, false, fmt.Errorf("signing key: %w", err)
	}
	// A link, unlike a rename, does not replace the key that another process made.
	if err := os.Link(tmp.Name(), name); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, false, fmt.Errorf("signing key: %w: or give one in %s", err, KeyVariable)
	} else if err == nil {
		created = true
	}
	k, err = LoadKey(name)
	return k, created, err
}
