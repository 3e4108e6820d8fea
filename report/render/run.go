package render

import (
	"math"
	"time"

	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/report/record"
)

// Run is what is known of a training run. Zero values mean "not recorded"
// wherever zero cannot be a measurement; nothing here is filled in by guessing.
type Run struct {
	// Name tells the run from others, Title is its name on record where that is
	// another.
	Name, Title string
	// Source names where the entries are from, as MLPerf's metadata wants it.
	Source string
	// Started is when the program began to prepare the run, milliseconds since the
	// epoch.
	Started int64
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
	// Ranks is the number of ranks that the run began with; DType is what they
	// multiply in, in the catalogue's names.
	Ranks int64
	DType string
	// Total and Active count the model's parameters; Model is its architecture,
	// nil when it is not on record.
	Total, Active int64
	Model         *arch.Config
	// Mesh, Precision, Seed, Accumulation and the sample counts are what MLPerf
	// has disclosed; Settings are further keys of a benchmark.
	Mesh                      *Mesh
	Precision                 *Precision
	Seed                      *uint64
	Accumulation              int64
	TrainSamples, EvalSamples int64
	// Samples are the examples that a measure was taken on, by its name, where
	// that differs from EvalSamples.
	Samples  map[string]int64
	Settings []Setting
	Stages   []Stage
	// Steps are those that stand, Again those that a recovery had taken again,
	// both in the order in which they were taken.
	Steps  []Step
	Again  []Retaken
	Events []Event
	// Routing is how tokens were routed, RankTimes where the time of each rank
	// went, a sum for each stage.
	Routing   []Routing
	RankTimes []RankTimes
	// Predictions are what a planner says of a step on other hardware.
	Predictions []Prediction
	// Verdict is what a verification found; nil: nobody verified the run.
	Verdict *Verdict
	// Before is what Steps and Events have left out: who follows a run while it
	// goes on keeps the last of them. Only [Prometheus] counts it in.
	Before Totals
}

// Prediction is a step of a stage on other hardware, with the 90 % interval of
// its time. Why tells why there is none.
type Prediction struct {
	Hardware, DType      string
	Stage                int
	Devices              int64
	Tokens               float64
	Seconds, Low, High   float64
	Layout, BoundBy, Why string
}

// Largest is the stage with most tokens in steps that stand, -1 without steps.
func (r *Run) Largest() int {
	tokens := make([]int64, len(r.Stages))
	best := -1
	for i := range r.Steps {
		if s := &r.Steps[i]; s.Stage >= 0 && s.Stage < len(tokens) {
			tokens[s.Stage] += s.Tokens
			if best < 0 || tokens[s.Stage] > tokens[best] {
				best = s.Stage
			}
		}
	}
	return best
}

// Retaken is a step that does not stand. At is how many entries of Run.Steps
// were before it when it was taken.
type Retaken struct {
	Step
	At int
}

// Routing is the routed tokens of a stage by block (of those with experts) and
// expert, over all its steps on record, steps taken again among them.
type Routing struct {
	Stage  int
	Steps  int64
	Counts [][]int64
}

// RankTimes is where the time of each rank went in a stage, steps taken again
// among them.
type RankTimes struct {
	Stage int
	Steps int64
	Ranks []record.RankTime
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
	// Rows, Tokens and Supervised are those of an epoch, HeldOut the rows that
	// are measured on and not trained on.
	Rows, HeldOut, Tokens, Supervised int64
	// Batch is the rows of a step, Micro those that go through the model at once,
	// Accumulation how many such there are, Sequence the tokens of the longest row.
	Batch, Micro, Accumulation, Sequence int64
	Optimizer                            string
	LR                                   record.Schedule
	MTP, Indexer                         bool // losses that take part
	Data, Order                          string
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
	// Peak is FLOP/s where it is not Run.Peak: the run went on on other devices.
	Peak float64
	// Memory is the peak in bytes.
	Memory int64
	// Energy is joules, nil where it was not measured.
	Energy *float64
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
	StageBegin = "stage"
	Rollout    = "rollout"
	Ranks      = "ranks"
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
	// Bytes are those of a checkpoint.
	Bytes int64
	// Status and Weights are those of an end: "complete" or "failed", and the
	// digest of the final parameters.
	Status, Weights string
}

// Verdict is the result of a verification: pass, fail or incomplete, with its
// checks where they are known.
type Verdict struct {
	Result, Text string
	Checks       []Check
}

// Check is one thing that a verification compared.
type Check struct {
	Name     string `json:"name"`
	Result   string `json:"result"`
	Evidence string `json:"evidence"`
}

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
	peak := r.peakOf(s)
	if c >= len(s.FLOPs) || s.FLOPs[c] <= 0 || s.Wall <= 0 || peak <= 0 {
		return math.NaN()
	}
	return s.FLOPs[c] / s.Wall.Seconds() / peak
}

// peakOf is the peak that a step's utilization divides by.
func (r *Run) peakOf(s *Step) float64 {
	if s.Peak > 0 {
		return s.Peak
	}
	return r.Peak
}

// stageName is the name of stage i, its number where it has none.
func (r *Run) stageName(i int) string {
	if i >= 0 && i < len(r.Stages) && r.Stages[i].Name != "" {
		return r.Stages[i].Name
	}
	return "stage " + itoa(int64(i))
}
