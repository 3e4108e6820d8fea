package verify

import "cmp"

// Verdict is what a check, or a whole verification, concludes.
type Verdict string

// The three verdicts.
const (
	// Pass: what was to be checked was checked, and is as the record says.
	Pass Verdict = "pass"
	// Fail: something in the record is false, or contradicts something else.
	Fail Verdict = "fail"
	// Incomplete: nothing false was found, but something was not checked.
	Incomplete Verdict = "incomplete"
)

// Check is one thing that was compared.
type Check struct {
	// Name is the check's own, such as "signatures"; docs/verify.md lists them.
	Name   string  `json:"name"`
	Result Verdict `json:"result"`
	// Evidence is what was compared and what came out, with numbers.
	Evidence string `json:"evidence"`
	// Index is the entry of the log that decided (0 the manifest), -1 if none did.
	Index int64 `json:"index"`
}

// Report is the outcome of a verification.
type Report struct {
	// Run is the name in the manifest, empty when that could not be read.
	Run     string  `json:"run"`
	Verdict Verdict `json:"verdict"`
	Checks  []Check `json:"checks"`
	// Signer is the key that signed, Trusted whether the verifier had it, or a
	// head, from elsewhere.
	Signer  string `json:"signer"`
	Trusted bool   `json:"trusted"`
	// Steps are those that stand, after recoveries; ReplayedSteps those of them
	// that were taken again here, in Segments.
	Steps         int64     `json:"steps"`
	ReplayedSteps int64     `json:"replayed_steps"`
	Segments      []Segment `json:"segments"`
	// FirstDivergence is where a replay first got something else, nil if nowhere.
	FirstDivergence *Divergence `json:"first_divergence"`
	// NotChecked says what no check looked at, and why, a sentence each.
	NotChecked []string `json:"not_checked"`
}

// Position is a place between steps: Step steps of stage Stage have been taken.
type Position struct {
	Stage int   `json:"stage"`
	Step  int64 `json:"step"`
}

// Before reports whether p comes before q.
func (p Position) Before(q Position) bool {
	return p.Compare(q) < 0
}

// Compare orders positions, as package slices wants it.
func (p Position) Compare(q Position) int {
	return cmp.Or(cmp.Compare(p.Stage, q.Stage), cmp.Compare(p.Step, q.Step))
}

// Segment is the steps From.Step <= s < To of stage From.Stage.
type Segment struct {
	From Position `json:"from"`
	To   int64    `json:"to"`
}

// Steps is the number of steps.
func (s Segment) Steps() int64 { return s.To - s.From.Step }

// Divergence is the first thing that a replay computed differently.
type Divergence struct {
	// Index is the entry of the log that says otherwise.
	Index int64 `json:"index"`
	Stage int   `json:"stage"`
	Step  int64 `json:"step"`
	// Quantity is the first one that differs in the order in which a step
	// computes them, such as "losses.lm".
	Quantity string `json:"quantity"`
	Recorded string `json:"recorded"`
	Computed string `json:"computed"`
	// Operator, Tensor and Element tell where within the step, if a search got
	// that far; then Recorded and Computed are the two values there.
	Operator string `json:"operator,omitempty"`
	Tensor   string `json:"tensor,omitempty"`
	Element  int64  `json:"element,omitempty"`
}
