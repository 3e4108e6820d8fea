package hardware

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Check returns every rule that c breaks, or nil.
func (c *Cluster) Check() error {
	var errs []error
	for _, p := range c.problems() {
		errs = append(errs, p)
	}
	return errors.Join(errs...)
}

// problems checks each field on its own and, if all are legal, how they fit.
func (c *Cluster) problems() []*FieldError {
	var ps []*FieldError
	if !isName(c.Name) {
		ps = append(ps, &FieldError{Field: "name", Value: quote(c.Name), Rule: "must be lower-case letters, digits, dots and hyphens, beginning with a letter", Nearest: toName(c.Name)})
	}
	if p := c.domainNames(); p != nil {
		return append(ps, p)
	}
	fs := c.fields()
	for i := range fs {
		if p := fs[i].problem(); p != nil {
			ps = append(ps, p)
		} else if p := c.rangeProblem(&fs[i]); p != nil {
			ps = append(ps, p)
		}
	}
	if !c.Device.multiplies() {
		ps = append(ps, &FieldError{Field: "device.peak", Rule: "must give at least one peak, as in {bf16: 353.9 TFLOP/s}"})
	}
	if len(ps) > 0 {
		return ps
	}
	return slices.Concat(c.sizeProblems(), c.linkProblems())
}

// multiplies reports whether there is a peak of any format.
func (d *Device) multiplies() bool {
	return slices.ContainsFunc(DTypes, func(t DType) bool { return d.Peak[t] > 0 })
}

// domainNames checks that paths with the names of domains are unambiguous.
func (c *Cluster) domainNames() *FieldError {
	if len(c.Domains) == 0 {
		return &FieldError{Field: "domains", Rule: "must list at least the domain that spans all devices"}
	}
	if len(c.Domains) > 8 {
		return &FieldError{Field: "domains", Value: fmt.Sprint(len(c.Domains), " levels"), Rule: "must be at most 8 levels"}
	}
	for i := range c.Domains {
		n := c.Domains[i].Name
		if !isName(n) || strings.Contains(n, ".") {
			return &FieldError{Field: fmt.Sprintf("domains[%d].name", i), Value: quote(n), Rule: "must be lower-case letters, digits and hyphens, beginning with a letter", Nearest: strings.ReplaceAll(toName(n), ".", "-")}
		}
		for j := range i {
			if c.Domains[j].Name == n {
				return &FieldError{Field: fmt.Sprintf("domains[%d].name", i), Value: quote(n), Rule: "must differ from the name of every other domain"}
			}
		}
	}
	return nil
}

// problem checks one field on its own.
func (f *field) problem() *FieldError {
	if f.kind == text {
		if f.needed && *f.content == "" {
			return &FieldError{Field: f.path, Rule: "must be given"}
		}
		if len(f.choices) > 0 && *f.content != "" && !slices.Contains(f.choices, *f.content) {
			return &FieldError{Field: f.path, Value: quote(*f.content), Rule: "must be one of " + strings.Join(f.choices, ", "), Nearest: nearest(*f.content, f.choices)}
		}
		return nil
	}
	x := f.number()
	if x == 0 && !f.needed {
		return nil
	}
	if !(x >= f.lo && x <= f.hi) { // also NaN
		near := f.lo
		if x > f.hi {
			near = f.hi
		}
		return &FieldError{Field: f.path, Value: f.format(), Rule: "must be from " + f.print(f.lo) + " to " + f.print(f.hi), Nearest: f.print(near)}
	}
	return nil
}

// rangeProblem checks that the range of the sources contains the value.
func (c *Cluster) rangeProblem(f *field) *FieldError {
	e := c.evidence[f.path]
	if f.kind == text || e.Low == 0 && e.High == 0 {
		return nil
	}
	if x := f.number(); !(e.Low >= 0 && e.Low <= x && x <= e.High && e.High <= math.MaxFloat64) {
		return &FieldError{Field: f.path, Value: f.format(), Rule: "must lie between low (" + f.print(e.Low) + ") and high (" + f.print(e.High) + ")"}
	}
	return nil
}

// format prints the value as it is written in a file.
func (f *field) format() string {
	if f.kind == text {
		return *f.content
	}
	return f.print(f.number())
}

func (f *field) print(x float64) string {
	if f.kind == money {
		currency := *f.content
		if currency == "" {
			currency = "USD"
		}
		return formatMoney(x, currency)
	}
	return formatQuantity(f.kind, x)
}

