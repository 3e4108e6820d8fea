package recipe

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/parser"
)

// Load reads the recipe at path, applies the overrides ("path=value", as in
// stages[0].lr.peak=1e-3) and checks it.
func Load(path string, overrides []string) (*Recipe, error) {
	src, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("recipe: %w", err)
	}
	return Decode(src, path, overrides)
}

// Decode is Load for a recipe in memory; name is its file, for messages and
// for relative paths.
func Decode(src []byte, name string, overrides []string) (*Recipe, error) {
	r := defaults()
	r.dir = filepath.Dir(name)
	src, err := override(src, overrides)
	if err != nil {
		return nil, fmt.Errorf("recipe: %s: %w", name, err)
	}
	d := yaml.NewDecoder(bytes.NewReader(src), yaml.Strict())
	if err := d.Decode(&r); err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("the file is empty: a recipe needs at least name, model and stages")
		}
		return nil, fmt.Errorf("recipe: %s: %s", name, yaml.FormatError(err, false, true))
	}
	if err := d.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("recipe: %s: there is a second document: a recipe is one", name)
	}
	if err := r.Check(); err != nil {
		return nil, fmt.Errorf("recipe: %s%w", position(src, name, err), err)
	}
	return &r, nil
}

// YAML prints the complete recipe, defaults included.
func (r *Recipe) YAML() ([]byte, error) {
	return yaml.MarshalWithOptions(r, yaml.Indent(2), yaml.IndentSequence(true))
}

// FieldError is a value that breaks a rule, at a path like stages[0].lr.peak.
type FieldError struct {
	Path string
	Err  error
}

func (e *FieldError) Error() string { return e.Path + ": " + e.Err.Error() }
func (e *FieldError) Unwrap() error { return e.Err }

// position returns "file:line:column: " for the field that err names, if the
// file has it; a defaulted field has no position.
func position(src []byte, name string, err error) string {
	var field *FieldError
	if !errors.As(err, &field) {
		return name + ": "
	}
	file, perr := parser.ParseBytes(src, 0)
	if perr != nil {
		return name + ": "
	}
	path, perr := yaml.PathString("$." + field.Path)
	if perr != nil {
		return name + ": "
	}
	node, perr := path.FilterFile(file)
	if perr != nil {
		return name + ": "
	}
	p := node.GetToken().Position
	return fmt.Sprintf("%s:%d:%d: ", name, p.Line, p.Column)
}
