package campaign

import (
	"fmt"
	"math"

	"github.com/temper-ml/temper/cluster/campaign/rollout"
)

// generate predicts grpo and opd: write, score or let teachers read, train.
func (s *Setting) generate(p *Phase, out *PhaseResult) error {
	train, err := s.placed(p)
	if err != nil {
		return err
	}
	w, engine, err := s.write(p, s.writers(p, train))
	if err != nil {
		return err
	}
	out.Generator = w
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
	out.Training = train
	out.trained(&step)
	scale := rows / float64(gb)
	step.Forward = s.reading(&step, p.Seq) * scale
	step.Seconds *= scale
	s.step(p, out, tokens, &step, engine)
	out.Steps = float64(p.Steps)
	out.Tokens, out.Generated = out.Steps*tokens, out.Steps*sequences*p.MeanLength
	out.FLOPs *= out.Steps
	return nil
}

// trainShares of the devices are tried for training, in eighths.
var trainShares = []float64{6, 5, 4, 3, 2}

// placed is how many devices train: all of them, or, disaggregated, the share
// that is given, or else the best of a few, by the time that training takes on
// all devices.
func (s *Setting) placed(p *Phase) (int, error) {
	if p.Placement != "disaggregated" {
		return s.Devices, nil
	}
	if p.TrainShare > 0 {
		n := s.part(p.TrainShare)
		if n >= s.Devices {
			return 0, fmt.Errorf("placement: disaggregated leaves no devices to generate: %d of %d train", n, s.Devices)
		}
		return n, nil
	}
	rows := float64(p.Prompts*p.Group) * (p.PromptLength + p.MeanLength) / p.filled(p.PromptLength+p.MeanLength) / float64(p.Seq)
	whole, err := s.Train(s.Devices, p.Seq, batch(rows))
	if err != nil {
		return 0, err
	}
	best, least := 0, math.Inf(1)
	var refused error
	for _, eighths := range trainShares {
		n := s.part(eighths / 8)
		if n >= s.Devices {
			continue
		}
		w, _, err := s.write(p, s.Devices-n)
		if err != nil {
			refused = err
			continue
		}
		learn := float64(whole.Seconds+s.reading(&whole, p.Seq)) * float64(s.Devices) / float64(n)
		seconds := float64(w.Seconds/float64(max(1, p.Minibatches))) + learn
		if p.OffPolicy {
			seconds = max(seconds-learn, learn)
		}
		if seconds < least {
			best, least = n, seconds
		}
	}
	if best == 0 {
		return 0, fmt.Errorf("placement: disaggregated: no share of %d devices can generate: %w", s.Devices, refused)
	}
	return best, nil
}

// part is a share of the devices in whole nodes.
func (s *Setting) part(share float64) int {
	node := max(1, s.Cluster.NodeSize)
	return max(node, int(share*float64(s.Devices))/node*node)
}

// writers is how many devices generate when so many train.
func (s *Setting) writers(p *Phase, train int) int {
	if p.Placement == "disaggregated" {
		return s.Devices - train
	}
	return s.Devices
}

// write plays a rollout on so many devices. Where training shares them, its state
// goes to host memory meanwhile if there is room, and stays in the way if not.
func (s *Setting) write(p *Phase, devices int) (*Writer, *rollout.Engine, error) {
	dtype := fallbackText(p.GenerationDType, fallbackText(s.DType, "bf16"))
	spec := rollout.Spec{Model: s.Model, Cluster: s.Cluster, DType: dtype, Replica: p.Replica}
	out := &Writer{Devices: devices, DType: dtype}
	d := &s.Cluster.Device
	if p.Placement != "disaggregated" {
		out.Offloaded = d.HostLink > 0 && s.heldBytes() < 0.8*float64(d.HostMemory)
		if !out.Offloaded {
			spec.MemoryShare = 0.85 - s.heldBytes()/float64(d.Memory)
			if spec.MemoryShare <= 0 {
				return nil, nil, fmt.Errorf("placement: colocated: training holds %.4g GB of each device's %.4g GB, and the host has no room: use placement: disaggregated",
					s.heldBytes()/1e9, float64(d.Memory)/1e9)
			}
		}
	}
	run := rollout.Run{
		Lengths: rollout.Lengths{Prompt: p.PromptLength, Mean: p.MeanLength, Max: p.MaxLength, Spread: p.Spread},
		Prompts: p.Prompts * max(1, p.Minibatches), Group: p.Group, Seed: s.Seed,
	}
	engine, r, err := rollout.Choose(spec, devices, run)
	if err != nil {
		return nil, nil, err
	}
	total, _, _ := s.Model.Count()
	out.part = float64(total) * rollout.BytesOf(out.DType) / float64(engine.Replica)
	out.Replica, out.Slots, out.Rate, out.BoundBy = engine.Replica, r.Slots, r.PerDevice, r.BoundBy
	out.Seconds, out.Tail, out.TokenTime, out.result = r.Seconds, r.Tail, r.FullStep.Seconds(), r
	if p.Partial {
		out.Rate *= r.Seconds / r.Steady
		out.Seconds, out.Tail = r.Steady, 0
	}
	return out, engine, nil
}

