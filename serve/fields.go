package serve

import (
	"errors"
	"math"
	"strconv"

	"github.com/temper-ml/temper/internal/jsonvalue"
)

// fields reads the fields of a JSON object and keeps the first thing that is wrong
// with them. Fields that are null are not there.
type fields struct {
	object *jsonvalue.Value
	err    *failure
}

func (f *fields) fail(err *failure) {
	if f.err == nil {
		f.err = err
	}
}

// get returns a field, nil if it is not there.
func (f *fields) get(name string) *jsonvalue.Value {
	v := f.object.Lookup(name)
	if v == nil || v.Kind == jsonvalue.Null {
		return nil
	}
	return v
}

// of returns a field of a kind.
func (f *fields) of(name string, kind jsonvalue.Kind) *jsonvalue.Value {
	v := f.get(name)
	if v != nil && v.Kind != kind {
		f.fail(invalid(name, "%s: want %s, got %s", name, kind, v.Kind))
		return nil
	}
	return v
}

func (f *fields) text(name string) string {
	if v := f.of(name, jsonvalue.String); v != nil {
		return v.Text
	}
	return ""
}

func (f *fields) flag(name string) bool {
	v := f.get(name)
	if v == nil {
		return false
	}
	if v.Kind != jsonvalue.True && v.Kind != jsonvalue.False {
		f.fail(invalid(name, "%s: want true or false, got %s", name, v.Kind))
	}
	return v.Kind == jsonvalue.True
}

// whole returns an integer, def if it is not there.
func (f *fields) whole(name string, def, least, most int64) int64 {
	v := f.of(name, jsonvalue.Number)
	if v == nil {
		return def
	}
	n, err := integer(v.Text)
	if err != nil || n < least || n > most {
		f.fail(invalid(name, "%s is %s, want a whole number from %d to %d", name, cut(v.Text), least, most))
		return def
	}
	return n
}

var errFraction = errors.New("not a whole number")

// integer reads a JSON number that is whole; 1.0 and 1e3 are.
func integer(text string) (int64, error) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n, nil
	}
	x, err := strconv.ParseFloat(text, 64)
	if err != nil || x != math.Trunc(x) || math.Abs(x) > 1<<53 {
		return 0, errFraction
	}
	return int64(x), nil
}

// number returns a number, def if it is not there.
func (f *fields) number(name string, def, least, most float64) float64 {
	v := f.of(name, jsonvalue.Number)
	if v == nil {
		return def
	}
	x, err := strconv.ParseFloat(v.Text, 64)
	if err != nil || !(x >= least && x <= most) {
		f.fail(invalid(name, "%s is %s, want %v to %v", name, cut(v.Text), least, most))
		return def
	}
	return x
}

// object returns the fields of a field that is an object.
func (f *fields) inner(name string) *fields {
	if v := f.of(name, jsonvalue.Object); v != nil {
		return &fields{object: v}
	}
	return &fields{object: &jsonvalue.Value{}}
}

// cut is what of a client's text is repeated to it.
func cut(s string) string { return cutTo(s, 60) }

func cutTo(s string, most int) string {
	n := 0
	for i := range s {
		if n++; n > most {
			return s[:i] + "..."
		}
	}
	return s
}
