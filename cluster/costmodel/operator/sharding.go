package operator

import (
	"fmt"

	"github.com/temper-ml/temper/model/arch"
)

// Sharding says over how many ranks a block is spread. TP ranks split each dense
// matrix and, with Sequence, the tokens between them; CP ranks split the
// sequence; the EP*ETP ranks that share the experts are folded over the same
// TP*CP*DP ranks.
type Sharding struct {
	TP, CP, EP, ETP int
	Sequence        bool // norms and residuals split over the TP ranks (Megatron's sequence parallelism)
}

// Numbers are the sizes and formats of one micro-batch.
type Numbers struct {
	MicroBatch, Seq int
	DType           DType   // of the matrix products: bf16, fp16, fp8, mxfp8, fp32
	Scaling         string  // of fp8 operands: tensorwise, rowwise, blockwise, mx
	Imbalance       float64 // rho: tokens of the busiest rank's experts / mean; 0 means 1
	IndexerLoss     bool    // V4: the indexer is trained
	Engine          *Engine
}

// maxTokens bounds a micro-batch, so that no size overflows.
const maxTokens = 1 << 27

// rho returns the imbalance, at least 1.
func (n Numbers) rho() float64 { return max(1, n.Imbalance) }

// Check reports the first reason why the model cannot be split so: the rule, the
// values and the nearest legal value.
func (s Sharding) Check(c *arch.Config, n Numbers) error {
	for _, x := range []struct {
		name  string
		value int
	}{{"tp", s.TP}, {"cp", s.CP}, {"ep", s.EP}, {"etp", s.ETP}, {"micro-batch", n.MicroBatch}, {"seq", n.Seq}} {
		if x.value < 1 {
			return fmt.Errorf("operator: %s is %d, want at least 1", x.name, x.value)
		}
		if x.value > maxTokens {
			return fmt.Errorf("operator: %s is %d, want at most %d", x.name, x.value, maxTokens)
		}
	}
	if n.MicroBatch > maxTokens/n.Seq {
		return fmt.Errorf("operator: a micro-batch of %d sequences of %d has more than %d tokens: nearest legal value %d", n.MicroBatch, n.Seq, maxTokens, max(1, maxTokens/n.Seq))
	}
	if n.Imbalance != 0 && !(n.Imbalance >= 1 && n.Imbalance <= 1e6) {
		return fmt.Errorf("operator: imbalance is %g, want the busiest rank's load over the mean, at least 1 (0 means 1)", n.Imbalance)
	}
	if n.Engine == nil {
		return fmt.Errorf("operator: no engine, want one of %v", Engines())
	}
	if !n.DType.known() {
		return fmt.Errorf("operator: dtype is %q, want fp32, bf16, fp16, fp8, mxfp8 or fp4", n.DType)
	}
	if s.Sequence && !n.Engine.Sequence {
		return fmt.Errorf("operator: sequence parallelism with %s, want it off: the engine has none", n.Engine.Name)
	}
	if s.CP > 1 && n.Engine.CP == NoPattern {
		return fmt.Errorf("operator: cp is %d, want 1: %s has no context parallelism", s.CP, n.Engine.Name)
	}
	if err := s.checkTP(c, n); err != nil {
		return err
	}
	if n.Seq%s.chunks() != 0 {
		return fmt.Errorf("operator: seq is %d, want a multiple of %d (cp %d in balanced halves, tp %d): nearest legal value %d",
			n.Seq, s.chunks(), s.CP, s.TP, multiple(n.Seq, s.chunks()))
	}
	if err := s.checkExperts(c); err != nil {
		return err
	}
	return s.checkSize(c, n)
}

// chunks returns how many equal pieces the sequence must divide into: causal
// context parallelism gives each rank one piece of the front and one of the back.
func (s Sharding) chunks() int {
	pieces := 1
	if s.CP > 1 {
		pieces = 2 * s.CP
	}
	if s.Sequence {
		pieces *= s.TP
	}
	return pieces
}

