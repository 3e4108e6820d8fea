package arch

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// decode reads one value into the field behind ptr and checks its range.
func (f *field) decode(ptr any, v json.RawMessage) error {
	switch p := ptr.(type) {
	case *int:
		n, err := f.integer(v)
		*p = n
		return err
	case *float64:
		x, err := f.real(v)
		*p = x
		return err
	case *bool:
		return f.boolean(v, p)
	case *negated:
		var b bool
		err := f.boolean(v, &b)
		*p = negated(!b)
		return err
	case *string:
		if err := json.Unmarshal(v, p); err != nil {
			return fmt.Errorf("arch: %s is %s, want a string", f.key, clip(v))
		}
		return f.checkWord(*p)
	case *[]string:
		return f.words(v, p)
	case *[]int:
		var items []json.RawMessage
		if err := json.Unmarshal(v, &items); err != nil {
			return fmt.Errorf("arch: %s is %s, want a list of integers", f.key, clip(v))
		}
		for i, item := range items {
			at := field{key: fmt.Sprintf("%s[%d]", f.key, i), min: f.min, max: f.max}
			n, err := at.integer(item)
			if err != nil {
				return err
			}
			*p = append(*p, n)
		}
	case **RopeScaling:
		*p = new(RopeScaling)
		return readParts(f.key, v, (*p).parts(ropeType(v), f.oneOf))
	case **Quantization:
		*p = new(Quantization)
		return readParts(f.key, v, (*p).parts())
	}
	return nil
}

func (f *field) boolean(v json.RawMessage, p *bool) error {
	if err := json.Unmarshal(v, p); err != nil {
		return fmt.Errorf("arch: %s is %s, want true or false", f.key, clip(v))
	}
	return nil
}

// checkWord holds a word to its legal values.
func (f *field) checkWord(w string) error {
	if len(f.oneOf) == 0 || slices.Contains(f.oneOf, w) {
		return nil
	}
	hint := ""
	if near := Nearest(w, f.oneOf); near != "" {
		hint = fmt.Sprintf(": did you mean %q?", near)
	}
	return fmt.Errorf("arch: %s is %q, want %s%s", f.key, w, quoted(f.oneOf), hint)
}

func (f *field) words(v json.RawMessage, p *[]string) error {
	var words []string
	if err := json.Unmarshal(v, &words); err != nil {
		return fmt.Errorf("arch: %s is %s, want a list of words", f.key, clip(v))
	}
	for i, w := range words {
		at := field{key: fmt.Sprintf("%s[%d]", f.key, i), oneOf: f.oneOf}
		if err := at.checkWord(w); err != nil {
			return err
		}
	}
	*p = words
	return nil
}

func (f *field) integer(v json.RawMessage) (int, error) {
	text := string(bytes.TrimSpace(v))
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("arch: %s is %s, want an integer", f.key, clip(v))
	}
	if near := f.nearest(float64(n)); near != float64(n) {
		return 0, fmt.Errorf("arch: %s is %d, want %s: the nearest legal value is %.0f", f.key, n, f.bounds(), near)
	}
	return int(n), nil
}

func (f *field) real(v json.RawMessage) (float64, error) {
	var x float64
	if err := json.Unmarshal(v, &x); err != nil {
		return 0, fmt.Errorf("arch: %s is %s, want a number", f.key, clip(v))
	}
	if near := f.nearest(x); near != x {
		return 0, fmt.Errorf("arch: %s is %g, want %s: the nearest legal value is %g", f.key, x, f.bounds(), near)
	}
	return x, nil
}

// nearest clamps x into the legal range.
func (f *field) nearest(x float64) float64 {
	if f.max != 0 {
		x = math.Min(x, f.max)
	}
	return math.Max(x, f.min)
}

func (f *field) bounds() string {
	if f.max == 0 {
		return fmt.Sprintf("at least %g", f.min)
	}
	return fmt.Sprintf("%s to %s", strconv.FormatFloat(f.min, 'g', -1, 64), strconv.FormatFloat(f.max, 'g', 10, 64))
}

// ropeType returns the kind of a rope_scaling before it is read; what is wrong
// with it will be said then.
func ropeType(v json.RawMessage) string {
	var kind struct {
		Type     string `json:"type"`
		RopeType string `json:"rope_type"`
	}
	_ = json.Unmarshal(v, &kind)
	if kind.Type != "" {
		return kind.Type
	}
	return kind.RopeType
}

