package attention_test

import (
	"fmt"
	"testing"

	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/model/deepseek/deepseektest"
	"github.com/temper-ml/temper/nn"
	"github.com/temper-ml/temper/nn/attention"
)

// prefix3 begins the names of the parameters of the MLA layer under test.
const prefix3 = "model.layers.0.self_attn"

// latent builds the layer of a V3 configuration with the parameters given.
func latent(t testing.TB, c *arch.Config, params map[string][]float64, w weights) *attention.MLA {
	t.Helper()
	mc, err := attention.MLAConfigOf(c, attention.RotaryOf(c, 0))
	if err != nil {
		t.Fatal(err)
	}
	a, err := attention.NewMLA(mc)
	if err != nil {
		t.Fatal(err)
	}
	of := func(name string) nn.Weight { return w.of(params, prefix3+"."+name+".weight") }
	a.WQA, a.QNorm, a.WQB = of("q_a_proj"), of("q_a_layernorm"), of("q_b_proj")
	a.WKVA, a.KVNorm, a.WKVB, a.WO = of("kv_a_proj_with_mqa"), of("kv_a_layernorm"), of("kv_b_proj"), of("o_proj")
	return a
}

func TestMLAAgainstReference(t *testing.T) {
	for _, lengths := range [][]int{{1}, {3}, {18, 6}, {7, 1, 40, 3}, {255}} {
		t.Run(fmt.Sprint(lengths), func(t *testing.T) { compare(t, deepseektest.SmallV3(), lengths, 0) })
	}
}

func TestMLAPacked(t *testing.T) {
	c := deepseektest.SmallV3()
	params := deepseektest.RandomParams(c, 3)
	packed(t, c, func(w weights) layer { return latent(t, c, params, w) })
}

func TestMLASameBits(t *testing.T) {
	c := deepseektest.SmallV3()
	params := deepseektest.RandomParams(c, 5)
	sameBits(t, c, func(w weights) layer { return latent(t, c, params, w) })
}

func TestMLAMemory(t *testing.T) {
	c := deepseektest.SmallV3()
	memoryOf(t, latent(t, c, deepseektest.RandomParams(c, 5), weights{}), c, 0)
}

func TestMLARefusesOtherMScale(t *testing.T) {
	c := deepseektest.SmallV3()
	c.RopeScaling.MScale = 0.5
	if _, err := attention.MLAConfigOf(c, attention.RotaryOf(c, 0)); err == nil {
		t.Error("an mscale that differs from mscale_all_dim was accepted")
	}
}
