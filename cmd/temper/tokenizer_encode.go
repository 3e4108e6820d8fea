package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/temper-ml/temper/data/tokenizer"
)

// encoded is what `tokenizer encode --json` prints.
type encoded struct {
	IDs    []int32  `json:"ids"`
	Tokens []string `json:"tokens"`
	Count  int      `json:"count"`
	Bytes  int      `json:"bytes"`
}

func newTokenizerEncodeCmd() *cobra.Command {
	f := &textFlags{}
	var special, affixes bool
	cmd := &cobra.Command{
		Use:   "encode TOKENIZER [FILE]",
		Short: "print the ids of a text: a file, the standard input, or --text",
		Long: `Encode prints the ids of a text on one line. TOKENIZER is a tokenizer.json or
the directory it is in. Names of control tokens in the text are text like any
other unless --special is given.

With --json it prints one object: ids, tokens (what each id decodes to), count,
bytes (of the text).`,
		Example: `  temper tokenizer encode model/ --text 'How many?'
  temper tokenizer encode model/tokenizer.json --special < prompt.txt`,
		Args: oneOrTwoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			t, text, err := f.input(cmd, args)
			if err != nil {
				return err
			}
			ids := t.Encode(text, special)
			if affixes {
				before, after := t.Affixes()
				ids = slices.Concat(before, ids, after)
			}
			return printIDs(cmd, f.asJSON, t, text, ids)
		},
	}
	cmd.Flags().StringVar(&f.text, "text", "", "the text itself")
	cmd.Flags().BoolVar(&special, "special", false, "take names of added tokens in the text for tokens")
	cmd.Flags().BoolVar(&affixes, "affixes", false, "put the tokens of the post-processor around the text")
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "print one JSON object: ids, tokens, count, bytes")
	return cmd
}

func printIDs(cmd *cobra.Command, asJSON bool, t *tokenizer.Tokenizer, text string, ids []int32) error {
	out := cmd.OutOrStdout()
	if !asJSON {
		_, err := fmt.Fprintln(out, strings.Trim(fmt.Sprint(ids), "[]"))
		return err
	}
	e := encoded{IDs: ids, Tokens: make([]string, len(ids)), Count: len(ids), Bytes: len(text)}
	for i, id := range ids {
		e.Tokens[i] = t.Decode([]int32{id})
	}
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	return enc.Encode(e)
}
