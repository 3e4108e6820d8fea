package campaign

import (
	"fmt"
	"math"

	"github.com/temper-ml/temper/cluster/campaign/rollout"
	"github.com/temper-ml/temper/cluster/hardware"
	"github.com/temper-ml/temper/model/arch"
)

// PhaseResult is one phase without any interruption. Times are seconds.
type PhaseResult struct {
	Name    string  `json:"name"`
	Method  string  `json:"method"`
	Steps   float64 `json:"steps"`
	Tokens  float64 `json:"tokens"`    // trained on, padding not counted
	Written float64 `json:"generated"` // tokens that the model wrote itself
	Filled  float64 `json:"packing"`   // share of the rows' tokens that are real
	Seconds float64 `json:"seconds"`
	FLOPs   float64 `json:"flops"`
	Layout  string  `json:"layout"` // of training

	StepSeconds float64         `json:"step_seconds"`
	Parts       []Part          `json:"parts"` // of a step; they may run side by side
	Rollout     *rollout.Result `json:"-"`
	Replica     int             `json:"replica,omitempty"` // devices that generate together
}

// Part is a named amount.
type Part struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
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
	out := &PhaseResult{Name: p.Name, Method: p.Method}
	var err error
	switch {
	case p.generates():
		err = s.generate(p, out)
	default:
		err = s.rows(p, out)
	}
	if err != nil {
		return nil, fmt.Errorf("campaign: phase %s: %w", p.Name, err)
	}
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
	out.Layout, out.Filled = step.Layout, p.filled(p.MeanLength)
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
	out.Parts = []Part{{"train", step.Seconds}}
	out.Seconds = out.Steps * step.Seconds
	forward, whole := s.flops(p.Seq)
	out.FLOPs = out.Tokens * whole
	if p.Method == "dpo" {
		// The reference model reads every pair once, however often it is trained on.
		share := forward / whole / p.epochs()
		out.Seconds += float64(out.Seconds * share)
		out.FLOPs += float64(out.Tokens / p.epochs() * forward)
		out.Parts = append(out.Parts, Part{"reference", step.Seconds * share})
		out.StepSeconds += float64(step.Seconds * share)
	}
	return nil
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

// generate predicts grpo and opd: write, score or let teachers read, train.
func (s *Setting) generate(p *Phase, out *PhaseResult) error {
	train, write := s.Devices, s.Devices
	if p.Placement == "disaggregated" {
		share := p.TrainShare
		if share == 0 {
			share = 0.5
		}
		node := max(1, s.Cluster.NodeSize)
		train = max(node, int(share*float64(s.Devices))/node*node)
		if write = s.Devices - train; write < 1 {
			return fmt.Errorf("placement: disaggregated leaves no devices to generate: %d of %d train", train, s.Devices)
		}
	}
	run := rollout.Run{
		Lengths: rollout.Lengths{Prompt: p.PromptLength, Mean: p.MeanLength, Max: p.MaxLength, Spread: p.Spread},
		Prompts: p.Prompts * max(1, p.Minibatches), Group: p.Group, Seed: s.Seed,
	}
	engine, text, err := rollout.Choose(rollout.Spec{Model: s.Model, Cluster: s.Cluster, DType: p.GenerationDType}, write, run)
	if err != nil {
		return err
	}
	out.Rollout, out.Replica = text, engine.Replica
	sequences := float64(p.Prompts * p.Group)
	tokens := sequences * (p.PromptLength + p.MeanLength)
	out.Filled = p.filled(p.PromptLength + p.MeanLength)
	rows := tokens / out.Filled / float64(p.Seq)
	gb := p.GlobalBatch
	if gb == 0 {
		gb = batch(rows)
	}
	step, err := s.Train(train, p.Seq, gb)
	if err != nil {
		return err
	}
	out.Layout = step.Layout
	s.step(p, out, tokens, step.Seconds*rows/float64(gb), engine)
	out.Steps = float64(p.Steps)
	out.Tokens, out.Written = out.Steps*tokens, out.Steps*sequences*p.MeanLength
	out.Seconds = out.Steps * out.StepSeconds
	out.FLOPs *= out.Steps
	return nil
}

// step puts the parts of a step together.
func (s *Setting) step(p *Phase, out *PhaseResult, tokens, train float64, engine *rollout.Engine) {
	forward, whole := s.flops(p.Seq)
	share := forward / whole
	reads := 1.0 // log-probabilities of the policy that wrote, in training arithmetic
	name := "log-probabilities"
	if p.Reference {
		reads++
	}
	each := float64(max(1, p.Minibatches)) // steps of a rollout
	out.FLOPs = float64(tokens*whole) + float64(tokens*forward*reads) + out.Rollout.FLOPs/each
	read := train * share * reads
	if p.Method == "opd" {
		name = "teachers"
		read = float64(train*share) + s.teachers(p, tokens)
	}
	sync := engine.Sync(s.Devices) / each
	write, reward := out.Rollout.Seconds/each, p.RewardSeconds/each
	out.Parts = []Part{{"rollout", write}, {"reward", reward}, {name, read}, {"train", train}, {"weight sync", sync}}
	learn := read + train
	switch {
	case p.Placement == "disaggregated" && p.OffPolicy:
		out.StepSeconds = max(write+reward, learn) + sync
	default:
		out.StepSeconds = write + reward + learn + sync
	}
}

// teachers returns what teachers cost beside one forward pass: each is loaded
// from host memory once per step, and the divergence over the whole vocabulary
// needs its head's product for every position, from hidden states kept.
func (s *Setting) teachers(p *Phase, tokens float64) float64 {
	total, _, _ := s.Model.Count()
	d := &s.Cluster.Device
	load := 0.0
	if d.HostLink > 0 {
		load = float64(p.Teachers) * 2 * float64(total) / float64(s.Devices) / d.HostLink
	}
	peak, _ := d.PeakOf(hardware.BF16)
	share := d.Efficiency.Product
	if share == 0 {
		share = 0.7
	}
	head := 2 * float64(s.Model.VocabSize) * float64(s.Model.HiddenSize)
	return load + float64(tokens*head)/(float64(s.Devices)*peak*share)
}
