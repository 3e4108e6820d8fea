package hf

import (
	"slices"
	"strings"
	"testing"

	"github.com/temper-ml/temper/compute/dtype"
	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/train/checkpoint/safetensors"
)

// reduced returns a model of a family that temper only describes, at a size for tests.
func reduced(t *testing.T, name string) *arch.Config {
	t.Helper()
	c, err := arch.Builtin(name)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = c.WithLayers(2); err != nil {
		t.Fatal(err)
	}
	c.VocabSize, c.HiddenSize, c.BOS, c.EOS = 40, 64, 0, 1
	if c.Kind(0) == arch.MLA {
		c.NumHeads, c.NumKVHeads, c.NopeDim, c.RopeDim, c.ValueDim, c.KVLoraRank = 2, 2, 16, 8, 16, 32
		c.QLoraRank = min(c.QLoraRank, 32)
	} else {
		c.NumHeads, c.HeadDim, c.MaxPositions = 4, 16, 128
		c.NumKVHeads = min(c.NumKVHeads, 2)
		if !c.IsGated() {
			c.NumKVHeads = 4
		}
	}
	if c.Experts > 0 {
		c.Experts, c.TopK, c.MoEIntermediate = 4, 2, 32
		c.ExpertGroups, c.TopKGroups = min(c.ExpertGroups, 2), min(c.TopKGroups, 2)
	}
	if c.IntermediateSize > 0 {
		c.IntermediateSize = 96
	}
	return c
}

// Files of families that temper does not train can be opened, checked, converted to
// another type and summed up, under the names that transformers gives them.
func TestReadsDescribedFamilies(t *testing.T) {
	for _, name := range []string{"llama3-8b", "mistral-7b", "qwen2.5-7b", "qwen3-8b", "qwen3-30b-a3b", "mixtral-8x7b", "deepseek-v2", "deepseek-v2-lite", "gpt3-175b"} {
		t.Run(name, func(t *testing.T) {
			c := reduced(t, name)
			dir := write(t, c, Options{DType: dtype.BF16})
			s := open(t, dir)
			verify(t, s, c)
			if s.Style != Transformers {
				t.Errorf("style %q", s.Style)
			}
			sum, err := Inspect(dir, 128)
			if err != nil {
				t.Fatal(err)
			}
			total, _, _ := c.Count()
			if sum.Parameters.Total != total || sum.Stored == nil || sum.Stored.Bytes != 2*total || sum.Family != c.Family {
				t.Errorf("%d parameters of %s in %+v, want %d", sum.Parameters.Total, sum.Family, sum.Stored, total)
			}
			if name == "mistral-7b" && sum.Attention["gqa window"] != 2 {
				t.Errorf("attention %v", sum.Attention)
			}
		})
	}
}

// A tied head that is stored all the same, GPT-2's masks and its bare names are
// read; a head that is missing where there should be one is not.
func TestReadsFilesOfGPT(t *testing.T) {
	c := reduced(t, "gpt3-175b")
	dir := rewrite(t, write(t, c, Options{DType: dtype.F32}), func(s *safetensors.Spec, d []byte) (bool, []byte) {
		s.Name = strings.TrimPrefix(s.Name, "transformer.")
		return true, d
	})
	verify(t, open(t, dir), c)

	untied := *c
	untied.TieEmbeddings = false
	dir = write(t, &untied, Options{DType: dtype.F32})
	verify(t, open(t, dir), &untied)
	s := open(t, dir)
	s.Config.TieEmbeddings = true
	if err := s.match(); err != nil {
		t.Errorf("a stored copy of the tied head: %v", err)
	}
	cut := rewrite(t, dir, func(s *safetensors.Spec, d []byte) (bool, []byte) { return s.Name != "lm_head.weight", d })
	if _, err := Open(cut); err == nil || !strings.Contains(err.Error(), `tensor "lm_head.weight" is missing`) {
		t.Errorf("without its head: %v", err)
	}
	if !ignorable(c, "h.3.attn.bias") || !ignorable(c, "transformer.h.3.attn.masked_bias") || ignorable(c, "transformer.h.3.attn.c_attn.bias") {
		t.Error("masks and biases are taken for one another")
	}
}

func TestRefusesFilesOfGPTOSS(t *testing.T) {
	c := reduced(t, "gpt-oss-20b")
	dir := write(t, c, Options{DType: dtype.BF16})
	if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), `model_type is "gpt_oss"`) {
		t.Errorf("got %v", err)
	}
	if s, err := Inspect("gpt-oss-20b", 4096); err != nil || s.Attention["gqa window"] != 12 || !slices.ContainsFunc(s.Groups, func(g GroupSummary) bool { return g.Count == 24*32 }) {
		t.Errorf("%+v, %v", s, err)
	}
}
