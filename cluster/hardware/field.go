package hardware

import "strings"

// A field is one value of a description: how it is written, where it lives,
// and what is legal on its own. The same list decodes, checks, prints and
// documents.
type field struct {
	path    string // with the name of the domain in it, as in "domains.node.size"
	kind    kind
	lo, hi  float64
	needed  bool
	choices []string // legal text, if limited

	number  func() float64
	set     func(float64)
	content *string // of text, and the currency of money
}

func (f *field) key() string { return f.path[strings.LastIndexByte(f.path, '.')+1:] }

// isSet reports whether the value is known.
func (f *field) isSet() bool {
	if f.kind == text {
		return *f.content != ""
	}
	return f.number() != 0
}

func numeric(path string, k kind, p *float64, lo, hi float64) field {
	return field{path: path, kind: k, lo: lo, hi: hi, number: func() float64 { return *p }, set: func(x float64) { *p = x }}
}

func whole(path string, p *int, lo, hi float64) field {
	return field{path: path, kind: count, lo: lo, hi: hi, number: func() float64 { return float64(*p) }, set: func(x float64) { *p = int(min(x, maxCount*2)) }}
}

func size(path string, p *int64) field {
	return field{path: path, kind: byteSize, lo: 1 << 20, hi: maxBytes, number: func() float64 { return float64(*p) }, set: func(x float64) { *p = int64(min(x, 4*maxBytes)) }}
}

func words(path string, p *string, choices ...string) field {
	return field{path: path, kind: text, content: p, choices: choices}
}

func (f field) must() field { f.needed = true; return f }

// The bounds that keep sizes from overflowing and catch slips of a prefix.
const (
	maxBytes    = 1e15
	maxRate     = 1e15 // bytes/s
	minRate     = 1e3
	maxFLOPs    = 1e18
	minFLOPs    = 1e6
	maxCount    = 1 << 24
	maxPause    = 10.0      // seconds, of a latency or a launch
	maxLifetime = 100e9     // seconds, about 3,000 years
	maxWait     = 7 * 86400 // seconds, of noticing or restarting
)

// fields lists the values of c, which must not be copied while they are in use.
func (c *Cluster) fields() []field {
	d := &c.Device
	fs := []field{
		words("name", &c.Name).must(),
		words("title", &c.Title),
		words("engine", &c.Engine, Engines...),
		words("device.name", &d.Name),
		words("device.vendor", &d.Vendor),
		words("device.rank", &d.Rank),
	}
	for _, t := range DTypes {
		fs = append(fs, peakField(d, t))
	}
	fs = append(fs,
		numeric("device.vector", flopRate, &d.Vector, minFLOPs, maxFLOPs),
		size("device.memory", &d.Memory).must(),
		numeric("device.bandwidth", byteRate, &d.Bandwidth, minRate, maxRate).must(),
		size("device.host_memory", &d.HostMemory),
		numeric("device.host_link", byteRate, &d.HostLink, minRate, maxRate),
		numeric("device.tdp", power, &d.TDP, 0.1, 1e5),
		whole("device.cores", &d.Cores, 1, 1e5),
		numeric("device.launch.product", duration, &d.Launch.Product, 0, maxPause),
		numeric("device.launch.vector", duration, &d.Launch.Vector, 0, maxPause),
		numeric("device.launch.collective", duration, &d.Launch.Collective, 0, maxPause),
		numeric("device.efficiency.product", share, &d.Efficiency.Product, 0.01, 1).must(),
		numeric("device.efficiency.memory", share, &d.Efficiency.Memory, 0.01, 1).must(),
		whole("devices_per_card", &c.DevicesPerCard, 1, maxCount).must(),
		whole("node_size", &c.NodeSize, 1, maxCount).must(),
		whole("max_devices", &c.MaxDevices, 1, maxCount).must(),
	)
	for i := range c.Domains {
		fs = append(fs, c.Domains[i].fields()...)
	}
	return append(fs, c.campaignFields()...)
}

// campaignFields are the values that matter to a whole run, not to a step.
func (c *Cluster) campaignFields() []field {
	price := numeric("price", money, &c.Price.PerHour, 0, 1e6)
	price.content = &c.Price.Currency
	f := &c.Failure
	return []field{
		numeric("storage.write", byteRate, &c.Storage.Write, minRate, maxRate),
		numeric("storage.read", byteRate, &c.Storage.Read, minRate, maxRate),
		numeric("storage.node", byteRate, &c.Storage.Node, minRate, maxRate),
		numeric("power.all_in", power, &c.Power.AllIn, 0.1, 1e6),
		numeric("power.pue", ratio, &c.Power.PUE, 1, 5),
		price,
		numeric("failure.mtbf", duration, &f.MTBF, 60, maxLifetime),
		numeric("failure.silent_corruption", duration, &f.SilentCorruption, 60, maxLifetime),
		numeric("failure.hang_share", share, &f.HangShare, 0, 1),
		numeric("failure.detect", duration, &f.Detect, 0, maxWait),
		numeric("failure.hang_detect", duration, &f.HangDetect, 0, maxWait),
		numeric("failure.restart", duration, &f.Restart, 0, maxWait),
	}
}

// Engines are the names that the engine field takes.
var Engines = []string{"megatron", "torchtitan", "torchtitan-eager", "megatron-2021", "mindspeed", "temper"}

// Topologies are the names that a domain's topology takes.
var Topologies = []string{"mesh", "switch", "clos"}

func (d *Domain) fields() []field {
	p := "domains." + d.Name + "."
	return []field{
		whole(p+"size", &d.Size, 1, maxCount).must(),
		numeric(p+"bandwidth", byteRate, &d.Bandwidth, minRate, maxRate).must(),
		numeric(p+"latency", duration, &d.Latency, 1e-9, maxPause).must(),
		numeric(p+"efficiency", share, &d.Efficiency, 0.01, 1).must(),
		words(p+"topology", &d.Topology, Topologies...).must(),
		whole(p+"nics", &d.NICs, 1, maxCount),
		numeric(p+"nic_bandwidth", byteRate, &d.NICBandwidth, minRate, maxRate),
		numeric(p+"oversubscription", ratio, &d.Oversubscription, 1, 1000),
	}
}

func peakField(d *Device, t DType) field {
	return field{
		path: "device.peak." + string(t), kind: flopRate, lo: minFLOPs, hi: maxFLOPs,
		number: func() float64 { return d.Peak[t] },
		set: func(x float64) {
			if x == 0 {
				delete(d.Peak, t)
				return
			}
			if d.Peak == nil {
				d.Peak = map[DType]float64{}
			}
			d.Peak[t] = x
		},
	}
}
