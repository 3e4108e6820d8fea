package deepseek

import (
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/temper-ml/temper/compute/dtype"
	"github.com/temper-ml/temper/internal/durable"
	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/model/deepseek/deepseektest"
	"github.com/temper-ml/temper/train/checkpoint/hf"
)

// TestTransformersLoadsWhatWeWrite writes models as Hugging Face directories, has transformers load them by itself and run
// them in float64, and compares log-probabilities and gradients. The V4 model has the published models' window, compression
// ratios, rotary tables and head layout, and a sequence of several HCA blocks with far more CSA entries than are selected.
//
// Set TEMPER_PYTHON to a Python that testdata/make_goldens.py can run with. A minute per model on a small machine.
func TestTransformersLoadsWhatWeWrite(t *testing.T) {
	python := os.Getenv("TEMPER_PYTHON")
	if python == "" {
		t.Skip("TEMPER_PYTHON is not set: no Python with torch and transformers to compare with")
	}
	for _, c := range []struct {
		name  string
		cfg   *arch.Config
		style hf.Style
	}{
		{"v4 under transformers' names", likeFlash(), hf.Transformers},
		{"v4 under published names", likeFlash(), hf.DeepSeek},
		{"v3", deepseektest.SmallV3(), hf.DeepSeek},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := loaded(t, c.cfg, deepseektest.RandomParams(c.cfg, 1))
			dir := filepath.Join(t.TempDir(), "model")
			err := hf.WriteSlices(durable.OS, dir, c.cfg, hf.Options{Style: c.style, DType: dtype.F32}, func(x *arch.Tensor) ([]float32, error) {
				return m.Param(x.Name).Data, nil
			})
			if err != nil {
				t.Fatal(err)
			}
			b := &Batch{Segments: []Segment{{Start: 0, End: min(600, c.cfg.MaxPositions)}}}
			for i := range b.Segments[0].End {
				b.Tokens = append(b.Tokens, int32((7*i*i+3*i)%c.cfg.VocabSize))
			}
			b.Labels = append(append([]int32{}, b.Tokens[1:]...), -1)
			againstTransformers(t, m, b, python, dir)
		})
	}
}

// likeFlash is the published Flash model with fewer and narrower layers.
func likeFlash() *arch.Config {
	c, err := arch.Builtin("deepseek-v4-flash")
	if err != nil {
		panic(err)
	}
	c.VocabSize, c.HiddenSize, c.NumLayers, c.NumHeads, c.QLoraRank, c.OGroups, c.OLoraRank = 500, 192, 5, 8, 96, 4, 48
	c.HeadDim, c.IndexHeads, c.IndexHeadDim, c.IndexTopK = 96, 8, 128, 32
	c.Experts, c.MoEIntermediate, c.CompressRatios = 16, 96, []int{0, 0, 4, 128, 4, 0}
	c.Quantization, c.ExpertDType, c.TorchDType = nil, "", "float32"
	return c
}

func againstTransformers(t *testing.T, m *Model, b *Batch, python, dir string) {
	text, err := json.Marshal(b.Tokens)
	if err != nil {
		t.Fatal(err)
	}
	tokens := filepath.Join(t.TempDir(), "tokens.json")
	if err := os.WriteFile(tokens, text, 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, "check_export.py", dir, tokens)
	cmd.Dir, cmd.Stderr = "testdata", os.Stderr
	answer, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var want struct {
		LogP   []float64
		Probes map[string][12]float64
	}
	if err := json.Unmarshal(answer, &want); err != nil {
		t.Fatal(err)
	}
	logp, err := m.LogProbs(b)
	if err != nil {
		t.Fatal(err)
	}
	// 40 and 400 units in the last place: the engine's products chain 192 to 1500 terms, a gradient's 600 tokens.
	if _, e := deepseektest.Compare(logp[:len(logp)-1], want.LogP); !(e <= 40*unitRoundoff) {
		t.Errorf("log-probabilities: relative error %.3g", e)
	} else {
		t.Logf("%d log-probabilities: relative error %.2g", len(want.LogP), e)
	}
	mustStep(t, m, b, StepOptions{LMScale: 1})
	worst, at := 0.0, ""
	for name, w := range want.Probes {
		got := deepseektest.Probe(widen(m.Param(name).Grad))
		for i := range w {
			if e := math.Abs(got[i]-w[i]) / w[0]; w[0] > 0 && e > worst {
				worst, at = e, name
			}
		}
	}
	t.Logf("gradients of %d tensors: largest error of a probe %.2g of the norm, %s", len(want.Probes), worst, at)
	if worst > 400*unitRoundoff {
		t.Errorf("gradient of %s: a probe is off by %.3g of the norm", at, worst)
	}
}
