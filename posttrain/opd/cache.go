package opd

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/temper-ml/temper/compute/dtype"
	"github.com/temper-ml/temper/internal/durable"
	"github.com/temper-ml/temper/internal/unit"
	"github.com/temper-ml/temper/report/record/digest"
)

// magic begins a file of a cache:
//
//	magic (16 bytes), key (32), rows, columns, bytes of a number (8 each),
//	the numbers: float32, or bfloat16 if they have 2 bytes,
//	SHA-256 of all that
//
// Integers and numbers are little-endian. The key says what the numbers were made from.
const magic = "temper-states/1\n"

const headerSize, trailerSize = len(magic) + 32 + 24, 32

// matrix is what a file holds.
type matrix struct {
	key           digest.Digest
	rows, columns int
	short         bool // bfloat16
	values        []float32
}

func (m *matrix) width() int {
	if m.short {
		return 2
	}
	return 4
}

func (m *matrix) bytes() int64 { return int64(m.rows) * int64(m.columns) * 4 }

// errDamaged is wrapped by errors about files that are not what they should be.
var errDamaged = errors.New("damaged")

// cache keeps matrices in memory up to a bound, and in a directory if there is one.
type cache struct {
	fs     durable.FS
	dir    string
	bound  int64 // bytes in memory
	held   int64
	memory map[digest.Digest][]float32
	order  []digest.Digest // of memory, the oldest first
	lock   *durable.Lock
	warn   func(string)
}

func newCache(o *Options) (*cache, error) {
	c := &cache{fs: o.FS, dir: o.Dir, bound: o.Memory, memory: map[digest.Digest][]float32{}, warn: o.Warn}
	if c.dir == "" {
		return c, nil
	}
	if err := durable.MkdirAll(c.fs, c.dir); err != nil {
		return nil, fmt.Errorf("opd: cache: %w", err)
	}
	var err error
	if c.lock, err = durable.Acquire(c.dir); err != nil {
		return nil, fmt.Errorf("opd: cache: %w", err)
	}
	return c, nil
}

func (c *cache) name(key digest.Digest) string {
	return filepath.Join(c.dir, fmt.Sprintf("%x.states", key[:]))
}

// has tells whether m's values can be had; a damaged file is removed.
func (c *cache) has(m matrix) (bool, error) {
	err := c.get(&m)
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, os.ErrNotExist):
		return false, nil
	case errors.Is(err, errDamaged):
		c.warn(fmt.Sprintf("%v: it is computed again", err))
		return false, c.fs.RemoveAll(c.name(m.key))
	}
	return false, err
}

// get fills m.values.
func (c *cache) get(m *matrix) error {
	if v, ok := c.memory[m.key]; ok {
		m.values = v
		return nil
	}
	if c.dir == "" {
		return os.ErrNotExist
	}
	f, err := os.Open(c.name(m.key))
	if err != nil {
		return err
	}
	defer f.Close()
	if err := m.read(f); err != nil {
		return fmt.Errorf("opd: %s is %w: %w", c.name(m.key), errDamaged, err)
	}
	c.remember(m)
	return nil
}

// put keeps m.
func (c *cache) put(m *matrix) error {
	if c.dir != "" {
		if err := durable.WriteStream(c.fs, c.name(m.key), m.write); err != nil {
			return fmt.Errorf("opd: cache: %w", err)
		}
	} else if c.held+m.bytes() > c.bound {
		return fmt.Errorf("opd: teachers' states need more than the %v of memory allowed for them: give them a directory, or allow more", unit.Bytes(c.bound))
	}
	c.remember(m)
	return nil
}

// remember holds m in memory, at the expense of what came first; with a directory that
// is only a matter of speed.
func (c *cache) remember(m *matrix) {
	if _, ok := c.memory[m.key]; ok || c.dir != "" && m.bytes() > c.bound {
		return
	}
	for c.dir != "" && c.held+m.bytes() > c.bound {
		c.forget(0)
	}
	c.memory[m.key] = m.values
	c.order = append(c.order, m.key)
	c.held += m.bytes()
}

func (c *cache) forget(i int) {
	key := c.order[i]
	c.held -= 4 * int64(len(c.memory[key]))
	delete(c.memory, key)
	c.order = slices.Delete(c.order, i, i+1)
}

