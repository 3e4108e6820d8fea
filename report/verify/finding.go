package verify

import (
	"context"
	"fmt"
	"slices"
)

// finding collects what one check sees: the first thing that is false, and
// otherwise the first that could not be checked.
type finding struct {
	name     string
	result   Verdict
	reason   string // of fail and incomplete
	index    int64
	more     int64  // further failures
	evidence string // of a pass
	ctx      context.Context
}

// findings are checks under way, in the order in which they are reported. When
// their context has ended nothing is false any more, only not checked.
type findings struct {
	ctx  context.Context
	list []*finding
}

// add registers a check that passes until told otherwise.
func (fs *findings) add(name string) *finding {
	f := &finding{name: name, result: Pass, index: -1, ctx: fs.ctx}
	fs.list = append(fs.list, f)
	return f
}

// fail records what is false at an entry, -1 for none.
func (f *finding) fail(index int64, format string, args ...any) {
	if f.ctx != nil && f.ctx.Err() != nil {
		f.skip(index, "stopped: %v", f.ctx.Err())
		return
	}
	if f.result == Fail {
		f.more++
		return
	}
	f.result, f.index, f.reason = Fail, index, fmt.Sprintf(format, args...)
}

// skip records what was not checked.
func (f *finding) skip(index int64, format string, args ...any) {
	if f.result == Pass {
		f.result, f.index, f.reason = Incomplete, index, fmt.Sprintf(format, args...)
	}
}

// saw sets what a pass was based on.
func (f *finding) saw(format string, args ...any) { f.evidence = fmt.Sprintf(format, args...) }

// checks returns what the findings amount to.
func (fs *findings) checks() []Check {
	var cs []Check
	for _, f := range fs.list {
		c := Check{Name: f.name, Result: f.result, Evidence: f.evidence, Index: f.index}
		if f.result != Pass {
			c.Evidence = f.reason
		}
		if f.more > 0 {
			c.Evidence += fmt.Sprintf(" (and %d more)", f.more)
		}
		cs = append(cs, c)
	}
	return cs
}

// worst is the verdict of checks together.
func worst(checks []Check) Verdict {
	has := func(v Verdict) bool {
		return slices.ContainsFunc(checks, func(c Check) bool { return c.Result == v })
	}
	switch {
	case has(Fail):
		return Fail
	case has(Incomplete) || len(checks) == 0:
		return Incomplete
	}
	return Pass
}

// many counts things in words.
func many[N int | int64](n N, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
