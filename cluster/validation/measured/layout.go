package measured

import (
	"fmt"
	"math"
	"strings"
)

// notes reads the phrases of a row's notes, separated by ";", "," or "+".
func (r *Row) notes(c *Case) error {
	split := func(x rune) bool { return x == ';' || x == ',' || x == '+' }
	for _, phrase := range strings.FieldsFunc(r.Notes, split) {
		phrase = strings.TrimSpace(phrase)
		if phrase == "" || c.note(strings.ToLower(phrase)) {
			continue
		}
		c.Remarks = append(c.Remarks, phrase)
	}
	return nil
}

// note applies one phrase and reports whether it means anything.
func (c *Case) note(p string) bool {
	words := strings.Fields(p)
	last := words[len(words)-1]
	switch {
	case p == "eager":
		family, _, _ := strings.Cut(c.Engine, "-")
		c.Engine = family + "-eager"
	case strings.HasSuffix(p, "asynctp") || strings.HasSuffix(p, "async tp"):
		c.AsyncTP = true
	case p == "interleaved 1f1b":
		c.Schedule = "interleaved"
	case strings.HasPrefix(p, "mem=max allocated"):
		c.MemoryKind = Allocated
	case strings.HasPrefix(p, "mem=max reserved"):
		c.MemoryKind = Reserved
	case p == "natural routing":
		c.Routing = "natural"
	case strings.HasPrefix(p, "ib ") && strings.Contains(p, "gbps/node"):
		c.Network = words[1]
	case words[0] == "engine" && len(words) == 2:
		c.Engine = last
	case words[0] == "schedule" && len(words) == 2:
		c.Schedule = last
	case words[0] == "optimizer" && len(words) == 2:
		c.Optimizer = last
	default:
		return false
	}
	return true
}

// pipeline fills schedule, virtual chunks and micro-batch.
func (r *Row) pipeline(c *Case) error {
	c.Chunks, c.MicroBatch = r.Chunks.Value, r.MicroBatch.Value
	switch {
	case c.Chunks == 0 && c.Schedule == "interleaved":
		c.Chunks = 2
		c.assume("vpp", "interleaved without a number of chunks: 2, the least")
	case c.Chunks == 0:
		c.Chunks = 1
		c.assume("vpp", "not said: 1")
	case r.Chunks.Doubtful:
		c.assume("vpp", "written %d?: taken as %d", c.Chunks, c.Chunks)
	}
	if c.Schedule == "" {
		c.Schedule = "1f1b"
		if c.Chunks > 1 {
			c.Schedule = "interleaved"
		}
	}
	if c.Chunks > 1 && c.PP == 1 {
		return fmt.Errorf("vpp: %d chunks without a pipeline (pp 1), want 1", c.Chunks)
	}
	switch {
	case c.MicroBatch != 0 && r.MicroBatch.Doubtful:
		c.assume("mbs", "written %d?: taken as %d", c.MicroBatch, c.MicroBatch)
	case c.MicroBatch == 0 && c.PP > 1 && strings.HasPrefix(c.Engine, "torchtitan"):
		c.MicroBatch = max(1, r.GlobalBatch/(r.DP*r.PP))
		c.assume("mbs", "not said in a pipeline of torchtitan: the rank's batch cut into as many as there are stages, the engine's default")
	case c.MicroBatch == 0 && c.PP > 1:
		c.MicroBatch = 1
		c.assume("mbs", "not said in a pipeline: 1, which keeps its bubble smallest")
	case c.MicroBatch == 0:
		c.MicroBatch = max(1, r.GlobalBatch/r.DP)
		c.assume("mbs", "not said without a pipeline: the rank's whole batch")
	}
	return nil
}

// layout checks what must divide.
func (r *Row) layout(c *Case) error { return c.check() }

// check reports what does not divide.
func (c *Case) check() error {
	for _, n := range []int{c.TP, c.PP, c.DP, c.EP, c.CP, c.ETP, c.Chunks, c.MicroBatch, c.GlobalBatch, c.Seq, c.Devices} {
		if n < 1 {
			return fmt.Errorf("a count is %d, want at least 1", n)
		}
	}
	if world := c.TP * c.PP * c.DP * c.CP; world != c.Devices {
		return fmt.Errorf("gpus: %d, but tp %d x pp %d x dp %d x cp %d = %d", c.Devices, c.TP, c.PP, c.DP, c.CP, world)
	}
	if block := c.TP * c.CP * c.DP; block%c.EP != 0 {
		return fmt.Errorf("ep: %d does not divide tp x cp x dp = %d", c.EP, block)
	}
	if per := c.DP * c.MicroBatch; c.GlobalBatch%per != 0 {
		return fmt.Errorf("gbs: %d is not a multiple of dp x mbs = %d", c.GlobalBatch, per)
	}
	if c.Seq%c.CP != 0 {
		return fmt.Errorf("seq: %d is not a multiple of cp = %d", c.Seq, c.CP)
	}
	return nil
}

// measured takes the step's time, or derives it from the rate, and refuses a
// row whose two figures disagree.
func (r *Row) measured(c *Case) error {
	c.Seconds = r.Seconds
	if r.TokensPerSecond > 0 {
		tokens := float64(c.GlobalBatch) * float64(c.Seq)
		seconds := tokens / (r.TokensPerSecond * float64(c.Devices))
		if c.Seconds == 0 {
			c.Seconds = seconds
		}
		if ratio := seconds / c.Seconds; math.Abs(ratio-1) > 0.02 {
			return fmt.Errorf("tokens_s_gpu: %g means a step of %.4g s, but step_time_s is %g", r.TokensPerSecond, seconds, c.Seconds)
		}
	}
	if c.Seconds == 0 {
		return fmt.Errorf("step_time_s: neither step_time_s nor tokens_s_gpu is given; TFLOP/s alone depend on a convention of counting")
	}
	return nil
}

// systemName groups rows that share a source, a machine and an engine, so that
// leaving one group out leaves nothing of it behind.
func systemName(c *Case) string {
	for _, s := range systemTitles {
		if strings.HasPrefix(c.Source, s.source) {
			return s.title
		}
	}
	source, _, _ := strings.Cut(c.Source, "@")
	return source + " on " + c.Device
}

// systemTitles are short names of the systems that temper is held against.
var systemTitles = []struct{ source, title string }{
	{"VIA-Research/vTrain", "vTrain, A100"},
	{"pytorch/torchtitan benchmarks/llama3_h100_202412", "torchtitan 2024-12, H100"},
	{"pytorch/torchtitan benchmarks/asyncTP_llama3_h100_2025-06", "torchtitan 2025-06, H100"},
	{"pytorch/torchtitan benchmarks/llama3-8b_h200", "torchtitan, H200"},
	{"MooreThreads/SimuMax", "SimuMax, B200"},
	{"Nvidia, Megatron training", "Megatron, H100"},
	{"Nvidia, weak scaling", "Megatron 2021, A100"},
	{"DeepSeek, analysis", "DeepSeek, H800"},
	{"Huawei, MindSpeed", "MindSpeed, Ascend 910C"},
	{"temper, docs/bench", "temper, two CPU cores"},
}
