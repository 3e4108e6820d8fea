package costmodel

import "fmt"

// Rejection is the reason why a layout is not legal. It is the error of
// [Model.Evaluate], so that a search can count rejections by rule.
type Rejection struct {
	Rule string // short and stable: "memory", "ep divides experts", ...
	Text string // the rule with its values, and the nearest legal value
}

// Error returns the text.
func (r *Rejection) Error() string { return "costmodel: " + r.Text }

// reject builds a Rejection.
func reject(rule, format string, args ...any) *Rejection {
	return &Rejection{Rule: rule, Text: fmt.Sprintf(format, args...)}
}