// sizeProblems checks that cards, nodes and domains nest.
func (c *Cluster) sizeProblems() []*FieldError {
	var ps []*FieldError
	if c.NodeSize%c.DevicesPerCard != 0 {
		ps = append(ps, &FieldError{
			Field: "node_size", Value: fmt.Sprint(c.NodeSize),
			Rule:    fmt.Sprintf("must be a multiple of devices_per_card (%d)", c.DevicesPerCard),
			Nearest: fmt.Sprint(nearestMultiple(c.NodeSize, c.DevicesPerCard)),
		})
	}
	last := &c.Domains[len(c.Domains)-1]
	if last.Size != c.MaxDevices {
		ps = append(ps, &FieldError{
			Field: "domains." + last.Name + ".size", Value: fmt.Sprint(last.Size),
			Rule:    fmt.Sprintf("the last domain spans all devices: must be max_devices (%d), or left out", c.MaxDevices),
			Nearest: fmt.Sprint(c.MaxDevices),
		})
	}
	for i := range len(c.Domains) - 1 {
		in, out := &c.Domains[i], &c.Domains[i+1]
		field, size, rule := "domains."+out.Name+".size", out.Size, fmt.Sprintf("must be a larger multiple of the size of domain %s inside it (%d)", in.Name, in.Size)
		near := max(nearestMultiple(size, in.Size), 2*in.Size)
		if i == len(c.Domains)-2 { // the last is as large as the cluster may be
			field, rule = "max_devices", fmt.Sprintf("must be a multiple of the size of domain %s (%d)", in.Name, in.Size)
			near = nearestMultiple(size, in.Size)
			if size == in.Size {
				continue
			}
		}
		if size%in.Size != 0 || size < in.Size || size == in.Size && field != "max_devices" {
			ps = append(ps, &FieldError{Field: field, Value: fmt.Sprint(size), Rule: rule, Nearest: fmt.Sprint(near)})
		}
	}
	return append(ps, c.nodeProblems()...)
}

// nodeProblems checks that each domain is inside a node or made of whole ones.
func (c *Cluster) nodeProblems() []*FieldError {
	for i := range c.Domains {
		d := &c.Domains[i]
		if d.Size%c.NodeSize != 0 && c.NodeSize%d.Size != 0 {
			return []*FieldError{{
				Field: "node_size", Value: fmt.Sprint(c.NodeSize),
				Rule:    fmt.Sprintf("must divide, or be a multiple of, the size of domain %s (%d): a domain is inside a node or made of whole ones", d.Name, d.Size),
				Nearest: fmt.Sprint(d.Size),
			}}
		}
	}
	return nil
}

// linkProblems checks what physics and arithmetic allow.
func (c *Cluster) linkProblems() []*FieldError {
	var ps []*FieldError
	mem := c.Device.Bandwidth
	fast := func(path string, x float64) {
		if x > mem {
			ps = append(ps, &FieldError{
				Field: path, Value: formatQuantity(byteRate, x),
				Rule:    "cannot be above device.bandwidth (" + formatQuantity(byteRate, mem) + "): what is sent is read from memory",
				Nearest: formatQuantity(byteRate, mem),
			})
		}
	}
	fast("device.host_link", c.Device.HostLink)
	for i := range c.Domains {
		d := &c.Domains[i]
		p := "domains." + d.Name
		fast(p+".bandwidth", d.Bandwidth)
		if (d.NICs == 0) != (d.NICBandwidth == 0) {
			ps = append(ps, &FieldError{Field: p + ".nics", Value: fmt.Sprint(d.NICs), Rule: "nics and nic_bandwidth must be given together"})
			continue
		}
		total := float64(d.NICs) * d.NICBandwidth
		per := total / float64(c.NodeSize)
		if d.NICs > 0 && d.Bandwidth > per*(1+1e-9) {
			ps = append(ps, &FieldError{
				Field: p + ".bandwidth", Value: formatQuantity(byteRate, d.Bandwidth),
				Rule: fmt.Sprintf("cannot be above what %d network cards of %s give each of %d devices of a node", d.NICs, formatQuantity(byteRate, d.NICBandwidth), c.NodeSize),
				// Rounded down, so that what is proposed is accepted.
				Nearest: formatQuantity(byteRate, math.Floor(per)),
			})
		}
	}
	return ps
}

// nearestMultiple returns the positive multiple of m nearest to x.
func nearestMultiple(x, m int) int {
	return max(1, (x+m/2)/m) * m
}
