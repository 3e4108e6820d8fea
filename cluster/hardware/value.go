package hardware

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// scalar returns the text of a plain value.
func scalar(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return strings.TrimSpace(n.Value.Value), true
	case *ast.IntegerNode, *ast.FloatNode:
		return n.GetToken().Value, true
	case *ast.InfinityNode, *ast.NanNode, *ast.BoolNode:
		return n.GetToken().Value, true
	}
	return "", false
}

// domains reads the list of domains: with a base, an item that has the name of
// one of its domains starts from it.
// It reports whether the list could be made out, faults of single values aside.
func (d *decoder) domains(n ast.Node) bool {
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		d.refuse(n, "domains", "", "must be a list, innermost domain first", "")
		return false
	}
	var list []Domain
	evidence := map[string]Evidence{}
	type item struct {
		ps   []pair
		path string
	}
	var items []item
	for i, v := range seq.Values {
		where := fmt.Sprintf("domains[%d]", i)
		m, ok := mappingOf(v)
		if !ok {
			d.refuse(v, where, "", "must be a mapping with name, size, bandwidth, latency, efficiency and topology", "")
			continue
		}
		ps := d.pairs(m, where)
		j := slices.IndexFunc(ps, func(p pair) bool { return p.key == "name" })
		if j < 0 {
			d.refuse(v, where+".name", "", "must be given", "")
			continue
		}
		name, _ := scalar(ps[j].value)
		d.at[where+".name"], d.at["domains."+name] = place(ps[j].value), place(ps[j].value)
		list = append(list, d.start(name))
		d.keep("domains."+name+".", evidence)
		items = append(items, item{slices.Delete(ps, j, j+1), "domains." + name})
	}
	if len(items) < len(seq.Values) {
		return false
	}
	d.replace(list, evidence)
	if p := d.c.domainNames(); p != nil {
		d.errs = append(d.errs, d.locate(p))
		return false
	}
	for i := range items {
		fs := d.c.Domains[i].fields()
		index := map[string]*field{}
		for j := range fs {
			index[fs[j].path] = &fs[j]
		}
		for _, p := range items[i].ps {
			d.value(index, p, items[i].path+"."+p.key, []string{"name"})
		}
	}
	return true
}

// start returns the domain of that name of the base, or an empty one. A size
// of the base that spans all of it is not a size of this description.
func (d *decoder) start(name string) Domain {
	for i, b := range d.c.Domains {
		if b.Name == name {
			if i == len(d.c.Domains)-1 {
				b.Size = 0
			}
			return b
		}
	}
	return Domain{Name: name}
}

// keep copies the evidence below a prefix.
func (d *decoder) keep(prefix string, to map[string]Evidence) {
	for path, e := range d.c.evidence {
		if strings.HasPrefix(path, prefix) {
			to[path] = e
		}
	}
}

// replace puts the list in place of the base's domains.
func (d *decoder) replace(list []Domain, evidence map[string]Evidence) {
	for path := range d.c.evidence {
		if strings.HasPrefix(path, "domains.") {
			delete(d.c.evidence, path)
		}
	}
	d.c.Domains = list
	for path, e := range evidence {
		d.c.SetEvidence(path, e)
	}
}

// readSources reads the short names that sources have in this file.
func (d *decoder) readSources(n ast.Node) {
	m, ok := mappingOf(n)
	if !ok {
		d.refuse(n, "sources", "", "must be a mapping from short names to sources", "")
		return
	}
	d.sources = map[string]string{}
	for _, p := range d.pairs(m, "sources") {
		s, ok := scalar(p.value)
		if !ok || s == "" {
			d.refuse(p.value, "sources."+p.key, "", "must be a text", "")
			continue
		}
		d.sources[p.key] = s
	}
}

func (d *decoder) notes(n ast.Node) {
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		d.refuse(n, "notes", "", "must be a list of sentences", "")
		return
	}
	for i, v := range seq.Values {
		s, ok := scalar(v)
		if !ok {
			d.refuse(v, fmt.Sprintf("notes[%d]", i), "", "must be a sentence", "")
			continue
		}
		d.c.Notes = append(d.c.Notes, s)
	}
}

// value reads the field at path, or the section that path begins.
func (d *decoder) value(index map[string]*field, p pair, path string, more []string) {
	d.at[path] = p.place()
	if f, ok := index[path]; ok {
		d.leaf(f, p.value)
		return
	}
	children := childrenOf(index, path)
	if len(children) == 0 {
		parent := path[:len(path)-len(p.key)]
		known := append(childrenOf(index, strings.TrimSuffix(parent, ".")), more...)
		slices.Sort(known)
		d.refuse(p.node, path, "", "is not a known key: want one of "+strings.Join(known, ", "), nearest(p.key, known))
		return
	}
	m, ok := mappingOf(p.value)
	if !ok {
		d.refuse(p.value, path, "", "must be a mapping with some of "+strings.Join(children, ", "), "")
		return
	}
	for _, q := range d.pairs(m, path) {
		d.value(index, q, path+"."+q.key, nil)
	}
}

