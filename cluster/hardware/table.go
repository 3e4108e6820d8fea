package hardware

import (
	"fmt"
	"slices"
	"strings"
)

// Summary prints a table of clusters, one line each, for a terminal.
func Summary(cs []*Cluster) string {
	rows := [][]string{{"name", "bf16 TFLOP/s", "memory", "bandwidth", "links (one way, per device)", "per card/node", "up to"}}
	for _, c := range cs {
		peak := "-"
		if p, ok := c.Device.PeakOf(BF16); ok {
			peak = fmt.Sprintf("%.4g", p/1e12)
		} else if p, ok := c.Device.PeakOf(FP32); ok {
			peak = fmt.Sprintf("%.3g (fp32)", p/1e12)
		}
		rows = append(rows, []string{
			c.Name, peak, formatQuantity(byteSize, float64(c.Device.Memory)), formatQuantity(byteRate, c.Device.Bandwidth),
			c.links(), fmt.Sprintf("%d/%d", c.DevicesPerCard, c.NodeSize), fmt.Sprint(c.MaxDevices),
		})
	}
	return align(rows)
}

// links prints the domains in a line: "node 8: 450 GB/s, scale-out: 50 GB/s".
func (c *Cluster) links() string {
	var ds []string
	for i, d := range c.Domains {
		size := fmt.Sprintf(" %d", d.Size)
		if i == len(c.Domains)-1 {
			size = ""
		}
		ds = append(ds, fmt.Sprintf("%s%s: %s", d.Name, size, formatQuantity(byteRate, d.Bandwidth)))
	}
	return strings.Join(ds, ", ")
}

// align pads columns.
func align(rows [][]string) string {
	widths := make([]int, len(rows[0]))
	for _, r := range rows {
		for j, cell := range r {
			widths[j] = max(widths[j], len(cell))
		}
	}
	var b strings.Builder
	for _, r := range rows {
		line := ""
		for j, cell := range r {
			line += fmt.Sprintf("%-*s  ", widths[j], cell)
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}

// Markdown prints the whole catalogue, or what is given of it, for the
// documentation: a table of the devices, one of the links, one of what matters
// to a whole run, and every conflict between sources. A letter behind a number
// is its grade.
func Markdown(cs []*Cluster) string {
	var b strings.Builder
	heading(&b, "Devices", "name", "bf16", "fp8", "fp4", "memory", "bandwidth", "vector", "TDP", "card", "node")
	for _, c := range cs {
		row(&b, "`"+c.Name+"`", c.cells("device.peak.bf16", "device.peak.fp8", "device.peak.fp4", "device.memory", "device.bandwidth", "device.vector", "device.tdp", "devices_per_card", "node_size")...)
	}
	heading(&b, "Links, one way and per device", "name", "domain", "size", "bandwidth", "latency", "efficiency", "topology", "cards of a node")
	for _, c := range cs {
		c.linkRows(&b)
	}
	heading(&b, "Power, failures, storage", "name", "all-in", "MTBF per device", "range", "silent corruption", "hang noticed", "restart", "writes", "largest")
	for _, c := range cs {
		cells := c.cells("power.all_in", "failure.mtbf", "failure.silent_corruption", "failure.hang_detect", "failure.restart", "storage.write", "max_devices")
		span := "-"
		if e := c.evidence["failure.mtbf"]; e.High > 0 {
			span = fmt.Sprintf("%s to %s", formatQuantity(duration, e.Low), formatQuantity(duration, e.High))
		}
		row(&b, "`"+c.Name+"`", append([]string{cells[0], cells[1], span}, cells[2:]...)...)
	}
	b.WriteString("\n### Where sources disagree\n\n")
	for _, c := range cs {
		c.conflicts(&b)
	}
	return b.String()
}

func heading(b *strings.Builder, title string, columns ...string) {
	fmt.Fprintf(b, "\n### %s\n\n| %s |\n|%s\n", title, strings.Join(columns, " | "), strings.Repeat("---|", len(columns)))
}

func row(b *strings.Builder, first string, cells ...string) {
	fmt.Fprintf(b, "| %s | %s |\n", first, strings.Join(cells, " | "))
}

// letters are the grades as a letter.
var letters = map[string]string{Measured: "m", Official: "o", ThirdParty: "t", Memory: "s", Derived: "d", Uncertain: "u", User: "y"}

// cells prints the numbers at paths, each with the letter of its grade.
func (c *Cluster) cells(paths ...string) []string {
	fs := c.fields()
	out := make([]string, len(paths))
	for i, p := range paths {
		out[i] = "-"
		for j := range fs {
			if f := &fs[j]; f.path == p && f.isSet() {
				out[i] = strings.TrimSpace(f.format() + " " + letters[c.evidence[p].Grade])
			}
		}
	}
	return out
}

// linkRows prints a row for each domain, or one if all are those of the base.
func (c *Cluster) linkRows(b *strings.Builder) {
	base, _ := Load(c.Base)
	alike := base != nil && len(base.Domains) == len(c.Domains)
	for i := 0; alike && i < len(c.Domains); i++ {
		alike = slices.Equal(c.domainCells(i), base.domainCells(i))
	}
	if alike {
		row(b, "`"+c.Name+"`", "as `"+c.Base+"`", "", "", "", "", "", "")
		return
	}
	for i := range c.Domains {
		row(b, "`"+c.Name+"`", c.domainCells(i)...)
	}
}

func (c *Cluster) domainCells(i int) []string {
	d := &c.Domains[i]
	p := "domains." + d.Name + "."
	cells := c.cells(p+"size", p+"bandwidth", p+"latency", p+"efficiency", p+"nics", p+"nic_bandwidth")
	if i == len(c.Domains)-1 {
		cells[0] = "all"
	}
	cards := "-"
	if d.NICs > 0 {
		cards = cells[4] + " x " + cells[5]
	}
	return []string{d.Name, cells[0], cells[1], cells[2], cells[3], d.Topology, cards}
}

// conflicts lists what sources disagree on, but for what the base has said.
func (c *Cluster) conflicts(b *strings.Builder) {
	base, _ := Load(c.Base) // nil without one
	fs := c.fields()
	for i := range fs {
		f := &fs[i]
		e := c.evidence[f.path]
		if e.Conflict == "" || base != nil && base.evidence[f.path] == e {
			continue
		}
		fmt.Fprintf(b, "- `%s` %s = %s: %s.\n", c.Name, f.path, f.format(), e.Conflict)
	}
}
