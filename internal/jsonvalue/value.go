package jsonvalue

import "strconv"

// Kind says what a Value is.
type Kind uint8

// The kinds of JSON values.
const (
	Null Kind = iota
	False
	True
	Number
	String
	Array
	Object
)

var kindNames = [...]string{"null", "false", "true", "number", "string", "array", "object"}

// String returns the kind's name as it appears in error messages.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "kind " + strconv.Itoa(int(k))
}

// Value is one JSON value. The zero Value is null.
type Value struct {
	Kind    Kind
	Text    string   // the decoded string, or the number as spelled
	Items   []Value  // the elements of an array
	Members []Member // the members of an object, in the order of the text
	Offset  int      // where the value begins in the parsed text
}

// Member is one key with its value.
type Member struct {
	Key   string
	Value Value
}

// Lookup returns the member named key, or nil when v is not an object or has
// no such member.
func (v *Value) Lookup(key string) *Value {
	for i := range v.Members {
		if v.Members[i].Key == key {
			return &v.Members[i].Value
		}
	}
	return nil
}

// StringValue returns a String value.
func StringValue(s string) Value { return Value{Kind: String, Text: s} }
