package main

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/temper-ml/temper/data/tokenizer"
	"github.com/temper-ml/temper/data/tokenizer/corpus"
)

// trainFlags say what to learn from which texts.
type trainFlags struct {
	opts    tokenizer.TrainOptions
	roles   tokenizer.Roles
	special []string
	fields  []string
	out     string
	bare    bool
	asJSON  bool
}

// trainedTokenizer is what `tokenizer train --json` prints.
type trainedTokenizer struct {
	Out       string  `json:"out"`
	VocabSize int     `json:"vocab_size"`
	Special   int     `json:"special"`
	Texts     int     `json:"texts"`
	Bytes     int64   `json:"bytes"`
	Seconds   float64 `json:"seconds"`
	Digest    string  `json:"digest"`
}

func newTokenizerTrainCmd() *cobra.Command {
	f := &trainFlags{}
	cmd := &cobra.Command{
		Use:   "train FILE...",
		Short: "learn a byte-level BPE vocabulary from text or .jsonl files",
		Long: `Train learns a vocabulary and writes tokenizer.json and tokenizer_config.json
into the directory --out. A file is one text; of a .jsonl file each string value
is one (or only those of --field); "-" is the standard input. The same files give
the same vocabulary, in any order.

The DeepSeek-V4 control tokens come first (BOS 0, EOS 1, padding 2, ...), then
those of --special, the 256 bytes, and what is learnt. --bare leaves the V4
tokens out.

With --json it prints one object: out, vocab_size, special, texts, bytes,
seconds, digest.`,
		Example: `  temper tokenizer train tinyshakespeare.txt --vocab-size 4096 --out tok
  temper tokenizer train gsm8k_train.jsonl --field question --field answer --vocab-size 8192 --out tok`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{errors.New("temper tokenizer train takes at least one FILE: see `temper tokenizer train --help`")}
			}
			if f.out == "" {
				return usageError{errors.New("--out is missing: the directory to write into")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return f.train(cmd, args) },
	}
	fl := cmd.Flags()
	fl.StringVar(&f.out, "out", "", "directory for tokenizer.json and tokenizer_config.json")
	fl.IntVar(&f.opts.VocabSize, "vocab-size", 8192, "tokens in all, control tokens and bytes included")
	fl.IntVar(&f.opts.MinFrequency, "min-frequency", 2, "do not merge pairs that occur less often")
	fl.StringVar(&f.opts.PreTokenizer, "pre-tokenizer", "deepseek", "how text is cut into words: "+strings.Join(tokenizer.PreTokenizers(), ", "))
	fl.StringArrayVar(&f.special, "special", nil, "a further control token (repeatable)")
	fl.StringArrayVar(&f.fields, "field", nil, "key of .jsonl rows whose value is text (repeatable; default: all strings)")
	fl.BoolVar(&f.bare, "bare", false, "no DeepSeek-V4 control tokens")
	fl.IntVar(&f.roles.MaxLength, "max-length", 0, "model_max_length of tokenizer_config.json (0: leave it out)")
	fl.BoolVar(&f.asJSON, "json", false, "print one JSON object")
	return cmd
}

func (f *trainFlags) train(cmd *cobra.Command, files []string) error {
	if !f.bare {
		f.opts.Special = tokenizer.V4Specials()
		f.roles = tokenizer.V4Roles(f.roles.MaxLength)
	}
	for _, name := range f.special {
		f.opts.Special = append(f.opts.Special, tokenizer.AddedToken{Content: name, Special: true})
	}
	r := &corpus.Reader{Files: files, Fields: f.fields, Stdin: cmd.InOrStdin()}
	start := time.Now()
	t, err := tokenizer.Train(r.Texts(), f.opts)
	if err := errors.Join(r.Err(), err); err != nil {
		return err
	}
	if err := t.Save(f.out, f.roles); err != nil {
		return err
	}
	res := trainedTokenizer{Out: f.out, VocabSize: t.VocabSize(), Special: len(f.opts.Special), Seconds: time.Since(start).Seconds()}
	res.Texts, res.Bytes = r.Count()
	digest := t.Digest()
	res.Digest = hex.EncodeToString(digest[:])
	if res.VocabSize < f.opts.VocabSize {
		fmt.Fprintf(cmd.ErrOrStderr(), "temper: the text has no more pairs that occur %d times: %d tokens instead of %d\n", f.opts.MinFrequency, res.VocabSize, f.opts.VocabSize)
	}
	if f.asJSON {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(res)
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "wrote %s: %d tokens from %d texts, %d bytes, in %.1f s\n", f.out, res.VocabSize, res.Texts, res.Bytes, res.Seconds)
	return err
}
