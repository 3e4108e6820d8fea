package costmodel

import (
	"fmt"
	"slices"
	"strings"

	"github.com/temper-ml/temper/cluster/hardware"
	"github.com/temper-ml/temper/model/arch"
)

// Workload is what one training step has to do, whatever the layout.
type Workload struct {
	Seq         int    // tokens of one sequence
	GlobalBatch int    // sequences of one step
	DType       string // of the matrix products: bf16, fp16, fp32, fp8, mxfp8
	Scaling     string // of fp8 operands: tensorwise, rowwise, blockwise; "" is what the model is usually trained with
	Routing     string // of tokens to experts: balanced (forced) or natural; "" is balanced
	Optimizer   string // adamw or muon; "" is adamw
	IndexerLoss bool   // V4: the indexer is trained too
	Imbalance   float64
	// Imbalance is the load of the busiest rank's experts over the mean. 0 means
	// 1 for balanced routing, and the calibrated value for natural routing.
}

// Tokens returns the tokens of one step.
func (w Workload) Tokens() float64 { return float64(w.Seq) * float64(w.GlobalBatch) }

// MaxTokens is the largest number of tokens a step may have.
const MaxTokens = 1 << 36

// filled returns the workload with its defaults.
func (w Workload) filled() Workload {
	fill := func(s *string, text string) {
		if *s == "" {
			*s = text
		}
	}
	fill(&w.DType, "bf16")
	fill(&w.Routing, "balanced")
	fill(&w.Optimizer, "adamw")
	if w.DType == "mxfp8" {
		fill(&w.Scaling, "mx")
	}
	return w
}

// scaled returns the workload with the scaling that fp8 training of the model
// usually has: blocks for the DeepSeek families, whose weights come so, and one
// scale for a tensor elsewhere.
func (w Workload) scaled(m *arch.Config) Workload {
	if w.DType != "fp8" || w.Scaling != "" {
		return w
	}
	w.Scaling = "tensorwise"
	if m.Family == arch.V3 || m.Family == arch.V4 {
		w.Scaling = "blockwise"
	}
	return w
}

// Check reports the first field that no layout could make legal on the cluster.
func (w Workload) Check(c *hardware.Cluster) error {
	f := w.filled()
	if f.Seq < 1 || f.Seq > 1<<24 {
		return fmt.Errorf("costmodel: seq is %d, must lie in 1..%d: nearest legal value %d", f.Seq, 1<<24, min(max(f.Seq, 1), 1<<24))
	}
	if most := MaxTokens / f.Seq; f.GlobalBatch < 1 || f.GlobalBatch > most {
		return fmt.Errorf("costmodel: global batch is %d, must lie in 1..%d for seq %d: nearest legal value %d", f.GlobalBatch, most, f.Seq, min(max(f.GlobalBatch, 1), most))
	}
	for _, x := range []struct {
		name, value string
		legal       []string
	}{
		{"dtype", f.DType, []string{"bf16", "fp16", "fp32", "fp8", "mxfp8"}},
		{"routing", f.Routing, []string{"balanced", "natural"}},
		{"optimizer", f.Optimizer, []string{"adamw", "muon"}},
		{"scaling", f.Scaling, []string{"", "tensorwise", "rowwise", "blockwise", "mx"}},
	} {
		if !slices.Contains(x.legal, x.value) {
			return fmt.Errorf("costmodel: %s is %q, want one of %v", x.name, x.value, x.legal)
		}
	}
	if f.Imbalance != 0 && !(f.Imbalance >= 1 && f.Imbalance <= 1e3) {
		return fmt.Errorf("costmodel: imbalance is %v, must lie in 1..1000 (the busiest rank's load over the mean)", f.Imbalance)
	}
	return f.checkFormat(c)
}

// checkFormat reports a number format that the device does not multiply in.
func (w Workload) checkFormat(c *hardware.Cluster) error {
	format := w.product()
	if _, ok := c.Device.PeakOf(format); ok {
		return nil
	}
	var has []string
	for _, d := range hardware.DTypes {
		if _, ok := c.Device.PeakOf(d); ok && d != hardware.INT8 && d != hardware.TF32 && d != hardware.FP4 {
			has = append(has, string(d))
		}
	}
	near := "bf16"
	if len(has) > 0 && !slices.Contains(has, near) {
		near = has[len(has)-1]
	}
	return &Rejection{Rule: "dtype", Text: fmt.Sprintf("dtype is %s, which %s does not multiply in natively: it has %s, nearest legal value %s", w.DType, c.Device.Name, strings.Join(has, ", "), near)}
}

// product is the catalogue's name of the format of the matrix products.
func (w Workload) product() hardware.DType {
	if w.DType == "mxfp8" {
		return hardware.FP8
	}
	return hardware.DType(w.DType)
}
