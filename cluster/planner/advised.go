package planner

import "github.com/temper-ml/temper/cluster/hardware"

// The answers of package advice, as parts of an [Answer].

// Smallest is the least number of devices on which some layout of a step fits.
type Smallest struct {
	Devices int    `json:"devices"` // 0: none up to the largest that was tried
	Nodes   int    `json:"nodes"`
	Plan    *Plan  `json:"plan,omitempty"` // the fastest layout there
	Sizes   []Size `json:"sizes"`          // every size tried, ascending: whether more devices always fit is not assumed
	Least   int64  `json:"state_bytes"`    // bytes that the whole cluster must hold at least
}

// Size is one number of devices that was tried.
type Size struct {
	Devices int    `json:"devices"`
	Fits    bool   `json:"fits"`
	Why     string `json:"why,omitempty"` // the rule that refused most, when nothing fits
}

// Request returns the request with the smallest number of devices that fits, or
// the largest that was tried.
func (s *Smallest) Request(r Request) Request {
	r.Devices = s.Devices
	if r.Devices == 0 && len(s.Sizes) > 0 {
		r.Devices = s.Sizes[len(s.Sizes)-1].Devices
	}
	return r
}

// Fix is one change to the cluster, the software or the workload, searched anew.
type Fix struct {
	Name        string  `json:"name"`
	Detail      string  `json:"detail"` // what exactly was changed
	Fits        bool    `json:"fits"`
	StepSeconds float64 `json:"step_seconds,omitempty"`
	Tokens      float64 `json:"tokens_per_second,omitempty"`
	Gain        float64 `json:"gain"` // share of the time of a token that is saved; 0 where nothing fitted before
	Layout      string  `json:"layout,omitempty"`
	Moved       bool    `json:"layout_changed"` // another layout is best then
}

// Compare is the same training step on another cluster: its answer, and both
// clusters' rates.
type Compare struct {
	*Answer
	Basis  string             `json:"basis"` // devices, power or peak: what is equal
	Base   Rate               `json:"base_rate"`
	Rate   Rate               `json:"rate"`
	Ratios map[string]float64 `json:"ratios"` // this cluster over the base; above 1 is better for this one

	Other *hardware.Cluster `json:"-"`
}

// Rate is the speed of a plan, by what it is divided by. A zero is not known.
type Rate struct {
	Cluster   string  `json:"cluster"`
	Devices   int     `json:"devices"`
	Step      float64 `json:"step_seconds"`
	Tokens    float64 `json:"tokens_per_second"`
	PerDevice float64 `json:"tokens_per_second_per_device"`
	PerCard   float64 `json:"tokens_per_second_per_card"`
	PerPFLOPs float64 `json:"tokens_per_second_per_peak_pflops"`
	PerKW     float64 `json:"tokens_per_second_per_kw"` // of the whole machine, cooling left out
	Watts     float64 `json:"watts_per_device"`
	PerCost   float64 `json:"tokens_per_cost,omitempty"` // per unit of currency
	MFU       float64 `json:"mfu"`
	Headroom  float64 `json:"memory_headroom"` // share of capacity
	BoundBy   string  `json:"bound_by"`
}
