package record

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// Limits of canonical values, in both directions.
const (
	// MaxDepth is how deeply arrays and objects nest, the outermost counted.
	MaxDepth = 32
	// MaxSize is how many bytes one value takes, such as an entry.
	MaxSize = 1 << 20
	// MaxManifest is how many bytes a manifest takes. It names every tensor of
	// the base model: 70,000 of DeepSeek-V4-Pro take 10 MB.
	MaxManifest = 1 << 26
)

// limitOf is how many bytes a value of the type of v takes.
func limitOf(v any) int {
	switch v.(type) {
	case Manifest, *Manifest:
		return MaxManifest
	}
	return MaxSize
}

// Raw is canonical bytes of one value, kept as they are.
type Raw []byte

var rawType = reflect.TypeFor[Raw]()

// Marshal returns the canonical bytes of v: booleans, integers, floats, strings,
// slices, arrays, maps with string keys, structs whose fields have json tags
// (name and omitempty as encoding/json reads them), pointers, interfaces, and
// Raw. A nil slice is [], a nil map {}, a nil pointer or interface null.
func Marshal(v any) ([]byte, error) { return Append(nil, v) }

// MarshalLimit is Marshal of a value that may take up to limit bytes, for what is
// neither a manifest nor an entry.
func MarshalLimit(v any, limit int) ([]byte, error) { return appendLimit(nil, v, limit) }

// Append appends the canonical bytes of v to b, and leaves b as it is on an error.
func Append(b []byte, v any) ([]byte, error) { return appendLimit(b, v, limitOf(v)) }

func appendLimit(b []byte, v any, limit int) ([]byte, error) {
	e := encoder{b: b}
	e.value(reflect.ValueOf(v), 0)
	if n := len(e.b) - len(b); e.err == nil && n > limit {
		e.err = fmt.Errorf("record: value has %d bytes, want at most %d", n, limit)
	}
	if e.err != nil {
		return b, e.err
	}
	return e.b, nil
}

// encoder appends values; after the first error it does nothing.
type encoder struct {
	b   []byte
	err error
}

func (e *encoder) fail(format string, args ...any) {
	if e.err == nil {
		e.err = fmt.Errorf("record: "+format, args...)
	}
}

func (e *encoder) value(v reflect.Value, depth int) {
	if e.err != nil {
		return
	}
	if depth > MaxDepth {
		e.fail("value nests deeper than %d", MaxDepth)
		return
	}
	switch v.Kind() {
	case reflect.Invalid:
		e.b = append(e.b, "null"...)
	case reflect.Bool:
		e.b = strconv.AppendBool(e.b, v.Bool())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		e.b = strconv.AppendInt(e.b, v.Int(), 10)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		e.b = strconv.AppendUint(e.b, v.Uint(), 10)
	case reflect.Float32, reflect.Float64:
		e.b = appendFloat(e.b, v.Float())
	case reflect.String:
		e.string(v.String())
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			e.b = append(e.b, "null"...)
			return
		}
		e.value(v.Elem(), depth)
	case reflect.Slice, reflect.Array:
		e.array(v, depth+1)
	case reflect.Map:
		e.object(v, depth+1)
	case reflect.Struct:
		e.record(v, depth+1)
	default:
		e.fail("%s has no canonical bytes", v.Type())
	}
}

func (e *encoder) array(v reflect.Value, depth int) {
	if v.Type() == rawType {
		if err := Check(v.Bytes()); err != nil {
			e.fail("raw value: %w", err)
		}
		e.b = append(e.b, v.Bytes()...)
		return
	}
	if depth > MaxDepth {
		e.fail("value nests deeper than %d", MaxDepth)
		return
	}
	e.b = append(e.b, '[')
	for i := range v.Len() {
		if i > 0 {
			e.b = append(e.b, ',')
		}
		e.value(v.Index(i), depth)
	}
	e.b = append(e.b, ']')
}

