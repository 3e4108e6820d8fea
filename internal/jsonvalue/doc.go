// Package jsonvalue reads JSON text into ordered values and prints it back the
// way Python's json.dumps(value, ensure_ascii=False) does.
//
// Training data is JSON, and chat encodings that were defined in Python embed
// JSON in the text a model sees: the order of keys, the spaces after ',' and
// ':' and the spelling of numbers become tokens. encoding/json keeps none of
// these, and reports neither duplicate keys nor where an error is. A Value here
// keeps the order of members and the spelling of numbers, and every error is a
// *SyntaxError with a byte offset.
//
// Parse is strict: it refuses duplicate keys, invalid UTF-8, lone surrogates,
// NaN and Infinity. ParsePython accepts what Python's json.loads accepts
// (duplicate keys: the last value at the first position; NaN, Infinity,
// -Infinity), for JSON that is nested in a string and was always read by Python.
package jsonvalue
