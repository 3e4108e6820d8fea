package tokenizer

import (
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/temper-ml/temper/data/tokenizer/internal/bpe"
	"github.com/temper-ml/temper/data/tokenizer/internal/pretoken"
)

// TrainOptions say what vocabulary to learn.
type TrainOptions struct {
	VocabSize    int          // tokens in all: special tokens, 256 bytes, learned ones; fewer when the text has no more pairs
	MinFrequency int          // a pair that occurs less often is not merged; 0 and 1 merge every pair
	Special      []AddedToken // get the ids 0, 1, 2, ... in this order; their ID fields are ignored
	PreTokenizer string       // deepseek (also when empty), gpt2, llama3 or qwen2
}

// preTokenizers are the patterns of each pre-tokenizer; none means ByteLevel with its own.
var preTokenizers = map[string][]string{
	"deepseek": {pretoken.DeepSeekDigits, pretoken.DeepSeekCJK, pretoken.DeepSeekWords},
	"gpt2":     nil,
	"llama3":   {pretoken.Llama3},
	"qwen2":    {pretoken.Qwen2},
}

// PreTokenizers returns the names that TrainOptions.PreTokenizer takes.
func PreTokenizers() []string { return slices.Sorted(maps.Keys(preTokenizers)) }

// Train learns a byte-level BPE vocabulary from texts. Pieces are counted over all texts and no merge
// crosses a text, so neither order nor grouping matters. The result equals that of Hugging Face's
// BpeTrainer with the byte-level alphabet.
func Train(texts iter.Seq[string], o TrainOptions) (*Tokenizer, error) {
	if o.PreTokenizer == "" {
		o.PreTokenizer = "deepseek"
	}
	patterns, ok := preTokenizers[o.PreTokenizer]
	if !ok {
		return nil, fmt.Errorf("tokenizer: pre-tokenizer %q is not one of %s", o.PreTokenizer, strings.Join(PreTokenizers(), ", "))
	}
	if least := len(o.Special) + 256; o.VocabSize < least {
		return nil, fmt.Errorf("tokenizer: vocabulary size %d is too small, want at least %d (%d special tokens and 256 bytes)", o.VocabSize, least, len(o.Special))
	}
	f := &file{PreTokenizer: preTokenizerJSON(patterns), Decoder: marshal(newByteLevel(true, true))}
	trainer := bpe.Trainer{VocabSize: o.VocabSize, MinFrequency: int64(o.MinFrequency)}
	seen := map[string]bool{}
	for i, a := range o.Special {
		if a.Content == "" || seen[a.Content] {
			return nil, fmt.Errorf("tokenizer: special token %d, %q, is empty or stands there twice", i, a.Content)
		}
		seen[a.Content] = true
		a.ID = int32(i)
		f.AddedTokens = append(f.AddedTokens, a)
		trainer.Specials = append(trainer.Specials, a.Content)
	}
	words, err := countPieces(f.PreTokenizer, texts)
	if err != nil {
		return nil, fmt.Errorf("tokenizer: %w", err)
	}
	learned := trainer.Train(words)
	m := &modelFile{Vocab: make(map[string]int32, len(learned.Tokens))}
	for id, token := range learned.Tokens {
		m.Vocab[token] = int32(id)
	}
	m.Merges = lastOnly(learned.Merges)
	t, err := compile(f, m)
	if err != nil {
		return nil, fmt.Errorf("tokenizer: %w", err)
	}
	return t, nil
}

// lastOnly drops all but the last of equal merges. Two come about when a token is made from two pairs:
// pairs with that token are then queued twice. Files keep the higher rank, as Hugging Face does.
func lastOnly(merges [][2]string) []merge {
	last := make(map[[2]string]int, len(merges))
	for i, pair := range merges {
		last[pair] = i
	}
	out := make([]merge, 0, len(last))
	for i, pair := range merges {
		if last[pair] == i {
			out = append(out, pair)
		}
	}
	return out
}

// countPieces counts what the pre-tokenizer makes of the texts.
func countPieces(raw json.RawMessage, texts iter.Seq[string]) (map[string]int64, error) {
	stages, err := parsePreTokenizer(raw, 0)
	if err != nil {
		return nil, err
	}
	p, err := pretoken.NewPipeline(stages)
	if err != nil {
		return nil, err
	}
	index := map[string]int{}
	var counts []int64
	for text := range texts {
		for pos, limit := 0, 0; pos < len(text); {
			start := pos
			pos, limit = p.Next(text, pos, limit) // all pre-tokenizers of Train are one scanner
			piece := text[start:pos]
			i, ok := index[piece]
			if !ok {
				i = len(counts)
				index[strings.Clone(piece)] = i
				counts = append(counts, 0)
			}
			counts[i]++
		}
	}
	words := make(map[string]int64, len(index))
	for piece, i := range index {
		words[piece] = counts[i]
	}
	return words, nil
}

// preTokenizerJSON writes the pre-tokenizer that isolates each pattern in turn and goes on to bytes.
func preTokenizerJSON(patterns []string) json.RawMessage {
	if len(patterns) == 0 {
		return marshal(newByteLevel(false, true))
	}
	var parts []any
	for _, p := range patterns {
		parts = append(parts, map[string]any{
			"type": "Split", "pattern": map[string]string{"Regex": p}, "behavior": "Isolated", "invert": false,
		})
	}
	parts = append(parts, newByteLevel(false, false))
	return marshal(map[string]any{"type": "Sequence", "pretokenizers": parts})
}

func newByteLevel(addPrefixSpace, useRegex bool) byteLevelFile {
	return byteLevelFile{bareFile: bareFile{"ByteLevel"}, AddPrefixSpace: addPrefixSpace, TrimOffsets: true, UseRegex: &useRegex}
}

// marshal encodes a value of the types above, which cannot fail.
func marshal(v any) json.RawMessage {
	data, err := json.Marshal(v)
	if err != nil {
		panic("tokenizer: component does not encode")
	}
	return data
}
