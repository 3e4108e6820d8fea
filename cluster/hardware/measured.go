package hardware

import (
	"fmt"
	"math"
	"strconv"
)

// A Measurement is what was measured of one machine, from which [Measurement.Cluster]
// makes a description. Rates are per second and of the whole machine.
type Measurement struct {
	Name   string // of the description
	CPU    string // as the machine calls it
	Source string // how and when it was measured
	Ranks  int    // ranks that will share the machine

	Memory                    int64
	Peak, Product             float64 // FLOP/s in fp32: of the units, and of a large product
	Vector, Bandwidth         float64
	LaunchProduct, LaunchRest float64 // seconds
	Process, Loopback         MeasuredLink

	Busy bool // something else used the machine meanwhile: the figures are too low
}

// A MeasuredLink is one way for ranks of a machine to reach each other.
type MeasuredLink struct {
	Latency, Bandwidth float64
}

// machines is how many machines a measured description is for: it knows
// nothing of a network.
const machines = 64

// Cluster makes the description of machines like the one measured, linked by
// what was measured on the loopback interface.
func (m *Measurement) Cluster() (*Cluster, error) {
	n := float64(max(1, m.Ranks))
	c := &Cluster{
		Name:  m.Name,
		Title: fmt.Sprintf("%s, %d ranks to a machine", m.CPU, max(1, m.Ranks)),
		Device: Device{
			Name: m.CPU, Vendor: "this machine", Rank: "one process with all threads of the machine",
			Peak: map[DType]float64{FP32: digits(m.Peak / n)}, Vector: digits(m.Vector / n),
			Memory: hundredths(float64(m.Memory) / n), Bandwidth: digits(m.Bandwidth / n),
			Launch:     Launch{Product: digits(m.LaunchProduct), Vector: digits(m.LaunchRest), Collective: digits(m.Process.Latency)},
			Efficiency: Efficiency{Product: digits(min(1, m.Product/m.Peak)), Memory: 1},
		},
		NodeSize: max(1, m.Ranks), DevicesPerCard: 1, MaxDevices: machines * max(1, m.Ranks),
		Engine: "temper",
		Notes: []string{
			"Products are computed in fp32 whatever the format of the weights.",
			"The scale-out network is the loopback interface of the machine: put the figures of the real network in its place.",
		},
	}
	if m.Ranks > 1 {
		c.Device.Rank = fmt.Sprintf("one of %d ranks that share the machine, which is divided evenly", m.Ranks)
		c.Domains = append(c.Domains, m.Process.domain("process", m.Ranks, "switch", c.Device.Bandwidth))
	} else {
		c.Title = m.CPU + ", one rank to a machine"
	}
	c.Domains = append(c.Domains, m.Loopback.domain("scale-out", c.MaxDevices, "switch", c.Device.Bandwidth))
	m.evidence(c)
	return c, c.Check()
}

// domain makes a domain of the link, which cannot be faster than the memory
// that messages are read from.
func (l MeasuredLink) domain(name string, size int, topology string, memory float64) Domain {
	return Domain{Name: name, Size: size, Bandwidth: digits(min(l.Bandwidth, memory)), Latency: digits(l.Latency), Efficiency: 1, Topology: topology}
}

// evidence notes what is measured and what is a choice.
func (m *Measurement) evidence(c *Cluster) {
	fs := c.fields()
	for i := range fs {
		f := &fs[i]
		if f.kind == text || !f.isSet() || f.path == "domains.scale-out.size" {
			continue
		}
		e := Evidence{Grade: Measured, Source: m.Source}
		switch f.path {
		case "max_devices", "node_size", "devices_per_card", "domains.process.size":
			e = Evidence{Grade: User, Source: "chosen when the machine was measured"}
		case "device.efficiency.memory", "domains.process.efficiency", "domains.scale-out.efficiency":
			e.Source = "1: what was measured is what is reached"
		case "device.launch.collective":
			e.Source = "the latency between ranks of one process: " + m.Source
		case "domains.scale-out.bandwidth", "domains.scale-out.latency":
			e.Source = "TCP over loopback: " + m.Source
		}
		c.SetEvidence(f.path, e)
	}
}

// hundredths rounds bytes down to a hundredth of a GiB.
func hundredths(x float64) int64 {
	return int64(math.Round(math.Floor(x*100/(1<<30)) / 100 * (1 << 30)))
}

// digits rounds x to three significant digits: no measurement is better.
func digits(x float64) float64 {
	r, err := strconv.ParseFloat(strconv.FormatFloat(x, 'e', 2, 64), 64)
	if err != nil || math.IsNaN(r) {
		return 0
	}
	return r
}
