package record

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"unicode/utf8"
)

// SyntaxError says what is wrong with canonical bytes, and where.
type SyntaxError struct {
	Offset int    // the byte
	Path   string // the member, such as body.losses.lm; empty for the whole
	Rule   string // what is wrong, lower case
}

// Error returns member, byte and rule.
func (e *SyntaxError) Error() string {
	if e.Path == "" {
		return fmt.Sprintf("byte %d: %s", e.Offset, e.Rule)
	}
	return fmt.Sprintf("%s: byte %d: %s", e.Path, e.Offset, e.Rule)
}

// Unmarshal reads one canonical value into the variable that v points to. It
// accepts exactly what Marshal writes for such a variable: every other text,
// even of the same JSON value, is refused, and so are members that the type
// does not have or that are missing. After an error the variable is undefined.
func Unmarshal(b []byte, v any) error {
	p := reflect.ValueOf(v)
	if p.Kind() != reflect.Pointer || p.IsNil() {
		return fmt.Errorf("record: cannot read into %T, want a pointer", v)
	}
	if e, ok := v.(*Entry); ok {
		return e.decode(b)
	}
	return decode(b, p.Elem(), limitOf(v))
}

// UnmarshalLimit is Unmarshal of a value of up to limit bytes that is neither a
// manifest nor an entry.
func UnmarshalLimit(b []byte, v any, limit int) error {
	p := reflect.ValueOf(v)
	if p.Kind() != reflect.Pointer || p.IsNil() {
		return fmt.Errorf("record: cannot read into %T, want a pointer", v)
	}
	return decode(b, p.Elem(), limit)
}

// Check refuses bytes that are not one canonical value of whatever type.
func Check(b []byte) error { return decode(b, reflect.Value{}, MaxSize) }

func decode(b []byte, v reflect.Value, limit int) error {
	if len(b) > limit {
		return &SyntaxError{limit, "", fmt.Sprintf("%d bytes, want at most %d", len(b), limit)}
	}
	if !utf8.Valid(b) {
		return &SyntaxError{invalidUTF8(b), "", "not UTF-8"}
	}
	d := decoder{b: b}
	d.value(v, 0)
	if d.err == nil && d.at < len(b) {
		d.fail(d.at, "bytes after the end of the value")
	}
	if d.err != nil {
		return d.err
	}
	return nil
}

func invalidUTF8(b []byte) int {
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return len(b)
}

// decoder reads values; after the first error every method returns at once. A
// reflect.Value that is not valid means: check the form, keep nothing.
type decoder struct {
	b    []byte
	at   int
	path []string
	err  *SyntaxError
}

func (d *decoder) fail(at int, format string, args ...any) {
	if d.err == nil {
		d.err = &SyntaxError{at, joinPath(d.path), fmt.Sprintf(format, args...)}
	}
}

func joinPath(path []string) string {
	var b bytes.Buffer
	for i, p := range path {
		if i > 0 && p[0] != '[' {
			b.WriteByte('.')
		}
		b.WriteString(p)
	}
	return b.String()
}

// peek returns the next byte, 0 at the end.
func (d *decoder) peek() byte {
	if d.at < len(d.b) {
		return d.b[d.at]
	}
	return 0
}

// take consumes c, or fails.
func (d *decoder) take(c byte) bool {
	if d.err != nil {
		return false
	}
	if d.peek() != c || d.at >= len(d.b) {
		d.unexpected(fmt.Sprintf("%q", c))
		return false
	}
	d.at++
	return true
}

func (d *decoder) unexpected(want string) {
	if d.at >= len(d.b) {
		d.fail(d.at, "the text ends, want %s", want)
		return
	}
	c := d.b[d.at]
	if c == ' ' || c == '\t' || c == '\n' || c == '\r' {
		d.fail(d.at, "insignificant space is not canonical, want %s", want)
		return
	}
	d.fail(d.at, "%q, want %s", c, want)
}

// literal consumes the word if it is next.
func (d *decoder) literal(word string) bool {
	if len(d.b)-d.at < len(word) || string(d.b[d.at:d.at+len(word)]) != word {
		return false
	}
	d.at += len(word)
	return true
}

