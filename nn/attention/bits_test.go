package attention_test

import (
	"hash/fnv"
	"math"
	"slices"
	"testing"

	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/model/deepseek/deepseektest"
)

// digests of everything a layer computes, the same on every machine. A change
// of the arithmetic's definition changes them; nothing else may.
var digests = map[string]uint64{
	"SWA": 0x239e36dd9f0136,
	"CSA": 0x738bb3848fbc0b52,
	"HCA": 0x6c11334d62893ab1,
	"MLA": 0xc3ffe041db54085,
}

// TestDigests holds results against constants, so that a run on another kind
// of processor (cross-compiled, under an emulator) proves that it agrees.
func TestDigests(t *testing.T) {
	for name, ratio := range map[string]int{"SWA": 0, "CSA": 4, "HCA": 8, "MLA": -1} {
		w := weights{}
		var c *arch.Config
		var l layer
		if ratio < 0 {
			c = deepseektest.SmallV3()
			l = latent(t, c, deepseektest.RandomParams(c, 21), w)
		} else {
			c = config(ratio)
			l = sparse(t, c, deepseektest.RandomParams(c, 21), w)
		}
		segs, T := segments(40, 7)
		x, dout := randoms(1, "x", T*c.HiddenSize), randoms(2, "dout", T*c.HiddenSize)
		r := run(l, x, dout, segs, 0.5)
		h := fnv.New64a()
		add := func(x []float32) {
			for _, v := range x {
				b := math.Float32bits(v)
				h.Write([]byte{byte(b), byte(b >> 8), byte(b >> 16), byte(b >> 24)})
			}
		}
		add(r.out)
		add(r.dx)
		var names []string
		for n := range w {
			names = append(names, n)
		}
		slices.Sort(names)
		for _, n := range names {
			add(w[n].Grad)
		}
		add([]float32{float32(r.kl)})
		if got := h.Sum64(); got != digests[name] {
			t.Errorf("%s: digest %#x, want %#x", name, got, digests[name])
		}
	}
}
