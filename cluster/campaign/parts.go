package campaign

import (
	"bytes"
	"encoding/json"
)

// Part is a named amount.
type Part struct {
	Name  string
	Value float64
}

// Parts are named amounts in an order that means something. In JSON they are one
// object, name to amount, in that order.
type Parts []Part

// Sum adds the parts up, in order.
func (p Parts) Sum() (sum float64) {
	for _, x := range p {
		sum += x.Value
	}
	return sum
}

// Of returns the amount of that name, or 0.
func (p Parts) Of(name string) float64 {
	for _, x := range p {
		if x.Name == name {
			return x.Value
		}
	}
	return 0
}

// some leaves out what is 0.
func (p Parts) some() Parts {
	var out Parts
	for _, x := range p {
		if x.Value != 0 {
			out = append(out, x)
		}
	}
	return out
}

// MarshalJSON writes the parts as one object.
func (p Parts) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, x := range p {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := json.Marshal(x.Name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(x.Value)
		if err != nil {
			return nil, err
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}
