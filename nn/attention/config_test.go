package attention_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/model/deepseek/deepseektest"
	"github.com/temper-ml/temper/nn/attention"
)

func TestConfigErrors(t *testing.T) {
	good := config(4)
	for want, spoil := range map[string]func(c *attention.Config){
		"heads must be positive, got 0":                    func(c *attention.Config) { c.Heads = 0 },
		"window must be positive, got -1":                  func(c *attention.Config) { c.Window = -1 },
		"rotary table":                                     func(c *attention.Config) { c.Rope = nil },
		"ratio must not be negative, got -4":               func(c *attention.Config) { c.Ratio = -4 },
		"head dimension 6 is smaller than its rotated":     func(c *attention.Config) { c.HeadDim = 6 },
		"4 heads of dimension 12 do not divide into 5":     func(c *attention.Config) { c.OutGroups = 5 },
		"needs heads and a top-k, got 3 and 0":             func(c *attention.Config) { c.TopK = 0 },
		"must be a power of two, got 12":                   func(c *attention.Config) { c.IndexDim = 12 },
		"indexer's head dimension 4 is smaller":            func(c *attention.Config) { c.IndexDim = 4 },
		"4 unrotated dimensions to be a multiple of 64":    func(c *attention.Config) { c.FakeQuant = true },
		"indexer's head dimension 16 to be a multiple of ": func(c *attention.Config) { c.FakeQuant, c.HeadDim = true, 72 },
	} {
		c := attention.ConfigOf(good, 0, attention.RotaryOf(good, 0))
		spoil(&c)
		if _, err := attention.New(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want one with %q", err, want)
		}
	}
	v3 := deepseektest.SmallV3()
	for want, spoil := range map[string]func(c *attention.MLAConfig){
		"key rank must be positive, got 0": func(c *attention.MLAConfig) { c.KVRank = 0 },
		"scale must be positive, got 0":    func(c *attention.MLAConfig) { c.Scale = 0 },
		"rotary table":                     func(c *attention.MLAConfig) { c.Rope = nil },
	} {
		c, err := attention.MLAConfigOf(v3, attention.RotaryOf(v3, 0))
		if err != nil {
			t.Fatal(err)
		}
		spoil(&c)
		if _, err := attention.NewMLA(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want one with %q", err, want)
		}
	}
}

// TestFakeQuant: quantised keys change the results by about their rounding,
// and gradients pass straight through, so they change as little.
func TestFakeQuant(t *testing.T) {
	for _, ratio := range []int{0, 4, 8} {
		c := config(ratio)
		c.HeadDim, c.IndexHeadDim = 72, 32
		params := deepseektest.RandomParams(c, 3)
		segs, T := segments(50, 13)
		x, dout := randoms(1, "x", T*c.HiddenSize), randoms(2, "dout", T*c.HiddenSize)
		exactW, roundedW := weights{}, weights{}
		exact := run(sparse(t, c, params, exactW), x, dout, segs, 0.2)
		l := quantised(t, c, params, roundedW)
		rounded := run(l, x, dout, segs, 0.2)
		if slices.Equal(exact.out, rounded.out) {
			t.Errorf("ratio %d: fake quantisation changes nothing", ratio)
		}
		check := func(what string, got, want []float32, bound float64) {
			t.Helper()
			if _, relative := deepseektest.Compare(got, wide(want)); relative > bound || relative == 0 {
				t.Errorf("ratio %d: %s differs by %.3g of its norm, want at most %.3g and not 0", ratio, what, relative, bound)
			}
		}
		// E4M3 keeps 3 bits behind the leading one: an error of at most 2^-4, 0.03
		// on average, less where many keys are averaged. Choices may differ too.
		bound := 0.06
		if ratio == 4 {
			bound = 0.4 // where an entry is exchanged for another
		}
		check("out", rounded.out, exact.out, bound)
		check("dx", rounded.dx, exact.dx, 2*bound)
		check("gradient of wkv", roundedW[prefix+".wkv.weight"].Grad, exactW[prefix+".wkv.weight"].Grad, 2*bound)
	}
}

func quantised(t *testing.T, c *arch.Config, params map[string][]float64, w weights) layer {
	t.Helper()
	full := sparse(t, c, params, w)
	ac := attention.ConfigOf(c, 0, attention.RotaryOf(c, 0))
	ac.FakeQuant = true
	l, err := attention.New(ac)
	if err != nil {
		t.Fatal(err)
	}
	l.WQA, l.QNorm, l.WQB, l.WKV, l.KVNorm, l.Sink = full.WQA, full.QNorm, full.WQB, full.WKV, full.KVNorm, full.Sink
	l.WOA, l.WOB, l.Compressor, l.Indexer = full.WOA, full.WOB, full.Compressor, full.Indexer
	return l
}
