package opd

import (
	"fmt"
	"slices"
	"strings"

	"github.com/temper-ml/temper/compute/kernel"
)

// Config is how a stage learns from teachers.
type Config struct {
	// Teachers are whom it learns from. A question has those that say so.
	Teachers []Spec `yaml:"teachers" json:"teachers"`
	// Divergence is what is minimised: reverse, forward, jensen-shannon or top-k.
	Divergence string `yaml:"divergence" json:"divergence"`
	// Beta is jensen-shannon's place between forward, 0, and reverse, 1.
	Beta float64 `yaml:"beta,omitempty" json:"beta,omitempty"`
	// K is how many of the teacher's likeliest tokens top-k looks at.
	K int `yaml:"k,omitempty" json:"k,omitempty"`
	// BF16 rounds teachers' last hidden states, which halves what they take.
	BF16 bool `yaml:"bf16" json:"bf16"`
	// Entropy is the weight of the labels' mean cross-entropy beside the divergence.
	Entropy float64 `yaml:"entropy" json:"entropy"`
	// Tokens is how many tokens a teacher reads at once, Ahead of how many steps it
	// reads the rows when it is loaded, where they are known, and MemoryMiB how much
	// of what it said is kept in memory beside the disk. None decides a result.
	Tokens    int   `yaml:"tokens" json:"tokens"`
	Ahead     int64 `yaml:"ahead" json:"ahead"`
	MemoryMiB int64 `yaml:"memory_mib" json:"memory_mib"`
}

// Spec is a teacher.
type Spec struct {
	// Name is for reports; unique.
	Name string `yaml:"name" json:"name"`
	// Load is a Hugging Face directory with weights and a tokenizer.json.
	Load string `yaml:"load" json:"load"`
	// Weight multiplies its divergence.
	Weight float64 `yaml:"weight" json:"weight"`
	// Where are the rows that it teaches: those whose fields have one of these values
	// each. Without it the teacher has all rows.
	Where map[string]OneOf `yaml:"where,omitempty" json:"where,omitempty"`
	// Files are the stage's data files that it teaches, as the stage names them;
	// without it, all.
	Files []string `yaml:"files,omitempty" json:"files,omitempty"`
}

// OneOf are values that a field may have: a list, or one alone. Numbers and truth
// values are written as in the data.
type OneOf []string

// UnmarshalYAML reads a list or a single value.
func (o *OneOf) UnmarshalYAML(decode func(any) error) error {
	var v any
	if err := decode(&v); err != nil {
		return err
	}
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	*o = nil
	for _, e := range list {
		switch e := e.(type) {
		case string:
			*o = append(*o, e)
		case bool, int, int64, uint64, float64:
			*o = append(*o, fmt.Sprint(e))
		default:
			return fmt.Errorf("%v is no value of a field: use a text, a number, true, false, or a list of these", e)
		}
	}
	return nil
}

// UnmarshalYAML gives a teacher that has no weight the weight 1.
func (s *Spec) UnmarshalYAML(decode func(any) error) error {
	type plain Spec
	p := plain{Weight: 1}
	if err := decode(&p); err != nil {
		return err
	}
	*s = Spec(p)
	return nil
}

// Default is a Config without teachers.
func Default() Config {
	return Config{Divergence: kernel.DivergenceReverse.String(), Tokens: 4096, Ahead: 8, MemoryMiB: 1024}
}

// divergences are the kinds by name.
func divergences() map[string]kernel.DivergenceKind {
	kinds := map[string]kernel.DivergenceKind{}
	for _, k := range []kernel.DivergenceKind{kernel.DivergenceReverse, kernel.DivergenceForward, kernel.DivergenceJensenShannon, kernel.DivergenceTopK} {
		kinds[k.String()] = k
	}
	return kinds
}

// Measure is the divergence that c names.
func (c *Config) Measure() (kernel.Divergence, error) {
	kind, ok := divergences()[c.Divergence]
	if !ok {
		return kernel.Divergence{}, fmt.Errorf("divergence: %q is not known: use reverse, forward, jensen-shannon or top-k", c.Divergence)
	}
	d := kernel.Divergence{Kind: kind, Beta: float32(c.Beta), K: c.K}
	if err := d.Check(); err != nil {
		_, rule, _ := strings.Cut(err.Error(), ": ")
		name, _, _ := strings.Cut(rule, " ")
		return d, fmt.Errorf("%s: %s", name, rule)
	}
	return d, nil
}

// Check returns the first field out of range; files are the stage's data. It reads
// no file. Its errors begin with the field's name.
func (c *Config) Check(files []string) error {
	if len(c.Teachers) == 0 {
		return fmt.Errorf("teachers: empty: give at least one, with name and load")
	}
	named := map[string]int{}
	for i := range c.Teachers {
		t := &c.Teachers[i]
		if err := t.check(files); err != nil {
			return fmt.Errorf("teachers[%d].%w", i, err)
		}
		if first, twice := named[t.Name]; twice {
			return fmt.Errorf("teachers[%d].name: %q is the name of teachers[%d] already: names are unique", i, t.Name, first)
		}
		named[t.Name] = i
	}
	if _, err := c.Measure(); err != nil {
		return err
	}
	switch {
	case !(c.Entropy >= 0) || c.Entropy > 100:
		return fmt.Errorf("entropy: %v is outside [0, 100]", c.Entropy)
	case c.Tokens < 1 || c.Tokens > 1<<24:
		return fmt.Errorf("tokens: %d is outside [1, 16777216]", c.Tokens)
	case c.Ahead < 1 || c.Ahead > 1<<16:
		return fmt.Errorf("ahead: %d is outside [1, 65536]: 1 has teachers read the rows of one step at a time", c.Ahead)
	case c.MemoryMiB < 0 || c.MemoryMiB > 1<<30:
		return fmt.Errorf("memory_mib: %d is outside [0, 1073741824]", c.MemoryMiB)
	}
	return nil
}

func (s *Spec) check(files []string) error {
	switch {
	case s.Name == "" || strings.ContainsAny(s.Name, "/\\\x00\n"):
		return fmt.Errorf("name: %q must be given and hold no slashes or line breaks", s.Name)
	case s.Load == "":
		return fmt.Errorf("load: missing: give the directory of the weights of teacher %q", s.Name)
	case !(s.Weight > 0) || s.Weight > maxWeight:
		return fmt.Errorf("weight: %v is outside (0, %g]", s.Weight, float64(maxWeight))
	}
	for field, values := range s.Where {
		if field == "" || len(values) == 0 {
			return fmt.Errorf("where: %q has no value: give the values that rows of teacher %q have there", field, s.Name)
		}
	}
	for _, f := range s.Files {
		if !slices.Contains(files, f) {
			return fmt.Errorf("files: %q is no file of the stage's data: it has %s", f, strings.Join(files, ", "))
		}
	}
	return nil
}
