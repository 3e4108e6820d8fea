package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/temper-ml/temper/data/tokenizer"
	"github.com/temper-ml/temper/internal/durable"
	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/train/checkpoint/hf"
)

func newModelInitCmd() *cobra.Command {
	var f formatFlags
	var seed uint64
	var vocab int
	var tok string
	cmd := &cobra.Command{
		Use:   "init MODEL DIR",
		Short: "write a model with random weights",
		Long: `Init writes a model directory with starting weights. MODEL is a built-in name,
a config.json or a directory that holds one. The weights depend on the seed and on
the tensors' names alone; they are made tensor by tensor, so a model that is larger
than the memory is no problem.

With --tokenizer the vocabulary and the special tokens are those of the tokenizer,
and its file is copied; of a directory, all files that have to do with text.`,
		Example: `  temper model init tiny-v4 base/ --tokenizer tokenizer.json --seed 1
  temper model init my/config.json base/ --dtype f32 --shard 1GB`,
		Args: exactArgs(2, "MODEL and DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := f.options(cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			c, err := hf.LoadConfig(args[0])
			if err != nil {
				return err
			}
			if err := c.CheckTrainable(); err != nil {
				return err
			}
			if err := fitVocabulary(c, &o, vocab, tok); err != nil {
				return err
			}
			err = hf.Write(durable.OS, args[1], c, o, func(t *arch.Tensor, row, rows int, dst []float32) error {
				deepseek.InitRows(c, t, seed, row, rows, dst)
				return cmd.Context().Err()
			})
			if err != nil {
				return err
			}
			return f.report(cmd, args[1])
		},
	}
	f.register(cmd)
	cmd.Flags().Uint64Var(&seed, "seed", 0, "seed of the weights")
	cmd.Flags().IntVar(&vocab, "vocab", 0, "size of the vocabulary (0: that of MODEL)")
	cmd.Flags().StringVar(&tok, "tokenizer", "", "tokenizer.json, or the directory it is in")
	return cmd
}

// fitVocabulary sets the size of the vocabulary and the special tokens.
func fitVocabulary(c *arch.Config, o *hf.Options, vocab int, path string) error {
	if path != "" {
		t, err := loadTokenizer(path)
		if err != nil {
			return err
		}
		if vocab == 0 {
			vocab = t.VocabSize()
		}
		if vocab < t.VocabSize() {
			return usageError{fmt.Errorf("--vocab is %d, want at least the %d tokens of %s", vocab, t.VocabSize(), path)}
		}
		setSpecial(&c.BOS, t, "<｜begin▁of▁sentence｜>", "<s>", "<|begin_of_text|>")
		setSpecial(&c.EOS, t, "<｜end▁of▁sentence｜>", "</s>", "<|end_of_text|>", "<|endoftext|>")
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			o.CopyFrom = path
		} else if text, err := os.ReadFile(path); err != nil {
			return err
		} else {
			o.Files = map[string][]byte{"tokenizer.json": text}
		}
	}
	if vocab != 0 {
		c.VocabSize = vocab
	}
	return c.Check()
}

// setSpecial takes the id of the first of the names that the tokenizer has.
func setSpecial(id *int, t *tokenizer.Tokenizer, names ...string) {
	for _, name := range names {
		if n, ok := t.Special(name); ok {
			*id = int(n)
			return
		}
	}
}
