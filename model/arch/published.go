package arch

import (
	"iter"
	"strings"

	"github.com/temper-ml/temper/compute/dtype"
)

// Stored is one tensor as the published files hold it.
type Stored struct {
	Name   string
	DType  dtype.DType
	Shape  []int  // packed: two FP4 values per I8
	Of     string // parameter that it is, scales or repeats
	Scale  bool   // it holds scales of Of
	Repeat bool   // it repeats Of (V3 stores embedding and head again in MTP); readers may do without it
}

// Published iterates over everything the published checkpoint holds: each
// parameter followed by its scale if it is quantised, and the repeated tensors
// that V3 stores with its MTP block. Without withMTP the MTP blocks are left out. Of
// GPT-OSS, whose files stack the experts of a layer and pack them, it lists each
// expert's part, unpacked.
func (c *Config) Published(withMTP bool) iter.Seq[Stored] {
	return func(yield func(Stored) bool) {
		for _, t := range c.Tensors() {
			if t.Layer >= c.NumLayers && !withMTP {
				continue
			}
			for _, s := range c.stored(&t) {
				if !yield(s) {
					return
				}
			}
		}
	}
}

// PublishedNames iterates over the names that [Config.Published] gives.
func (c *Config) PublishedNames(withMTP bool) iter.Seq[string] {
	return func(yield func(string) bool) {
		for s := range c.Published(withMTP) {
			if !yield(s.Name) {
				return
			}
		}
	}
}

// stored returns the tensor as it lies in the file, and what lies beside it.
func (c *Config) stored(t *Tensor) []Stored {
	out := []Stored{{Name: t.Name, DType: t.DType, Shape: t.Shape, Of: t.Name}}
	switch t.DType {
	case dtype.I8:
		rows, cols := t.Shape[0], t.Shape[1]
		out[0].Shape = []int{rows, cols / 2}
		out = append(out, Stored{c.ScaleName(t.Name), dtype.F8E8M0, []int{rows, cols / 32}, t.Name, true, false})
	case dtype.F8E4M3:
		block := c.Quantization.BlockSize
		shape := []int{ceilDiv(t.Shape[0], block[0]), ceilDiv(t.Shape[1], block[1])}
		dt := dtype.F32
		if c.Quantization.ScaleFormat == "ue8m0" {
			dt = dtype.F8E8M0
		}
		out = append(out, Stored{c.ScaleName(t.Name), dt, shape, t.Name, true, false})
	}
	if c.Family == V3 && t.Role == ENorm { // once per MTP block
		prefix := strings.TrimSuffix(t.Name, "enorm.weight")
		whole := []int{c.VocabSize, c.HiddenSize}
		b := builder{c: c}
		out = append(out,
			Stored{prefix + "embed_tokens.weight", b.plain(), whole, "model.embed_tokens.weight", false, true},
			Stored{prefix + "shared_head.head.weight", b.plain(), whole, "lm_head.weight", false, true})
	}
	return out
}

// ScaleName returns the name of the tensor that holds the scales of a quantised one.
func (c *Config) ScaleName(name string) string {
	if c.Family == V3 {
		return name + "_scale_inv"
	}
	return strings.TrimSuffix(name, ".weight") + ".scale"
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }
