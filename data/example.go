package data

import "fmt"

// Source says where an example comes from.
type Source struct {
	File string `json:"file"`
	Line int    `json:"line"` // from 1
	Part int    `json:"part"` // among the examples that line gave, from 0
}

// String returns "file:line", with "#part" from the second part on.
func (s Source) String() string {
	if s.Part > 0 {
		return fmt.Sprintf("%s:%d#%d", s.File, s.Line, s.Part)
	}
	return fmt.Sprintf("%s:%d", s.File, s.Line)
}

// Example is one sequence with its loss mask.
type Example struct {
	Tokens []int32
	Mask   []bool // Mask[i]: the model must learn to produce token i; Mask[0] is false
	Source Source
}

// Supervised counts the supervised tokens.
func (e *Example) Supervised() int { return count(e.Mask) }

func count(mask []bool) int {
	n := 0
	for _, m := range mask {
		if m {
			n++
		}
	}
	return n
}

// Refusal is a rule that a row breaks once it is rendered and tokenised.
type Refusal struct {
	Rule string // lower case
	Fix  string // what to do; may be empty
}

// Error returns "rule (fix)".
func (r *Refusal) Error() string {
	if r.Fix == "" {
		return r.Rule
	}
	return r.Rule + " (" + r.Fix + ")"
}

func refuse(fix, format string, args ...any) error {
	return &Refusal{fmt.Sprintf(format, args...), fix}
}