func (e *encoder) object(v reflect.Value, depth int) {
	if v.Type().Key().Kind() != reflect.String {
		e.fail("%s has no canonical bytes: keys must be strings", v.Type())
		return
	}
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
	e.b = append(e.b, '{')
	for i, k := range keys {
		if i > 0 {
			e.b = append(e.b, ',')
		}
		e.string(k.String())
		e.b = append(e.b, ':')
		e.value(v.MapIndex(k), depth)
	}
	e.b = append(e.b, '}')
}

func (e *encoder) record(v reflect.Value, depth int) {
	f, err := fieldsOf(v.Type())
	if err != nil {
		e.fail("%w", err)
		return
	}
	e.b = append(e.b, '{')
	first := true
	for i := range f {
		fv := v.Field(f[i].index)
		if f[i].omit && isEmpty(fv) {
			continue
		}
		if !first {
			e.b = append(e.b, ',')
		}
		first = false
		e.b = append(e.b, f[i].prefix...)
		e.value(fv, depth)
	}
	e.b = append(e.b, '}')
}

// isEmpty is what omitempty leaves out; -0 is not zero.
func isEmpty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Slice, reflect.Map, reflect.String, reflect.Array:
		return v.Len() == 0
	case reflect.Struct:
		return false
	}
	return v.IsZero()
}

// field is one member of a struct, in the order of the canonical bytes.
type field struct {
	name   string
	prefix string // "name":
	index  int
	omit   bool
}

var fieldCache sync.Map // reflect.Type to []field

// fieldsOf returns the members of a struct, sorted by name.
func fieldsOf(t reflect.Type) ([]field, error) {
	if f, ok := fieldCache.Load(t); ok {
		return f.([]field), nil
	}
	var fs []field
	for i := range t.NumField() {
		sf := t.Field(i)
		name, opts, _ := strings.Cut(sf.Tag.Get("json"), ",")
		switch {
		case !sf.IsExported() || name == "-":
			continue
		case name == "":
			return nil, fmt.Errorf("%s.%s has no json tag", t, sf.Name)
		}
		prefix, err := appendString(nil, name)
		if err != nil {
			return nil, err
		}
		fs = append(fs, field{name, string(prefix) + ":", i, opts == "omitempty"})
	}
	slices.SortFunc(fs, func(a, b field) int { return strings.Compare(a.name, b.name) })
	for i := 1; i < len(fs); i++ {
		if fs[i].name == fs[i-1].name {
			return nil, fmt.Errorf("%s has two fields named %q", t, fs[i].name)
		}
	}
	fieldCache.Store(t, fs)
	return fs, nil
}

// appendFloat appends the one text of a float.
func appendFloat(b []byte, f float64) []byte {
	switch {
	case math.IsNaN(f):
		return append(b, `"NaN"`...)
	case math.IsInf(f, 1):
		return append(b, `"+Inf"`...)
	case math.IsInf(f, -1):
		return append(b, `"-Inf"`...)
	}
	return strconv.AppendFloat(b, f, 'g', -1, 64)
}

func (e *encoder) string(s string) {
	b, err := appendString(e.b, s)
	if err != nil {
		e.fail("%w", err)
		return
	}
	e.b = b
}

const hexDigits = "0123456789abcdef"

// appendString appends s in quotes: only what JSON forbids is escaped, by two
// characters where JSON has such an escape.
func appendString(b []byte, s string) ([]byte, error) {
	if !utf8.ValidString(s) {
		return b, fmt.Errorf("string %.40q is not UTF-8", s)
	}
	b = append(b, '"')
	from := 0
	for i := range len(s) {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[from:i]...)
		from = i + 1
		if short := shortEscape(c); short != 0 {
			b = append(b, '\\', short)
		} else {
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return append(append(b, s[from:]...), '"'), nil
}

func shortEscape(c byte) byte {
	switch c {
	case '"', '\\':
		return c
	case '\b':
		return 'b'
	case '\f':
		return 'f'
	case '\n':
		return 'n'
	case '\r':
		return 'r'
	case '\t':
		return 't'
	}
	return 0
}

// appendInts appends an array of integers.
func appendInts(b []byte, ns []int64) []byte {
	b = append(b, '[')
	for i, n := range ns {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, n, 10)
	}
	return append(b, ']')
}
