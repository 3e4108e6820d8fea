// Package config decodes YAML strictly: an unknown key, a second document or an
// empty file is an error, and a value that breaks a rule is named by its place:
//
//	faults.yaml:4:12: slow[0].factor: 0.5 is outside [1, 1000]: the nearest legal value is 1
//
// A value that is decoded checks itself, and says which of its fields is wrong
// with Bad or Within; Decode then finds the line and column of that field.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/parser"
)

// Checker is a value that knows its own rules.
type Checker interface {
	Check() error
}

// FieldError is a value that breaks a rule, at a path like slow[0].factor.
type FieldError struct{ Path, Text string }

func (e *FieldError) Error() string { return e.Path + ": " + e.Text }

// Bad returns a FieldError.
func Bad(path, format string, args ...any) error {
	return &FieldError{path, fmt.Sprintf(format, args...)}
}

// Within refuses a number outside [low, high], NaN included, and names the
// nearest legal one.
func Within(path string, x, low, high float64) error {
	if x >= low && x <= high {
		return nil
	}
	nearest := low
	if x > high {
		nearest = high
	}
	return Bad(path, "%v is outside [%v, %v]: the nearest legal value is %v", x, low, high, nearest)
}

// ErrEmpty is the error of a file with no document in it.
var ErrEmpty = errors.New("the file is empty")

// Decode reads the one document of src into v and checks it. Errors begin with
// name, and with line and column where there are any.
func Decode(src []byte, name string, v Checker) error {
	if len(src) > MostBytes {
		return fmt.Errorf("%s: %d bytes, at most %d are read", name, len(src), MostBytes)
	}
	if line, rule := Tangled(src, mostLine); rule != "" {
		return fmt.Errorf("%s:%d: %s", name, line, rule)
	}
	if err := decode(src, v); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if err := v.Check(); err != nil {
		return fmt.Errorf("%s%w", position(src, name, err), err)
	}
	return nil
}

// The bounds of a file's form. What people write stays far below them; beyond
// them the reader takes quadratic time, or more stack than there is.
const (
	MostBytes = 64 << 10
	mostDepth = 32
	mostLine  = 8 << 10
)

// Tangled returns the rule of form that YAML text breaks, and in which line, or
// "": nesting that the parser is not to be trusted with, or a line of more than
// longest bytes.
func Tangled(src []byte, longest int) (line int, rule string) {
	depth, run, column := 0, 0, 0
	line = 1
	for _, b := range src {
		column++
		switch b {
		case '[', '{':
			depth++
		case ']', '}':
			depth = max(0, depth-1)
		}
		switch b {
		case '-', '?', '&', '*', '!', ':': // opens a level, or names one
			run++
		case '\n':
			run, column = 0, 0
			line++
		case ' ', '\t', '\r':
		default:
			run = 0
		}
		if depth > mostDepth || run > mostDepth {
			return line, fmt.Sprintf("must not nest deeper than %d levels", mostDepth)
		}
		if column > longest {
			return line, fmt.Sprintf("a line must be at most %d bytes", longest)
		}
	}
	return 0, ""
}

// decode reads one document. The reader below gives up on some malformed files
// by panicking, which is an error like any other here.
func decode(src []byte, v any) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("not understood as YAML (%v)", p)
		}
	}()
	d := yaml.NewDecoder(bytes.NewReader(src), yaml.Strict())
	switch err := d.Decode(v); {
	case errors.Is(err, io.EOF):
		return ErrEmpty
	case err != nil:
		return errors.New(yaml.FormatError(err, false, true))
	}
	if err := d.Decode(new(any)); !errors.Is(err, io.EOF) {
		return errors.New("there is a second document, one is read")
	}
	return nil
}

// position returns "file:line:column: " of the field that err names, or of the
// nearest one above it that the file has.
func position(src []byte, name string, err error) (at string) {
	defer func() {
		if recover() != nil {
			at = name + ": "
		}
	}()
	var field *FieldError
	file, perr := parser.ParseBytes(src, 0)
	if !errors.As(err, &field) || perr != nil {
		return name + ": "
	}
	for at := field.Path; at != ""; at = at[:max(0, strings.LastIndexAny(at, ".["))] {
		path, perr := yaml.PathString("$." + at)
		if perr != nil {
			continue
		}
		if node, perr := path.FilterFile(file); perr == nil {
			p := node.GetToken().Position
			return fmt.Sprintf("%s:%d:%d: ", name, p.Line, p.Column)
		}
	}
	return name + ": "
}
