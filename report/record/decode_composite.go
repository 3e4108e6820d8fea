package record

import (
	"fmt"
	"reflect"
	"strconv"
)

// string reads a string in quotes, and refuses escapes that Marshal would not use.
func (d *decoder) string() string {
	if !d.take('"') {
		return ""
	}
	start := d.at
	for d.at < len(d.b) && d.b[d.at] >= 0x20 && d.b[d.at] != '"' && d.b[d.at] != '\\' {
		d.at++
	}
	if d.peek() == '"' && d.at < len(d.b) {
		d.at++
		return string(d.b[start : d.at-1])
	}
	out := append([]byte(nil), d.b[start:d.at]...)
	for d.at < len(d.b) {
		switch c := d.b[d.at]; {
		case c == '"':
			d.at++
			return string(out)
		case c < 0x20:
			d.fail(d.at, "control character 0x%02x in a string", c)
			return ""
		case c == '\\':
			r, n := unescape(d.b[d.at:])
			if n == 0 {
				d.fail(d.at, "escape is not canonical: only \" \\ and control characters are escaped, by two characters where JSON can")
				return ""
			}
			out = append(out, r)
			d.at += n
		default:
			out = append(out, c)
			d.at++
		}
	}
	d.fail(start-1, "the string that begins here is not closed")
	return ""
}

// unescape returns the byte that the escape at the start of b stands for and
// its length, 0 if it is not one that appendString writes.
func unescape(b []byte) (c byte, n int) {
	if len(b) < 2 {
		return 0, 0
	}
	if b[1] != 'u' {
		for _, c := range []byte("\"\\\b\f\n\r\t") {
			if shortEscape(c) == b[1] {
				return c, 2
			}
		}
		return 0, 0
	}
	if len(b) < 6 {
		return 0, 0
	}
	x, err := strconv.ParseUint(string(b[2:6]), 16, 16)
	if err != nil || x >= 0x20 || shortEscape(byte(x)) != 0 || string(b[2:6]) != fmt.Sprintf("%04x", x) {
		return 0, 0
	}
	return byte(x), 6
}

// deep refuses to go deeper than MaxDepth.
func (d *decoder) deep(depth int) bool {
	if d.err == nil && depth > MaxDepth {
		d.fail(d.at, "nests deeper than %d", MaxDepth)
	}
	return d.err != nil
}

// more consumes what separates elements and reports whether another follows.
func (d *decoder) more(i int, end byte) bool {
	if d.err != nil {
		return false
	}
	if d.at < len(d.b) && d.b[d.at] == end {
		d.at++
		return false
	}
	return i == 0 || d.take(',')
}

func (d *decoder) array(v reflect.Value, depth int) {
	if d.deep(depth) || !d.take('[') {
		return
	}
	i := 0
	for ; d.more(i, ']'); i++ {
		d.path = append(d.path, "["+strconv.Itoa(i)+"]")
		d.value(d.element(v, i), depth)
		d.path = d.path[:len(d.path)-1]
	}
	if d.err != nil || !v.IsValid() {
		return
	}
	if v.Kind() == reflect.Array && i != v.Len() {
		d.fail(d.at, "%d elements, want %d", i, v.Len())
	}
	if v.Kind() == reflect.Slice && v.IsNil() {
		v.Set(reflect.MakeSlice(v.Type(), 0, 0))
	}
}

// element returns where element i of an array goes.
func (d *decoder) element(v reflect.Value, i int) reflect.Value {
	switch {
	case !v.IsValid():
		return v
	case v.Kind() == reflect.Slice:
		if i == 0 {
			v.SetZero()
		}
		v.Set(reflect.Append(v, reflect.Zero(v.Type().Elem())))
	case i >= v.Len():
		d.fail(d.at, "more than %d elements", v.Len())
		return reflect.Value{}
	}
	return v.Index(i)
}

