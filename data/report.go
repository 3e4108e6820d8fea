package data

import (
	"fmt"
	"sort"
	"strings"
)

// Report counts what became of the rows.
type Report struct {
	Rows       int64 `json:"rows"`       // rows read
	Examples   int64 `json:"examples"`   // examples made
	Tokens     int64 `json:"tokens"`     // tokens in them
	Supervised int64 `json:"supervised"` // tokens to learn
	Longest    int   `json:"longest"`    // tokens of the longest example, before any cut
	Truncated  int64 `json:"truncated"`  // examples that were cut
	CutTokens  int64 `json:"cut_tokens"` // tokens that were cut off
	Split      int64 `json:"split"`      // documents cut into several examples
	TooLong    int64 `json:"too_long"`   // rows left out for their length
	Unlearnt   int64 `json:"unlearnt"`   // rows left out because the cut left nothing to learn
	Bad        int64 `json:"bad"`        // rows left out because they break a rule
	FromCache  bool  `json:"from_cache"`

	// Files are the rows read of each file, in the order given.
	Files []int64 `json:"-"`

	FirstBad  []string `json:"first_bad,omitempty"`  // the first bad rows, with place and rule
	FirstLong []string `json:"first_long,omitempty"` // the first rows left out for their length, likewise
}

const listedErrors = 20

func (r *Report) add(o *Report) {
	r.Rows += o.Rows
	r.Examples += o.Examples
	r.Tokens += o.Tokens
	r.Supervised += o.Supervised
	r.Longest = max(r.Longest, o.Longest)
	r.Truncated += o.Truncated
	r.CutTokens += o.CutTokens
	r.Split += o.Split
	r.TooLong += o.TooLong
	r.Unlearnt += o.Unlearnt
	r.Bad += o.Bad
	r.FirstBad = listed(r.FirstBad, o.FirstBad)
	r.FirstLong = listed(r.FirstLong, o.FirstLong)
}

// listed adds what is left of a list's room.
func listed(list, more []string) []string {
	return append(list, more[:min(len(more), max(0, listedErrors-len(list)))]...)
}

// RowErrors are the bad rows that made loading fail, in the order of the files.
type RowErrors struct {
	Errors []error // at most 20
	More   int64   // how many more there are
}

// Error lists the errors, one a line.
func (e *RowErrors) Error() string {
	lines := make([]string, 0, len(e.Errors)+1)
	for _, err := range e.Errors {
		lines = append(lines, err.Error())
	}
	if e.More > 0 {
		lines = append(lines, fmt.Sprintf("and %d more bad rows", e.More))
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the errors.
func (e *RowErrors) Unwrap() []error { return e.Errors }

// Quantiles returns the shortest, median, 90th-percentile and longest example.
func (d *Dataset) Quantiles() (shortest, median, p90, longest int) {
	n := d.Len()
	if n == 0 {
		return
	}
	lengths := make([]int, n)
	for i := range lengths {
		lengths[i] = d.Length(i)
	}
	sort.Ints(lengths)
	return lengths[0], lengths[n/2], lengths[n*9/10], lengths[n-1]
}
