package hardware

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/temper-ml/temper/internal/config"
)

// The bounds of a description: the longest of the catalogue is a tenth of
// maxFile, and lines have some hundred characters.
const (
	maxFile = 32 << 10
	maxLine = 4096
)

// Load returns the description of a cluster: of an entry of the catalogue, by
// its name, or from the YAML file at a path.
func Load(name string) (*Cluster, error) {
	if src, ok := entry(name); ok {
		c, err := decode(src, name+".yaml", "")
		if err != nil {
			return nil, err
		}
		return c, nil
	}
	if !strings.ContainsAny(name, `/\.`) {
		if _, err := os.Stat(name); err != nil {
			return nil, unknownName(name)
		}
	}
	src, err := read(name)
	if err != nil {
		return nil, err
	}
	return Decode(src, name)
}

// read returns the text of a file, or the start of one that is too long.
func read(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("%w, and no file: %w", unknownName(name), errors.Unwrap(err))
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return nil, fmt.Errorf("hardware: %s is a directory: want a YAML file or one of %s", name, strings.Join(Names(), ", "))
	}
	src, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("hardware: %w", err)
	}
	return src, nil
}

// Decode reads a description in memory; name is its file, for messages and as
// the source of its numbers.
func Decode(src []byte, name string) (*Cluster, error) {
	if len(src) > maxFile {
		return nil, fmt.Errorf("hardware: %s: must be at most %d bytes, is longer", name, maxFile)
	}
	return decode(src, name, User)
}

// decode reads a description; grade is that of values without one, none when
// every value must have its own.
func decode(src []byte, name, grade string) (*Cluster, error) {
	body, err := parse(src, name)
	if err != nil {
		return nil, err
	}
	d := &decoder{file: name, grade: grade, c: &Cluster{}, at: map[string]position{}}
	d.description(body)
	if len(d.errs) == 0 {
		for _, p := range d.c.problems() {
			d.errs = append(d.errs, d.locate(p))
		}
	}
	if len(d.errs) > 0 {
		slices.SortStableFunc(d.errs, func(a, b *FieldError) int { return a.Line - b.Line })
		var all []error
		for _, e := range d.errs {
			all = append(all, e)
		}
		return nil, errors.Join(all...)
	}
	return d.c, nil
}

// parse returns the one mapping that a file is.
func parse(src []byte, name string) (m *ast.MappingNode, err error) {
	defer func() { // the parser's own defects must not end the program
		if r := recover(); r != nil {
			m, err = nil, fmt.Errorf("hardware: %s: is not YAML that can be read: %v", name, r)
		}
	}()
	if line, rule := config.Tangled(src, maxLine); rule != "" {
		return nil, fmt.Errorf("hardware: %s:%d: %s", name, line, rule)
	}
	file, err := parser.ParseBytes(src, 0)
	if err != nil {
		return nil, syntaxError(name, err)
	}
	var body ast.Node
	for _, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		if body != nil {
			return nil, fmt.Errorf("hardware: %s: there is a second document: a description is one", name)
		}
		body = doc.Body
	}
	if body == nil {
		return nil, fmt.Errorf("hardware: %s: the file is empty: a description needs a name, and a base or a device and domains", name)
	}
	m, ok := mappingOf(body)
	if !ok {
		return nil, fmt.Errorf("hardware: %s: must be a mapping that begins with name, not a %s", name, strings.ToLower(body.Type().String()))
	}
	return m, nil
}

// syntaxError says where text is no YAML.
func syntaxError(name string, err error) error {
	var at yaml.Error
	if !errors.As(err, &at) || at.GetToken() == nil || at.GetToken().Position == nil {
		return fmt.Errorf("hardware: %s: %w", name, err)
	}
	p := at.GetToken().Position
	return fmt.Errorf("hardware: %s:%d:%d: %s", name, p.Line, p.Column, at.GetMessage())
}

// mappingOf returns the mapping that a node is.
func mappingOf(n ast.Node) (*ast.MappingNode, bool) {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n, true
	case *ast.MappingValueNode:
		return ast.Mapping(n.GetToken(), false, n), true
	}
	return nil, false
}

// position is where a value is in its file.
type position struct {
	line, column int
	text         string
}

