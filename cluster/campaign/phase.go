package campaign

import (
	"fmt"
	"math"
	"slices"

	"github.com/temper-ml/temper/cluster/campaign/rollout"
	"github.com/temper-ml/temper/model/arch"
)

// PhaseResult is one phase. Times are seconds, undisturbed but for Wall.
type PhaseResult struct {
	Name      string  `json:"name"`
	Method    string  `json:"method"`
	Source    string  `json:"source"` // of the budget
	Steps     float64 `json:"steps"`
	Tokens    float64 `json:"tokens"`    // trained on, padding not counted
	Generated float64 `json:"generated"` // tokens that the model wrote itself
	Filled    float64 `json:"packing"`   // share of the rows' tokens that are real
	FLOPs     float64 `json:"flops"`
	Layout    string  `json:"layout"` // of training
	BoundBy   string  `json:"bound_by"`

	Start       float64 `json:"start_seconds"` // processes, links, loading the state
	Prepare     float64 `json:"prepare_seconds"`
	StepSeconds float64 `json:"step_seconds"`
	Parts       Parts   `json:"step_parts_seconds"`            // of a step, one after the other: they sum to StepSeconds
	Hidden      Parts   `json:"step_hidden_seconds,omitempty"` // of a step, beside them
	Seconds     float64 `json:"seconds"`                       // start, preparation and all steps
	Wall        float64 `json:"seconds_with_failures"`         // mean
	DeviceHours float64 `json:"device_hours"`                  // of Wall
	Generator   *Writer `json:"generation,omitempty"`          // grpo and opd
	Training    int     `json:"training_devices"`              // that train
	Idle        float64 `json:"idle_device_share,omitempty"`   // of device time that nothing uses, when disaggregated

	train, write float64 // share of Seconds that training decides, and generation
	sigma        float64 // of training
	replica      int
}

// Writer is how the responses of a step come about.
type Writer struct {
	Devices   int     `json:"devices"`
	Replica   int     `json:"replica_devices"` // that hold the weights together
	DType     string  `json:"dtype"`
	Slots     int     `json:"slots"` // sequences that a replica writes at once
	Rate      float64 `json:"tokens_per_second_per_device"`
	Seconds   float64 `json:"seconds"` // of a rollout
	Tail      float64 `json:"tail_seconds"`
	TokenTime float64 `json:"seconds_per_token"` // of one sequence, in the middle
	BoundBy   string  `json:"bound_by"`
	Offloaded bool    `json:"training_state_offloaded"`

	result *rollout.Result
	part   float64 // bytes of weights on each device
}

// filled is the share of real tokens in the rows of the phase.
func (p *Phase) filled(mean float64) float64 {
	switch {
	case p.Method == "cpt":
		return 1
	case p.Packing == "padded":
		return min(1, mean/float64(p.Seq))
	}
	spread := p.Spread
	if !p.generates() {
		spread = sampleSpread
	}
	return packed(mean, spread, p.Seq)
}

// play predicts one phase.
func (s *Setting) play(p *Phase) (*PhaseResult, error) {
	out := &PhaseResult{Name: p.Name, Method: p.Method, Source: p.Source, Training: s.Devices}
	play := s.rows
	if p.generates() {
		play = s.generate
	}
	if err := play(p, out); err != nil {
		return nil, fmt.Errorf("campaign: phase %s: %w", p.Name, err)
	}
	check := s.checkpoint()
	out.Start = s.Policy.Restart + check.Load
	steps := out.Steps * out.StepSeconds
	out.Seconds = out.Start + out.Prepare + steps
	for _, part := range out.Parts {
		switch part.Name {
		case "train", "log-probabilities", "reference", "teachers":
			out.train += part.Value * out.Steps / out.Seconds
		case "rollout", "weight sync":
			out.write += part.Value * out.Steps / out.Seconds
		}
	}
	out.train += out.Prepare / out.Seconds
	return out, nil
}

