package attention

import (
	"fmt"
	"math"

	"github.com/temper-ml/temper/model/arch"
)

// Config is what decides a [Sparse] layer.
type Config struct {
	Hidden    int // model dimension
	Heads     int
	HeadDim   int // of queries and of the shared keys
	QRank     int // of the query's low-rank projection
	OutGroups int // independent groups of the first output projection
	OutRank   int // output width of one group
	Window    int // newest tokens a query sees, itself included
	Ratio     int // tokens of a compressed entry, 0 for none
	Eps       float32
	Rope      *Rotary

	IndexHeads int // of the indexer, for ratio 4
	IndexDim   int
	TopK       int // entries a query attends

	// FakeQuant rounds keys to FP8 and the indexer's queries and keys to FP4 in
	// the forward pass, as inference does; gradients pass straight through.
	FakeQuant bool
}

// overlapRatio is the ratio whose blocks overlap and are chosen by an indexer.
const overlapRatio = 4

// ConfigOf returns the configuration of a V4 layer; rope must be what
// [RotaryOf] returns for it.
func ConfigOf(c *arch.Config, layer int, rope *Rotary) Config {
	return Config{
		Hidden: c.HiddenSize, Heads: c.NumHeads, HeadDim: c.HeadDim, QRank: c.QLoraRank,
		OutGroups: c.OGroups, OutRank: c.OLoraRank, Window: c.SlidingWindow, Ratio: c.Ratio(layer),
		Eps: float32(c.RMSNormEps), Rope: rope,
		IndexHeads: c.IndexHeads, IndexDim: c.IndexHeadDim, TopK: c.IndexTopK,
	}
}

// RotaryOf returns the rotary table of a layer: in V4, layers that compress
// use YaRN and a base of their own for everything in them, the others plain
// frequencies. Layers of the same kind may share one table.
func RotaryOf(c *arch.Config, layer int) *Rotary {
	base, scaling := c.RopeTheta, c.RopeScaling
	if c.Family == arch.V4 {
		if c.Ratio(layer) == 0 {
			scaling = nil
		} else {
			base = c.CompressRopeTheta
		}
	}
	if scaling == nil {
		return NewRotary(c.RopeDim, base, nil)
	}
	return NewRotary(c.RopeDim, base, &YaRN{
		Factor: scaling.Factor, Original: scaling.OriginalMaxPositions, BetaFast: scaling.BetaFast, BetaSlow: scaling.BetaSlow,
	})
}

// groups of fake quantisation, as in the published models
const (
	keyGroup   = 64 // FP8, of the dimensions of a key that do not rotate
	indexGroup = 32 // FP4, of the indexer's
)

// Check reports what is impossible about c.
func (c *Config) Check() error {
	for _, f := range []struct {
		name string
		v    int
	}{
		{"hidden size", c.Hidden},
		{"heads", c.Heads},
		{"head dimension", c.HeadDim},
		{"query rank", c.QRank},
		{"output groups", c.OutGroups},
		{"output rank", c.OutRank},
		{"window", c.Window},
	} {
		if f.v <= 0 {
			return fmt.Errorf("attention: %s must be positive, got %d", f.name, f.v)
		}
	}
	if c.Rope == nil {
		return fmt.Errorf("attention: a rotary table is needed")
	}
	rotated := 2 * c.Rope.Pairs()
	switch {
	case c.Ratio < 0:
		return fmt.Errorf("attention: ratio must not be negative, got %d", c.Ratio)
	case c.HeadDim < rotated:
		return fmt.Errorf("attention: head dimension %d is smaller than its rotated part, %d", c.HeadDim, rotated)
	case c.Heads*c.HeadDim%c.OutGroups != 0:
		return fmt.Errorf("attention: %d heads of dimension %d do not divide into %d output groups", c.Heads, c.HeadDim, c.OutGroups)
	case c.FakeQuant && (c.HeadDim-rotated)%keyGroup != 0:
		return fmt.Errorf("attention: fake quantisation needs %d unrotated dimensions to be a multiple of %d", c.HeadDim-rotated, keyGroup)
	}
	if !c.indexed() {
		return nil
	}
	switch {
	case c.IndexHeads <= 0 || c.TopK <= 0:
		return fmt.Errorf("attention: the indexer needs heads and a top-k, got %d and %d", c.IndexHeads, c.TopK)
	case c.IndexDim <= 0 || c.IndexDim&(c.IndexDim-1) != 0:
		return fmt.Errorf("attention: the indexer's head dimension must be a power of two, got %d", c.IndexDim)
	case c.IndexDim < rotated:
		return fmt.Errorf("attention: the indexer's head dimension %d is smaller than its rotated part, %d", c.IndexDim, rotated)
	case c.FakeQuant && c.IndexDim%indexGroup != 0:
		return fmt.Errorf("attention: fake quantisation needs the indexer's head dimension %d to be a multiple of %d", c.IndexDim, indexGroup)
	}
	return nil
}

// indexed tells whether entries are chosen by an indexer.
func (c *Config) indexed() bool { return c.Ratio == overlapRatio }

// inverseRoot returns 1/sqrt(n) rounded to float32.
func inverseRoot(n int) float32 { return float32(1 / math.Sqrt(float64(n))) }
