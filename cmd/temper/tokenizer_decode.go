package main

import (
	"encoding/json"
	"io"

	"github.com/spf13/cobra"
)

func newTokenizerDecodeCmd() *cobra.Command {
	f := &textFlags{}
	var skip bool
	cmd := &cobra.Command{
		Use:   "decode TOKENIZER [FILE]",
		Short: "print the text of ids: a file, the standard input, or --text",
		Long: `Decode reads ids (numbers between blanks or commas, or a JSON array) and prints
their text as it is, without a line break of its own. Bytes that make no
character become U+FFFD.

With --json it prints one object: text, count (of ids).`,
		Example: `  temper tokenizer decode model/ --text '0 3 512 44'
  temper tokenizer encode model/ --text 'Hi' | temper tokenizer decode model/`,
		Args: oneOrTwoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			t, text, err := f.input(cmd, args)
			if err != nil {
				return err
			}
			ids, err := t.ParseIDs(text)
			if err != nil {
				return err
			}
			decode := t.Decode
			if skip {
				decode = t.DecodeText
			}
			if !f.asJSON {
				_, err = io.WriteString(cmd.OutOrStdout(), decode(ids))
				return err
			}
			enc := json.NewEncoder(cmd.OutOrStdout())
			enc.SetEscapeHTML(false)
			return enc.Encode(map[string]any{"text": decode(ids), "count": len(ids)})
		},
	}
	cmd.Flags().StringVar(&f.text, "text", "", "the ids themselves")
	cmd.Flags().BoolVar(&skip, "skip-special", false, "leave out tokens that are marked special")
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "print one JSON object: text, count")
	return cmd
}