// epochs is how often the samples are seen.
func (p *Phase) epochs() float64 {
	if p.Epochs == 0 {
		return 1
	}
	return p.Epochs
}

// rows predicts cpt, sft and dpo: ready rows, trained on.
func (s *Setting) rows(p *Phase, out *PhaseResult) error {
	step, err := s.Train(s.Devices, p.Seq, p.GlobalBatch)
	if err != nil {
		return err
	}
	each := 1.0 // sequences of a sample
	if p.Method == "dpo" {
		each = 2
	}
	out.trained(&step)
	out.Filled = p.filled(p.MeanLength)
	perStep := float64(p.GlobalBatch*p.Seq) * out.Filled
	switch {
	case p.Steps > 0:
		out.Tokens = float64(p.Steps) * perStep
	case p.Samples > 0:
		out.Tokens = p.Samples * p.epochs() * each * p.MeanLength
	default:
		out.Tokens = p.Tokens
	}
	out.Steps = math.Ceil(out.Tokens / perStep)
	out.StepSeconds = step.Seconds
	out.Parts = Parts{{"train", step.Seconds}}
	forward, whole := s.flops(p.Seq)
	out.FLOPs = out.Tokens * whole
	if p.Method == "dpo" {
		// The reference model reads every pair once, however often it is trained
		// on, and its log-probabilities are kept.
		once := out.Tokens / p.epochs()
		out.Prepare = once / perStep * s.reading(&step, p.Seq)
		out.FLOPs += float64(once * forward)
	}
	return nil
}

// trained notes what the reader wants to know of a training step.
func (r *PhaseResult) trained(step *TrainStep) {
	r.Layout, r.BoundBy, r.sigma = step.Layout, step.BoundBy, step.sigma()
	if step.Devices > 0 {
		r.Training = step.Devices
	}
	if r.replica = step.Replica; r.replica == 0 {
		r.replica = r.Training
	}
}

// reading is how long it takes to read the rows of a step without training.
func (s *Setting) reading(step *TrainStep, seq int) float64 {
	if step.Forward > 0 {
		return min(step.Forward, step.Seconds)
	}
	forward, whole := s.flops(seq)
	return step.Seconds * forward / whole
}

// flops returns the operations per token of a forward pass, and of both.
func (s *Setting) flops(seq int) (forward, whole float64) {
	l := s.Model.FLOPs(arch.Work{Lengths: []int{seq}})
	n := float64(l.Tokens)
	return l.Forward() / n, l.Total() / n
}

// batch is the number of rows that a step's tokens fill, rounded up to one that
// many layouts divide.
func batch(rows float64) int {
	n := max(1, int(math.Ceil(rows)))
	unit := 1
	for unit < 256 && 4*unit < n {
		unit *= 2
	}
	return (n + unit - 1) / unit * unit
}

// sampleSpread is the spread of the lengths of instruction data: the standard
// deviation of their logarithm, as in public dialog sets (0.7 to 1).
const sampleSpread = 0.8

// packedSamples is how many samples are packed to see how well they fit.
const packedSamples = 2000

// packed is the share of real tokens in rows of seq tokens that hold whole
// samples, put together longest first, each into the fullest row it fits in.
// Lengths are lognormal and cut at the row.
func packed(mean, spread float64, seq int) float64 {
	row := float64(seq)
	lengths := rollout.Lengths{Mean: mean, Max: row, Spread: spread}.Quantiles(packedSamples)
	var left []float64 // room in each open row, least first
	rows, tokens := 0.0, 0.0
	for _, n := range slices.Backward(lengths) {
		tokens += n
		at, _ := slices.BinarySearch(left, n)
		room := row
		if at < len(left) {
			room = left[at]
			left = slices.Delete(left, at, at+1)
		} else {
			rows++
		}
		if room -= n; room >= 1 {
			at, _ = slices.BinarySearch(left, room)
			left = slices.Insert(left, at, room)
		}
	}
	return tokens / (rows * row)
}
