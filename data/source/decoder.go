package source

import (
	"fmt"
	"sort"
	"strings"

	"github.com/temper-ml/temper/data/chat"
	"github.com/temper-ml/temper/internal/jsonvalue"
)

// Decoder turns lines of one file into rows. It may be used concurrently.
type Decoder struct {
	file  string
	opts  Options
	plain bool // lines are documents, not JSON
}

// Format returns the format that the decoder reads.
func (d *Decoder) Format() Format { return d.opts.Format }

// newDecoder recognises the format from the first line when it is not given.
func newDecoder(file string, first Line, o Options) (*Decoder, error) {
	d := &Decoder{file: file, opts: o}
	if o.Format != Auto {
		return d, nil
	}
	r, err := d.record(first)
	if err != nil {
		return nil, place(file, first, err)
	}
	if d.opts.Format, err = r.detect(); err != nil {
		return nil, place(file, first, err)
	}
	return d, nil
}

// Decode reads one line. Most lines give one row; "instances" give several.
func (d *Decoder) Decode(line Line) ([]Row, error) {
	if d.plain {
		row, err := plainText(line)
		if err != nil {
			return nil, place(d.file, line, err)
		}
		return []Row{row}, nil
	}
	r, err := d.record(line)
	if err != nil {
		return nil, place(d.file, line, err)
	}
	rows, err := r.rows(d.opts.Format)
	if err != nil {
		return nil, place(d.file, line, err)
	}
	for i := range rows {
		rows[i].Line, rows[i].Part = line.Number, i
	}
	return rows, nil
}

// record is one parsed row.
type record struct {
	opts *Options
	v    jsonvalue.Value
}

func (d *Decoder) record(line Line) (*record, error) {
	if strings.TrimLeft(line.Text, " \t\r\n") == "" {
		return nil, rule(nil, "remove it: every line holds one JSON object", "the line is empty")
	}
	v, err := jsonvalue.Parse(line.Text)
	if err != nil {
		return nil, err
	}
	if v.Kind != jsonvalue.Object {
		return nil, rule(&v, "", "a row must be a JSON object, got %s", v.Kind)
	}
	if len(v.Members) == 0 {
		return nil, rule(&v, "remove it", "the row has no fields")
	}
	r := &record{opts: &d.opts, v: v}
	for ours, theirs := range d.opts.Mapping {
		if optional[ours] {
			continue
		}
		if v.Lookup(theirs) == nil {
			return nil, rule(nil, "correct the mapping", "the mapping reads %s from %q, the row has %s", ours, theirs, r.keys())
		}
	}
	return r, nil
}

// optional fields may be missing from a row even when they are mapped.
var optional = map[string]bool{
	"input": true, "system": true, "history": true, "tools": true, "answer": true,
	"thinking_mode": true, "enable_thinking": true, "drop_thinking": true, "reasoning": true,
	"reasoning_effort": true, "response_format": true,
}

// get returns the first field that exists of our name (through the mapping) and
// its aliases; nulls count as missing.
func (r *record) get(name string, aliases ...string) *jsonvalue.Value {
	if theirs, ok := r.opts.Mapping[name]; ok {
		return present(r.v.Lookup(theirs))
	}
	if v := present(r.v.Lookup(name)); v != nil {
		return v
	}
	for _, alias := range aliases {
		if v := present(r.v.Lookup(alias)); v != nil {
			return v
		}
	}
	return nil
}

func present(v *jsonvalue.Value) *jsonvalue.Value {
	if v == nil || v.Kind == jsonvalue.Null {
		return nil
	}
	return v
}

func (r *record) keys() string {
	names := make([]string, len(r.v.Members))
	for i := range r.v.Members {
		names[i] = fmt.Sprintf("%q", r.v.Members[i].Key)
	}
	sort.Strings(names)
	return strings.Join(names, ", ")
}

// str returns a field that must be a string; missing fields give "".
func (r *record) str(name string, aliases ...string) (string, error) {
	v := r.get(name, aliases...)
	if v == nil {
		return "", nil
	}
	if v.Kind != jsonvalue.String {
		return "", rule(v, "", "%s must be a string, got %s", name, v.Kind)
	}
	return v.Text, nil
}

func (r *record) boolean(name string, aliases ...string) (value, given bool, err error) {
	v := r.get(name, aliases...)
	switch {
	case v == nil:
		return false, false, nil
	case v.Kind == jsonvalue.True, v.Kind == jsonvalue.False:
		return v.Kind == jsonvalue.True, true, nil
	}
	return false, false, rule(v, "", "%s must be true or false, got %s", name, v.Kind)
}

// The field names each format reads; the first is also what a mapping names.
func (r *record) promptField() *jsonvalue.Value { return r.get("prompt", "instruction") }

func (r *record) responseField() *jsonvalue.Value {
	return r.get("response", "output", "completion")
}
func (r *record) labelField() *jsonvalue.Value { return r.get("label", "kto_tag") }

// detect recognises the format of a row from its fields.
func (r *record) detect() (Format, error) {
	label := r.labelField()
	judged := label != nil && (label.Kind == jsonvalue.True || label.Kind == jsonvalue.False)
	completion := r.responseField() != nil || r.get("messages") != nil || r.get("conversations") != nil
	switch {
	case r.get("chosen") != nil && r.get("rejected") != nil:
		return PreferenceFormat, nil
	case judged && completion:
		return KTO, nil
	case r.get("messages") != nil:
		if r.endsWithUser(r.get("messages"), "role") {
			return PromptFormat, nil
		}
		return Messages, nil
	case r.get("conversations") != nil:
		return ShareGPT, nil
	case r.v.Lookup("instruction") != nil && (r.responseField() != nil || r.get("instances") != nil):
		return Alpaca, nil
	case r.promptField() != nil && (r.responseField() != nil || r.get("instances") != nil):
		return Pair, nil
	case r.promptField() != nil:
		return PromptFormat, nil
	case r.get("text") != nil:
		return TextFormat, nil
	}
	return Auto, rule(nil, "give the format ("+formatList()+") or a mapping such as prompt=question,response=answer",
		"the fields %s fit no known format", r.keys())
}

// endsWithUser reports whether the last message of a list is not the assistant's.
func (r *record) endsWithUser(list *jsonvalue.Value, key string) bool {
	if len(list.Items) == 0 {
		return false
	}
	role := list.Items[len(list.Items)-1].Lookup(key)
	return role != nil && role.Text != string(chat.Assistant)
}

// rows reads the record in the given format.
func (r *record) rows(f Format) ([]Row, error) {
	switch f {
	case Alpaca, Pair:
		return r.pairs()
	case ShareGPT, Messages:
		return one(r.dialogue(f))
	case PreferenceFormat:
		return one(r.preference())
	case KTO:
		return one(r.feedback())
	case PromptFormat:
		return one(r.prompt())
	}
	return one(r.text())
}

func one(row Row, err error) ([]Row, error) {
	if err != nil {
		return nil, err
	}
	return []Row{row}, nil
}

func (r *record) text() (Row, error) {
	v := r.get("text")
	if v == nil || v.Kind != jsonvalue.String || v.Text == "" {
		return Row{}, rule(v, "", "a row of text needs a string in \"text\", the row has %s", r.keys())
	}
	return Row{Kind: Text, Text: v.Text}, nil
}
