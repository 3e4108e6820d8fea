package arch

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sort"
	"strconv"
)

// MarshalHF writes the config as a Hugging Face config.json, indented and
// sorted by key. [ParseConfig] of the result gives an equal Config.
func (c *Config) MarshalHF() []byte {
	lines := make(map[string]string)
	for key, text := range c.Extra {
		lines[key] = text
	}
	maps.Copy(lines, c.transformersKeys())
	for i := range fields {
		f := &fields[i]
		if !f.legalIn(c.Family) || f.unwritten {
			continue
		}
		if n, ok := f.ptr(c).(*int); ok && f.null != nil && *n == f.null {
			lines[f.key] = "null"
		} else if text := jsonText(f.ptr(c), "  "); text != "" {
			lines[f.key] = text
		}
	}
	if slices.Contains(qwens, c.Family) {
		lines["use_sliding_window"] = strconv.FormatBool(c.SlidingWindow > 0)
	}
	alternates := c.Family == GPTOSS || c.SlidingWindow > 0 && legalKey(c.Family, "layer_types") != nil
	if alternates && len(c.LayerTypes) == 0 {
		text, _ := json.Marshal(c.uniformTypes())
		lines["layer_types"] = string(text)
	}
	if len(c.MoreEOS) > 0 {
		all, _ := json.Marshal(append([]int{c.EOS}, c.MoreEOS...))
		lines["eos_token_id"] = string(all)
	}
	lines["architectures"] = `["` + c.traits().class + `"]`
	keys := make([]string, 0, len(lines))
	for key := range lines {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	var b bytes.Buffer
	b.WriteString("{\n")
	for i, key := range keys {
		comma := ","
		if i == len(keys)-1 {
			comma = ""
		}
		fmt.Fprintf(&b, "  %q: %s%s\n", key, lines[key], comma)
	}
	b.WriteString("}\n")
	return b.Bytes()
}

// jsonText renders the value behind ptr; an absent one renders as "".
func jsonText(ptr any, indent string) string {
	switch p := ptr.(type) {
	case *int:
		return strconv.Itoa(*p)
	case *float64:
		return realText(*p)
	case *bool:
		return strconv.FormatBool(*p)
	case *negated:
		return strconv.FormatBool(!bool(*p))
	case *[]string:
		if *p == nil {
			return ""
		}
		text, _ := json.Marshal(*p)
		return string(text)
	case *string:
		if *p == "" {
			return ""
		}
		return strconv.Quote(*p)
	case *[]int:
		text, _ := json.Marshal(*p)
		return string(text)
	case **RopeScaling:
		if *p == nil {
			return ""
		}
		return partsText((*p).parts((*p).Type, []string{(*p).Type}), indent)
	case **Quantization:
		if *p == nil {
			return ""
		}
		return partsText((*p).parts(), indent)
	}
	panic("arch: field of a type that cannot be written")
}

// realText renders a real number so that it stays one: strict readers, transformers among them, refuse 10 where 10.0 is meant.
func realText(x float64) string {
	text, _ := json.Marshal(x)
	if bytes.ContainsAny(text, ".e") {
		return string(text)
	}
	return string(text) + ".0"
}

// partsText renders a nested object, leaving out absent optional keys.
func partsText(parts []part, indent string) string {
	var b bytes.Buffer
	b.WriteString("{")
	sep := "\n"
	for _, p := range parts {
		zero := reflect.ValueOf(p.ptr).Elem().IsZero()
		if zero && p.optional != nil && reflect.ValueOf(p.optional).IsZero() {
			continue
		}
		fmt.Fprintf(&b, "%s%s  %q: %s", sep, indent, p.key, jsonText(p.ptr, indent+"  "))
		sep = ",\n"
	}
	b.WriteString("\n" + indent + "}")
	return b.String()
}
