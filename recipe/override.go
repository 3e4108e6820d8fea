package recipe

import (
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// override sets fields of the YAML source before it is decoded, so that an
// override is checked exactly like a line of the file.
func override(src []byte, overrides []string) ([]byte, error) {
	for _, o := range overrides {
		path, value, ok := strings.Cut(o, "=")
		if !ok || path == "" {
			return nil, fmt.Errorf("--set %q: want path=value, as in stages[0].lr.peak=1e-3", o)
		}
		file, err := parser.ParseBytes(src, parser.ParseComments)
		if err != nil {
			return nil, fmt.Errorf("%s", yaml.FormatError(err, false, true))
		}
		if err := set(file, path, value); err != nil {
			return nil, fmt.Errorf("--set %q: %w", o, err)
		}
		src = []byte(file.String())
	}
	return src, nil
}

// set replaces the value at path, or adds it to the mapping above it.
func set(file *ast.File, path, value string) error {
	target, err := yaml.PathString("$." + path)
	if err != nil {
		return fmt.Errorf("%q is not a path: %w", path, err)
	}
	if _, err := target.FilterFile(file); err == nil {
		return target.ReplaceWithReader(file, strings.NewReader(value))
	}
	parent, key := "$", path
	if i := strings.LastIndex(path, "."); i >= 0 {
		parent, key = "$."+path[:i], path[i+1:]
	}
	above, err := yaml.PathString(parent)
	if err != nil {
		return fmt.Errorf("%q is not a path: %w", path, err)
	}
	if _, err := above.FilterFile(file); err != nil {
		if parent == "$" {
			return err
		}
		// The mapping itself is missing: add it, holding the new key.
		return set(file, strings.TrimPrefix(parent, "$."), "{"+key+": "+value+"}")
	}
	return above.MergeFromReader(file, strings.NewReader(key+": "+value))
}
