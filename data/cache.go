package data

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/temper-ml/temper/data/source"
	"github.com/temper-ml/temper/internal/durable"
)

// A cache file holds the examples of one data file:
//
//	"TMPRTOK1"                              8 bytes
//	length of the header                    4 bytes, little endian
//	header: JSON of cacheHeader
//	CRC-32C of the header                   4 bytes
//	ends    int64 each                      (all little endian)
//	lines   int64 each
//	parts   int32 each
//	flags   1 byte each
//	tokens  int32 each
//	masks   1 byte each, 0 or 1
//	answers: lengths int64 each, then the bytes; only in prompt data sets
//	CRC-32C of everything after the header  4 bytes
//
// Its name is the hexadecimal key, which covers the bytes of the data file, the
// tokenizer's digest, the encoding's name and version, the options and the
// version of this layout. A file is never changed once it has its name. One that
// fails any check is made again.
const (
	cacheMagic   = "TMPRTOK1"
	cacheVersion = 3
	cacheSuffix  = ".tokens"
)

// cacheHeader says what is in the file; sizes follow from it exactly.
type cacheHeader struct {
	Key        string `json:"key"`
	Kind       string `json:"kind"`
	Examples   int64  `json:"examples"`
	Tokens     int64  `json:"tokens"`
	HasAnswers bool   `json:"has_answers"`
	AnswerSize int64  `json:"answer_size"`
	Report     Report `json:"report"`
}

// body returns the bytes between header and final checksum.
func (h *cacheHeader) body() int64 {
	n := h.Examples*(8+8+4+1) + h.Tokens*(4+1)
	if h.HasAnswers {
		n += h.Examples*8 + h.AnswerSize
	}
	return n
}

// cacheKey names what the examples of a file depend on.
func (l *Loader) cacheKey(path string) (string, error) {
	file, err := fileDigest(path)
	if err != nil {
		return "", err
	}
	tok := l.Tokenizer.Digest()
	h := sha256.New()
	fmt.Fprintf(h, "temper token cache %d\nfile %x\ntokenizer %x\nencoding %s %d\nname %q\noptions %s\n",
		cacheVersion, file, tok, l.Encoding.Name(), l.Encoding.Version(), nameClass(path), l.Options.canonical())
	return hex.EncodeToString(h.Sum(nil)), nil
}

// nameClass is the part of a file's name that decides how it is read.
func nameClass(path string) string {
	ext := filepath.Ext(path)
	if ext == ".gz" {
		ext = filepath.Ext(path[:len(path)-len(ext)]) + ext
	}
	return ext
}

func fileDigest(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return nil, fmt.Errorf("data: %s: %w", path, err)
	}
	return h.Sum(nil), nil
}

func cachePath(dir, key string) string { return filepath.Join(dir, key+cacheSuffix) }

// writeCache stores the examples of one file under its key.
func writeCache(fs durable.FS, dir, key string, kind source.Kind, c *columns, r *Report) error {
	h := cacheHeader{
		Key: key, Kind: kind.String(), Examples: int64(len(c.ends)), Tokens: int64(len(c.tokens)),
		HasAnswers: c.answers != nil, Report: *r,
	}
	for _, a := range c.answers {
		h.AnswerSize += int64(len(a))
	}
	header, err := json.Marshal(h)
	if err != nil {
		return fmt.Errorf("data: cache header: %w", err)
	}
	if err := durable.MkdirAll(fs, dir); err != nil {
		return fmt.Errorf("data: token cache: %w", err)
	}
	tmp := fmt.Sprintf("%s.tmp-%d-%d", filepath.Join(dir, key), os.Getpid(), temporary.Add(1))
	err = writeFile(fs, tmp, header, c)
	if err == nil {
		err = fs.Rename(tmp, cachePath(dir, key))
	}
	if err == nil {
		err = fs.SyncDir(dir)
	}
	if err != nil {
		_ = fs.RemoveAll(tmp)
		return fmt.Errorf("data: token cache in %s: %w: free some space, choose another directory, or use no cache", dir, err)
	}
	return nil
}

// temporary numbers the temporary names of this process.
var temporary atomic.Int64

// writeFile writes a whole cache file and returns when it is on the disk.
func writeFile(fs durable.FS, name string, header []byte, c *columns) error {
	f, err := fs.Create(name)
	if err != nil {
		return err
	}
	w := newCacheWriter(f)
	w.bytes([]byte(cacheMagic))
	w.uint32(uint32(len(header)))
	w.begin()
	w.bytes(header)
	w.checksum()
	w.begin()
	w.columns(c)
	w.checksum()
	err = w.flush()
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	return err
}

// errCache marks a cache file that is absent, cut or damaged.
var errCache = errors.New("data: not a usable token cache")

// readCache loads the examples stored under key. Any damage is errCache.
func readCache(dir, key string) (source.Kind, *columns, *Report, error) {
	f, err := os.Open(cachePath(dir, key))
	if err != nil {
		return 0, nil, nil, errCache
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, nil, nil, errCache
	}
	r := newCacheReader(f)
	h, ok := r.header(info.Size())
	if !ok || h.Key != key {
		return 0, nil, nil, errCache
	}
	kind, ok := parseKind(h.Kind)
	if !ok {
		return 0, nil, nil, errCache
	}
	r.begin()
	cols := r.columns(h)
	if !r.checksum() || !cols.sound() {
		return 0, nil, nil, errCache
	}
	return kind, cols, &h.Report, nil
}

func parseKind(name string) (source.Kind, bool) {
	for k := source.Supervised; k <= source.Text; k++ {
		if k.String() == name {
			return k, true
		}
	}
	return 0, false
}

// sound reports whether the examples tile the tokens.
func (c *columns) sound() bool {
	last := int64(0)
	for _, end := range c.ends {
		if end <= last {
			return false
		}
		last = end
	}
	return last == int64(len(c.tokens))
}
