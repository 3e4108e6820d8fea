package eval

import (
	"reflect"
	"testing"

	"github.com/temper-ml/temper/data"
	"github.com/temper-ml/temper/data/chat"
	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/model/deepseek/deepseektest"
	"github.com/temper-ml/temper/posttrain/reward"
)

// TestLatentAnswersAreTheSame: V3 answers, greedy and drawn, with the same
// log-probabilities to the bit, whether it keeps keys and values or latents.
func TestLatentAnswersAreTheSame(t *testing.T) {
	cfg := deepseektest.SmallV3()
	cfg.VocabSize, cfg.MaxPositions = data.NewBytes(chat.V4{}).VocabSize(), 512
	cfg.NumHeads, cfg.NumKVHeads = 11, 11 // more than come from latents at a time
	m, err := deepseek.NewFrozen(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range deepseektest.RandomParams(cfg, 3) {
		p := m.Param(name)
		for i, v := range values {
			p.Data[i] = float32(v)
		}
	}
	path := file(t, "q.jsonl", `{"prompt": "one and one", "answer": "2"}`, `{"prompt": "a longer question than that", "answer": "3"}`)
	length := 4.0
	rules := []reward.Spec{{Weight: &length, Format: &reward.Format{Pattern: "[a-z ]", Anywhere: true}}}
	for _, s := range []Suite{
		{File: path, Kind: PassAtK, MaxTokens: 20, Samples: 3, K: []int{1, 2}, Temperature: 1, Seed: 5, Rewards: rules, Pass: 4},
		{File: path, Kind: Refusal, MaxTokens: 20},
	} {
		want, asked := ask(t, load(t, s, 256), m)
		s.Latent = true
		if got, again := ask(t, load(t, s, 256), m); !reflect.DeepEqual(got.Metrics, want.Metrics) || !reflect.DeepEqual(again, asked) {
			t.Errorf("%s: with latents %+v, without %+v", s.Kind, got, want)
		}
	}
}