func (s Sharding) checkTP(c *arch.Config, n Numbers) error {
	if s.TP == 1 {
		return nil
	}
	if why, nearest := n.Engine.refusesTP(c, s.TP); why != "" {
		return fmt.Errorf("operator: tp is %d, want at most %d: %s", s.TP, nearest, why)
	}
	for _, x := range splits(c) {
		if x.size%s.TP != 0 {
			return fmt.Errorf("operator: tp is %d, want a divisor of %s = %d: nearest legal value %d", s.TP, x.name, x.size, divisor(x.size, s.TP))
		}
	}
	if !s.Sequence && c.Experts > 0 && n.Engine.ExpertsNeedSequence {
		return fmt.Errorf("operator: tp is %d without sequence parallelism, want it on or tp 1: %s routes tokens of different ranks", s.TP, n.Engine.Name)
	}
	return nil
}

func (s Sharding) checkExperts(c *arch.Config) error {
	if c.Experts == 0 {
		if s.EP*s.ETP > 1 {
			return fmt.Errorf("operator: ep %d and etp %d, want 1 and 1: the model has no experts", s.EP, s.ETP)
		}
		return nil
	}
	if c.Experts%s.EP != 0 {
		return fmt.Errorf("operator: ep is %d, want a divisor of n_routed_experts = %d: nearest legal value %d", s.EP, c.Experts, divisor(c.Experts, s.EP))
	}
	if c.MoEIntermediate%s.ETP != 0 {
		return fmt.Errorf("operator: etp is %d, want a divisor of moe_intermediate_size = %d: nearest legal value %d", s.ETP, c.MoEIntermediate, divisor(c.MoEIntermediate, s.ETP))
	}
	return nil
}

// split is a dimension that TP divides.
type split struct {
	name string
	size int
}

// splits lists what TP divides in this model.
func splits(c *arch.Config) []split {
	out := []split{{"num_attention_heads", c.NumHeads}}
	if c.Kind(0) == arch.GQA {
		out = append(out, split{"num_key_value_heads", c.NumKVHeads})
	}
	if c.Family == arch.V4 {
		out = append(out, split{"o_groups", c.OGroups})
	}
	if c.IntermediateSize > 0 {
		out = append(out, split{"intermediate_size", c.IntermediateSize})
	}
	if c.SharedExperts > 0 {
		out = append(out, split{"the shared expert's width", c.SharedIntermediate()})
	}
	return out
}

// divisor returns the divisor of n nearest to x, the smaller of two.
func divisor(n, x int) int {
	best := 1
	for d := 1; d <= n; d++ {
		if n%d == 0 && abs(d-x) < abs(best-x) {
			best = d
		}
	}
	return best
}

func abs(x int) int { return max(x, -x) }

// multiple returns the multiple of m nearest to n, at least m.
func multiple(n, m int) int { return max(1, (n+m/2)/m) * m }

// maxTensor bounds one tensor of one rank: far above any device, and small enough
// that sums over blocks stay exact.
const maxTensor = 1 << 40

// sized is a tensor that may be too large.
type sized struct {
	name  string
	bytes float64
}

// checkSize refuses tensors that no device could hold.
func (s Sharding) checkSize(c *arch.Config, n Numbers) error {
	tokens := float64(n.MicroBatch) * float64(n.Seq) / float64(s.CP)
	heads := float64(c.NumHeads / s.TP)
	sizes := []sized{
		{"logits", 4 * tokens * float64(c.VocabSize) / float64(s.TP)},
		{"queries", 4 * tokens * heads * float64(c.QueryDim())},
		{"residual streams", 4 * tokens * float64(max(1, c.HCMult)*c.HiddenSize)},
		{"gate and up", 8 * tokens * float64(c.IntermediateSize) / float64(s.TP)},
		{"dispatched tokens", 4 * tokens * float64(c.TopK*s.ETP) * n.rho() * float64(max(c.HiddenSize, 2*c.MoEIntermediate/s.ETP))},
	}
	if !n.Engine.FlashAttention {
		sizes = append(sizes, sized{"attention scores", 4 * tokens * heads * float64(n.Seq)})
	}
	for _, x := range sizes {
		if x.bytes > maxTensor {
			return fmt.Errorf("operator: %s of one rank take %.3g bytes with %d sequences of %d tokens, want at most %.3g: fewer tokens, or more ranks by tp or cp",
				x.name, x.bytes, n.MicroBatch, n.Seq, float64(maxTensor))
		}
	}
	return nil
}
