package main

import (
	"github.com/spf13/cobra"

	"github.com/temper-ml/temper/data"
	"github.com/temper-ml/temper/data/preview"
)

func newDataPackCmd() *cobra.Command {
	f := &dataFlags{}
	cfg := data.StreamConfig{}
	var text bool
	cmd := &cobra.Command{
		Use:   "pack FILE",
		Short: "pack a data file into rows and show the rows, their segments and how full they are",
		Long: `Pack shows the rows that training will see, in training order: which examples
share a row, where each begins and ends, how many of its tokens are learnt.

With --json it prints one object: packing (examples, rows, seq_len, tokens,
supervised, efficiency, longest_row, shortest_row), rows_per_step,
steps_per_epoch, rows (segments with start, end, supervised, source).`,
		Example: `  temper data pack gsm8k_train.jsonl --map prompt=question,response=answer --seq-len 4096
  temper data pack chats.jsonl --tokenizer model/ --seq-len 8192 --rows 2 --text`,
		Args: exactArgs(1, "one FILE"),
		RunE: func(cmd *cobra.Command, args []string) error { return pack(cmd, f, cfg, text, args[0]) },
	}
	f.register(cmd)
	cmd.Flags().IntVar(&f.rows, "rows", 3, "rows to show")
	cmd.Flags().BoolVar(&text, "text", false, "show the text of the rows")
	cmd.Flags().IntVar(&cfg.SeqLen, "seq-len", 4096, "tokens a row may have")
	cmd.Flags().IntVar(&cfg.Rows, "batch-rows", 8, "rows in a step")
	cmd.Flags().Uint64Var(&cfg.Seed, "seed", 0, "seed of the order")
	cmd.Flags().BoolVar(&cfg.InOrder, "in-order", false, "keep the order of the file")
	return cmd
}

func pack(cmd *cobra.Command, f *dataFlags, cfg data.StreamConfig, text bool, path string) error {
	f.opts.MaxTokens = cfg.SeqLen
	tok, d, _, err := f.load(cmd, path)
	if err != nil {
		return err
	}
	s, err := data.NewStream(d, cfg)
	if err != nil {
		return err
	}
	p := preview.Packed{Packing: s.Packing(), RowsPerStep: cfg.Rows, StepsPerEpoch: s.Steps(1)}
	for g := range int64(min(max(f.rows, 0), s.RowsPerEpoch())) {
		p.Rows = append(p.Rows, preview.DescribeRow(tok, s, g, text, f.tokens))
	}
	out := cmd.OutOrStdout()
	if f.asJSON {
		return preview.Encode(out, &p)
	}
	return p.Write(out, f.style(out))
}
