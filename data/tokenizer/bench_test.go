//go:build unix

package tokenizer

import (
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/temper-ml/temper/data/tokenizer/tokenizertest"
)

// cpuSeconds is the processor time this process has used: a fair measure on a shared machine.
func cpuSeconds() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return float64(u.Utime.Sec+u.Stime.Sec) + float64(u.Utime.Usec+u.Stime.Usec)/1e6
}

// BenchmarkEncode measures a warm tokenizer; cpu-MB/s counts processor time. testdata/bench.py runs it
// beside Hugging Face tokenizers. TEMPER_TOKENIZER adds a tokenizer of one's own.
func BenchmarkEncode(b *testing.B) {
	names := []string{"gpt2", "llama3", "deepseek"}
	toks := map[string]*Tokenizer{}
	for _, name := range names {
		toks[name] = load(b, name)
	}
	if path := os.Getenv("TEMPER_TOKENIZER"); path != "" {
		tok, err := Load(path)
		if err != nil {
			b.Fatal(err)
		}
		names, toks["own"] = append(names, "own"), tok
	}
	for _, name := range names {
		b.Run(name+"/mixed", func(b *testing.B) { encode(b, toks[name], tokenizertest.Mixed(0)) })
		b.Run(name+"/gsm8k", func(b *testing.B) { encode(b, toks[name], dataFile(b, "gsm8k_train.jsonl")) })
	}
}

func encode(b *testing.B, tok *Tokenizer, text string) {
	lines := strings.SplitAfter(text, "\n")
	dst := make([]int32, 0, len(text))
	for _, line := range lines {
		dst = tok.AppendEncode(dst, line, false)
	}
	b.SetBytes(int64(len(text)))
	start := cpuSeconds()
	b.ResetTimer()
	n := 0
	for b.Loop() {
		dst = dst[:0]
		for _, line := range lines {
			dst = tok.AppendEncode(dst, line, false)
		}
		n++
	}
	b.ReportMetric(float64(n)*float64(len(text))/1e6/(cpuSeconds()-start), "cpu-MB/s")
}

func BenchmarkTrainRealText(b *testing.B) {
	texts := []string{dataFile(b, "tinyshakespeare.txt"), dataFile(b, "gsm8k_train.jsonl")}
	for b.Loop() {
		if _, err := Train(slices.Values(texts), TrainOptions{VocabSize: 8192, Special: V4Specials()}); err != nil {
			b.Fatal(err)
		}
	}
}
