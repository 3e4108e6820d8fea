package hardware

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// DomainOf returns the index of the smallest domain that holds every device
// of the group first, first+stride, ..., first+(size-1)·stride.
func (c *Cluster) DomainOf(first, stride, size int) int {
	last := first + max(size-1, 0)*stride
	for i := range len(c.Domains) - 1 {
		if n := c.Domains[i].Size; n > 0 && first/n == last/n {
			return i
		}
	}
	return len(c.Domains) - 1
}

// unitOf returns how many devices a unit of ParseDevices is.
func (c *Cluster) unitOf(unit string) (devices int, ok bool) {
	singular := strings.TrimSuffix(unit, "s")
	switch singular {
	case "", "device", "die", "gpu", "npu", "rank":
		return 1, true
	case "card":
		return c.DevicesPerCard, true
	case "node", "server", "machine":
		return c.NodeSize, true
	}
	for i := range c.Domains {
		if c.Domains[i].Name == singular || c.Domains[i].Name == unit {
			return c.Domains[i].Size, true
		}
	}
	return c.superUnit(singular)
}

// superUnit resolves the makers' words for a domain of many nodes: the largest
// but the network that spans all.
func (c *Cluster) superUnit(word string) (devices int, ok bool) {
	if !slices.Contains([]string{"supernode", "superpod", "pod", "rack"}, word) {
		return 0, false
	}
	for i := len(c.Domains) - 2; i >= 0; i-- {
		if c.Domains[i].Size > c.NodeSize {
			return c.Domains[i].Size, true
		}
	}
	return 0, false
}

// units lists the words that ParseDevices takes after a number.
func (c *Cluster) units() []string {
	u := []string{"devices", "cards", "nodes"}
	for i := range len(c.Domains) - 1 {
		if n := c.Domains[i].Name + "s"; n != "nodes" && n != "cards" {
			u = append(u, n)
		}
	}
	return u
}

// ParseDevices reads a number of devices: "2048", or in larger units as in
// "1024cards", "8nodes", "2 supernodes". It refuses zero, more than the
// description is for, and units that this cluster does not have.
func ParseDevices(c *Cluster, text string) (int, error) {
	s := strings.ToLower(strings.TrimSpace(text))
	end := 0
	for end < len(s) && (s[end] >= '0' && s[end] <= '9' || s[end] == '_' || s[end] == ',') {
		end++
	}
	digits, unit := strings.NewReplacer("_", "", ",", "").Replace(s[:end]), strings.TrimSpace(s[end:])
	if digits == "" {
		return 0, fmt.Errorf("hardware: devices = %s: must be a whole number above 0, alone or with one of %s, as in 16 or 2nodes", quote(text), strings.Join(c.units(), ", "))
	}
	per, ok := c.unitOf(unit)
	if !ok {
		hint := ""
		if near := nearest(unit, c.units()); near != "" {
			hint = "; did you mean " + digits + near + "?"
		}
		return 0, fmt.Errorf("hardware: devices = %s: %s has no unit %q, only %s%s", quote(text), c.Name, unit, strings.Join(c.units(), ", "), hint)
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	most := uint64(c.MaxDevices / max(per, 1))
	if err != nil || n > most {
		return 0, fmt.Errorf("hardware: devices = %s: %s describes at most %d devices; nearest legal: %d%s", quote(text), c.Name, c.MaxDevices, most, unit)
	}
	if n == 0 {
		return 0, fmt.Errorf("hardware: devices = %s: must be above 0; nearest legal: 1%s", quote(text), unit)
	}
	return int(n) * per, nil
}
