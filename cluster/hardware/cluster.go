package hardware

// DType names a number format in which devices multiply.
type DType string

// The number formats of the catalogue.
const (
	FP32 DType = "fp32"
	TF32 DType = "tf32"
	FP16 DType = "fp16"
	BF16 DType = "bf16"
	FP8  DType = "fp8"
	FP4  DType = "fp4"
	INT8 DType = "int8"
)

// DTypes are all formats, widest first.
var DTypes = []DType{FP32, TF32, FP16, BF16, FP8, FP4, INT8}

// A Cluster is a kind of device, and how many of them are linked. The zero
// value of an optional number means that it is not known.
type Cluster struct {
	Name  string // as the user types it
	Title string // as a person says it
	Base  string // the entry that this description started from, or empty

	Device  Device
	Domains []Domain // innermost first; the last is the scale-out network and spans all

	NodeSize       int // devices in one machine
	DevicesPerCard int // devices on what is sold and plugged in as one
	MaxDevices     int // the largest cluster that this description is for

	Storage Storage
	Power   Power
	Price   Price
	Failure Failure
	Engine  string   // the training engine to assume, e.g. "megatron"
	Notes   []string // what a reader of the numbers must know

	evidence map[string]Evidence // by field path, as in "device.peak.bf16"
}

// A Device is what one rank drives.
type Device struct {
	Name   string // of the die or chip
	Vendor string
	Rank   string // what of the hardware one rank drives, in words

	Peak       map[DType]float64 // dense FLOP/s of the matrix unit; absent: not native
	Vector     float64           // FLOP/s of the vector unit, in bf16 (fp32 where it has none)
	Memory     int64             // bytes of device memory
	Bandwidth  float64           // bytes/s of device memory
	HostMemory int64             // bytes of the host's memory per device
	HostLink   float64           // bytes/s between host and device memory, one way
	TDP        float64           // watts
	Cores      int               // units that each work on a tile of a matrix product; 0: not known

	Launch     Launch
	Efficiency Efficiency
}

// Launch is the cost in seconds of starting one operation when the host is not
// ahead of the device.
type Launch struct {
	Product    float64 // a matrix product
	Vector     float64 // an elementwise operation or a reduction
	Collective float64 // a collective, before its first byte moves
}

// Efficiency is the achievable share of a peak on large operands: priors, for
// devices on which nothing was measured.
type Efficiency struct {
	Product float64 // of Peak, by matrix products
	Memory  float64 // of Bandwidth, by elementwise operations
}

// A Domain is one level of the interconnect.
type Domain struct {
	Name string
	// Size is the number of devices in one domain. Sizes increase and each
	// divides the next, but for the last, which is MaxDevices.
	Size int
	// Bandwidth is what one device can send into the domain, in bytes/s; it can
	// receive as much at the same time.
	Bandwidth float64
	// Latency is the time in seconds of an empty message between two devices.
	Latency float64
	// Efficiency is the share of Bandwidth that large messages reach.
	Efficiency float64
	// Topology is mesh (a link for each pair, which has 1/(Size-1) of the
	// bandwidth), switch (any pair has all of it) or clos (switches in levels).
	Topology string
	// NICs is the number of network cards of a node through which this domain
	// is reached, 0 where devices have ports of their own; NICBandwidth is the
	// bytes/s of one of them, one way. One flow uses one card at most.
	NICs         int
	NICBandwidth float64
	// Oversubscription is the ratio of what devices can send to what the middle
	// of the network carries: 1 (also when 0) for a non-blocking one.
	Oversubscription float64
}

// Storage is the shared file system that checkpoints go to: bytes/s for the
// whole cluster, and what one node can reach of it.
type Storage struct {
	Write, Read, Node float64
}

// Power is what the cluster draws.
type Power struct {
	AllIn float64 // watts per device with its share of the host, its fans and the network; PUE comes on top
	PUE   float64 // power of the hall over power of the machines
}

// Price is an input: it is known to the user, not to the catalogue.
type Price struct {
	PerHour  float64 // of one device; 0 when not known
	Currency string  // as in "USD"
}

// Failure is how often devices fail and how long it takes to go on, in seconds.
type Failure struct {
	MTBF             float64 // mean time between interruptions, per device
	SilentCorruption float64 // mean time between silent data corruptions, per device
	HangShare        float64 // share of interruptions that show as a hang
	Detect           float64 // until a crash is noticed
	HangDetect       float64 // until a hang is noticed (the collective timeout)
	Restart          float64 // from notice to the first step, without lost work
}

// PeakOf returns the matrix peak for t, with ok false if the device does not
// multiply in t natively.
func (d *Device) PeakOf(t DType) (flops float64, ok bool) {
	p, ok := d.Peak[t]
	return p, ok && p > 0
}

// Usual is the format of matrix products where nothing says otherwise: bf16, on
// devices without it fp16 or fp32.
func (d *Device) Usual() DType {
	for _, t := range []DType{BF16, FP16, FP32} {
		if _, ok := d.PeakOf(t); ok {
			return t
		}
	}
	return BF16
}

// Nodes returns the number of machines that hold n devices.
func (c *Cluster) Nodes(n int) int {
	if c.NodeSize < 1 {
		return 0
	}
	return (n + c.NodeSize - 1) / c.NodeSize
}

// Cards returns the number of cards that hold n devices.
func (c *Cluster) Cards(n int) int {
	if c.DevicesPerCard < 1 {
		return 0
	}
	return (n + c.DevicesPerCard - 1) / c.DevicesPerCard
}
