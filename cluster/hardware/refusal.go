package hardware

import "fmt"

// FieldError is a value that breaks a rule.
type FieldError struct {
	File         string // empty for a description that is not from a file
	Line, Column int    // 0 when the value is not in the file but from its base
	Field        string // path, as in "domains.node.size"
	Value        string // as written
	Rule         string // what must hold
	Nearest      string // the nearest legal value, if there is one
}

// Error is one line: where, what, the rule, and what would be legal.
func (e *FieldError) Error() string {
	s := "hardware: "
	if e.File != "" {
		s += e.File + ":"
		if e.Line > 0 {
			s += fmt.Sprintf("%d:%d:", e.Line, e.Column)
		}
		s += " "
	}
	s += e.Field
	if e.Value != "" {
		s += " = " + e.Value
	}
	s += ": " + e.Rule
	if e.Nearest != "" {
		s += "; nearest legal: " + e.Nearest
	}
	return s
}