// parts lists the keys of a rope_scaling of one kind, in the order of the
// published files. A kind that is not legal is said to be so before anything else.
func (r *RopeScaling) parts(kind string, legal []string) []part {
	factor := part{field{key: "factor", min: 1, max: 1e6}, &r.Factor}
	original := part{field{key: "original_max_position_embeddings", min: 1, max: 1<<31 - 1}, &r.OriginalMaxPositions}
	name := part{field{key: "type", oneOf: legal}, &r.Type}
	switch {
	case kind != "" && !slices.Contains(legal, kind):
		return []part{name}
	case kind == "linear":
		return []part{factor, name}
	case kind == "dynamic":
		original.optional = 0
		return []part{factor, original, name}
	case kind == "llama3":
		return []part{
			factor,
			{field{key: "high_freq_factor", min: tiny, max: 1e6}, &r.HighFreqFactor},
			{field{key: "low_freq_factor", min: tiny, max: 1e6}, &r.LowFreqFactor},
			original, name,
		}
	}
	return []part{
		{field{key: "beta_fast", min: tiny, max: 1e6, optional: 32.0}, &r.BetaFast},
		{field{key: "beta_slow", min: tiny, max: 1e6, optional: 1.0}, &r.BetaSlow},
		factor,
		{field{key: "mscale", min: 0, max: 1e3, optional: 0.0}, &r.MScale},
		{field{key: "mscale_all_dim", min: 0, max: 1e3, optional: 0.0}, &r.MScaleAllDim},
		original,
		{field{key: "truncate", optional: negated(false)}, (*negated)(&r.Exact)},
		name,
	}
}

// parts lists the keys of quantization_config.
func (q *Quantization) parts() []part {
	return []part{
		{field{key: "activation_scheme", oneOf: []string{"dynamic"}, optional: "dynamic"}, &q.ActivationScheme},
		{field{key: "expert_dtype", oneOf: []string{"fp4", "fp8", "bf16"}, optional: ""}, &q.ExpertDType},
		{field{key: "fmt", oneOf: []string{"e4m3"}}, &q.Format},
		{field{key: "quant_method", oneOf: []string{"fp8"}}, &q.Method},
		{field{key: "scale_fmt", oneOf: []string{"ue8m0"}, optional: ""}, &q.ScaleFormat},
		{field{key: "weight_block_size", min: 1, max: 65536}, &q.BlockSize},
	}
}

// negated is a switch whose key in config.json says the opposite.
type negated bool

// part is one key of a nested object and the variable it fills.
type part struct {
	field
	ptr any
}

// readParts decodes a nested object as strictly as the outer one.
func readParts(name string, v json.RawMessage, parts []part) error {
	raw, err := parseObject(v, name)
	if err != nil {
		return err
	}
	if t, ok := raw["rope_type"]; ok && raw["type"] == nil {
		raw["type"] = t
		delete(raw, "rope_type")
	}
	known := make([]string, 0, len(parts))
	for i := range parts {
		p := &parts[i]
		known = append(known, p.key)
		item, ok := raw[p.key]
		delete(raw, p.key)
		if !ok {
			if p.optional == nil {
				return fmt.Errorf("arch: %s has no %q, and it is required", name, p.key)
			}
			assign(p.ptr, p.optional)
			continue
		}
		p.key = name + "." + p.key
		if err := p.decode(p.ptr, item); err != nil {
			return err
		}
	}
	for key := range raw {
		return fmt.Errorf("arch: unknown key %q in %s, want only %s", key, name, quoted(known))
	}
	return nil
}

// assign stores a default of the field's own type.
func assign(ptr, value any) {
	switch p := ptr.(type) {
	case *int:
		*p = value.(int)
	case *float64:
		*p = value.(float64)
	case *bool:
		*p = value.(bool)
	case *negated:
		*p = value.(negated)
	case *[]string:
		*p = value.([]string)
	case *string:
		*p = value.(string)
	case **RopeScaling:
		*p = value.(*RopeScaling)
	case **Quantization:
		*p = value.(*Quantization)
	}
}

func quoted(words []string) string {
	q := make([]string, len(words))
	for i, w := range words {
		q[i] = strconv.Quote(w)
	}
	return strings.Join(q, " or ")
}
