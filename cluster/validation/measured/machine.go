package measured

import (
	"fmt"
	"slices"
	"strings"

	"github.com/temper-ml/temper/cluster/hardware"
)

// machineNames gives the catalogue's names to the machines of publications, by
// the label in a row's gpu_type and, after a space, its network where the notes
// say that it is not the usual one.
var machineNames = map[string]string{
	"a100-80g-sxm":              "a100",
	"a100-80g-sxm 800gbps/node": "a100-4nic",
	"h100-sxm":                  "h100",
	"h100-96g-hbm2e-500w":       "h100-96g-500w",
	"h200-sxm":                  "h200",
	"h800-sxm":                  "h800",
	"b200-sxm":                  "b200",
	"ascend-a3":                 "ascend-910c",
}

// Cluster returns the description of the case's machine, and keeps it. A
// gpu_type that is no publication's label is a name of the catalogue or a path,
// as for temper plan.
func (c *Case) Cluster() (*hardware.Cluster, error) {
	if c.Machine != nil {
		return c.Machine, nil
	}
	cl, err := c.describe()
	c.Machine = cl
	return cl, err
}

// describe loads the description.
func (c *Case) describe() (*hardware.Cluster, error) {
	label := strings.ToLower(c.Device)
	if c.Network != "" {
		label += " " + strings.ToLower(c.Network)
	}
	name, ok := machineNames[label]
	switch {
	case !ok && c.Network != "":
		return nil, fmt.Errorf("measured: %s: no machine %s with a network of %s, want one of %s", c.Position, c.Device, c.Network, strings.Join(Machines(), ", "))
	case !ok:
		cl, err := hardware.Load(c.Device)
		if err != nil {
			return nil, fmt.Errorf("measured: %s: gpu_type: %w", c.Position, err)
		}
		return cl, nil
	}
	return hardware.Load(name)
}

// Machines returns the labels that this package knows, sorted.
func Machines() []string {
	var names []string
	for k := range machineNames {
		names = append(names, k)
	}
	slices.Sort(names)
	return names
}