// key reads a member's name and refuses one that does not follow the last.
func (d *decoder) key(i int, last string) string {
	start := d.at
	k := d.string()
	if d.err == nil && i > 0 && k <= last {
		if k == last {
			d.fail(start, "member %.40q is there twice", k)
		} else {
			d.fail(start, "member %.40q comes after %.40q, want members sorted by the bytes of their names", k, last)
		}
	}
	d.take(':')
	return k
}

func (d *decoder) object(v reflect.Value, depth int) {
	if d.deep(depth) || !d.take('{') {
		return
	}
	if v.IsValid() {
		if v.Type().Key().Kind() != reflect.String {
			d.fail(d.at, "cannot be read into %s", v.Type())
			return
		}
		v.Set(reflect.MakeMap(v.Type()))
		if m, ok := v.Interface().(map[string]float64); ok {
			d.floats(m)
			return
		}
	}
	last := ""
	for i := 0; d.more(i, '}'); i++ {
		last = d.key(i, last)
		d.path = append(d.path, pathName(last))
		var elem reflect.Value
		if v.IsValid() {
			elem = reflect.New(v.Type().Elem()).Elem()
		}
		d.value(elem, depth)
		if v.IsValid() {
			v.SetMapIndex(reflect.ValueOf(last).Convert(v.Type().Key()), elem)
		}
		d.path = d.path[:len(d.path)-1]
	}
}

// floats reads the members of an object whose values are floats.
func (d *decoder) floats(m map[string]float64) {
	last := ""
	for i := 0; d.more(i, '}'); i++ {
		last = d.key(i, last)
		d.path = append(d.path, pathName(last))
		m[last] = d.float64()
		d.path = d.path[:len(d.path)-1]
	}
}

// pathName returns a member's name as errors give it, never empty.
func pathName(s string) string {
	if s == "" || len(s) > 40 {
		return strconv.Quote(s[:min(40, len(s))])
	}
	return s
}

func (d *decoder) record(v reflect.Value, depth int) {
	if d.deep(depth) || !d.take('{') {
		return
	}
	fs, err := fieldsOf(v.Type())
	if err != nil {
		d.fail(d.at, "%v", err)
		return
	}
	v.SetZero()
	next, last := 0, ""
	for i := 0; d.more(i, '}'); i++ {
		start := d.at
		if at := d.member(fs, next); at >= 0 { // as it is nearly always
			next, last = at+1, fs[at].name
			d.field(v, &fs[at], depth)
			continue
		}
		last = d.key(i, last)
		for next < len(fs) && fs[next].name < last {
			d.missing(start, fs[next])
			next++
		}
		if d.err == nil && (next == len(fs) || fs[next].name != last) {
			d.fail(start, "member %.40q is unknown", last)
		}
		if d.err != nil {
			return
		}
		next++
		d.field(v, &fs[next-1], depth)
	}
	for ; d.err == nil && next < len(fs); next++ {
		d.missing(d.at, fs[next])
	}
}

// member consumes the name of a member that is written next if those before it
// are left out, and returns which it is, or consumes nothing and returns -1.
func (d *decoder) member(fs []field, next int) int {
	for ; next < len(fs); next++ {
		if d.literal(fs[next].prefix) {
			return next
		}
		if !fs[next].omit {
			break
		}
	}
	return -1
}

// field reads the value of a member.
func (d *decoder) field(v reflect.Value, f *field, depth int) {
	d.path = append(d.path, f.name)
	at := d.at
	d.value(v.Field(f.index), depth)
	if d.err == nil && f.omit && isEmpty(v.Field(f.index)) {
		d.fail(at, "empty value is not canonical: it is left out")
	}
	d.path = d.path[:len(d.path)-1]
}

// missing refuses the absence of a member that is always written.
func (d *decoder) missing(at int, f field) {
	if !f.omit {
		d.fail(at, "member %q is missing", f.name)
	}
}
