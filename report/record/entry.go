package record

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"unicode/utf8"
)

// Entry is one line of a log. Index counts from 1; the manifest is 0.
type Entry struct {
	Index int64 `json:"index"`
	// Kind is the kind of Body.
	Kind string `json:"kind"`
	// Time is milliseconds since 1970-01-01 UTC, leap seconds not counted.
	Time int64 `json:"time"`
	Body Body  `json:"body"`
}

// Body is what an entry says: a pointer to one of the types of this package
// that have a Kind method.
type Body interface {
	// Kind is the name of the type in the log.
	Kind() string
	// Check refuses what contradicts itself.
	Check() error
}

// NewEntry returns an entry of the body's kind.
func NewEntry(index, ms int64, body Body) *Entry {
	return &Entry{Index: index, Kind: body.Kind(), Time: ms, Body: body}
}

// bodies makes an empty body of each kind.
var bodies = map[string]func() Body{
	"begin":      func() Body { return &Begin{} },
	"stage":      func() Body { return &Stage{} },
	"step":       func() Body { return &Step{} },
	"checkpoint": func() Body { return &Checkpoint{} },
	"fault":      func() Body { return &Fault{} },
	"recovery":   func() Body { return &Recovery{} },
	"ranks":      func() Body { return &Ranks{} },
	"evaluation": func() Body { return &Evaluation{} },
	"rollout":    func() Body { return &Rollout{} },
	"routing":    func() Body { return &Routing{} },
	"times":      func() Body { return &Times{} },
	"pause":      func() Body { return &Pause{} },
	"resume":     func() Body { return &Resume{} },
	"note":       func() Body { return &Note{} },
	"end":        func() Body { return &End{} },
}

// Kinds returns the kinds of entries, sorted.
func Kinds() []string {
	var ks []string
	for k := range bodies {
		ks = append(ks, k)
	}
	slices.Sort(ks)
	return ks
}

// wire is an entry before its body is understood.
type wire struct {
	Body  Raw    `json:"body"`
	Index int64  `json:"index"`
	Kind  string `json:"kind"`
	Time  int64  `json:"time"`
}

// decode reads and checks an entry.
func (e *Entry) decode(b []byte) error {
	if e.straight(b) {
		return e.Check()
	}
	var w wire
	if err := Unmarshal(b, &w); err != nil {
		return err
	}
	blank, known := bodies[w.Kind]
	if !known {
		return fmt.Errorf("kind: %.40q is unknown, want one of %v: a newer program may have written it", w.Kind, Kinds())
	}
	body := blank()
	if err := Unmarshal(w.Body, body); err != nil {
		if s, ok := err.(*SyntaxError); ok { //nolint:errorlint // decode returns it bare
			s.Offset += len(`{"body":`)
			s.Path = joinPath(prepend("body", s.Path))
		}
		return err
	}
	*e = Entry{Index: w.Index, Kind: w.Kind, Time: w.Time, Body: body}
	return e.Check()
}

// straight reads an entry in one pass, which needs its kind from the end of the
// text beforehand. When anything is not as expected it returns false, and the
// long way says what is wrong.
func (e *Entry) straight(b []byte) bool {
	const mark = `,"kind":"`
	at := bytes.LastIndex(b, []byte(mark))
	if at < 0 || len(b) > MaxSize || !utf8.Valid(b) {
		return false
	}
	kind, _, _ := bytes.Cut(b[at+len(mark):], []byte(`"`))
	blank, known := bodies[string(kind)]
	if !known {
		return false
	}
	body := blank()
	d := decoder{b: b}
	got := Entry{Kind: body.Kind(), Body: body}
	if !d.literal(`{"body":`) {
		return false
	}
	d.value(reflect.ValueOf(body).Elem(), 1)
	ok := d.err == nil && d.literal(`,"index":`)
	d.int(reflect.ValueOf(&got.Index).Elem())
	ok = ok && d.literal(mark) && d.literal(got.Kind) && d.literal(`","time":`)
	d.int(reflect.ValueOf(&got.Time).Elem())
	if !ok || !d.literal("}") || d.err != nil || d.at != len(b) {
		return false
	}
	*e = got
	return true
}

func prepend(name, path string) []string {
	if path == "" {
		return []string{name}
	}
	return []string{name, path}
}

// Check refuses an entry that contradicts itself.
func (e *Entry) Check() error {
	switch {
	case e.Body == nil:
		return fmt.Errorf("entry %d has no body", e.Index)
	case e.Kind != e.Body.Kind():
		return fmt.Errorf("entry %d: kind is %q, body is of kind %q", e.Index, e.Kind, e.Body.Kind())
	case e.Index < 1:
		return fmt.Errorf("index: %d, want at least 1", e.Index)
	case e.Time < 0:
		return fmt.Errorf("time: %d ms, want at least 0", e.Time)
	}
	if err := e.Body.Check(); err != nil {
		return fmt.Errorf("%s: %w", e.Kind, err)
	}
	return nil
}