func fallbackText(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// refitRate is how many bytes of new weights a device that generates takes in per
// second: gathered, renamed, converted and loaded tensor by tensor, far below what
// links carry. With it the published steps that the tests list are met best.
const refitRate = 1e9

// step puts the parts of a step together.
func (s *Setting) step(p *Phase, out *PhaseResult, tokens float64, train *TrainStep, engine *rollout.Engine) {
	forward, whole := s.flops(p.Seq)
	each := float64(max(1, p.Minibatches)) // steps of a rollout
	reads := 1.0                           // log-probabilities of the policy that wrote, in training arithmetic
	if p.Reference {
		reads++
	}
	w := out.Generator
	out.FLOPs = float64(tokens*whole) + float64(tokens*forward*reads) + w.result.FLOPs/each
	write := Parts{{"rollout", w.Seconds / each}, {"reward", p.RewardSeconds / each}}
	learn := Parts{{"log-probabilities", train.Forward * reads}}
	if p.Method == "opd" {
		load, divergence := s.teachers(p, tokens)
		learn = Parts{{"teachers", train.Forward}, {"teacher loading", load}, {"divergence", divergence}}
	}
	learn = append(learn, Part{"train", train.Seconds})
	between := Parts{{"weight sync", max(engine.Sync(s.Devices), w.part/refitRate) / each}}
	if w.Offloaded {
		between = append(between, Part{"offload and back", 2 * s.heldBytes() / s.Cluster.Device.HostLink / each})
	}
	long, short := write, learn
	switch {
	case p.Placement == "disaggregated" && p.OffPolicy:
		if learn.Sum() > write.Sum() {
			long, short = learn, write
		}
		out.Parts, out.Hidden = append(long, between...), short
	default:
		out.Parts = append(append(write, learn...), between...)
	}
	out.Parts, out.Hidden = out.Parts.some(), out.Hidden.some()
	out.StepSeconds = out.Parts.Sum()
	if p.Placement == "disaggregated" {
		trains := float64(out.Training) / float64(s.Devices)
		used := float64(trains*learn.Sum()) + float64((1-trains)*w.Seconds/each)
		out.Idle = 1 - used/out.StepSeconds
	}
}

// teachers returns what teachers cost beside one forward pass, for each step.
// Each is loaded once, from host memory if all of them fit, else from storage.
// The divergence over the whole vocabulary multiplies the hidden states that a
// teacher left by its head, and reads and writes both models' logits.
func (s *Setting) teachers(p *Phase, tokens float64) (load, divergence float64) {
	total, _, _ := s.Model.Count()
	d := &s.Cluster.Device
	weights := float64(p.Teachers) * 2 * float64(total)
	switch each := weights / float64(s.Devices); {
	case d.HostLink > 0 && each+s.heldBytes() < 0.8*float64(d.HostMemory):
		load = each / d.HostLink
	default:
		if r := through(s.Cluster, s.Cluster.Storage.Read, s.Devices); r > 0 {
			load = weights / r
		}
	}
	logits := float64(s.Model.VocabSize)
	head := 2 * logits * float64(s.Model.HiddenSize)
	const traffic = 4 * 4 // bytes per logit: write, read, read the student's, write its gradient, in fp32
	memory := float64(s.Devices) * d.Bandwidth * fallback(d.Efficiency.Memory, 0.7)
	divergence = float64(tokens*head)/s.product() + float64(tokens*logits*traffic)/memory
	return load, divergence
}
