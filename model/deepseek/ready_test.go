package deepseek

import (
	"fmt"
	"slices"
	"testing"
)

// TestReady: the hook hears of every layer once, last to first, and by then the
// layer's gradients have their final bits.
func TestReady(t *testing.T) {
	for name, m := range bitModels(t) {
		t.Run(name, func(t *testing.T) {
			m.ZeroGrad()
			var order []int
			seen := map[string][]float32{}
			o := smallOptions
			o.Ready = func(layer int) {
				order = append(order, layer)
				for _, p := range m.Params() {
					if p.Layer == layer {
						seen[p.Name] = slices.Clone(p.Grad)
					}
				}
			}
			mustStep(t, m, randomBatch(m.Config(), 12, 20, 9), o)
			var want []int
			for l := m.Config().Blocks() - 1; l >= m.Config().NumLayers; l-- {
				want = append(want, l)
			}
			for l := m.Config().NumLayers - 1; l >= -1; l-- {
				want = append(want, l)
			}
			if !slices.Equal(order, want) {
				t.Errorf("layers came ready in order %v, want %v", order, want)
			}
			for _, p := range m.Params() {
				if !slices.Equal(seen[p.Name], p.Grad) {
					t.Errorf("%s changed after it was ready", p.Name)
				}
			}
		})
	}
}

// TestPartsCanBeOff: without their scale the MTP blocks and the indexer get no
// gradient, and the trunk's does not change with it.
func TestPartsCanBeOff(t *testing.T) {
	for name, m := range bitModels(t) {
		t.Run(name, func(t *testing.T) {
			b := randomBatch(m.Config(), 13, 26, 11)
			o := StepOptions{LMScale: 1}
			off := take(t, m, o, b)
			if off.losses.MTP != 0 || off.losses.MTPTokens != 0 || off.losses.Indexer != 0 {
				t.Errorf("losses of parts that are off: %+v", off.losses)
			}
			o.IndexerScale = 1
			on := take(t, m, o, b)
			for _, p := range m.Params() {
				switch isIndexer, zero := indexerRoles[string(p.Role)], isZero(off.grads[p.Name]); {
				case p.Layer >= m.Config().NumLayers || isIndexer:
					if !zero {
						t.Errorf("%s has a gradient though it is off", p.Name)
					}
				case !slices.Equal(off.grads[p.Name], on.grads[p.Name]):
					t.Errorf("%s: the indexer's loss changed its gradient", p.Name)
				}
			}
		})
	}
}

var indexerRoles = map[string]bool{
	"attn.indexer.wq_b": true, "attn.indexer.weights_proj": true, "attn.indexer.compressor.ape": true,
	"attn.indexer.compressor.wkv": true, "attn.indexer.compressor.wgate": true, "attn.indexer.compressor.norm": true,
}

func isZero(bits []uint32) bool {
	for _, b := range bits {
		if b<<1 != 0 {
			return false
		}
	}
	return true
}

// TestNothingSupervised: a batch without labels has loss 0 and leaves head and
// embedding alone.
func TestNothingSupervised(t *testing.T) {
	for name, m := range bitModels(t) {
		t.Run(name, func(t *testing.T) {
			b := randomBatch(m.Config(), 14, 12)
			for i := range b.Labels {
				b.Labels[i] = -1
			}
			s := take(t, m, StepOptions{LMScale: 1, MTPScale: 1}, b)
			if s.losses.LM != 0 || s.losses.Tokens != 0 {
				t.Errorf("losses %+v", s.losses)
			}
			for _, p := range m.Params() {
				if !isZero(s.grads[p.Name]) {
					t.Errorf("%s has a gradient", p.Name)
				}
			}
		})
	}
}

// TestNonFiniteBackward: a gradient that overflows is reported with its place.
func TestNonFiniteBackward(t *testing.T) {
	for name, m := range bitModels(t) {
		t.Run(name, func(t *testing.T) {
			b := randomBatch(m.Config(), 15, 12)
			_, err := m.TrainStep(b, StepOptions{LMScale: 3e38})
			if err == nil {
				err = m.CheckGradients()
			}
			if _, ok := err.(*NonFiniteError); !ok {
				t.Fatalf("error %v, want a NonFiniteError", err)
			}
			if text := fmt.Sprint(err); len(text) == 0 {
				t.Error("no message")
			}
		})
	}
}
