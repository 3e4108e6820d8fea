package train

import (
	"maps"
	"slices"

	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/model/deepseek"
)

// tally adds up what kernels tell.
type tally struct {
	params    map[*float32]*deepseek.Param // by the last element of their values, and of their gradients
	grads     map[*float32]*deepseek.Param
	indexDim  int64
	weights   map[productKey]int64
	told      map[told]int64
	rows      map[string]int64
	operators map[string]twoWays // after pool
	kinds     [kernel.Wanted]int64
	strange   int64 // products of Run without a weight
	total     int64
}

func newTally(m *deepseek.Model) *tally {
	t := &tally{
		params: map[*float32]*deepseek.Param{}, grads: map[*float32]*deepseek.Param{}, indexDim: int64(m.Config().IndexHeadDim),
		weights: map[productKey]int64{}, told: map[told]int64{}, rows: map[string]int64{}, operators: map[string]twoWays{},
	}
	for _, p := range m.Params() {
		t.params[last(p.Data)] = p
		if p.Grad != nil {
			t.grads[last(p.Grad)] = p
		}
	}
	return t
}

// last returns the last element that a slice may grow to: the same for all views of
// a parameter.
func last(s []float32) *float32 {
	if cap(s) == 0 {
		return nil
	}
	return &s[:cap(s)][cap(s)-1]
}

// watch runs f and adds up what kernels do meanwhile.
func (t *tally) watch(f func() error) error {
	defer kernel.Watch(t.add)()
	return f()
}

func (t *tally) add(w kernel.Work) {
	n := w.Multiplications
	switch w.Kind {
	case kernel.Wanted:
		t.told[told{w.Name, w.Pass}] += n
		return
	case kernel.InRow:
		t.rows[w.Name] += n
	case kernel.InRun:
		t.product(&w)
	}
	t.kinds[w.Kind] += n
	t.total += n
}

// product finds out which weight a product belongs to.
func (t *tally) product(w *kernel.Work) {
	p, pass := t.params[last(w.B.Data)], arch.Forward
	switch w.Form {
	case kernel.NN:
		pass = arch.InputGradient
	case kernel.TN:
		p, pass = t.grads[last(w.Out.Data)], arch.WeightGradient
	}
	if p == nil {
		t.strange += w.Multiplications
		return
	}
	t.weights[keyOf(p.Layer, string(p.Role), pass)] += w.Multiplications
}

// pool adds up by operator what products, loops and the kernels' own words say.
func (t *tally) pool(l *listing) {
	for key, n := range t.weights {
		t.put(l.of[key.name], min(1, int(key.pass)), n)
	}
	t.put("mhc.mix", 0, t.rows["hcPre"]+t.rows["hcPost"])
	t.put("mhc.mix", 1, t.rows["hcPreBack"]+t.rows["hcPostBack"])
	for _, name := range []string{"attn.full", "attn.window", "attn.compressed", "indexer"} {
		t.put(name, 0, t.told[told{name, kernel.Forward}])
		t.put(name, 1, t.told[told{name, kernel.Backward}])
	}
	// Compressors and indexers pool alike: what is more than the compressors' is the
	// indexers'. Pooling costs twice as much backward as forward.
	forward, backward := t.told[told{"pooling", kernel.Forward}], t.told[told{"pooling", kernel.Backward}]
	own := min(l.pooling/3, forward)
	t.put("compressor", 0, own)
	t.put("indexer", 0, forward-own)
	own = min(l.pooling/3*2, backward)
	t.put("compressor", 1, own)
	t.put("indexer", 1, backward-own)
}

func (t *tally) put(operator string, way int, n int64) {
	w := t.operators[operator]
	w[way] += n
	t.operators[operator] = w
}

// ofAll adds up everything told about one name.
func (t *tally) ofAll(names ...string) int64 {
	var n int64
	for k, v := range t.told {
		if slices.Contains(names, k.name) {
			n += v
		}
	}
	return n
}

// loops groups the loops over rows by what they are for.
var loops = []struct {
	name, why string
	of        []string
}{
	{"norms", "norms and other inner products of rows, forward and backward", []string{"dot", "scaleTo", "rmsNormDX", "rmsNormDW"}},
	{"rotations", "rotary positions, Hadamard", []string{"rope", "hadamard"}},
	{"softmax", "exponentials of attention, pooling and loss, ten multiplications each, and what scales them", []string{"scaleMax", "expSum", "sumExp", "expScaled", "scoreDX", "exp", "log", "softmaxDX"}},
	{"activations", "SwiGLU and router scores", []string{"swiGLU", "swiGLUBack", "sigmoid", "silu", "softplus", "sqrtSoftplus"}},
	{"stream maps", "gates and Sinkhorn normalisation of residual streams", []string{"hcMap", "hcMapBack"}},
	{"scaling", "scaling and adding of rows", []string{"mul", "mulAdd", "axpy", "scale"}},
	{"quantisation", "fake quantisation", []string{"fakeQuantFP8", "fakeQuantFP4"}},
}

// beyond lists what was executed and is in no line.
func (t *tally) beyond(recomputed, idle, rest int64) []Beyond {
	rows := maps.Clone(t.rows)
	dots := t.told[told{"indexer", kernel.Backward}] / 2 / (t.indexDim + 1) // gradients of the heads' weights
	rows["dot"] -= dots
	rows["mulAdd"] -= t.told[told{"pooling", kernel.Forward}]
	rows["mul"] -= t.told[told{"pooling", kernel.Backward}]
	attention := t.ofAll("attn.full", "attn.window", "attn.compressed")
	index := t.kinds[kernel.InIndexer] + rows["reluAxpy"] + rows["reluDX"] + dots
	again := t.told[told{"indexer", kernel.Again}]
	for _, name := range []string{"attn.full", "attn.window", "attn.compressed"} {
		again += t.told[told{name, kernel.Again}]
	}
	out := []Beyond{
		{"recomputed", "forward passes run a second time to save memory", recomputed},
		{"scores again", "the backward pass forms scores anew instead of keeping them", again},
		{"masked", "queries of a block are multiplied with every key that any of them sees, then masked", t.kinds[kernel.InAttention] - attention + index - t.ofAll("indexer")},
		{"idle tokens", "tokens after the last whole block, sequences without a choice: computed, and nothing depends on them", idle},
	}
	for _, g := range loops {
		var n int64
		for _, name := range g.of {
			n += rows[name]
		}
		out = append(out, Beyond{g.name, g.why, n})
	}
	return append(out, Beyond{"optimizer", "norm of the gradient, update, sums over micro-batches", rest})
}