// prune removes all that is not wanted: from memory, and from the disk, where
// other steps may keep bytes, the youngest of them.
func (c *cache) prune(wanted map[digest.Digest]bool, others int64) error {
	for i := len(c.order) - 1; i >= 0; i-- {
		if !wanted[c.order[i]] {
			c.forget(i)
		}
	}
	if c.dir == "" {
		return nil
	}
	keep := map[string]bool{}
	for key := range wanted {
		keep[filepath.Base(c.name(key))] = true
	}
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		return fmt.Errorf("opd: cache: %w", err)
	}
	var old []os.FileInfo
	for _, e := range entries {
		info, err := e.Info()
		switch {
		case err != nil || e.IsDir() || keep[e.Name()]:
		case strings.Contains(e.Name(), ".states.tmp-"):
			err = c.fs.RemoveAll(filepath.Join(c.dir, e.Name()))
		case strings.HasSuffix(e.Name(), ".states"):
			old = append(old, info)
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("opd: cache: %w", err)
		}
	}
	slices.SortFunc(old, func(a, b os.FileInfo) int { return b.ModTime().Compare(a.ModTime()) })
	for _, info := range old {
		if others -= info.Size(); others >= 0 {
			continue
		}
		if err := c.fs.RemoveAll(filepath.Join(c.dir, info.Name())); err != nil {
			return fmt.Errorf("opd: cache: %w", err)
		}
	}
	return nil
}

func (m *matrix) header() []byte {
	b := append([]byte(magic), m.key[:]...)
	for _, n := range []int{m.rows, m.columns, m.width()} {
		b = binary.LittleEndian.AppendUint64(b, uint64(n))
	}
	return b
}

// write writes the file.
func (m *matrix) write(w io.Writer) error {
	h := sha256.New()
	b := bufio.NewWriterSize(io.MultiWriter(w, h), 1<<20)
	if _, err := b.Write(m.header()); err != nil {
		return err
	}
	var word [4]byte
	for _, v := range m.values {
		if m.short {
			binary.LittleEndian.PutUint16(word[:], dtype.BF16FromF32Bits(v))
		} else {
			binary.LittleEndian.PutUint32(word[:], math.Float32bits(v))
		}
		if _, err := b.Write(word[:m.width()]); err != nil {
			return err
		}
	}
	if err := b.Flush(); err != nil {
		return err
	}
	_, err := w.Write(h.Sum(nil))
	return err
}

// read checks a file against what m should be and fills m.values.
func (m *matrix) read(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	n := m.rows * m.columns
	if want := int64(headerSize + n*m.width() + trailerSize); info.Size() != want {
		return fmt.Errorf("it has %d bytes, want %d", info.Size(), want)
	}
	h := sha256.New()
	b := bufio.NewReaderSize(f, 1<<20)
	header := make([]byte, headerSize)
	if _, err := io.ReadFull(b, header); err != nil {
		return err
	}
	if string(header) != string(m.header()) {
		return fmt.Errorf("its header is of something else")
	}
	h.Write(header)
	values := make([]float32, n)
	if err := m.numbers(values, b, h); err != nil {
		return err
	}
	var sum [trailerSize]byte
	if _, err := io.ReadFull(b, sum[:]); err != nil {
		return err
	}
	if string(sum[:]) != string(h.Sum(nil)) {
		return fmt.Errorf("its bytes do not have the digest at its end")
	}
	m.values = values
	return nil
}

func (m *matrix) numbers(values []float32, r io.Reader, h hash.Hash) error {
	buf := make([]byte, 1<<16)
	for len(values) > 0 {
		n := min(len(values), len(buf)/m.width())
		piece := buf[:n*m.width()]
		if _, err := io.ReadFull(r, piece); err != nil {
			return err
		}
		h.Write(piece)
		for i := range n {
			if m.short {
				values[i] = dtype.BF16ToF32(binary.LittleEndian.Uint16(piece[2*i:]))
			} else {
				values[i] = math.Float32frombits(binary.LittleEndian.Uint32(piece[4*i:]))
			}
		}
		values = values[n:]
	}
	return nil
}
