package source

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

const (
	defaultRowBytes      = 64 << 20
	defaultDocumentBytes = 1 << 30
	bufferBytes          = 256 << 10
)

// File is an open data file: a stream of lines and a decoder for them.
type File struct {
	path    string
	closers []io.Closer
	rows    splitter
	first   *Line // read ahead to recognise the format
	decoder *Decoder
}

// Open opens a data file, decompressing .gz, and recognises its format. Files
// named .json, .jsonl or .ndjson hold rows; .txt and .md hold text; other names
// are rows when the file begins with '{' or '['.
func Open(path string, o Options) (*File, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	f := &File{path: path}
	if err := f.open(o); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func (f *File) open(o Options) error {
	osFile, err := os.Open(f.path)
	if err != nil {
		return fmt.Errorf("source: %w", err)
	}
	f.closers = append(f.closers, osFile)
	var r io.Reader = osFile
	name := f.path
	if base, ok := strings.CutSuffix(name, ".gz"); ok {
		zip, err := gzip.NewReader(bufio.NewReaderSize(osFile, bufferBytes))
		if err != nil {
			return &Error{File: f.path, Rule: "not a gzip file: " + err.Error()}
		}
		f.closers, name, r = append(f.closers, zip), base, zip
	}
	return f.start(name, r, o)
}

// NewFile reads from r as Open reads from a file called name.
func NewFile(name string, r io.Reader, o Options) (*File, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	f := &File{path: name}
	if err := f.start(name, r, o); err != nil {
		return nil, err
	}
	return f, nil
}

func (f *File) start(name string, r io.Reader, o Options) error {
	buf := bufio.NewReaderSize(r, bufferBytes)
	head, err := buf.Peek(1)
	if err == io.EOF {
		return &Error{File: f.path, Rule: "the file is empty"}
	}
	if err != nil {
		return &Error{File: f.path, Rule: "reading failed: " + err.Error()}
	}
	if isText(name, head[0], o.Format) {
		most := o.MaxRowBytes
		if most == 0 {
			most = defaultDocumentBytes
		}
		f.rows = &documents{input: &input{file: f.path, r: buf, most: most, line: 1}, separator: o.Separator}
		o.Format = TextFormat
		f.decoder = &Decoder{file: f.path, opts: o, plain: true}
		return nil
	}
	if o.Separator != "" {
		return fmt.Errorf("source: %s holds rows, separator %q is for plain text", f.path, o.Separator)
	}
	most := o.MaxRowBytes
	if most == 0 {
		most = defaultRowBytes
	}
	if f.rows, err = newSplitter(f.path, buf, most); err != nil {
		return err
	}
	line, ok, err := f.rows.next()
	if err != nil {
		return err
	}
	if !ok {
		return &Error{File: f.path, Rule: "the file holds no rows"}
	}
	f.first = &line
	f.decoder, err = newDecoder(f.path, line, o)
	return err
}

func isText(name string, first byte, format Format) bool {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".json", ".jsonl", ".ndjson":
		return false
	case ".txt", ".md":
		return format == Auto || format == TextFormat
	}
	return (format == Auto || format == TextFormat) && first != '{' && first != '['
}

// Path returns the file's name.
func (f *File) Path() string { return f.path }

// Decoder returns what turns the file's lines into rows.
func (f *File) Decoder() *Decoder { return f.decoder }

// Next returns the next line; ok is false at the end. After an error there is
// nothing more to read.
func (f *File) Next() (line Line, ok bool, err error) {
	if f.first != nil {
		line, f.first = *f.first, nil
		return line, true, nil
	}
	return f.rows.next()
}

// Close closes the file.
func (f *File) Close() error {
	var errs []error
	for i := len(f.closers) - 1; i >= 0; i-- {
		errs = append(errs, f.closers[i].Close())
	}
	f.closers = nil
	return errors.Join(errs...)
}
