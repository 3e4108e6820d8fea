package planner

// Answer is everything that one search found, in the form that --json prints.
type Answer struct {
	Model    string `json:"model"`
	Cluster  string `json:"cluster"`
	Devices  int    `json:"devices"`
	Engine   string `json:"engine"`
	Workload Work   `json:"workload"`
	Fits     bool   `json:"fits"`

	Plans    []Plan          `json:"plans"`    // best first, one per distinct mesh, micro-batch, schedule and recompute choice
	Families map[string]Plan `json:"families"` // schedule -> its best plan
	Pareto   []Plan          `json:"pareto"`   // step time against memory, fastest first

	Rejected    Rejections  `json:"rejected"`
	Considered  int64       `json:"layouts_considered"` // = refused + bounded away + timed exactly
	Scored      int64       `json:"layouts_scored"`     // of these, memory counted and time bounded one by one
	Timed       int64       `json:"layouts_timed"`      // of these, timed exactly
	Certificate Certificate `json:"certificate"`

	Shortage *Shortage `json:"shortage,omitempty"` // when nothing fits: which memory is too much, by how much
	Fixes    []Fix     `json:"what_would_help,omitempty"`

	SearchSeconds float64 `json:"search_seconds"` // wall clock, set by the caller
}

// Work is the training step that was planned for.
type Work struct {
	Seq         int    `json:"seq"`
	GlobalBatch int    `json:"global_batch"` // sequences
	DType       string `json:"dtype"`
	Routing     string `json:"routing"`
	Optimizer   string `json:"optimizer"`
	StepTokens  int64  `json:"step_tokens"`
}

// Plan is one layout with everything predicted about it.
type Plan struct {
	Layout         Layout             `json:"layout"`
	Text           string             `json:"layout_text"` // as --layout takes it
	StepSeconds    float64            `json:"step_seconds"`
	StepInterval   [2]float64         `json:"step_seconds_interval"` // 90 %
	TokensPerSec   float64            `json:"tokens_per_second"`
	PerDevice      float64            `json:"tokens_per_second_per_device"`
	MFU            MFU                `json:"mfu"`
	MemoryBytes    Memory             `json:"memory_bytes"`
	Breakdown      map[string]float64 `json:"breakdown_seconds"` // parts of the slowest stage's step; they sum to step_seconds
	BoundBy        string             `json:"bound_by"`
	BubbleFraction float64            `json:"bubble_fraction"`
	LowerBound     float64            `json:"lower_bound_seconds"` // what the search knew before timing it
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
	Schedule   string `json:"schedule"`
	Recompute  string `json:"recompute"`
	Zero       int    `json:"zero"`
	Offload    string `json:"offload"`
	Split      string `json:"split,omitempty"` // parts of the model in each stage
}

// MFU is a share of peak with what it was divided by.
type MFU struct {
	Value      float64            `json:"value"`
	Convention string             `json:"convention"`
	PeakTFLOPs float64            `json:"peak_tflops"`
	DType      string             `json:"dtype"`
	Others     map[string]float64 `json:"by_convention,omitempty"`
	Hardware   float64            `json:"hfu,omitempty"` // recomputation counted too
}

// Memory is the memory of the fullest rank at its peak. Its parts sum to Total.
type Memory struct {
	Total         int64  `json:"total"`
	Weights       int64  `json:"weights"`
	Gradients     int64  `json:"gradients"`
	Optimizer     int64  `json:"optimizer"`
	Activations   int64  `json:"activations"`
	Buffers       int64  `json:"buffers"`
	Workspace     int64  `json:"workspace"`
	Fragmentation int64  `json:"fragmentation"`
	Capacity      int64  `json:"capacity"`
	Headroom      int64  `json:"headroom"`
	Host          int64  `json:"host"` // host memory that offloading takes
	Stage         int    `json:"stage"`
	PeakMoment    string `json:"peak_moment"`
}

// Certificate says why no other layout is better, under the model.
type Certificate struct {
	Statement    string  `json:"statement"`
	BestSeconds  float64 `json:"best_seconds"`
	BoundSeconds float64 `json:"bound_seconds"` // no layout that was not timed is faster than this
	Gap          float64 `json:"gap"`           // (bound - best)/best where that is above 0; 0 proves the answer best
	Proved       bool    `json:"proved"`
}

// Shortage says what does not fit when nothing does.
type Shortage struct {
	Layout   string  `json:"layout"` // the layout that needs least
	Memory   Memory  `json:"memory_bytes"`
	Over     int64   `json:"over_bytes"`
	Largest  string  `json:"largest_part"`
	Factor   float64 `json:"memory_factor"` // device memory needed / available
	Nearest  string  `json:"nearest_change"`
	Smallest int     `json:"smallest_devices,omitempty"`
}

// Fix is one change to the cluster or the workload, searched anew.
type Fix struct {
	Name        string  `json:"name"`
	StepSeconds float64 `json:"step_seconds"` // 0: still nothing fits
	Gain        float64 `json:"gain"`         // step time saved, as a share
	Layout      string  `json:"layout"`
	Moved       bool    `json:"layout_changed"`
}
