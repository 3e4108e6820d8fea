package safetensors

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"unicode/utf8"

	"github.com/temper-ml/temper/compute/dtype"
)

// Spec is a tensor to be written.
type Spec struct {
	Name  string
	DType dtype.DType
	Shape []int
}

// Size returns the bytes of the tensor's data.
func (s *Spec) Size() int64 {
	n := int64(s.DType.Size())
	for _, d := range s.Shape {
		n *= int64(d)
	}
	return n
}

// Writer streams one file. The specs fix the header, which is written first;
// then the data of each tensor follows in the same order, in pieces of any size.
type Writer struct {
	w     io.Writer
	specs []Spec
	at    int   // the tensor being written, -1 before the first
	left  int64 // bytes that it still lacks
}

// NewWriter writes the header for the specs and metadata.
func NewWriter(w io.Writer, specs []Spec, metadata map[string]string) (*Writer, error) {
	text, err := encodeHeader(specs, metadata)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(text); err != nil {
		return nil, fmt.Errorf("safetensors: writing the header: %w", err)
	}
	return &Writer{w: w, specs: specs, at: -1}, nil
}

// encodeHeader returns length and header, padded so that the data is aligned to
// eight bytes. Equal specs and metadata give equal bytes.
func encodeHeader(specs []Spec, metadata map[string]string) ([]byte, error) {
	var b bytes.Buffer
	b.Write(make([]byte, 8))
	b.WriteByte('{')
	sep := ""
	if len(metadata) > 0 {
		b.WriteString(quote(metadataKey) + ":{")
		keys := make([]string, 0, len(metadata))
		for key := range metadata {
			keys = append(keys, key)
		}
		slices.Sort(keys)
		for i, key := range keys {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(quote(key) + ":" + quote(metadata[key]))
		}
		b.WriteByte('}')
		sep = ","
	}
	if err := encodeSpecs(&b, specs, sep); err != nil {
		return nil, err
	}
	b.WriteByte('}')
	for b.Len()%8 != 0 {
		b.WriteByte(' ')
	}
	text := b.Bytes()
	if len(text)-8 > MaxHeader {
		return nil, fmt.Errorf("safetensors: header of %d tensors has %d bytes, want at most %d: use more shards", len(specs), len(text)-8, MaxHeader)
	}
	binary.LittleEndian.PutUint64(text, uint64(len(text)-8))
	return text, nil
}

func encodeSpecs(b *bytes.Buffer, specs []Spec, sep string) error {
	seen := make(map[string]bool, len(specs))
	var at int64
	for i := range specs {
		s := &specs[i]
		switch {
		case s.Name == "" || s.Name == metadataKey || len(s.Name) > maxName || !utf8.ValidString(s.Name):
			return fmt.Errorf("safetensors: %q cannot be the name of a tensor", shorten(s.Name))
		case seen[s.Name]:
			return fmt.Errorf("safetensors: tensor %q is written twice", s.Name)
		case s.DType.Size() == 0:
			return fmt.Errorf("safetensors: tensor %q: %v is not a format", s.Name, s.DType)
		}
		seen[s.Name] = true
		shape, err := json.Marshal(append([]int{}, s.Shape...))
		if err != nil {
			return err
		}
		end := at + s.Size()
		fmt.Fprintf(b, `%s%s:{"dtype":%q,"shape":%s,"data_offsets":[%d,%d]}`, sep, quote(s.Name), s.DType.String(), shape, at, end)
		at, sep = end, ","
	}
	return nil
}

// quote renders a JSON string without escaping <, > and &.
func quote(s string) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // a string always encodes
	return string(bytes.TrimRight(b.Bytes(), "\n"))
}

// Next starts the data of the tensor, which must be the next of the specs.
func (w *Writer) Next(name string) error {
	if err := w.full(); err != nil {
		return err
	}
	w.at++
	if w.at >= len(w.specs) {
		return fmt.Errorf("safetensors: tensor %q is one more than the %d that were announced", name, len(w.specs))
	}
	if s := &w.specs[w.at]; s.Name != name {
		return fmt.Errorf("safetensors: tensor %q comes now, want %q: data follows the order of the header", name, s.Name)
	}
	w.left = w.specs[w.at].Size()
	return nil
}

// Write appends data to the tensor that Next has started.
func (w *Writer) Write(p []byte) (int, error) {
	if w.at < 0 || int64(len(p)) > w.left {
		return 0, fmt.Errorf("safetensors: %d bytes more than %s takes", int64(len(p))-w.left, w.current())
	}
	n, err := w.w.Write(p)
	w.left -= int64(n)
	if err != nil {
		return n, fmt.Errorf("safetensors: %s: %w", w.current(), err)
	}
	return n, nil
}

// Close reports whether everything that was announced has been written. It does
// not close the underlying writer.
func (w *Writer) Close() error {
	if err := w.full(); err != nil {
		return err
	}
	if n := len(w.specs) - w.at - 1; n > 0 {
		return fmt.Errorf("safetensors: %d tensors were announced and not written, the first is %q", n, w.specs[w.at+1].Name)
	}
	return nil
}

func (w *Writer) full() error {
	if w.left != 0 {
		return fmt.Errorf("safetensors: %s lacks %d bytes", w.current(), w.left)
	}
	return nil
}

func (w *Writer) current() string {
	if w.at < 0 {
		return "no tensor"
	}
	return fmt.Sprintf("tensor %q", w.specs[w.at].Name)
}
