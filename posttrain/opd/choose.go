package opd

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Reads reports whether teachers are chosen by the fields of rows.
func (c *Config) Reads() bool {
	return slices.ContainsFunc(c.Teachers, func(s Spec) bool { return len(s.Where) > 0 })
}

// Shares are the teachers of a row of a file, as the stage names it, with these
// fields. A row without any is an error that says what it has.
func (c *Config) Shares(file string, fields map[string]json.RawMessage) ([]Share, error) {
	var out []Share
	for j := range c.Teachers {
		if s := &c.Teachers[j]; s.has(file, fields) {
			out = append(out, Share{j, float32(s.Weight)})
		}
	}
	if out == nil {
		return nil, fmt.Errorf("no teacher for it: %s", c.why(file, fields))
	}
	return out, nil
}

// has reports whether a row is one of the teacher's.
func (s *Spec) has(file string, fields map[string]json.RawMessage) bool {
	if len(s.Files) > 0 && !slices.Contains(s.Files, file) {
		return false
	}
	for field, values := range s.Where {
		if !slices.Contains(values, plain(fields[field])) || fields[field] == nil {
			return false
		}
	}
	return true
}

// plain is a field's value as recipes write it.
func plain(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil && !bytes.Equal(raw, []byte("null")) {
		return text
	}
	return string(raw)
}

// why says what the row has that no teacher asks for.
func (c *Config) why(file string, fields map[string]json.RawMessage) string {
	var has []string
	asked := map[string]bool{}
	for _, s := range c.Teachers {
		for field := range s.Where {
			asked[field] = true
		}
	}
	for _, field := range slices.Sorted(maps.Keys(asked)) {
		value := "missing"
		if raw, ok := fields[field]; ok {
			value = fmt.Sprintf("%.80s", raw)
		}
		has = append(has, fmt.Sprintf("its %s is %s", field, value))
	}
	if slices.ContainsFunc(c.Teachers, func(s Spec) bool { return len(s.Files) > 0 }) {
		has = append(has, "its file is "+file)
	}
	return strings.Join(has, ", ") + ": give a teacher such rows, or leave where and files of one out so that it has all"
}
