package campaign

import (
	"math"
	"testing"
)

// publishedStep is a step of reinforcement learning that somebody measured.
type publishedStep struct {
	name, model, cluster string
	devices              int
	layout               string // of training
	phase                Phase
	seconds              float64
}

// The performance summary of NeMo-RL v0.6 (GRPO on H100, batch of responses,
// mean and longest response and the tensor parallelism of generation given) and MindSpeed-RL's page on GRPO (DeepSeek-R1 on
// 384 dies of Atlas A3: 210 tokens/s for each card, prompts of 1K and responses of
// 2K at most, 384 prompts with 32 responses, experts over 64 dies). Prompts of 200 tokens, responses
// that spread by 0.6 and groups of 16 are assumed.
var publishedSteps = []publishedStep{
	{"DSV3, 256 H100", "deepseek-v3", "h100", 256, "pp=16,ep=16,recompute=full", Phase{Replica: 32, Prompts: 32, MeanLength: 701, MaxLength: 1536}, 134},
	{"DSV3, 512 H100", "deepseek-v3", "h100", 512, "pp=16,ep=16,recompute=full", Phase{Replica: 32, Prompts: 32, MeanLength: 697, MaxLength: 1536}, 111},
	{"DSV3, 512 H100, one step off", "deepseek-v3", "h100", 512, "pp=16,ep=16,recompute=full", Phase{Replica: 32, Prompts: 32, MeanLength: 710, MaxLength: 1536, Placement: "disaggregated", OffPolicy: true, TrainShare: 0.5}, 64.1},
	{"Qwen3-235B, 128 H100", "qwen3-235b-a22b", "h100", 128, "tp=2,cp=2,pp=8,ep=16,recompute=full", Phase{Replica: 16, Prompts: 32, MeanLength: 5700, MaxLength: 8192}, 395},
	{"Qwen3-235B, 256 H100", "qwen3-235b-a22b", "h100", 256, "tp=2,cp=2,pp=8,ep=16,recompute=full", Phase{Replica: 16, Prompts: 32, MeanLength: 5700, MaxLength: 8192}, 312},
	{"Qwen3-235B, 256 H100, one step off", "qwen3-235b-a22b", "h100", 256, "tp=2,cp=2,pp=8,ep=16,recompute=full", Phase{Replica: 8, Prompts: 32, MeanLength: 5700, MaxLength: 8192, Placement: "disaggregated", OffPolicy: true, TrainShare: 0.5}, 231},
	{"Qwen3-30B, 32 H100", "qwen3-30b-a3b", "h100", 32, "ep=8,recompute=full", Phase{Replica: 2, Prompts: 128, MeanLength: 3200, MaxLength: 8192}, 192},
	{"Qwen3-30B, 32 H100, one step off", "qwen3-30b-a3b", "h100", 32, "ep=8,recompute=full", Phase{Replica: 2, Prompts: 128, MeanLength: 3200, MaxLength: 8192, Placement: "disaggregated", OffPolicy: true, TrainShare: 0.5}, 152},
	{"R1, 384 dies of A3", "deepseek-v3", "ascend-910c", 384, "tp=2,pp=8,ep=8,etp=1,recompute=full,offload=optimizer", Phase{Replica: 64, GlobalBatch: 9600, Prompts: 384, Group: 32, PromptLength: 500, MeanLength: 1500, MaxLength: 2048}, 2000.0 * 384 * 32 / 192 / 210},
}

// Steps of reinforcement learning are predicted to a factor of about two, which is
// what the interval of a run says.
func TestPublishedSteps(t *testing.T) {
	var logs []float64
	for _, row := range publishedSteps {
		s := setting(t, row.model, row.cluster, row.devices, row.layout)
		p := row.phase
		p.Name, p.Method, p.Steps, p.Spread, p.Reference = "rl", "grpo", 1, 0.6, true
		if p.Group == 0 {
			p.Group, p.PromptLength = 16, 200
		}
		p.Seq = int(p.MaxLength) + 512
		r, err := Play(&Workload{Name: "w", Phases: []Phase{p}}, s)
		if err != nil {
			t.Errorf("%s: %v", row.name, err)
			continue
		}
		got := r.Phases[0].StepSeconds
		ratio := got / row.seconds
		logs = append(logs, math.Log(ratio))
		t.Logf("%-36s %6.1f s, published %6.1f: x %.2f; %s; %d x %d, %s; train %s", row.name, got, row.seconds, ratio, shares(r.Phases[0].Parts, got), r.Phases[0].Generator.Devices/r.Phases[0].Generator.Replica, r.Phases[0].Generator.Replica, r.Phases[0].Generator.BoundBy, r.Phases[0].Layout)
		if ratio < 0.4 || ratio > 2.5 {
			t.Errorf("%s: %.1f s, published %.1f", row.name, got, row.seconds)
		}
	}
	mean, square := 0.0, 0.0
	for _, x := range logs {
		mean += x / float64(len(logs))
	}
	for _, x := range logs {
		square += (x - mean) * (x - mean) / float64(len(logs))
	}
	if spread := math.Sqrt(square); spread > generationSpread+0.1 || math.Abs(mean) > 0.3 {
		t.Errorf("spread %.2f around %.2f, the interval assumes %v around 0", spread, mean, generationSpread)
	}
	t.Logf("predicted over published: x %.2f in the geometric mean, spread %.2f", math.Exp(mean), math.Sqrt(square))
}
