package record

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// Digest names bytes, or the state of a set of tensors, by what they are:
// "sha256:" and 64 hexadecimal digits, or "sum512:" and 128, all lower case.
// The empty Digest says that none was taken.
type Digest string

// digestSizes are the bytes of a digest by its scheme.
var digestSizes = map[string]int{"sha256": 32, "sum512": 64}

// SHA256 returns the digest of bytes.
func SHA256(b []byte) Digest {
	sum := sha256.Sum256(b)
	return Digest("sha256:" + hex.EncodeToString(sum[:]))
}

// NewDigest returns the digest that a scheme, "sha256" or "sum512", gave.
func NewDigest(scheme string, sum []byte) (Digest, error) {
	d := Digest(scheme + ":" + hex.EncodeToString(sum))
	return d, d.Check()
}

// Check refuses what has not the form of a digest. The empty Digest passes.
func (d Digest) Check() error {
	if d == "" {
		return nil
	}
	scheme, sum, _ := strings.Cut(string(d), ":")
	size, known := digestSizes[scheme]
	if !known {
		return fmt.Errorf("digest %.40q: scheme %.20q is unknown, want sha256 or sum512", d, scheme)
	}
	if len(sum) != 2*size {
		return fmt.Errorf("digest %.40q: %d digits, want %d", d, len(sum), 2*size)
	}
	for i := range len(sum) {
		if c := sum[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return fmt.Errorf("digest %.40q: digit %d is %q, want 0-9 or a-f", d, i, c)
		}
	}
	return nil
}
