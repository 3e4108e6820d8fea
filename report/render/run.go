package render

import (
	"math"
	"time"
)

// Run is what is known of a training run. Zero values mean "not recorded"
// wherever zero cannot be a measurement; nothing here is filled in by guessing.
type Run struct {
	Name string
	// Source names where the entries are from, as MLPerf's metadata wants it.
	Source string
	// Facts of the manifest, for people, in the order they are shown.
	Hardware, Software, Interconnect []Fact
	Data                             []File
	// Recipe is the complete recipe as text.
	Recipe string
	// Peak is the FLOP/s that all utilizations divide by; PeakBasis says what it is.
	Peak      float64
	PeakBasis string
	// Conventions name the ways of counting operations that Step.FLOPs follows.
	Conventions []Convention
	// Mesh, Precision, Seed, Accumulation and the sample counts are what MLPerf
	// has disclosed; Settings are further keys of a benchmark.
	Mesh                      *Mesh
	Precision                 *Precision
	Seed                      *int64
	Accumulation              int64
	TrainSamples, EvalSamples int64
	Settings                  []Setting
	Stages                    []Stage
	Steps                     []Step
	Events                    []Event
	// Verdict is what a verification found; nil: nobody verified the run.
	Verdict *Verdict
	// Before is what Steps and Events have left out: who follows a run while it
	// goes on keeps the last of them. Only [Prometheus] counts it in.
	Before Totals
}

// Fact is a name and what is known about it.
type Fact struct{ Name, Value string }

// Setting is a key of a benchmark and its value, as JSON has it.
type Setting struct {
	Key   string
	Value any
}

// File is a file that was trained on.
type File struct {
	Path, Digest         string
	Bytes, Rows          int64
	Examples, Tokens     int64
	Supervised, Excluded int64
}

// Convention is a way of counting a model's operations.
type Convention struct{ Name, Basis string }

// Mesh is how ranks divide the work; each is at least 1.
type Mesh struct{ Tensor, Pipeline, Context, Expert int64 }

// Precision is the lowest number format used in each place, in MLPerf's names.
type Precision struct{ Linear, Attention, Communication string }

// Stage is a part of a run with its own data and schedule.
type Stage struct {
	Name, Method string
	Steps        int64 // planned
}

// Step is one optimizer step.
type Step struct {
	Index  int64 // of the entry in its source
	Stage  int
	Number int64 // in its stage, from 0
	Time   int64 // at its end, milliseconds since the epoch

	Examples, Tokens, Supervised int64
	Losses                       []Value
	GradNorm, LR, MaxViolation   float64
	// Load is the routed tokens per block and expert.
	Load [][]int64
	// Wall is the step's time; Split tells where it went and adds up to it.
	Wall  time.Duration
	Split []Part
	// FLOPs are the model's operations under each of Run.Conventions.
	FLOPs []float64
	// Memory is the peak in bytes.
	Memory int64
	// Skipped says that the step was not finite and changed nothing.
	Skipped bool
}

// Value is a named number.
type Value struct {
	Name  string
	Value float64
}

// Part is a share of a step's time.
type Part struct {
	Name string
	Took time.Duration
}

// The kinds of events that outputs give a meaning to. Events of other kinds are
// shown as they are.
const (
	CacheClear = "cache_clear"
	InitStart  = "init_start"
	InitStop   = "init_stop"
	Begin      = "begin"
	Evaluation = "evaluation"
	Checkpoint = "checkpoint"
	Fault      = "fault"
	Recovery   = "recovery"
	Pause      = "pause"
	Resume     = "resume"
	Note       = "note"
	End        = "end"
)

// Event is something that happened between steps.
type Event struct {
	Index int64
	Kind  string
	Time  int64 // at its end, milliseconds since the epoch
	Took  time.Duration
	Stage int
	Steps int64 // taken in the stage before it
	// After is the number of entries of Run.Steps before it.
	After  int
	Text   string
	Values []Value
}

// Verdict is the result of a verification: pass, fail or incomplete.
type Verdict struct{ Result, Text string }

// TokensPerSecond is the step's rate, NaN without a time.
func (s *Step) TokensPerSecond() float64 {
	if s.Wall <= 0 {
		return math.NaN()
	}
	return float64(s.Tokens) / s.Wall.Seconds()
}

// MFU is the step's utilization under convention c, NaN where the peak, the
// time or the operations are not recorded.
func (r *Run) MFU(s *Step, c int) float64 {
	if c >= len(s.FLOPs) || s.FLOPs[c] <= 0 || s.Wall <= 0 || r.Peak <= 0 {
		return math.NaN()
	}
	return s.FLOPs[c] / s.Wall.Seconds() / r.Peak
}

// stageName is the name of stage i, its number where it has none.
func (r *Run) stageName(i int) string {
	if i >= 0 && i < len(r.Stages) && r.Stages[i].Name != "" {
		return r.Stages[i].Name
	}
	return "stage " + itoa(int64(i))
}
