package checkpoint

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// ManifestName is the file of a save that has the digests of all else in it.
const ManifestName = "manifest.json"

const (
	formatName  = "temper training state 1"
	maxManifest = 1 << 30
)

// manifest lists what a save holds.
type manifest struct {
	Format  string          `json:"format"`
	Step    int64           `json:"step"`
	Meta    json.RawMessage `json:"meta,omitempty"`
	Tensors []item          `json:"tensors"`
}

// item is one tensor of a save.
type item struct {
	Name   string `json:"name"`
	Shape  []int  `json:"shape"`
	File   string `json:"file"`
	SHA256 string `json:"sha256"`
}

// sealed wraps a manifest in the digest of its bytes.
type sealed struct {
	SHA256   string          `json:"sha256"`
	Manifest json.RawMessage `json:"manifest"`
}

func (m *manifest) encode() ([]byte, error) {
	body, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	sum := sha256.Sum256(body)
	return fmt.Appendf(nil, "{\"sha256\": %q, \"manifest\": %s}\n", hex.EncodeToString(sum[:]), body), nil
}

// readManifest reads and verifies the manifest of a save.
func readManifest(dir string) (*manifest, error) {
	path := filepath.Join(dir, ManifestName)
	stat, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if stat.Size() > maxManifest {
		return nil, fmt.Errorf("%s has %d bytes, want at most %d", ManifestName, stat.Size(), maxManifest)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return decodeManifest(text)
}

func decodeManifest(text []byte) (*manifest, error) {
	var s sealed
	if err := strict(text, &s); err != nil {
		return nil, fmt.Errorf("%s: %w", ManifestName, err)
	}
	if sum := sha256.Sum256(s.Manifest); hex.EncodeToString(sum[:]) != s.SHA256 {
		return nil, fmt.Errorf("%s does not have the digest it claims, %s: it was changed", ManifestName, s.SHA256)
	}
	m := new(manifest)
	if err := strict(s.Manifest, m); err != nil {
		return nil, fmt.Errorf("%s: %w", ManifestName, err)
	}
	if m.Format != formatName {
		return nil, fmt.Errorf("%s: format is %q, want %q", ManifestName, m.Format, formatName)
	}
	return m, m.check()
}

// check refuses manifests that this package would not write.
func (m *manifest) check() error {
	seen := make(map[string]bool, len(m.Tensors))
	for i := range m.Tensors {
		t := &m.Tensors[i]
		if seen[t.Name] {
			return fmt.Errorf("%s lists tensor %q twice", ManifestName, t.Name)
		}
		if t.File != filepath.Base(t.File) || t.File == "." || t.File == ".." {
			return fmt.Errorf("%s: tensor %q is said to be in %q, want a file of the same directory", ManifestName, t.Name, t.File)
		}
		seen[t.Name] = true
	}
	return nil
}

// strict decodes one JSON value without unknown keys or anything after it.
func strict(text []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return err
	}
	if _, err := dec.Token(); err != io.EOF {
		return errors.New("there is text after the object")
	}
	return nil
}
