package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/temper-ml/temper/data"
	"github.com/temper-ml/temper/data/chat"
	"github.com/temper-ml/temper/data/preview"
	"github.com/temper-ml/temper/data/source"
	"github.com/temper-ml/temper/data/tokenizer"
)

// dataFlags say how to read, render and show data.
type dataFlags struct {
	tokenizer, encoding, format string
	thinking, turns, history    string
	overlong, color, cache      string
	skipBad, asJSON, tokens     bool
	rows, line                  int
	opts                        data.Options
}

func newDataCmd() *cobra.Command {
	cmd := &cobra.Command{Use: "data", Short: "show what will be trained on, token by token, with the loss mask"}
	cmd.AddCommand(newDataInspectCmd(), newDataPackCmd(), newDataRowsCmd())
	return cmd
}

func (f *dataFlags) register(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.tokenizer, "tokenizer", "", "tokenizer.json, or the directory it is in (default: bytes as tokens)")
	fl.StringVar(&f.encoding, "encoding", "deepseek-v4", fmt.Sprintf("chat encoding: one of %v", chat.Names()))
	fl.StringVar(&f.format, "format", "auto", "layout of the rows: auto, alpaca, sharegpt, messages, pair, preference, kto, prompt, text")
	fl.StringToStringVar(&f.opts.Source.Mapping, "map", nil, "rename fields: --map prompt=question,response=answer")
	fl.StringVar(&f.thinking, "thinking", "", "mode of rows that do not say: chat or thinking; row: every row must say (default: thinking where there is reasoning)")
	fl.BoolVar(&f.opts.Source.KeepReasoning, "keep-reasoning", false, "keep the reasoning of earlier turns")
	fl.BoolVar(&f.opts.Source.SplitThink, "split-think", false, "move a leading <think>...</think> of answers to the reasoning")
	fl.StringVar(&f.opts.Source.System, "system", "", "system text of rows that have none")
	fl.StringVar(&f.opts.Source.Separator, "separator", "", "cut a plain text file into documents at this text")
	fl.StringSliceVar(&f.opts.Source.IgnoreFields, "ignore-fields", nil, "fields of messages that may be skipped")
	fl.StringVar(&f.turns, "turns", "all", "assistant turns to learn: all or last")
	fl.StringVar(&f.history, "history", "refuse", "rows whose earlier text changes as they go on: refuse or unroll")
	fl.BoolVar(&f.opts.SkipReasoning, "skip-reasoning", false, "do not learn the reasoning")
	fl.BoolVar(&f.opts.LiteralSpecials, "literal-specials", false, "allow answers that spell out special tokens")
	fl.StringVar(&f.overlong, "overlong", "refuse", "examples that are too long: refuse, truncate, skip or split (text)")
	fl.BoolVar(&f.skipBad, "skip-bad", false, "leave bad rows out and count them instead of failing")
	fl.StringVar(&f.cache, "cache", "", "directory for token caches")
	fl.StringVar(&f.color, "color", "auto", "mark what is learnt in colour: auto, always or never (then in ⟦brackets⟧)")
	fl.BoolVar(&f.tokens, "tokens", false, "show where tokens end")
	fl.BoolVar(&f.asJSON, "json", false, "print one JSON object")
}

// options turns the flags' words into data.Options; "all" and "refuse" are the
// defaults there.
func (f *dataFlags) options() (data.Options, error) {
	o := f.opts
	word := func(s string) string {
		if s == "all" || s == "refuse" {
			return ""
		}
		return s
	}
	var err error
	o.Source.Format, err = source.ParseFormat(f.format)
	o.Source.Thinking = source.Thinking(f.thinking)
	o.Turns, o.History = data.Turns(word(f.turns)), data.History(word(f.history))
	o.Overlong = data.Overlong(word(f.overlong))
	if f.skipBad {
		o.BadRows = data.SkipRows
	}
	if err == nil {
		err = o.Check()
	}
	if err == nil && f.color != "auto" && f.color != "always" && f.color != "never" {
		err = fmt.Errorf("--color is %q, want auto, always or never", f.color)
	}
	return o, err
}

// load reads a data file as the flags say.
func (f *dataFlags) load(cmd *cobra.Command, path string) (data.Tokenizer, *data.Dataset, *data.Report, error) {
	opts, err := f.options()
	if err != nil {
		return nil, nil, nil, usageError{err}
	}
	enc, err := chat.Lookup(f.encoding)
	if err != nil {
		return nil, nil, nil, usageError{err}
	}
	var tok data.Tokenizer = data.NewBytes(enc)
	if f.tokenizer == "" {
		fmt.Fprintln(cmd.ErrOrStderr(), "temper: no --tokenizer: bytes are shown as tokens")
	} else if tok, err = loadTokenizer(f.tokenizer); err != nil {
		return nil, nil, nil, err
	}
	l := data.Loader{Tokenizer: tok, Encoding: enc, Options: opts, CacheDir: f.cache}
	d, report, err := l.Load(cmd.Context(), path)
	return tok, d, report, err
}

func loadTokenizer(path string) (*tokenizer.Tokenizer, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, "tokenizer.json")
	}
	return tokenizer.Load(path)
}

// style decides between colours and brackets.
func (f *dataFlags) style(out io.Writer) preview.Style {
	s := preview.Style{Tokens: f.tokens, Color: f.color == "always"}
	if file, ok := out.(*os.File); ok && f.color == "auto" && os.Getenv("NO_COLOR") == "" {
		info, err := file.Stat()
		s.Color = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return s
}
