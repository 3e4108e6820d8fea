package jsonvalue

import (
	"math"
	"strconv"
	"strings"
)

// Python returns v as Python's json.dumps(v, ensure_ascii=False) writes it.
func (v *Value) Python() string { return string(v.AppendPython(nil)) }

// AppendPython appends v as Python's json.dumps(v, ensure_ascii=False) writes
// it: ", " and ": " as separators, keys in order, integers as spelled, floats as
// the shortest decimal that reads back equal, in Python's layout.
func (v *Value) AppendPython(b []byte) []byte {
	switch v.Kind {
	case Null:
		return append(b, "null"...)
	case True:
		return append(b, "true"...)
	case False:
		return append(b, "false"...)
	case Number:
		return append(b, PythonNumber(v.Text)...)
	case String:
		return appendString(b, v.Text)
	case Array:
		b = append(b, '[')
		for i := range v.Items {
			if i > 0 {
				b = append(b, ", "...)
			}
			b = v.Items[i].AppendPython(b)
		}
		return append(b, ']')
	}
	b = append(b, '{')
	for i := range v.Members {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = appendString(b, v.Members[i].Key)
		b = append(b, ": "...)
		b = v.Members[i].Value.AppendPython(b)
	}
	return append(b, '}')
}

// PythonString returns s as Python's json.dumps(s, ensure_ascii=False) writes it.
func PythonString(s string) string { return string(appendString(nil, s)) }

func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		case '\b':
			b = append(b, '\\', 'b')
		case '\f':
			b = append(b, '\\', 'f')
		default:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	return append(append(b, s[from:]...), '"')
}

// PythonNumber rewrites a JSON number as Python prints it after reading it: an
// integer keeps its digits ("-0" becomes "0"), anything with a point or an
// exponent becomes a float ("1e5" becomes "100000.0", "1e400" "Infinity").
func PythonNumber(text string) string {
	if !strings.ContainsAny(text, ".eEIN") {
		if text == "-0" {
			return "0"
		}
		return text
	}
	f, _ := strconv.ParseFloat(text, 64) // out of range gives an infinity, as in Python
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	}
	return pythonFloat(f)
}

// pythonFloat is repr(f): positional for exponents from -4 to 15, else with an
// exponent of at least two digits; a positional integer gets ".0".
func pythonFloat(f float64) string {
	s := strconv.FormatFloat(f, 'e', -1, 64)
	mantissa, exponent, _ := strings.Cut(s, "e")
	e, _ := strconv.Atoi(exponent)
	if e < -4 || e >= 16 {
		return mantissa + "e" + exponent
	}
	s = strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}
