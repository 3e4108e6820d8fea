package audit

import "context"

// A World knows models, hardware and how fast one trains on the other. The audit
// asks; whoever calls it answers.
type World interface {
	// Model returns what is known of a model for rows of seq tokens; 0 is any length.
	Model(name string, seq int) (*Model, error)
	// Hardware returns what is known of a kind of device.
	Hardware(name string) (*Hardware, error)
	// Predict predicts a training step. That nothing fits is an answer.
	Predict(ctx context.Context, r Request) (*Prediction, error)
}

// A Model is a known architecture.
type Model struct {
	Name           string
	Parameters     Interval // with and without what some counts leave out
	Active         Interval // of them, those that take part in a token; zero: not known
	FLOPsPerToken  Interval // forward and backward, over conventions of counting and lengths of rows
	Pretraining    float64  // tokens that its report says; 0: not known
	PretrainSource string
}

// Hardware is a known kind of device. A device is what one rank drives.
type Hardware struct {
	Name, Title string
	PerCard     int                 // devices on what is sold as one
	Peak        map[string]Interval // FLOP/s by format
	Memory      Interval            // bytes, of a device
	Host        Interval            // bytes of host memory for a device
	Bandwidth   Interval            // bytes/s of device memory
	Achievable  float64             // share of peak that large products reach at best; 0: not known
	Links       string              // in words
}

// A Request is a training step to predict.
type Request struct {
	Model, Hardware string
	Devices         int
	Seq             int      // 0: a usual one
	BatchTokens     Interval // tokens of a step, as far as said; empty of limits: a usual one
	DType           string   // "": a usual one
	Offload         string   // "": whatever is best
}

// A Prediction is a step's speed with its 90 % band, in JSON as it is printed.
type Prediction struct {
	Hardware     string     `json:"hardware"`
	Reading      string     `json:"reading"` // of the number of devices
	Devices      int        `json:"devices"`
	Used         int        `json:"devices_used"`
	Fits         bool       `json:"fits"`
	Why          string     `json:"why_not,omitempty"`
	Seq          int        `json:"seq"`
	DType        string     `json:"dtype"`
	StepTokens   float64    `json:"step_tokens"`
	StepSeconds  float64    `json:"step_seconds"`
	StepInterval [2]float64 `json:"step_seconds_interval"`
	TokensPerSec float64    `json:"tokens_per_second"`
	PerDevice    Interval   `json:"tokens_per_second_per_device_interval"`
	Achieved     Interval   `json:"flops_per_second_per_device_interval"` // over conventions of counting too
	MFU          float64    `json:"mfu"`
	Memory       int64      `json:"memory_bytes"`
	Capacity     int64      `json:"memory_capacity"`
	Layout       string     `json:"layout"`
	BoundBy      string     `json:"bound_by"`
	Seconds      *Interval  `json:"seconds,omitempty"` // for the claim's tokens, without pauses
}
