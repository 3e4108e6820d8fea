package planner

import "github.com/temper-ml/temper/cluster/costmodel"

// Answer is everything that one search found, in the form that --json prints.
type Answer struct {
	Model   string `json:"model"`
	Cluster string `json:"cluster"`
	Devices int    `json:"devices"`
	Engine  string `json:"engine"`
	Step    Work   `json:"step"` // what one training step does
	Fits    bool   `json:"fits"`

	Plans    []Plan          `json:"plans"`              // best first, one for each mesh and micro-batch size: its best layout
	Families map[string]Plan `json:"families,omitempty"` // schedule -> its best plan, within 30 % of the best
	Pareto   []Plan          `json:"pareto,omitempty"`   // step time against memory, fastest first, within 30 % of the best

	Rejected    Rejections   `json:"rejected"`
	Considered  int64        `json:"layouts_considered"` // = rejected + bounded away + fit
	Bounded     int64        `json:"layouts_bounded"`    // cannot be within 30 % of the best, and were not looked at one by one
	Scored      int64        `json:"layouts_scored"`     // memory counted and time bounded, one by one
	Timed       int64        `json:"layouts_timed"`      // timed exactly, action by action
	Certificate *Certificate `json:"certificate,omitempty"`

	Shortage *Shortage `json:"shortage,omitempty"` // when nothing fits: what is too much, by how much
	Fixes    []Fix     `json:"what_would_help,omitempty"`
	Smallest *Smallest `json:"smallest,omitempty"`
	Compare  []Compare `json:"compare,omitempty"`

	SearchSeconds float64 `json:"search_seconds"` // wall clock, filled in by whoever has one
}

// Work is what one training step does.
type Work struct {
	Seq         int    `json:"seq"`
	GlobalBatch int    `json:"global_batch"` // sequences
	Tokens      int64  `json:"tokens"`
	DType       string `json:"dtype"`
	Routing     string `json:"routing"`
	Optimizer   string `json:"optimizer"`
}

// Plan is one layout with everything predicted about it.
type Plan struct {
	Layout       Layout             `json:"layout"`
	Text         string             `json:"layout_text"` // as --layout takes it
	StepSeconds  float64            `json:"step_seconds"`
	StepInterval [2]float64         `json:"step_seconds_interval"` // 90 %
	Uncertain    []string           `json:"uncertain_because,omitempty"`
	TokensPerSec float64            `json:"tokens_per_second"`
	PerDevice    float64            `json:"tokens_per_second_per_device"`
	MFU          MFU                `json:"mfu"`
	MemoryBytes  Memory             `json:"memory_bytes"`
	Breakdown    map[string]float64 `json:"breakdown_seconds"` // of the stage that decides; the parts sum to step_seconds
	BoundBy      string             `json:"bound_by"`
	LowerBound   float64            `json:"lower_bound_seconds,omitempty"` // what the search knew before it timed the layout

	// Evaluated is the prediction with all its detail, for simulators and text.
	Evaluated *costmodel.Step `json:"-"`
}

// Layout is a way of spreading the model, by the names that flags use.
type Layout struct {
	TP         int    `json:"tp"`
	CP         int    `json:"cp"`
	DP         int    `json:"dp"`
	PP         int    `json:"pp"`
	VPP        int    `json:"vpp"`
	EP         int    `json:"ep"`
	ETP        int    `json:"etp"`
	MicroBatch int    `json:"micro_batch"`
	Micros     int    `json:"micro_batches"`
	Schedule   string `json:"schedule"`
	Recompute  string `json:"recompute"`
	Zero       int    `json:"zero"`
	Offload    string `json:"offload"`
	Blocks     []int  `json:"blocks"` // in each position along the forward pass
}

// MFU is a share of peak with what it was divided by.
type MFU struct {
	Value        float64            `json:"value"`
	Convention   string             `json:"convention"`
	PeakTFLOPs   float64            `json:"peak_tflops"`
	DType        string             `json:"dtype"`
	ByConvention map[string]float64 `json:"by_convention"`
	HFU          float64            `json:"hfu"` // recomputation counted too
}

// Memory is the memory of the fullest rank at its worst moment. Its parts sum to
// Total.
type Memory struct {
	Total         int64   `json:"total"`
	Weights       int64   `json:"weights"`
	Gradients     int64   `json:"gradients"`
	Optimizer     int64   `json:"optimizer"`
	Activations   int64   `json:"activations"`
	Buffers       int64   `json:"buffers"`
	Workspace     int64   `json:"workspace"`
	Fragmentation int64   `json:"fragmentation"`
	Allocated     int64   `json:"allocated"` // what frameworks report; part of Total
	Reserved      int64   `json:"reserved"`  // the same
	Capacity      int64   `json:"capacity"`
	Headroom      int64   `json:"headroom"` // negative when it does not fit
	Host          int64   `json:"host"`     // host memory that offloading takes
	Stage         int     `json:"stage"`    // the fullest
	PeakMoment    string  `json:"peak_moment"`
	Stages        []int64 `json:"stages"` // total of each stage
}

// Certificate says why no other layout is better, under the model.
type Certificate struct {
	Statement    string  `json:"statement"`
	BestSeconds  float64 `json:"best_seconds"`
	BoundSeconds float64 `json:"bound_seconds"` // no layout that was not timed is faster
	Gap          float64 `json:"gap"`           // share by which an unseen layout could be faster; 0 proves the answer
	Proved       bool    `json:"proved"`
}
