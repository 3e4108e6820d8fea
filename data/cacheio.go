package data

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"hash/crc32"
	"io"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

const chunk = 16 << 10 // elements converted at a time

// cacheWriter writes little-endian columns with a running checksum; the first
// error stays.
type cacheWriter struct {
	w   *bufio.Writer
	sum uint32
	buf []byte
	err error
}

func newCacheWriter(w io.Writer) *cacheWriter {
	return &cacheWriter{w: bufio.NewWriterSize(w, 1<<20), buf: make([]byte, 0, 8*chunk)}
}

func (w *cacheWriter) begin() { w.sum = 0 }

func (w *cacheWriter) bytes(b []byte) {
	w.sum = crc32.Update(w.sum, castagnoli, b)
	if w.err == nil {
		_, w.err = w.w.Write(b)
	}
}

func (w *cacheWriter) uint32(n uint32) { w.bytes(binary.LittleEndian.AppendUint32(w.buf[:0], n)) }

func (w *cacheWriter) checksum() { w.uint32(w.sum) }

func (w *cacheWriter) flush() error {
	if w.err == nil {
		w.err = w.w.Flush()
	}
	return w.err
}

// put writes the elements of s as appended by one.
func put[T any](w *cacheWriter, s []T, one func([]byte, T) []byte) {
	for len(s) > 0 {
		n := min(len(s), chunk)
		b := w.buf[:0]
		for _, v := range s[:n] {
			b = one(b, v)
		}
		w.bytes(b)
		s = s[n:]
	}
}

func append64(b []byte, v int64) []byte { return binary.LittleEndian.AppendUint64(b, uint64(v)) }
func append32(b []byte, v int32) []byte { return binary.LittleEndian.AppendUint32(b, uint32(v)) }
func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

func (w *cacheWriter) columns(c *columns) {
	put(w, c.ends, append64)
	put(w, c.lines, append64)
	put(w, c.parts, append32)
	w.bytes(c.flags)
	put(w, c.tokens, append32)
	put(w, c.mask, appendBool)
	put(w, c.answers, func(b []byte, a string) []byte { return append64(b, int64(len(a))) })
	for _, a := range c.answers {
		w.bytes([]byte(a))
	}
}

// cacheReader reads what a cacheWriter wrote.
type cacheReader struct {
	r   *bufio.Reader
	sum uint32
	buf []byte
	err error
}

func newCacheReader(r io.Reader) *cacheReader {
	return &cacheReader{r: bufio.NewReaderSize(r, 1<<20), buf: make([]byte, 8*chunk)}
}

func (r *cacheReader) begin() { r.sum = 0 }

// fill reads exactly len(b) bytes.
func (r *cacheReader) fill(b []byte) {
	if r.err == nil {
		_, r.err = io.ReadFull(r.r, b)
	}
	r.sum = crc32.Update(r.sum, castagnoli, b)
}

func (r *cacheReader) uint32() uint32 {
	r.fill(r.buf[:4])
	return binary.LittleEndian.Uint32(r.buf)
}

func (r *cacheReader) checksum() bool {
	sum := r.sum
	return r.uint32() == sum && r.err == nil
}

// header reads and checks everything before the columns, against the size of
// the file.
func (r *cacheReader) header(size int64) (*cacheHeader, bool) {
	var magic [len(cacheMagic)]byte
	r.fill(magic[:])
	n := int64(r.uint32())
	fixed := int64(len(magic) + 4 + 4 + 4)
	if r.err != nil || string(magic[:]) != cacheMagic || n > size-fixed {
		return nil, false
	}
	text := make([]byte, n)
	r.begin()
	r.fill(text)
	h := new(cacheHeader)
	if !r.checksum() || json.Unmarshal(text, h) != nil {
		return nil, false
	}
	const most = 1 << 48
	if h.Examples < 0 || h.Tokens < 0 || h.AnswerSize < 0 || h.Examples > most || h.Tokens > most || h.AnswerSize > most {
		return nil, false
	}
	return h, h.body() == size-fixed-n
}

// take reads n elements of size bytes.
func take[T any](r *cacheReader, n int64, size int, one func([]byte) T) []T {
	s := make([]T, 0, n)
	for n > 0 && r.err == nil {
		m := int(min(n, chunk))
		b := r.buf[:m*size]
		r.fill(b)
		for i := range m {
			s = append(s, one(b[i*size:]))
		}
		n -= int64(m)
	}
	return s
}

func read64(b []byte) int64 { return int64(binary.LittleEndian.Uint64(b)) }
func read32(b []byte) int32 { return int32(binary.LittleEndian.Uint32(b)) }
func readBool(b []byte) bool {
	return b[0] != 0
}

func (r *cacheReader) columns(h *cacheHeader) *columns {
	c := &columns{
		ends:  take(r, h.Examples, 8, read64),
		lines: take(r, h.Examples, 8, read64),
		parts: take(r, h.Examples, 4, read32),
		flags: take(r, h.Examples, 1, func(b []byte) uint8 { return b[0] }),
	}
	c.tokens = take(r, h.Tokens, 4, read32)
	c.mask = take(r, h.Tokens, 1, readBool)
	c.file = make([]int32, h.Examples)
	if !h.HasAnswers {
		return c
	}
	lengths := take(r, h.Examples, 8, read64)
	text := make([]byte, h.AnswerSize)
	r.fill(text)
	c.answers = make([]string, 0, len(lengths))
	for _, n := range lengths {
		if n < 0 || n > int64(len(text)) {
			r.err = io.ErrUnexpectedEOF
			return c
		}
		c.answers = append(c.answers, string(text[:n]))
		text = text[n:]
	}
	return c
}
