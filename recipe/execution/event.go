package execution

import (
	"time"

	"github.com/temper-ml/temper/data"
	"github.com/temper-ml/temper/eval"
	"github.com/temper-ml/temper/posttrain/opd"
	"github.com/temper-ml/temper/posttrain/preference"
	"github.com/temper-ml/temper/posttrain/rollout"
	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/train"
)

// Event is one thing that happened in a run: one of the types below.
type Event interface{ event() }

// Reading says that a new run reads the data of a stage, to record what it is.
type Reading struct {
	Stage int    `json:"stage"`
	Name  string `json:"name"`
}

// Began opens a run, or a part of it after a resume.
type Began struct {
	Dir        string `json:"dir"`
	Parameters int64  `json:"parameters"`
	Active     int64  `json:"active_parameters"`
	Vocabulary int    `json:"vocabulary"`
	Path       string `json:"simd"`
	Threads    int    `json:"threads"`
	// PeakFLOPs is the measured rate of the machine's multiply-add units, all threads.
	PeakFLOPs float64 `json:"peak_flops"`
	Resumed   bool    `json:"resumed"`
	// Signer is the verifier key of the record.
	Signer string `json:"signer"`
}

// StageBegan opens a stage at step From of Steps.
type StageBegan struct {
	Stage  int         `json:"stage"`
	Name   string      `json:"name"`
	Method string      `json:"method"`
	From   int64       `json:"from"`
	Steps  int64       `json:"steps"`
	Report data.Report `json:"data"`
	Rows   int         `json:"rows_per_epoch"`
	Digest string      `json:"data_digest"`
}

// Referring says that a stage computes the log-probabilities of its reference, and
// how far it is.
type Referring struct {
	Stage int    `json:"stage"`
	Name  string `json:"name"`
	Done  int64  `json:"done"`
	Rows  int64  `json:"rows"`
}

// Taught says that a stage's teacher was loaded, and what it reads.
type Taught struct {
	Stage int    `json:"stage"`
	Name  string `json:"name"`
	opd.Reading
}

// Sampling says how far a round is whose answers are being sampled and judged: after
// each pass of the model.
type Sampling struct {
	Stage int    `json:"stage"`
	Name  string `json:"name"`
	rollout.Progress
}

// Rolled is a round whose answers are complete.
type Rolled struct {
	record.Rollout
}

// Stepped is one optimizer step.
type Stepped struct {
	Stage  int          `json:"stage"`
	Result train.Result `json:"result"`
}

// Measured is the model on held-out data after Step steps of a stage.
type Measured struct {
	Stage int   `json:"stage"`
	Step  int64 `json:"step"`
	// Loss is of the held-out rows, nil without any.
	Loss *eval.Loss `json:"held_out,omitempty"`
	// Pairs are what held-out pairs say, nil where none are compared.
	Pairs *preference.Measured `json:"pairs,omitempty"`
	// Suites are counts by suite; those of perplexity and pass@k have none.
	Suites map[string]Counted `json:"suites,omitempty"`
	// Metrics are the other numbers of suites, by suite/metric.
	Metrics map[string]eval.Metric `json:"metrics,omitempty"`
	// Took is the time it cost.
	Took time.Duration `json:"took"`
}

// Counted is what a suite counted.
type Counted struct {
	// Kind says of what, as kind/measure: empty for exact answers.
	Kind string `json:"kind,omitempty"`
	eval.Accuracy
}

// add takes what a suite says; headline names the metric that its score is of.
func (m *Measured) add(suite string, r *eval.Result, headline string) {
	if r.Score != nil {
		if m.Suites == nil {
			m.Suites = map[string]Counted{}
		}
		c := Counted{Accuracy: *r.Score}
		if r.Kind != eval.Exact {
			c.Kind = string(r.Kind) + "/" + headline
		}
		m.Suites[suite] = c
	}
	for name, x := range r.Metrics {
		if name == headline {
			continue
		}
		if m.Metrics == nil {
			m.Metrics = map[string]eval.Metric{}
		}
		m.Metrics[suite+"/"+name] = x
	}
}

// metric takes a mean over so many held-out questions.
func (m *Measured) metric(name string, value float64, count int64) {
	if m.Metrics == nil {
		m.Metrics = map[string]eval.Metric{}
	}
	m.Metrics["held_out/"+name] = eval.Metric{Value: value, Count: count}
}

// Saved is a checkpoint on the disk.
type Saved struct {
	Stage int    `json:"stage"`
	Step  int64  `json:"step"`
	Path  string `json:"path"`
	Bytes int64  `json:"bytes"`
}

// Noted is something a person should know that is no error.
type Noted struct {
	Text string `json:"text"`
}

// Ended closes a run.
type Ended struct {
	Summary Summary `json:"summary"`
}

func (Reading) event()    {}
func (Began) event()      {}
func (StageBegan) event() {}
func (Referring) event()  {}
func (Taught) event()     {}
func (Sampling) event()   {}
func (Rolled) event()     {}
func (Stepped) event()    {}
func (Measured) event()   {}
func (Saved) event()      {}
func (Noted) event()      {}
func (Ended) event()      {}

// Observer is told of events, in order, one at a time.
type Observer interface{ Observe(Event) }

// ObserverFunc is a function that observes.
type ObserverFunc func(Event)

// Observe calls f.
func (f ObserverFunc) Observe(e Event) { f(e) }
