package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/temper-ml/temper/data/tokenizer"
)

func newTokenizerCmd() *cobra.Command {
	cmd := &cobra.Command{Use: "tokenizer", Short: "train a byte-level BPE vocabulary; encode and decode text"}
	cmd.AddCommand(newTokenizerTrainCmd(), newTokenizerEncodeCmd(), newTokenizerDecodeCmd())
	return cmd
}

// textFlags say where one text comes from.
type textFlags struct {
	text   string
	asJSON bool
}

// input loads the tokenizer, the first argument, and reads --text, the file of the second argument, or
// the standard input.
func (f *textFlags) input(cmd *cobra.Command, args []string) (*tokenizer.Tokenizer, string, error) {
	inline := cmd.Flags().Changed("text")
	if inline && len(args) > 1 {
		return nil, "", usageError{fmt.Errorf("both --text and the file %s: want one of them", args[1])}
	}
	t, err := tokenizer.Load(args[0])
	if err != nil || inline {
		return t, f.text, err
	}
	var data []byte
	if len(args) == 1 || args[1] == "-" {
		data, err = io.ReadAll(cmd.InOrStdin())
	} else {
		data, err = os.ReadFile(args[1])
	}
	return t, string(data), err
}

func oneOrTwoArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 1 || len(args) == 2 {
		return nil
	}
	return usageError{fmt.Errorf("%s takes TOKENIZER and at most one FILE, got %d arguments: see `%s --help`", cmd.CommandPath(), len(args), cmd.CommandPath())}
}
