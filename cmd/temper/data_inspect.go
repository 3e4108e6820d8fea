package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/temper-ml/temper/data"
	"github.com/temper-ml/temper/data/preview"
)

func newDataInspectCmd() *cobra.Command {
	f := &dataFlags{}
	cmd := &cobra.Command{
		Use:   "inspect FILE",
		Short: "check a data file and show its first examples, rendered, with what is learnt marked",
		Long: `Inspect reads the whole file as training would, refuses what training would
refuse, and shows the first examples: the exact text with special tokens, what
is learnt marked in green (or in ⟦brackets⟧), then counts and lengths.

With --json it prints one object: examples (source, tokens, supervised, spans of
text with supervised true or false), and summary (kind, digest, report, lengths).`,
		Example: `  temper data inspect gsm8k_train.jsonl --map prompt=question,response=answer
  temper data inspect chats.jsonl --tokenizer model/ --rows 1 --tokens
  temper data inspect corpus.txt --separator $'\n\n' --json`,
		Args: exactArgs(1, "one FILE"),
		RunE: func(cmd *cobra.Command, args []string) error { return inspect(cmd, f, args[0]) },
	}
	f.register(cmd)
	cmd.Flags().IntVar(&f.rows, "rows", 3, "examples to show")
	cmd.Flags().IntVar(&f.line, "line", 0, "show the examples of this line of the file only")
	cmd.Flags().IntVar(&f.opts.MaxTokens, "max-tokens", 0, "tokens an example may have (0: no limit)")
	return cmd
}

func inspect(cmd *cobra.Command, f *dataFlags, path string) error {
	tok, d, report, err := f.load(cmd, path)
	if err != nil {
		return err
	}
	shown := chooseExamples(d, f)
	if f.line > 0 && len(shown) == 0 {
		return fmt.Errorf("data: line %d of %s gave no example", f.line, path)
	}
	examples := make([]preview.Example, len(shown))
	for i, n := range shown {
		examples[i] = preview.Describe(tok, d, n, f.tokens)
	}
	summary := preview.Summarise(d, report)
	out := cmd.OutOrStdout()
	if f.asJSON {
		return preview.Encode(out, map[string]any{"examples": examples, "summary": summary})
	}
	for i := range examples {
		if err := examples[i].Write(out, f.style(out)); err != nil {
			return err
		}
	}
	return summary.Write(out)
}

// chooseExamples lists the examples to show.
func chooseExamples(d *data.Dataset, f *dataFlags) []int {
	var shown []int
	for i := range d.Len() {
		if f.line == 0 && len(shown) >= f.rows {
			break
		}
		if f.line == 0 || d.Source(i).Line == f.line {
			shown = append(shown, i)
		}
	}
	return shown
}
