package audit

import (
	"context"
	"fmt"
	"math"
	"strings"
)

// The verdicts on a statement.
const (
	Consistent   = "consistent"   // it agrees with something independent that could have contradicted it; no evidence that it happened
	Inconsistent = "inconsistent" // no values of what was not said make it hold together with the statements named
	Undetermined = "undetermined" // nothing known decides it
)

// Judgement is the verdict on one statement.
type Judgement struct {
	ID        string   `json:"id"`
	Text      string   `json:"text"`
	Quote     string   `json:"quote,omitempty"`
	Source    string   `json:"source,omitempty"` // where it is not the claim's
	Verdict   string   `json:"verdict"`
	Reasons   []string `json:"reasons"`
	DecidedBy string   `json:"decided_by,omitempty"`
}

// Contradiction is a smallest set of statements that cannot all hold.
type Contradiction struct {
	Statements []string `json:"statements"`
	Quantity   string   `json:"quantity"` // that would need two values
	Text       string   `json:"text"`
	Derivation []string `json:"derivation"`
}

// Implied is what follows for one quantity.
type Implied struct {
	Interval Interval `json:"interval"` // null: no limit
	Unit     string   `json:"unit"`
	Text     string   `json:"text"`
	From     []string `json:"from"` // statements that it follows from
}

// Predictions are the claim's step as the planner sees it, and elsewhere.
type Predictions struct {
	Statement string        `json:"statement"`
	Runs      []*Prediction `json:"runs"`
	Compare   []*Prediction `json:"compare"`
	Placed    string        `json:"placed,omitempty"` // where the claim's speed lies against the band
	Inside    *bool         `json:"inside,omitempty"` // of the band, under some reading; nil: the claim has no speed
}

// A Report is everything that an audit found.
type Report struct {
	Claim          string             `json:"claim"`
	Title          string             `json:"title"`
	Source         string             `json:"source"`
	Notes          []string           `json:"notes"`
	Conclusion     string             `json:"conclusion"`
	Statements     []Judgement        `json:"statements"`
	Contradictions []Contradiction    `json:"contradictions"`
	Implied        map[string]Implied `json:"implied"`
	Predicted      Predictions        `json:"prediction"`
	Missing        []string           `json:"missing"`
	Disclosure     []Topic            `json:"disclosure"`
	Assumed        []string           `json:"assumed"`

	order []variable // of Implied, for people
}

// Holds reports whether no statement is inconsistent.
func (r *Report) Holds() bool { return len(r.Contradictions) == 0 }

// Run audits a claim. compare names the hardware to predict the same step on.
func Run(ctx context.Context, c *Claim, w World, compare string) (*Report, error) {
	u, err := newSubject(c, w)
	if err != nil {
		return nil, err
	}
	other, err := w.Hardware(compare)
	if err != nil {
		return nil, err
	}
	r := &Report{Claim: c.Name, Title: c.Title, Source: c.Source, Notes: append([]string{}, c.Notes...), Implied: map[string]Implied{}, Contradictions: []Contradiction{}, Missing: []string{}}
	if r.Title == "" {
		r.Title = c.Name
	}
	givens := u.givens()
	all := set(1)<<len(c.Statements) - 1
	refused := set(0)
	for _, clash := range conflicts(givens, all) {
		refused |= clash
		r.Contradictions = append(r.Contradictions, u.contradiction(givens, clash))
	}
	s, _ := solve(givens, all&^refused)
	r.imply(u, s)
	if err := r.predict(ctx, u, w, s, other); err != nil {
		return nil, err
	}
	r.judge(u, givens, all, refused, s, other)
	r.Disclosure = disclosure(c, s)
	for _, t := range r.Disclosure {
		if t.State == "missing" {
			r.Missing = append(r.Missing, t.Topic)
		}
	}
	r.Assumed = u.assumed
	if r.Assumed == nil {
		r.Assumed = []string{}
	}
	r.conclude()
	return r, nil
}

// ids names the statements of a set.
func (u *subject) ids(s set) []string {
	out := []string{}
	for i := range u.claim.Statements {
		if s.has(i) {
			out = append(out, u.claim.Statements[i].ID)
		}
	}
	return out
}

// contradiction writes out why the statements of clash cannot all hold.
func (u *subject) contradiction(givens []given, clash set) Contradiction {
	s, v := solve(givens, clash)
	out := Contradiction{Statements: u.ids(clash), Quantity: info[v].name, Derivation: []string{}}
	ends := s.ends[v]
	for _, e := range derivation(ends[0], ends[1]) {
		sign := "≥"
		if e.upper {
			sign = "≤"
		}
		line := fmt.Sprintf("%s %s %s: %s", info[e.of].name, sign, one(e.of, e.x), e.why)
		if len(e.from) == 0 {
			if by := u.ids(e.need); len(by) > 0 {
				line += " (" + strings.Join(by, ", ") + ")"
			}
		}
		out.Derivation = append(out.Derivation, line)
	}
	i := s.get(v)
	out.Text = fmt.Sprintf("%s would have to be at least %s and at most %s", info[v].name, one(v, i.Lo), one(v, i.Hi))
	if i.Hi > 0 && !math.IsInf(i.Lo, 1) {
		out.Text += fmt.Sprintf(": a factor of %.3g apart", i.Lo/i.Hi)
	}
	return out
}

// imply lists what follows for each quantity that is not free.
func (r *Report) imply(u *subject, s *state) {
	for v := range variables {
		i := s.get(v)
		if !info[v].show || i == Anything || v == vMFU && i == (Interval{0, 1}) || v == vGoodput && i == (Interval{0, 1}) {
			continue
		}
		if (v == vSteps || v == vDevices) && i == (Interval{1, math.Inf(1)}) {
			continue
		}
		from := set(0)
		for _, e := range s.ends[v] {
			if e != nil {
				from |= e.need
			}
		}
		r.order = append(r.order, v)
		r.Implied[key(v)] = Implied{i, info[v].unit, show(v, i), u.ids(from)}
	}
}

// key is the name of a quantity in JSON.
func key(v variable) string {
	return strings.NewReplacer(", ", "_", " ", "_", "-", "_").Replace(info[v].name)
}

// conclude counts the verdicts.
func (r *Report) conclude() {
	n := map[string]int{}
	for _, j := range r.Statements {
		n[j.Verdict]++
	}
	how := "Nothing said contradicts physics, what is known of model and hardware, or itself."
	if !r.Holds() {
		how = "The claim cannot hold as it stands; what follows below leaves out the statements that contradict."
	}
	r.Conclusion = fmt.Sprintf("%d statements: %d consistent, %d inconsistent, %d undetermined. %s %d of %d things that verification needs are missing.",
		len(r.Statements), n[Consistent], n[Inconsistent], n[Undetermined], how, len(r.Missing), len(r.Disclosure))
}
