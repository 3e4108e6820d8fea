package jsonvalue_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/temper-ml/temper/internal/jsonvalue"
)

// What Python 3 prints for json.dumps(json.loads(text)).
var pythonNumbers = [][2]string{
	{"0", "0"},
	{"-0", "0"},
	{"1", "1"},
	{"-1", "-1"},
	{"1.0", "1.0"},
	{"1.50", "1.5"},
	{"-0.0", "-0.0"},
	{"1e5", "100000.0"},
	{"1E5", "100000.0"},
	{"1e+16", "1e+16"},
	{"1e15", "1000000000000000.0"},
	{"123456789012345678901234567890", "123456789012345678901234567890"},
	{"0.1", "0.1"},
	{"1e-4", "0.0001"},
	{"1e-5", "1e-05"},
	{"1.5e-7", "1.5e-07"},
	{"2.5e-5", "2.5e-05"},
	{"1e400", "Infinity"},
	{"-1e400", "-Infinity"},
	{"5e-324", "5e-324"},
	{"1.7976931348623157e308", "1.7976931348623157e+308"},
	{"0.30000000000000004", "0.30000000000000004"},
	{"100000000000000000.0", "1e+17"},
	{"9007199254740993.0", "9007199254740992.0"},
	{"1e22", "1e+22"},
	{"1e21", "1e+21"},
	{"123456.789e3", "123456789.0"},
}

func TestNumbersAsPythonPrintsThem(t *testing.T) {
	for _, n := range pythonNumbers {
		v, err := jsonvalue.Parse(n[0])
		if err != nil {
			t.Errorf("%s: %v", n[0], err)
			continue
		}
		if got := v.Python(); got != n[1] {
			t.Errorf("%s: got %s, Python prints %s", n[0], got, n[1])
		}
	}
}

func TestTextAsPythonPrintsIt(t *testing.T) {
	for in, want := range map[string]string{
		`{"b":1,"a":[1,2.50,true,null],"c":{},"d":[]}`:   `{"b": 1, "a": [1, 2.5, true, null], "c": {}, "d": []}`,
		`"\u00e9\u2028\u007f\u0001\n\"\\\/\ud83d\ude00"`: "\"é\u2028\u007f\\u0001\\n\\\"\\\\/😀\"",
		" [ ] ":          "[]",
		`"a\tb\rc\bd\f"`: `"a\tb\rc\bd\f"`,
	} {
		v, err := jsonvalue.Parse(in)
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if got := v.Python(); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}

func TestErrorsNamePlaceAndRule(t *testing.T) {
	for _, c := range []struct {
		text   string
		offset int
		rule   string
	}{
		{``, 0, "the text ends where a value is expected"},
		{`{"a":1,"a":2}`, 7, `duplicate key "a"`},
		{`{"a":1,}`, 7, "expected a key in quotes, got '}'"},
		{`{"a" 1}`, 5, "expected ':', got '1'"},
		{`[1 2]`, 3, "expected ',' or ']', got '2'"},
		{`[1,2`, 4, "the text ends where ',' or ']' is expected"},
		{`{"a":1} x`, 8, "text after the end of the value"},
		{`01`, 0, "a number cannot begin with 0"},
		{`-`, 1, "a number needs a digit here"},
		{`1.`, 2, "a number needs a digit after its point"},
		{`1e+`, 3, "a number needs a digit in its exponent"},
		{`NaN`, 0, "'N' cannot begin a value"},
		{`"abc`, 0, "the string that begins here is not closed"},
		{"\"a\nb\"", 2, "control character 0x0a in a string: write it as an escape"},
		{`"\x"`, 1, `unknown escape \x`},
		{`"\u12"`, 1, "\\u needs four hexadecimal digits"},
		{`"\ud800x"`, 1, `surrogate \ud800 without its other half`},
		{"\"\xff\"", 1, "invalid UTF-8"},
		{strings.Repeat("[", 600), 513, "more than 512 levels of nesting"},
	} {
		_, err := jsonvalue.Parse(c.text)
		var syntax *jsonvalue.SyntaxError
		if !errors.As(err, &syntax) {
			t.Errorf("%.20q: error %v, want a SyntaxError", c.text, err)
			continue
		}
		if syntax.Offset != c.offset || syntax.Rule != c.rule {
			t.Errorf("%.20q: byte %d: %s; want byte %d: %s", c.text, syntax.Offset, syntax.Rule, c.offset, c.rule)
		}
	}
}

func TestPythonReadsMore(t *testing.T) {
	v, err := jsonvalue.ParsePython(`{"a": NaN, "b": 1, "a": [-Infinity, Infinity]}`)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := v.Python(), `{"a": [-Infinity, Infinity], "b": 1}`; got != want {
		t.Errorf("got %s, want %s: the last value stands at the first place", got, want)
	}
}

// Objects with many keys go through an index; it must find the same duplicates.
func TestManyKeys(t *testing.T) {
	var b strings.Builder
	for i := range 100 {
		b.WriteString(`"k` + strings.Repeat("x", i) + `":1,`)
	}
	if _, err := jsonvalue.Parse("{" + b.String() + `"last":1}`); err != nil {
		t.Error(err)
	}
	for _, again := range []int{0, 15, 16, 99} {
		text := "{" + b.String() + `"k` + strings.Repeat("x", again) + `":1}`
		if _, err := jsonvalue.Parse(text); err == nil || !strings.Contains(err.Error(), "duplicate key") {
			t.Errorf("key %d again: error %v, want a duplicate key", again, err)
		}
	}
}

// FuzzParse holds Parse to encoding/json: it accepts nothing invalid, gives the
// same values, and what it prints it reads back.
func FuzzParse(f *testing.F) {
	for _, n := range pythonNumbers {
		f.Add(n[0])
	}
	f.Add(`{"a":[1,"\u00e9\ud83d\ude00",{"b":null}],"c":true}`)
	f.Add(`{"a":1,"a":2}`)
	f.Fuzz(func(t *testing.T, text string) {
		v, err := jsonvalue.Parse(text)
		if _, lax := jsonvalue.ParsePython(text); err == nil && lax != nil {
			t.Fatalf("Parse accepts what ParsePython refuses: %v", lax)
		}
		if err != nil {
			return
		}
		if !utf8.ValidString(text) || !json.Valid([]byte(text)) {
			t.Fatalf("accepted %q, which is not JSON", text)
		}
		var want any
		dec := json.NewDecoder(strings.NewReader(text))
		dec.UseNumber()
		if err := dec.Decode(&want); err != nil {
			t.Fatalf("encoding/json: %v", err)
		}
		if got := plain(&v); !reflect.DeepEqual(got, want) {
			t.Fatalf("got %#v, encoding/json gives %#v", got, want)
		}
		printed := v.Python()
		again, err := jsonvalue.ParsePython(printed)
		if err != nil {
			t.Fatalf("printed %q, which does not parse: %v", printed, err)
		}
		if again.Python() != printed {
			t.Fatalf("printed %q, then %q", printed, again.Python())
		}
	})
}

func plain(v *jsonvalue.Value) any {
	switch v.Kind {
	case jsonvalue.Null:
		return nil
	case jsonvalue.True, jsonvalue.False:
		return v.Kind == jsonvalue.True
	case jsonvalue.Number:
		return json.Number(v.Text)
	case jsonvalue.String:
		return v.Text
	case jsonvalue.Array:
		list := []any{}
		for i := range v.Items {
			list = append(list, plain(&v.Items[i]))
		}
		return list
	}
	m := map[string]any{}
	for i := range v.Members {
		m[v.Members[i].Key] = plain(&v.Members[i].Value)
	}
	return m
}