// childrenOf lists the keys that may follow path ("" for the top).
func childrenOf(index map[string]*field, path string) []string {
	var keys []string
	for p := range index {
		rest := p
		if path != "" {
			var ok bool
			if rest, ok = strings.CutPrefix(p, path+"."); !ok {
				continue
			}
		}
		key, _, _ := strings.Cut(rest, ".")
		if !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// leaf reads one value: alone, or in a mapping with its evidence.
func (d *decoder) leaf(f *field, n ast.Node) {
	e := Evidence{Grade: d.grade}
	if d.grade == User {
		e.Source = fmt.Sprintf("%s:%d", filepath.Base(d.file), place(n).line)
	}
	m, isMap := mappingOf(n)
	if isMap && f.kind != text {
		if n = d.withEvidence(f, m, &e); n == nil {
			return
		}
	}
	s, ok := scalar(n)
	if !ok {
		d.refuse(n, f.path, "", "must be a single value", "")
		return
	}
	if f.kind == text {
		*f.content = s
		return
	}
	if s == "none" && !f.needed {
		f.set(0)
		delete(d.c.evidence, f.path)
		return
	}
	if err := f.parse(s); err != nil {
		d.refuse(n, f.path, quote(s), err.Error(), "")
		return
	}
	if d.grade == "" && (e.Grade == "" || e.Source == "") {
		d.refuse(n, f.path, quote(s), "must have a grade and a source", "")
		return
	}
	d.c.SetEvidence(f.path, e)
}

// withEvidence reads {value, grade, source, conflict, low, high} and returns
// the node of the value.
func (d *decoder) withEvidence(f *field, m *ast.MappingNode, e *Evidence) (value ast.Node) {
	known := []string{"conflict", "grade", "high", "low", "source", "value"}
	for _, p := range d.pairs(m, f.path) {
		s, ok := scalar(p.value)
		path := f.path + "." + p.key
		switch {
		case !slices.Contains(known, p.key):
			d.refuse(p.node, path, "", "is not a known key: want one of "+strings.Join(known, ", "), nearest(p.key, known))
			return nil
		case !ok:
			d.refuse(p.value, path, "", "must be a single value", "")
			return nil
		}
		switch p.key {
		case "value":
			value = p.value
			d.at[f.path] = place(p.value)
		case "grade":
			if !slices.Contains(Grades, s) {
				d.refuse(p.value, path, quote(s), "must be one of "+strings.Join(Grades, ", "), nearest(s, Grades))
				return nil
			}
			e.Grade = s
		case "source":
			e.Source = s
			if long, ok := d.sources[s]; ok {
				e.Source = long
			}
		case "conflict":
			e.Conflict = s
		case "low", "high":
			x, _, err := f.read(s)
			if err != nil {
				d.refuse(p.value, path, quote(s), err.Error(), "")
				return nil
			}
			if p.key == "low" {
				e.Low = x
			} else {
				e.High = x
			}
		}
	}
	if value == nil {
		d.refuse(m, f.path, "", "must have a value beside its evidence", "")
	}
	return value
}

// parse reads a number as it is written and sets it.
func (f *field) parse(s string) error {
	x, currency, err := f.read(s)
	if err != nil {
		return err
	}
	f.set(x)
	if f.kind == money {
		*f.content = currency
	}
	return nil
}

// read reads a number as it is written.
func (f *field) read(s string) (x float64, currency string, err error) {
	if f.kind == money {
		return parseMoney(s)
	}
	x, err = parseQuantity(f.kind, s)
	return x, "", err
}

// parseMoney reads "2.10 USD/h".
func parseMoney(s string) (float64, string, error) {
	digits, unit := splitNumber(s)
	currency, ok := strings.CutSuffix(unit, "/h")
	x, err := strconv.ParseFloat(digits, 64)
	if err != nil || !ok || !isCurrency(currency) {
		return 0, "", fmt.Errorf("must be an amount per hour of one device with the currency's three letters, as in %q", examples[money])
	}
	return x, currency, nil
}

// isCurrency reports whether s is three capital letters.
func isCurrency(s string) bool {
	for _, r := range s {
		if r < 'A' || r > 'Z' {
			return false
		}
	}
	return len(s) == 3
}

func formatMoney(x float64, currency string) string {
	return strconv.FormatFloat(x, 'f', -1, 64) + " " + currency + "/h"
}
