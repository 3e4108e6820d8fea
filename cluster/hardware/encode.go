package hardware

import (
	"fmt"
	"strconv"
	"strings"
)

// YAML prints the complete description in the form that [Decode] reads, with
// nothing left to a base. What it prints reads back as the same cluster.
func (c *Cluster) YAML() []byte {
	w := &writer{c: c}
	w.line(0, "name", quoteYAML(c.Name))
	w.word(0, "title", c.Title)
	w.word(0, "engine", c.Engine)
	w.section(0, "device", func() {
		d := &c.Device
		w.word(1, "name", d.Name)
		w.word(1, "vendor", d.Vendor)
		w.word(1, "rank", d.Rank)
		w.group(1, "device.peak")
		w.numbers(1, "device.vector", "device.memory", "device.bandwidth", "device.host_memory", "device.host_link", "device.tdp", "device.cores")
		w.group(1, "device.launch")
		w.group(1, "device.efficiency")
	})
	w.numbers(0, "devices_per_card", "node_size", "max_devices")
	w.domains()
	for _, s := range []string{"storage", "power"} {
		w.group(0, s)
	}
	w.numbers(0, "price")
	w.group(0, "failure")
	if len(c.Notes) > 0 {
		w.b.WriteString("notes:\n")
		for _, n := range c.Notes {
			w.b.WriteString("  - " + quoteYAML(n) + "\n")
		}
	}
	return []byte(w.b.String())
}

// writer prints one description.
type writer struct {
	c *Cluster
	b strings.Builder
}

func (w *writer) line(indent int, key, value string) {
	w.b.WriteString(strings.Repeat("  ", indent) + key + ": " + value + "\n")
}

func (w *writer) word(indent int, key, value string) {
	if value != "" {
		w.line(indent, key, quoteYAML(value))
	}
}

// section prints a key and what body prints below it.
func (w *writer) section(indent int, key string, body func()) {
	w.b.WriteString(strings.Repeat("  ", indent) + key + ":\n")
	body()
}

// known reports whether a number is worth a line: set, or a zero that was given.
func (w *writer) known(f *field) bool {
	_, given := w.c.evidence[f.path]
	return f.kind != text && (f.isSet() || given || f.needed)
}

// group prints the numbers whose path begins with prefix, under its last key.
func (w *writer) group(indent int, prefix string) {
	fs := w.c.fields()
	first := true
	for i := range fs {
		f := &fs[i]
		if !strings.HasPrefix(f.path, prefix+".") || !w.known(f) {
			continue
		}
		if first {
			w.b.WriteString(strings.Repeat("  ", indent) + prefix[strings.LastIndexByte(prefix, '.')+1:] + ":\n")
			first = false
		}
		w.number(indent+1, f)
	}
}

// numbers prints the numbers at paths.
func (w *writer) numbers(indent int, paths ...string) {
	fs := w.c.fields()
	for _, p := range paths {
		for i := range fs {
			if fs[i].path == p && w.known(&fs[i]) {
				w.number(indent, &fs[i])
			}
		}
	}
}

// number prints one number, with its evidence if it has any.
func (w *writer) number(indent int, f *field) {
	value := f.format()
	e, ok := w.c.evidence[f.path]
	if !ok || e == (Evidence{}) {
		w.line(indent, f.key(), quoteYAML(value))
		return
	}
	parts := []string{"value: " + quoteYAML(value)}
	if e.Low != 0 || e.High != 0 {
		parts = append(parts, "low: "+quoteYAML(f.print(e.Low)), "high: "+quoteYAML(f.print(e.High)))
	}
	for _, p := range [][2]string{{"grade", e.Grade}, {"source", e.Source}, {"conflict", e.Conflict}} {
		if p[1] != "" {
			parts = append(parts, p[0]+": "+quoteYAML(p[1]))
		}
	}
	w.line(indent, f.key(), "{"+strings.Join(parts, ", ")+"}")
}

// YAML prints d as one item of the list domains, in whole: every number is
// rounded to three digits.
func (d Domain) YAML() string {
	d.Bandwidth, d.Latency, d.Efficiency = digits(d.Bandwidth), digits(d.Latency), digits(d.Efficiency)
	w := &writer{c: &Cluster{Domains: []Domain{d}}}
	w.domain(&w.c.Domains[0], false)
	return w.b.String()
}

// domains prints the list; the last leaves out its size, which is all.
func (w *writer) domains() {
	w.b.WriteString("domains:\n")
	for i := range w.c.Domains {
		d := &w.c.Domains[i]
		w.domain(d, i == len(w.c.Domains)-1 && d.Size == w.c.MaxDevices)
	}
}

// domain prints one item; its size is left out where it is that of the cluster.
func (w *writer) domain(d *Domain, spans bool) {
	w.b.WriteString("  - name: " + quoteYAML(d.Name) + "\n")
	fs := d.fields()
	for j := range fs {
		f := &fs[j]
		switch {
		case f.kind == text:
			w.word(2, f.key(), *f.content)
		case f.key() == "size" && spans:
		case w.known(f):
			w.number(2, f)
		}
	}
}

// quoteYAML quotes text that YAML would read as something else.
func quoteYAML(s string) string {
	plain := s != "" && s == strings.TrimSpace(s)
	for _, r := range s {
		if !(r == ' ' || r == '/' || r == '.' || r == '-' || r == '%' || r == '(' || r == ')' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z') {
			plain = false
		}
	}
	if plain && (s[0] >= 'a' && s[0] <= 'z' || s[0] >= 'A' && s[0] <= 'Z' || s[0] >= '0' && s[0] <= '9') && !reserved(s) {
		return s
	}
	return strconv.Quote(s)
}

// reserved reports whether YAML gives a plain word another meaning.
func reserved(s string) bool {
	switch strings.ToLower(s) {
	case "null", "true", "false", "yes", "no", "on", "off", "y", "n", "none":
		return true
	}
	return false
}

// String prints the cluster in a line: name, what a device is, and its size.
func (c *Cluster) String() string {
	return fmt.Sprintf("%s (%s, up to %d devices)", c.Name, c.Title, c.MaxDevices)
}
