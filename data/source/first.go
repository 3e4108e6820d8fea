package source

import (
	"maps"
	"slices"
	"strings"

	"github.com/temper-ml/temper/internal/jsonvalue"
)

// First returns the object of a file's first row, nil of a file of text or of a row
// that is none.
func First(path string) (*jsonvalue.Value, error) {
	name := strings.TrimSuffix(path, ".gz")
	if strings.HasSuffix(name, ".txt") || strings.HasSuffix(name, ".md") {
		return nil, nil
	}
	f, err := Open(path, Options{Format: PromptFormat}) // any format: nothing is decoded
	if err != nil {
		return nil, err
	}
	defer f.Close()
	line, _, err := f.Next()
	if err != nil {
		return nil, err
	}
	v, err := jsonvalue.Parse(line.Text)
	if err != nil {
		return nil, nil // what opens the file says what is wrong with it, or reads text
	}
	return &v, nil
}

// askedIn are the fields that a row can have its question in.
var askedIn = []string{"prompt", "instruction", "messages", "conversations", "chosen"}

// Of returns the options for rows of questions that are like the given one: one that
// has its question in a field of that name alone has its prompt there, unless the
// mapping says otherwise.
func (o Options) Of(row *jsonvalue.Value) Options {
	if row == nil || o.Mapping["prompt"] != "" || row.Lookup("question") == nil ||
		slices.ContainsFunc(askedIn, func(name string) bool { return row.Lookup(name) != nil }) {
		return o
	}
	o.Mapping = maps.Clone(o.Mapping)
	if o.Mapping == nil {
		o.Mapping = map[string]string{}
	}
	o.Mapping["prompt"] = "question"
	return o
}
