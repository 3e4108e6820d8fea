package tokenizer

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/temper-ml/temper/data/tokenizer/tokenizertest"
)

// corpus is the text that testdata/make_fixtures.py trains on.
func corpus() string {
	var b strings.Builder
	for block := uint64(1000); block < 1004; block++ {
		b.WriteString(tokenizertest.Mixed(block))
	}
	return b.String()
}

func TestTrainingEqualsHuggingFaceOnMixedText(t *testing.T) {
	for name, o := range map[string]TrainOptions{
		"gpt2":     {VocabSize: 2000, PreTokenizer: "gpt2", Special: []AddedToken{{Content: "<|endoftext|>", Special: true}}},
		"deepseek": {VocabSize: 2000, Special: V4Specials()},
	} {
		got, err := Train(slices.Values([]string{corpus()}), o)
		if err != nil {
			t.Fatal(err)
		}
		if want := load(t, name); got.Digest() != want.Digest() {
			t.Errorf("%s: the trained tokenizer is not the one of Hugging Face", name)
			for id := range int32(want.VocabSize()) {
				a, _ := got.Token(id)
				if b, _ := want.Token(id); a != b {
					t.Fatalf("first difference: token %d is %q, want %q", id, a, b)
				}
			}
		}
	}
}

func dataFile(t testing.TB, name string) string {
	t.Helper()
	dir := os.Getenv("TEMPER_DATA")
	if dir == "" {
		t.Skip("set TEMPER_DATA to the directory with the real data")
	}
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestTrainingEqualsHuggingFaceOnRealText(t *testing.T) {
	texts := []string{dataFile(t, "tinyshakespeare.txt"), dataFile(t, "gsm8k_train.jsonl")}
	for _, want := range loadExpected(t).Trained {
		o := TrainOptions{VocabSize: want.VocabSize, MinFrequency: want.MinFrequency, PreTokenizer: want.PreTokenizer}
		for _, s := range want.Special {
			o.Special = append(o.Special, AddedToken{Content: s, Special: true})
		}
		tok, err := Train(slices.Values(texts), o)
		if err != nil {
			t.Fatal(err)
		}
		h := sha256.New()
		for id := range int32(tok.VocabSize()) {
			token, _ := tok.Token(id)
			h.Write([]byte(token + "\n"))
		}
		for _, pair := range tok.model.Merges {
			h.Write([]byte(pair[0] + " " + pair[1] + "\n"))
		}
		if got := hex.EncodeToString(h.Sum(nil)); got != want.SHA256 {
			t.Errorf("%s, %d tokens, minimum %d: got %d tokens, %d merges, %s, want %d, %d, %s", want.PreTokenizer, want.VocabSize,
				want.MinFrequency, tok.VocabSize(), len(tok.model.Merges), got, want.Tokens, want.Merges, want.SHA256)
		}
	}
}

// Neither the order of the texts nor how lines are grouped into texts changes what is learned.
func TestTrainingIgnoresOrder(t *testing.T) {
	texts := strings.SplitAfter(tokenizertest.Mixed(3), "\n")
	o := TrainOptions{VocabSize: 600, MinFrequency: 2}
	a, err := Train(slices.Values(texts), o)
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(texts)
	b, err := Train(slices.Values(texts), o)
	if err != nil {
		t.Fatal(err)
	}
	if a.Digest() != b.Digest() {
		t.Error("training on the reversed list of texts gives another tokenizer")
	}
}

func TestTrainRefuses(t *testing.T) {
	for _, c := range []struct {
		o    TrainOptions
		want string
	}{
		{TrainOptions{VocabSize: 255}, "want at least 256"},
		{TrainOptions{VocabSize: 270, Special: V4Specials()}, "19 special tokens and 256 bytes"},
		{TrainOptions{VocabSize: 300, PreTokenizer: "bert"}, `"bert" is not one of deepseek, gpt2, llama3, qwen2`},
		{TrainOptions{VocabSize: 300, Special: []AddedToken{{Content: "a"}, {Content: "a"}}}, "token 1, \"a\", is empty or stands there twice"},
		{TrainOptions{VocabSize: 300, Special: []AddedToken{{}}}, "token 0"},
	} {
		if _, err := Train(slices.Values([]string{"x"}), c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got %v, want %q", c.o, err, c.want)
		}
	}
}

func BenchmarkTrain(b *testing.B) {
	text := corpus()
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := Train(slices.Values([]string{text}), TrainOptions{VocabSize: 2000}); err != nil {
			b.Fatal(err)
		}
	}
}
