package reward

import (
	"errors"
	"fmt"
)

// Spec is one rule of a recipe: exactly one of the kinds, and its weight.
type Spec struct {
	// Name is what logs call it; the kind if empty.
	Name string `yaml:"name,omitempty" json:"name,omitempty"`
	// Weight multiplies the value; 1 if left out.
	Weight *float64 `yaml:"weight,omitempty" json:"weight,omitempty"`

	Exact        *Exact        `yaml:"exact,omitempty" json:"exact,omitempty"`
	Numeric      *Numeric      `yaml:"numeric,omitempty" json:"numeric,omitempty"`
	Format       *Format       `yaml:"format,omitempty" json:"format,omitempty"`
	Length       *Length       `yaml:"length,omitempty" json:"length,omitempty"`
	Command      *Command      `yaml:"command,omitempty" json:"command,omitempty"`
	Optimisation *Optimisation `yaml:"optimisation,omitempty" json:"optimisation,omitempty"`
	Safety       *Safety       `yaml:"safety,omitempty" json:"safety,omitempty"`
}

// builder is a kind's options: they make a rule or say what is wrong with them.
type builder interface{ build() (Rule, error) }

// rule makes the rule. Errors begin with a dot and the field.
func (s *Spec) rule() (kind string, r Rule, err error) {
	var b builder
	n := 0
	for _, k := range []struct {
		name  string
		given bool
		b     builder
	}{
		{"exact", s.Exact != nil, s.Exact},
		{"numeric", s.Numeric != nil, s.Numeric},
		{"format", s.Format != nil, s.Format},
		{"length", s.Length != nil, s.Length},
		{"command", s.Command != nil, s.Command},
		{"optimisation", s.Optimisation != nil, s.Optimisation},
		{"safety", s.Safety != nil, s.Safety},
	} {
		if k.given {
			kind, b = k.name, k.b
			n++
		}
	}
	if n != 1 {
		return "", nil, fmt.Errorf(": %d kinds, want exactly one of exact, numeric, format, length, command, optimisation, safety", n)
	}
	if r, err = b.build(); err != nil {
		return kind, nil, fmt.Errorf(".%s.%w", kind, err)
	}
	return kind, r, nil
}

var errNoField = errors.New("answer: no field: name the row's field that holds the reference")
