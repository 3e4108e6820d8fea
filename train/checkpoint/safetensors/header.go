package safetensors

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"unicode/utf8"

	"github.com/temper-ml/temper/compute/dtype"
)

// Limits that keep a hostile header from costing more than it weighs.
const (
	MaxHeader = 100_000_000 // bytes; the limit of other readers too
	maxRank   = 16
	maxName   = 4096 // bytes
)

const metadataKey = "__metadata__"

// Info describes one tensor of a file.
type Info struct {
	Name   string
	DType  dtype.DType
	Shape  []int
	Offset int64 // of the first byte, from the start of the file
	Size   int64 // bytes
}

// Len returns the number of elements.
func (t *Info) Len() int64 { return t.Size / int64(t.DType.Size()) }

// header is what the first part of a file says.
type header struct {
	tensors  []Info // by offset; offsets still relative to the data
	metadata map[string]string
}

// parseHeader reads the JSON of a header whose file has dataSize bytes after it.
func parseHeader(text []byte, dataSize int64) (*header, error) {
	if !utf8.Valid(text) {
		return nil, errors.New("header is not valid UTF-8")
	}
	h := new(header)
	err := eachKey(text, func(key string, value json.RawMessage) error {
		if key == metadataKey {
			return h.readMetadata(value)
		}
		t, err := parseInfo(key, value)
		if err != nil {
			return fmt.Errorf("tensor %q: %w", shorten(key), err)
		}
		h.tensors = append(h.tensors, t)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return h, h.checkCover(dataSize)
}

func (h *header) readMetadata(value json.RawMessage) error {
	h.metadata = make(map[string]string)
	return eachKey(value, func(key string, v json.RawMessage) error {
		var s string
		if err := json.Unmarshal(v, &s); err != nil {
			return fmt.Errorf("metadata key %q is not a string", shorten(key))
		}
		h.metadata[key] = s
		return nil
	})
}

// parseInfo reads one entry: exactly dtype, shape and data_offsets.
func parseInfo(name string, value json.RawMessage) (Info, error) {
	t := Info{Name: name}
	if name == "" || len(name) > maxName {
		return t, fmt.Errorf("name has %d bytes, want 1 to %d", len(name), maxName)
	}
	var shape, offsets []int64
	seen := 0
	err := eachKey(value, func(key string, v json.RawMessage) (err error) {
		seen++
		switch key {
		case "dtype":
			var s string
			if err := json.Unmarshal(v, &s); err != nil {
				return fmt.Errorf("dtype is %s, want a string", shorten(string(v)))
			}
			t.DType, err = dtype.Parse(s)
		case "shape":
			shape, err = integers(key, v, maxRank)
		case "data_offsets":
			offsets, err = integers(key, v, 2)
		default:
			err = fmt.Errorf("unknown key %q, want dtype, shape and data_offsets", shorten(key))
		}
		return err
	})
	if err != nil {
		return t, err
	}
	if seen != 3 || len(offsets) != 2 {
		return t, errors.New("entry is incomplete, want dtype, shape and two data_offsets")
	}
	return t, t.place(shape, offsets[0], offsets[1])
}

// place checks that the shape fills [begin, end) exactly.
func (t *Info) place(shape []int64, begin, end int64) error {
	size := int64(t.DType.Size())
	t.Shape = make([]int, len(shape))
	for i, d := range shape {
		if d != 0 && size > math.MaxInt64/d {
			return fmt.Errorf("shape %v is too large to be real", shape)
		}
		size *= d
		t.Shape[i] = int(d)
	}
	if end < begin {
		return fmt.Errorf("data_offsets [%d, %d] run backwards", begin, end)
	}
	if end-begin != size {
		return fmt.Errorf("%v of shape %v takes %d bytes, but data_offsets [%d, %d] give it %d", t.DType, shape, size, begin, end, end-begin)
	}
	t.Offset, t.Size = begin, size
	return nil
}

// checkCover sorts the tensors by offset and demands that they fill the data.
func (h *header) checkCover(dataSize int64) error {
	slices.SortStableFunc(h.tensors, func(a, b Info) int {
		switch {
		case a.Offset != b.Offset:
			return compare(a.Offset, b.Offset)
		default:
			return compare(a.Size, b.Size)
		}
	})
	var at int64
	for i := range h.tensors {
		t := &h.tensors[i]
		switch {
		case t.Offset+t.Size > dataSize:
			return fmt.Errorf("tensor %q ends at data byte %d, but the file has only %d: it is truncated", t.Name, t.Offset+t.Size, dataSize)
		case t.Offset < at:
			return fmt.Errorf("tensor %q starts at data byte %d, inside tensor %q which ends at %d", t.Name, t.Offset, h.tensors[i-1].Name, at)
		case t.Offset > at:
			return fmt.Errorf("data bytes %d to %d, before tensor %q, belong to no tensor", at, t.Offset, t.Name)
		}
		at = t.Offset + t.Size
	}
	if at != dataSize {
		return fmt.Errorf("the tensors end at data byte %d, but the file has %d: %d bytes belong to no tensor", at, dataSize, dataSize-at)
	}
	return nil
}

func compare(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// eachKey calls f for every key of a JSON object, refusing a key given twice.
func eachKey(text []byte, f func(key string, value json.RawMessage) error) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return fmt.Errorf("%s is not a JSON object", shorten(string(text)))
	}
	seen := make(map[string]bool)
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return fmt.Errorf("broken JSON at byte %d: %w", dec.InputOffset(), err)
		}
		key := t.(string) // the decoder admits nothing else in this place
		if seen[key] {
			return fmt.Errorf("key %q appears twice", shorten(key))
		}
		seen[key] = true
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return fmt.Errorf("broken JSON after key %q: %w", shorten(key), err)
		}
		if err := f(key, value); err != nil {
			return err
		}
	}
	if _, err := dec.Token(); err != nil {
		return fmt.Errorf("broken JSON at byte %d: %w", dec.InputOffset(), err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return fmt.Errorf("text after the closing brace at byte %d", dec.InputOffset())
	}
	return nil
}

// integers reads a list of at most limit integers that are not negative.
func integers(key string, v json.RawMessage, limit int) ([]int64, error) {
	var list []int64
	if err := json.Unmarshal(v, &list); err != nil || list == nil {
		return nil, fmt.Errorf("%s is %s, want a list of integers", key, shorten(string(v)))
	}
	if len(list) > limit {
		return nil, fmt.Errorf("%s has %d entries, want at most %d", key, len(list), limit)
	}
	for _, n := range list {
		if n < 0 || n > math.MaxInt {
			return nil, fmt.Errorf("%s holds %d, want no negative number", key, n)
		}
	}
	return list, nil
}

// shorten keeps error messages readable when the input is not.
func shorten(s string) string {
	if len(s) > 80 {
		return s[:77] + "..."
	}
	return s
}
