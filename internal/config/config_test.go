package config

import (
	"errors"
	"math"
	"strings"
	"testing"
)

type thing struct {
	Name  string  `yaml:"name"`
	Parts []part  `yaml:"parts"`
	Most  float64 `yaml:"most"`
}

type part struct {
	Size float64 `yaml:"size"`
}

func (t *thing) Check() error {
	if t.Name == "" {
		return Bad("name", "missing")
	}
	for _, p := range t.Parts {
		if err := Within("parts[0].size", p.Size, 1, 10); err != nil {
			return err
		}
	}
	return Within("most", t.Most, 0, math.MaxFloat64)
}

func TestDecode(t *testing.T) {
	for _, c := range []struct{ src, want string }{
		{"name: a\nparts:\n  - size: 2\n", ""},
		{"name: a\nparts:\n  - size: 20\n", "x.yaml:3:11: parts[0].size: 20 is outside [1, 10]: the nearest legal value is 10"},
		{"name: a\nparts:\n  - {}\n", "x.yaml:3:5: parts[0].size: 0 is outside [1, 10]: the nearest legal value is 1"},
		{"name: a\nmost: .nan\n", "x.yaml:2:7: most: NaN is outside [0, 1.7976931348623157e+308]: the nearest legal value is 0"},
		{"most: 1\n", "x.yaml: name: missing"},
		{"name: a\n---\nname: b\n", "x.yaml: there is a second document, one is read"},
	} {
		err := Decode([]byte(c.src), "x.yaml", new(thing))
		if got := errors.Join(err); got == nil && c.want != "" || got != nil && err.Error() != c.want {
			t.Errorf("%q: got %v, want %s", c.src, err, c.want)
		}
	}
	if err := Decode(nil, "x.yaml", new(thing)); !errors.Is(err, ErrEmpty) {
		t.Errorf("nothing: %v", err)
	}
	if err := Decode([]byte("name: a\nmots: 1\n"), "x.yaml", new(thing)); err == nil || !strings.Contains(err.Error(), "[2:1]") || !strings.Contains(err.Error(), "mots") {
		t.Errorf("an unknown key: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("name: a\nparts:\n  - size: 2\n"))
	f.Add([]byte("{[\x00"))
	f.Add([]byte("parts:\n  ! 0"))
	f.Fuzz(func(_ *testing.T, src []byte) { _ = Decode(src, "x.yaml", new(thing)) })
}