func (d *decoder) value(v reflect.Value, depth int) {
	if d.err != nil {
		return
	}
	if !v.IsValid() {
		d.any(depth)
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		d.bool(v)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		d.int(v)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		d.uint(v)
	case reflect.Float32, reflect.Float64:
		d.float(v)
	case reflect.String:
		v.SetString(d.string())
	case reflect.Pointer:
		if d.literal("null") {
			v.SetZero()
			return
		}
		v.Set(reflect.New(v.Type().Elem()))
		d.value(v.Elem(), depth)
	case reflect.Slice, reflect.Array:
		if v.Type() == rawType {
			start := d.at
			d.any(depth)
			v.SetBytes(bytes.Clone(d.b[start:d.at]))
			return
		}
		d.array(v, depth+1)
	case reflect.Map:
		d.object(v, depth+1)
	case reflect.Struct:
		d.record(v, depth+1)
	default:
		d.fail(d.at, "cannot be read into %s", v.Type())
	}
}

// any checks a value without a type.
func (d *decoder) any(depth int) {
	switch c := d.peek(); {
	case d.at >= len(d.b):
		d.unexpected("a value")
	case c == '{':
		d.object(reflect.Value{}, depth+1)
	case c == '[':
		d.array(reflect.Value{}, depth+1)
	case c == '"':
		d.string()
	case d.literal("true"), d.literal("false"), d.literal("null"):
	case c == '-' || c >= '0' && c <= '9':
		d.anyNumber()
	default:
		d.unexpected("a value")
	}
}

// anyNumber accepts the text of an integer or of a float.
func (d *decoder) anyNumber() {
	start := d.at
	text := d.number()
	if _, err := strconv.ParseInt(string(text), 10, 64); err == nil && canonicalInt(text) {
		return
	}
	if _, err := strconv.ParseUint(string(text), 10, 64); err == nil && canonicalInt(text) {
		return
	}
	d.checkFloat(start, text)
}

// canonicalInt reports whether digits have no leading zero and no sign they do
// not need.
func canonicalInt(s []byte) bool {
	return len(s) == 1 && s[0] == '0' || s[0] >= '1' && s[0] <= '9' || len(s) > 1 && s[0] == '-' && s[1] >= '1' && s[1] <= '9'
}

// number consumes the characters that numbers are made of.
func (d *decoder) number() []byte {
	start := d.at
	for d.at < len(d.b) {
		c := d.b[d.at]
		if (c < '0' || c > '9') && c != '-' && c != '+' && c != '.' && c != 'e' {
			break
		}
		d.at++
	}
	if d.at == start {
		d.unexpected("a number")
	}
	return d.b[start:d.at]
}

func (d *decoder) checkFloat(start int, text []byte) float64 {
	if d.err != nil {
		return 0
	}
	f, err := strconv.ParseFloat(string(text), 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		d.fail(start, "%.40q is no number", text)
		return 0
	}
	var buf [32]byte
	if want := appendFloat(buf[:0], f); !bytes.Equal(want, text) {
		d.fail(start, "number %.40q is not canonical, want %s", text, want)
	}
	return f
}

func (d *decoder) bool(v reflect.Value) {
	switch {
	case d.literal("true"):
		v.SetBool(true)
	case d.literal("false"):
		v.SetBool(false)
	default:
		d.unexpected("true or false")
	}
}

func (d *decoder) int(v reflect.Value) {
	start := d.at
	text := d.number()
	if d.err != nil {
		return
	}
	n, err := strconv.ParseInt(string(text), 10, v.Type().Bits())
	if err != nil || !canonicalInt(text) {
		d.fail(start, "%.40q is no canonical integer of %d bits", text, v.Type().Bits())
		return
	}
	v.SetInt(n)
}

func (d *decoder) uint(v reflect.Value) {
	start := d.at
	text := d.number()
	if d.err != nil {
		return
	}
	n, err := strconv.ParseUint(string(text), 10, v.Type().Bits())
	if err != nil || !canonicalInt(text) {
		d.fail(start, "%.40q is no canonical integer of %d bits from 0", text, v.Type().Bits())
		return
	}
	v.SetUint(n)
}

func (d *decoder) float(v reflect.Value) {
	start := d.at
	f := d.float64()
	if d.err == nil && f-f == 0 && (v.OverflowFloat(f) || v.Kind() == reflect.Float32 && float64(float32(f)) != f) {
		d.fail(start, "number does not fit 32 bits exactly")
		return
	}
	v.SetFloat(f)
}

func (d *decoder) float64() float64 {
	switch {
	case d.err != nil:
		return 0
	case d.literal(`"NaN"`):
		return math.NaN()
	case d.literal(`"+Inf"`):
		return math.Inf(1)
	case d.literal(`"-Inf"`):
		return math.Inf(-1)
	}
	start := d.at
	return d.checkFloat(start, d.number())
}
