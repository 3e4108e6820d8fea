package answertest

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/temper-ml/temper/data/chat"
	"github.com/temper-ml/temper/data/tokenizer"
	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/model/deepseek/deepseektest"
	"github.com/temper-ml/temper/model/generate"
	"github.com/temper-ml/temper/serve/answer"
)

// Context is how many tokens a sequence of the models here may have.
const Context = 2048

// Tokenizer returns a tokenizer of 320 tokens with those of V4's encoding. Most
// characters beyond ASCII are several tokens.
var Tokenizer = sync.OnceValue(func() *tokenizer.Tokenizer {
	text := strings.Repeat("the weather in the town is fine, the answer is 42 </ < \n\n", 20)
	t, err := tokenizer.Train(slices.Values([]string{text}), tokenizer.TrainOptions{VocabSize: 320, Special: tokenizer.V4Specials()})
	if err != nil {
		panic("answertest: " + err.Error())
	}
	return t
})

// Config returns the small V4 with the tokenizer's vocabulary.
func Config() *arch.Config {
	c := deepseektest.SmallV4()
	c.VocabSize, c.MaxPositions = Tokenizer().VocabSize(), Context
	return c
}

// Weights returns a model of random weights.
var Weights = sync.OnceValue(func() *deepseek.Model {
	cfg := Config()
	m, err := deepseek.NewFrozen(cfg)
	if err != nil {
		panic("answertest: " + err.Error())
	}
	for name, values := range deepseektest.RandomParams(cfg, 9) {
		p := m.Param(name)
		for i, v := range values {
			p.Data[i] = float32(v)
		}
	}
	return m
})

// Random returns the random model on an engine that nothing steps yet.
func Random(t testing.TB, o generate.Options) (*answer.Model, *generate.Engine) {
	t.Helper()
	e, err := generate.New(Weights(), o)
	if err != nil {
		t.Fatal(err)
	}
	return Model(t, answer.EngineOf(e), "deepseek-v4"), e
}

// Model returns an engine with the tokenizer and an encoding.
func Model(t testing.TB, e answer.Engine, encoding string) *answer.Model {
	t.Helper()
	enc, err := chat.Lookup(encoding)
	if err != nil {
		t.Fatal(err)
	}
	m, err := answer.New(e, Config(), Tokenizer(), enc)
	if err != nil {
		t.Fatal(err)
	}
	return m
}
