package deepseek

import (
	"math"
	"path/filepath"
	"testing"

	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/model/deepseek/deepseektest"
	"github.com/temper-ml/temper/train/checkpoint/hf"
)

// stepDepth describes a whole training step of the golden models. Chains run over at most 48 tokens or 64 inputs. The
// parameters that the experiment nudges enter at every stage of the step already; between one of them and the next lie about
// four roundings that are not a parameter's: a product, an activation, a mix, a norm.
var stepDepth = depth{chain: 64, stages: 4}

// TestEachLossMatchesPyTorch holds the engine, loaded from published files, to what PyTorch computed: the log-probability of every token of the vocabulary at every
// position, the sum of each loss, and the gradient of each loss alone for every tensor, as condensed by deepseektest.Probe.
func TestEachLossMatchesPyTorch(t *testing.T) {
	for _, name := range []string{"tiny-v4", "tiny-v3"} {
		t.Run(name, func(t *testing.T) {
			g, err := deepseektest.LoadGolden(filepath.Join("testdata", name))
			if err != nil {
				t.Fatal(err)
			}
			m, err := New(g.Config)
			if err != nil {
				t.Fatal(err)
			}
			loadPublished(t, m, filepath.Join("testdata", name), g)
			checkLogProbs(t, m, g)
			for loss, probes := range g.Probes {
				t.Run(loss, func(t *testing.T) { checkLoss(t, m, g, loss, probes) })
			}
		})
	}
}

// loadPublished fills m through the product's own reader, and checks it against the golden's.
func loadPublished(t *testing.T, m *Model, dir string, g *deepseektest.Golden) {
	src, err := hf.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	if err := src.Load(func(x *arch.Tensor) ([]float32, error) { return m.Param(x.Name).Data, nil }); err != nil {
		t.Fatal(err)
	}
	for _, p := range m.Params() {
		if worst, _ := deepseektest.Compare(p.Data, g.Params[p.Name]); worst != 0 {
			t.Fatalf("%s: read with a difference of %g", p.Name, worst)
		}
	}
}

// checkLogProbs asks for the log-probability of each token of the vocabulary in turn. The root mean square of all errors
// is compared with the reference's response to nudged parameters.
func checkLogProbs(t *testing.T, m *Model, g *deepseektest.Golden) {
	vocab, n := g.Config.VocabSize, len(g.Batch.Tokens)
	b := fromReference(g.Batch)
	got := make([]float32, n*vocab)
	for v := range vocab {
		b.Labels = make([]int32, n)
		for i := range b.Labels {
			b.Labels[i] = int32(v)
		}
		logp, err := m.LogProbs(b)
		if err != nil {
			t.Fatal(err)
		}
		for i, l := range logp {
			got[i*vocab+v] = l
		}
	}
	_, cond := goldenConditions(g, deepseektest.Scales{})
	want := logSoftmax(g.Logits, vocab)
	_, err := deepseektest.Compare(got, want)
	bound := stepDepth.factor()*cond["logits"] + unitRoundoff
	t.Logf("log-probabilities: relative error %.2g, bound %.2g", err, bound)
	if !(err <= bound) {
		t.Errorf("log-probabilities: relative error %.3g, bound %.3g", err, bound)
	}
}

func logSoftmax(logits []float64, vocab int) []float64 {
	out := make([]float64, len(logits))
	for i := 0; i < len(logits); i += vocab {
		sum := 0.0
		for _, z := range logits[i : i+vocab] {
			sum += math.Exp(z)
		}
		for j, z := range logits[i : i+vocab] {
			out[i+j] = z - math.Log(sum)
		}
	}
	return out
}

func checkLoss(t *testing.T, m *Model, g *deepseektest.Golden, loss string, probes map[string][12]float64) {
	options := map[string]StepOptions{
		"lm": {LMScale: 1}, "mtp": {MTPScale: 1},
		"balance": {MTPScale: 1e-30, BalanceScale: 1}, "indexer": {MTPScale: 1e-30, IndexerScale: 1},
	}
	scales := map[string]deepseektest.Scales{
		"lm": {LM: 1}, "mtp": {MTP: 1}, "balance": {Balance: 1}, "indexer": {Indexer: 1},
	}
	for _, p := range m.Params() {
		clear(p.Grad)
	}
	losses, err := m.TrainStep(fromReference(g.Batch), options[loss])
	if err != nil {
		t.Fatal(err)
	}
	exact, cond := goldenConditions(g, scales[loss])
	got := map[string]float64{"lm": losses.LM, "mtp": losses.MTP, "balance": losses.Balance, "indexer": losses.Indexer}[loss]
	want := g.Losses[loss]
	if e := math.Abs(got-want) / want; !(e <= stepDepth.factor()*cond[loss]+unitRoundoff) {
		t.Errorf("loss %.9g, PyTorch has %.17g: relative error %.3g, condition %.3g", got, want, e, cond[loss])
	}
	worst, at := 0.0, ""
	for name, want := range probes {
		grad := widen(m.Param(name).Grad)
		have := deepseektest.Probe(grad)
		// The probe's elements and norm are off by at most the norm of the error, a signed sum by √n times that in the worst
		// case but by about that for an error that knows nothing of the signs: 4 covers 228 tensors of 3 sums.
		// Where PyTorch has exactly 0 the engine may have what the scale 1e-30 of the MTP loss leaves.
		bound := 1e-25 + 4*(stepDepth.factor()*cond[name]+unitRoundoff)*want[0]
		if len(exact[name]) == 0 {
			t.Fatalf("%s: the reference has no gradient", name)
		}
		for i := range want {
			e := math.Abs(have[i] - want[i])
			if !(e <= bound) {
				t.Errorf("gradient of %s, probe %d: %.9g, PyTorch has %.17g, norm %.3g, condition %.3g", name, i, have[i], want[i], want[0], cond[name])
				break
			}
			if r := e / bound; r > worst {
				worst, at = r, name
			}
		}
	}
	t.Logf("loss %.9g and %d tensors; the closest to its bound uses %.0f %% of it: %s", got, len(probes), 100*worst, at)
}

// goldenConditions is the response of the reference's logits, losses and gradients to nudged parameters.
func goldenConditions(g *deepseektest.Golden, s deepseektest.Scales) (answers, map[string]float64) {
	return conditions(func(trial int, held *deepseektest.Choices) (answers, deepseektest.Choices) {
		moved := map[string][]float64{}
		for name, v := range g.Params {
			moved[name] = v
			if p := g.Probes["lm"][name]; p != [12]float64{} || trial == 0 {
				moved[name] = nudge(v, name, trial)
			}
		}
		r := deepseektest.New(g.Config, moved)
		if held != nil {
			r.Replay(*held)
		}
		out, err := r.Run(g.Batch, s)
		if err != nil {
			panic(err)
		}
		a := answers{
			"lm": {out.LM}, "mtp": {out.MTP}, "balance": {out.Balance}, "indexer": {out.Indexer},
			"logits": logSoftmax(out.Logits, g.Config.VocabSize),
		}
		for name, v := range out.Grads {
			a[name] = v
		}
		return a, r.Choices()
	})
}
