package source

import (
	"errors"
	"fmt"
	"strings"

	"github.com/temper-ml/temper/data/chat"
	"github.com/temper-ml/temper/internal/jsonvalue"
)

// Error is a row that cannot be used: where it is, which rule it breaks, and
// how to mend it.
type Error struct {
	File   string
	Line   int    // from 1; 0 when the whole file is meant
	Column int    // in bytes, from 1; 0 when the whole line is meant
	Rule   string // what is wrong, lower case
	Fix    string // what to do; may be empty
}

// Error returns "file:line:column: rule (fix)".
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d", e.Line)
		if e.Column > 0 {
			fmt.Fprintf(&b, ":%d", e.Column)
		}
	}
	b.WriteString(": ")
	b.WriteString(e.Rule)
	if e.Fix != "" {
		b.WriteString(" (" + e.Fix + ")")
	}
	return b.String()
}

// ruleError is an error within a row, before its place in the file is known.
type ruleError struct {
	offset int // byte offset in the row's text; -1 for the whole row
	rule   string
	fix    string
}

func (e *ruleError) Error() string { return e.rule }

// rule makes an error about the value v, or about the whole row when v is nil.
func rule(v *jsonvalue.Value, fix, format string, args ...any) error {
	e := &ruleError{offset: -1, rule: fmt.Sprintf(format, args...), fix: fix}
	if v != nil {
		e.offset = v.Offset
	}
	return e
}

// place turns any error about a line into an *Error.
func place(file string, line Line, err error) error {
	e := &Error{File: file, Line: line.Number, Rule: err.Error()}
	offset := -1
	var syntax *jsonvalue.SyntaxError
	var field *chat.FieldError
	var inRow *ruleError
	switch {
	case errors.As(err, &inRow):
		offset, e.Fix = inRow.offset, inRow.fix
	case errors.As(err, &field):
		offset = field.Offset
	case errors.As(err, &syntax):
		offset, e.Rule = syntax.Offset, "not valid JSON: "+syntax.Rule
	}
	if offset >= 0 {
		e.Line, e.Column = line.position(offset)
	}
	return e
}
