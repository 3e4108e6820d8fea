package arch

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"sort"
	"strings"
)

// ParseConfig reads a Hugging Face config.json strictly: a key that is neither
// known for the family nor listed in [HarmlessKeys], a missing key, a wrong type
// or a value outside its range is an error that names the key, the value, the
// rule and the nearest legal value. The result has passed [Config.Check].
func ParseConfig(data []byte) (*Config, error) {
	raw, err := parseObject(data, "config")
	if err != nil {
		return nil, err
	}
	c := new(Config)
	if err := c.readFamily(raw); err != nil {
		return nil, err
	}
	if err := c.translate(raw); err != nil {
		return nil, err
	}
	if err := c.refuseUnknown(raw); err != nil {
		return nil, err
	}
	for i := range fields {
		if err := fields[i].read(c, raw); err != nil {
			return nil, err
		}
	}
	if err := c.keepHarmless(raw); err != nil {
		return nil, err
	}
	if len(c.LayerTypes) == c.NumLayers {
		c.dropUniformTypes()
	}
	if err := c.Check(); err != nil {
		return nil, err
	}
	return c, nil
}

// readFamily finds the family first, because the other keys depend on it.
func (c *Config) readFamily(raw map[string]json.RawMessage) error {
	v, ok := raw["model_type"]
	if !ok {
		return fmt.Errorf("arch: config has no %q, want %s", "model_type", familyList(familyOrder))
	}
	var name string
	if err := json.Unmarshal(v, &name); err != nil {
		return fmt.Errorf("arch: model_type is %s, want a string", clip(v))
	}
	if same, ok := aliases[name]; ok {
		name = string(same)
		raw["model_type"], _ = json.Marshal(name)
	}
	c.Family = Family(name)
	return checkFamily(c.Family)
}

// aliases are other names under which a family's architecture is published.
var aliases = map[string]Family{"kimi_k2": V3}

// read takes one key out of raw and into c.
func (f *field) read(c *Config, raw map[string]json.RawMessage) error {
	v, ok := raw[f.key]
	if !f.legalIn(c.Family) {
		if ok && !c.isHarmless(f.key) && legalKey(c.Family, f.key) == nil {
			return fmt.Errorf("arch: key %q does not belong to %s: remove it, or set model_type to %q", f.key, c.Family, f.families[0])
		}
		return nil
	}
	delete(raw, f.key)
	isNull := bytes.Equal(bytes.TrimSpace(v), []byte("null"))
	if isNull && f.null != nil {
		assign(f.ptr(c), f.null)
		return nil
	}
	if !ok || isNull {
		if f.optional == nil {
			return fmt.Errorf("arch: key %q is missing, and %s needs it", f.key, c.Family)
		}
		assign(f.ptr(c), f.optional)
		return nil
	}
	return f.decode(f.ptr(c), v)
}

// refuseUnknown reports the first key, by name, that no family knows. It comes
// before anything else, because a misspelled key explains a missing one.
func (c *Config) refuseUnknown(raw map[string]json.RawMessage) error {
	for _, key := range sortedKeys(raw) {
		known := c.isHarmless(key) || slices.ContainsFunc(fields, func(f field) bool { return f.key == key })
		if !known {
			return fmt.Errorf("arch: unknown key %q (value %s) in a %s config%s", key, clip(raw[key]), c.Family, c.suggest(key))
		}
	}
	return nil
}

// isHarmless reports whether a key is kept as it is. The published GPT-OSS pack their
// experts; how is a matter of the files alone.
func (c *Config) isHarmless(key string) bool {
	return slices.Contains(HarmlessKeys, key) || c.Family == GPTOSS && key == "quantization_config"
}

// keepHarmless stores the keys that are left when all fields have been read.
func (c *Config) keepHarmless(raw map[string]json.RawMessage) error {
	for _, key := range sortedKeys(raw) {
		if key == "architectures" {
			continue // follows from the family; written from there
		}
		if c.Extra == nil {
			c.Extra = make(map[string]string)
		}
		var text bytes.Buffer
		if err := json.Compact(&text, raw[key]); err != nil {
			return fmt.Errorf("arch: key %q: %w", key, err)
		}
		c.Extra[key] = text.String()
	}
	return nil
}

func sortedKeys(raw map[string]json.RawMessage) []string {
	keys := make([]string, 0, len(raw))
	for key := range raw {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	return keys
}

// suggest names the known key nearest to a misspelled one.
func (c *Config) suggest(key string) string {
	known := slices.Clone(HarmlessKeys)
	for i := range fields {
		if fields[i].legalIn(c.Family) {
			known = append(known, fields[i].key)
		}
	}
	if near := Nearest(key, known); near != "" {
		return fmt.Sprintf(": did you mean %q?", near)
	}
	return ": remove it if the model does not depend on it"
}

// parseObject decodes one JSON object, refusing duplicate keys and trailing text.
func parseObject(data []byte, what string) (map[string]json.RawMessage, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	t, err := dec.Token()
	if err != nil || t != json.Delim('{') {
		return nil, fmt.Errorf("arch: %s is not a JSON object: %s", what, clip(data))
	}
	raw := make(map[string]json.RawMessage)
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return nil, fmt.Errorf("arch: %s, byte %d: %w", what, dec.InputOffset(), err)
		}
		key := t.(string) // the decoder admits nothing else in this place
		if _, dup := raw[key]; dup {
			return nil, fmt.Errorf("arch: %s has key %q twice", what, key)
		}
		var v json.RawMessage
		if err := dec.Decode(&v); err != nil {
			return nil, fmt.Errorf("arch: %s, key %q: %w", what, key, err)
		}
		raw[key] = v
	}
	if _, err := dec.Token(); err != nil {
		return nil, fmt.Errorf("arch: %s, byte %d: %w", what, dec.InputOffset(), err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, fmt.Errorf("arch: %s has text after its closing brace at byte %d", what, dec.InputOffset())
	}
	return raw, nil
}

// clip shortens a value for an error message.
func clip(v []byte) string {
	s := strings.TrimSpace(string(v))
	if len(s) > 60 {
		s = strings.ToValidUTF8(s[:57], "") + "..."
	}
	return fmt.Sprintf("%q", s)
}

// Nearest returns the candidate that is the fewest edits away from the name, for
// "did you mean" hints, or "" when none is within a third of its length.
func Nearest(name string, candidates []string) string {
	best, limit := "", len(name)/3+1
	for _, c := range candidates {
		if diff := len(c) - len(name); diff > limit || -diff > limit {
			continue
		}
		if d := edits(name, c); d < limit {
			best, limit = c, d
		}
	}
	return best
}

// edits is the Levenshtein distance between two strings, byte by byte.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diagonal
			if a[i-1] != b[j-1] {
				cost++
			}
			diagonal = row[j]
			row[j] = min(cost, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}