// decoder walks one file.
type decoder struct {
	file, grade string
	c           *Cluster
	at          map[string]position
	sources     map[string]string // short names of sources in this file
	errs        []*FieldError
}

func place(n ast.Node) position {
	if t := n.GetToken(); t != nil && t.Position != nil {
		return position{line: t.Position.Line, column: t.Position.Column, text: t.Value}
	}
	return position{}
}

func (d *decoder) refuse(n ast.Node, path, value, rule, near string) {
	p := place(n)
	d.errs = append(d.errs, &FieldError{File: d.file, Line: p.line, Column: p.column, Field: path, Value: value, Rule: rule, Nearest: near})
}

// locate adds the position of the field that p is about, or of what it is in.
func (d *decoder) locate(p *FieldError) *FieldError {
	p.File = d.file
	path := p.Field
	for path != "" {
		if at, ok := d.at[path]; ok {
			p.Line, p.Column = at.line, at.column
			return p
		}
		i := strings.LastIndexAny(path, ".[")
		if i < 0 {
			break
		}
		path = path[:i]
	}
	if d.c.Base != "" {
		p.Rule += " (the value is that of its base " + d.c.Base + ")"
	}
	return p
}

// pair is one key of a mapping.
type pair struct {
	key   string
	node  ast.Node
	value ast.Node
}

// place is where a fault of the value is shown: at a plain value, or at the key
// of a mapping or list.
func (p *pair) place() position {
	if _, ok := scalar(p.value); ok {
		return place(p.value)
	}
	return place(p.node)
}

// pairs returns the keys of a mapping and refuses what is not a plain key.
func (d *decoder) pairs(m *ast.MappingNode, path string) []pair {
	var ps []pair
	for _, v := range m.Values {
		key, ok := v.Key.(*ast.StringNode)
		if !ok {
			d.refuse(v.Key, path, quote(place(v.Key).text), "a key must be a plain word", "")
			continue
		}
		if slices.ContainsFunc(ps, func(p pair) bool { return p.key == key.Value }) {
			d.refuse(v.Key, join(path, key.Value), "", "is given twice", "")
			continue
		}
		ps = append(ps, pair{key.Value, v.Key, v.Value})
	}
	return ps
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// description reads the whole file: the base first, whatever the order of keys.
func (d *decoder) description(body *ast.MappingNode) {
	ps := d.pairs(body, "")
	for _, p := range ps {
		d.at[p.key] = p.place()
		switch p.key {
		case "base":
			d.base(p.value)
		case "sources":
			d.readSources(p.value)
		}
	}
	if len(d.errs) > 0 {
		return
	}
	for _, p := range ps {
		if p.key == "domains" && !d.domains(p.value) {
			return
		}
	}
	index := map[string]*field{}
	fs := d.c.fields()
	for i := range fs {
		index[fs[i].path] = &fs[i]
	}
	for _, p := range ps {
		switch p.key {
		case "base", "domains", "sources":
		case "notes":
			d.notes(p.value)
		default:
			d.value(index, p, p.key, []string{"base", "domains", "notes", "sources"})
		}
	}
	d.span()
}

// span makes the last domain as large as the cluster, unless the file says how
// large it is.
func (d *decoder) span() {
	if n := len(d.c.Domains); n > 0 {
		last := &d.c.Domains[n-1]
		if _, given := d.at["domains."+last.Name+".size"]; !given {
			last.Size = d.c.MaxDevices
			delete(d.c.evidence, "domains."+last.Name+".size")
		}
	}
}

// base starts from an entry of the catalogue.
func (d *decoder) base(n ast.Node) {
	name, ok := scalar(n)
	if !ok {
		d.refuse(n, "base", "", "must be the name of an entry of the catalogue", "")
		return
	}
	if _, ok := entry(name); !ok {
		d.refuse(n, "base", quote(name), "is no entry of the catalogue: "+strings.Join(Names(), ", "), nearest(name, Names()))
		return
	}
	if filepath.Base(d.file) == name+".yaml" && d.grade == "" {
		d.refuse(n, "base", quote(name), "an entry cannot be its own base", "")
		return
	}
	c, err := Load(name)
	if err != nil {
		d.refuse(n, "base", quote(name), err.Error(), "")
		return
	}
	c.Base, c.Name, c.Title, c.Notes = name, "", "", nil
	d.c = c
}
