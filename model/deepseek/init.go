package deepseek

import (
	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/internal/detrand"
	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/nn"
)

// Initial mixing of the residual streams: see [Model.Init].
const (
	hcGate     = 0.01                // of the dynamic part
	hcReadOwn  = 0                   // sigmoid = 1/2
	hcReadRest = -1.6094379124341003 // -ln 5: sigmoid = 1/6
	hcStay     = 4                   // against 0: a stream keeps 95 % of itself
	hcCollapse = -1.0986122886681098 // -ln 3: sigmoid = 1/4
)

// Init sets every parameter to its starting value, a function of the seed, the
// parameter's name and the architecture alone.
//
// Matrices and the embedding are normal with standard deviation
// initializer_range; norms are 1; sinks, position biases and routing biases 0;
// tid2eid holds distinct experts drawn at random for each token. The streams of
// V4 start so that the network is a plain pre-norm residual network: a sublayer
// reads a weighted mean of the streams (1/2 of stream i mod 4 for sublayer i of
// the network, so that streams differ, 1/6 of each other), writes to all of
// them with weight 1, and mixing keeps 95 % of each stream. The part of the
// mixing that depends on the input starts small (scale 0.01).
func (m *Model) Init(seed uint64) {
	for _, p := range m.params {
		InitRows(m.cfg, &p.Tensor, seed, 0, p.Rows(), p.Data)
	}
}

// InitRows sets dst to the starting values of rows [row, row+rows) of one
// parameter: those that [Model.Init] gives it, without a model in memory.
func InitRows(cfg *arch.Config, t *arch.Tensor, seed uint64, row, rows int, dst []float32) {
	stream := detrand.Key(seed, "init/"+t.Name)
	switch t.Role {
	case arch.AttnBase, arch.FFNBase:
		copy(dst, initMixing(t)[row:row+rows])
	case arch.AttnScale, arch.FFNScale, arch.HeadScale:
		fill(dst, hcGate)
	case arch.HeadBase:
		fill(dst, hcCollapse)
	case arch.Sink, arch.GateBias, arch.CompAPE, arch.IndexCompAPE:
		fill(dst, 0)
	case arch.GateHash:
		initTable(dst, row, t.Cols(), cfg.Experts, stream)
	default:
		if len(t.Shape) == 1 { // norms
			fill(dst, 1)
		} else {
			initNormal(dst, row*t.Cols(), cfg.InitializerRange, stream)
		}
	}
}

func fill(s []float32, v float32) {
	for i := range s {
		s[i] = v
	}
}

// initMixing returns the static part of a hyper-connection: S read weights, S
// write weights, S×S mixing logits.
func initMixing(t *arch.Tensor) []float32 {
	const s = nn.Streams
	sublayer := 2 * t.Layer
	if t.Role == arch.FFNBase {
		sublayer++
	}
	base := make([]float32, t.Len())
	for j := range s {
		base[j] = hcReadRest
		base[2*s+j*s+j] = hcStay
	}
	base[sublayer%s] = hcReadOwn
	return base
}

// initNormal sets data to elements first, first+1, ... of a parameter.
func initNormal(data []float32, first int, std float64, stream detrand.Stream) {
	kernel.Parallel(len(data), 4096, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			data[i] = float32(stream.NormalAt(uint64(first+i)) * std)
		}
	})
}

// initTable draws k distinct experts for every token from first on: the start of
// a Fisher-Yates shuffle of the experts.
func initTable(table []float32, first, k, experts int, stream detrand.Stream) {
	kernel.Parallel(len(table)/k, 256, func(lo, hi int) {
		deck := make([]int, experts)
		for t := lo; t < hi; t++ {
			for i := range deck {
				deck[i] = i
			}
			for i := range k {
				j := i + int(stream.Uint64nAt(uint64((first+t)*k+i), uint64(experts-i)))
				deck[i], deck[j] = deck[j], deck[i]
				table[t*k+i] = float32(deck[i])
			}
		}
	})
}
