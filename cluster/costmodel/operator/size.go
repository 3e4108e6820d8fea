package operator

import (
	"fmt"

	"github.com/temper-ml/temper/model/arch"
)

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
