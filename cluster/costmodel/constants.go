package costmodel

import (
	_ "embed"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/goccy/go-yaml"

	"github.com/temper-ml/temper/model/arch"
)

// Constant is one calibrated number.
type Constant struct {
	Name    string   `yaml:"name"`             // "product.share", or with the device it is for: "product.rate@a100-sxm"
	Unit    string   `yaml:"unit"`             // of Value
	Meaning string   `yaml:"meaning"`          // in words
	Prior   float64  `yaml:"prior"`            // what was believed before any measurement
	SD      float64  `yaml:"sd"`               // standard deviation of the prior's logarithm; 0 = not to be fitted
	Value   float64  `yaml:"value,omitempty"`  // in use; 0 in the file means the prior
	Error   float64  `yaml:"error,omitempty"`  // standard error of the logarithm of Value; 0 = not fitted
	Fitted  []string `yaml:"fitted,omitempty"` // systems whose rows say most about it
}

// Device returns the device that the constant is for, or nothing.
func (c *Constant) Device() string {
	_, device, _ := strings.Cut(c.Name, "@")
	return device
}

// Constants are all calibrated numbers. They are immutable: [Constants.With]
// returns a changed copy.
type Constants struct {
	list     []Constant
	at       map[string]int
	measured []string // keys of devices with enough measured steps
	widths   Widths
}

//go:embed constants.yaml
var embedded []byte

var defaults = sync.OnceValues(func() (*Constants, error) { return ParseConstants(embedded, "constants.yaml") })

// DefaultConstants returns the constants that come with temper.
func DefaultConstants() *Constants {
	k, err := defaults()
	if err != nil {
		panic(err) // the embedded file is broken; a test reads it
	}
	return k
}

// constantsFile is the form of constants.yaml.
type constantsFile struct {
	Constants []Constant `yaml:"constants"`
	Measured  []string   `yaml:"measured,omitempty"`
	Widths    Widths     `yaml:"widths"`
}

// ParseConstants reads a YAML file of constants; name is for messages.
func ParseConstants(src []byte, name string) (*Constants, error) {
	var file constantsFile
	if err := yaml.UnmarshalWithOptions(src, &file, yaml.Strict()); err != nil {
		return nil, fmt.Errorf("costmodel: %s: %w", name, err)
	}
	k := &Constants{list: file.Constants, at: map[string]int{}, measured: file.Measured, widths: file.Widths}
	if err := k.widths.Check(); err != nil {
		return nil, fmt.Errorf("costmodel: %s: %w", name, err)
	}
	for i := range k.list {
		c := &k.list[i]
		if c.Value == 0 {
			c.Value = c.Prior
		}
		if err := c.check(); err != nil {
			return nil, fmt.Errorf("costmodel: %s: constant %d: %w", name, i, err)
		}
		if _, twice := k.at[c.Name]; twice {
			return nil, fmt.Errorf("costmodel: %s: constant %s is given twice", name, c.Name)
		}
		k.at[c.Name] = i
	}
	return k, k.complete(name)
}

func (c *Constant) check() error {
	switch {
	case c.Name == "" || c.Unit == "" || c.Meaning == "":
		return fmt.Errorf("%q needs a name, a unit and a meaning", c.Name)
	case !(c.Prior > 0) || !(c.Value > 0) || math.IsInf(c.Prior, 0) || math.IsInf(c.Value, 0):
		return fmt.Errorf("%s: prior %v and value %v must be above 0", c.Name, c.Prior, c.Value)
	case !(c.SD >= 0 && c.SD <= 3) || !(c.Error >= 0 && c.Error <= 3):
		return fmt.Errorf("%s: sd %v and error %v must lie in 0..3", c.Name, c.SD, c.Error)
	}
	return nil
}

// complete checks that every constant that the model reads is there.
func (k *Constants) complete(name string) error {
	for _, want := range used {
		if _, ok := k.at[want]; !ok {
			return fmt.Errorf("costmodel: %s: constant %s is missing", name, want)
		}
	}
	for i := range k.list {
		base, _, _ := strings.Cut(k.list[i].Name, "@")
		if !slices.Contains(used, base) {
			return fmt.Errorf("costmodel: %s: no constant is called %s: did you mean %s?", name, base, arch.Nearest(base, used))
		}
	}
	return nil
}

// All returns every constant, in the order of the file.
func (k *Constants) All() []Constant { return slices.Clone(k.list) }

// Value returns a constant for a device: the general value, times the device's
// own factor where there is one.
func (k *Constants) Value(name, device string) float64 {
	v := 1.0
	if i, ok := k.at[name]; ok {
		v = k.list[i].Value
	}
	if i, ok := k.at[name+"@"+device]; ok {
		v *= k.list[i].Value
	}
	return v
}

// Calibrated reports whether enough steps were measured on the device, by its key.
func (k *Constants) Calibrated(device string) bool { return slices.Contains(k.measured, device) }

// Measured returns the keys of the devices on which enough steps were measured.
func (k *Constants) Measured() []string { return slices.Clone(k.measured) }

// Widths returns how far predictions may be off.
func (k *Constants) Widths() Widths { return k.widths }

// Fitted returns a copy in which constants have the given values, standard
// errors and systems that say most about them (constants not named keep
// theirs), with the devices that were measured and the widths that follow.
func (k *Constants) Fitted(fitted []Constant, measured []string, w Widths) (*Constants, error) {
	out := &Constants{list: slices.Clone(k.list), at: k.at, measured: slices.Clone(measured), widths: w}
	if err := w.Check(); err != nil {
		return nil, fmt.Errorf("costmodel: %w", err)
	}
	for _, f := range fitted {
		i, ok := k.at[f.Name]
		if !ok {
			return nil, fmt.Errorf("costmodel: no constant is called %q", f.Name)
		}
		c := &out.list[i]
		c.Value, c.Error, c.Fitted = f.Value, f.Error, slices.Clone(f.Fitted)
		if err := c.check(); err != nil {
			return nil, fmt.Errorf("costmodel: %w", err)
		}
	}
	return out, nil
}

// With returns a copy in which the named constants have other values.
func (k *Constants) With(values map[string]float64) (*Constants, error) {
	out := &Constants{list: slices.Clone(k.list), at: k.at, measured: k.measured, widths: k.widths}
	for name, v := range values {
		i, ok := k.at[name]
		if !ok {
			return nil, fmt.Errorf("costmodel: no constant is called %q", name)
		}
		if !(v > 0) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("costmodel: constant %s is %v, must be above 0", name, v)
		}
		out.list[i].Value = v
	}
	return out, nil
}

// YAML writes the constants in the form that [ParseConstants] reads.
func (k *Constants) YAML() ([]byte, error) {
	return yaml.MarshalWithOptions(constantsFile{k.list, k.measured, k.widths}, yaml.IndentSequence(true))
}

// DeviceKey is how constants name a device: "A100 SXM" is "a100-sxm". Anything
// but letters and digits is one dash.
func DeviceKey(name string) string {
	var key strings.Builder
	for _, r := range strings.ToLower(name) {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			key.WriteRune(r)
		case key.Len() > 0 && !strings.HasSuffix(key.String(), "-"):
			key.WriteByte('-')
		}
	}
	return strings.TrimRight(key.String(), "-")
}
