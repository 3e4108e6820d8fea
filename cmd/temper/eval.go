package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/temper-ml/temper/eval"
	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/posttrain"
	"github.com/temper-ml/temper/train/checkpoint/hf"
)

func newEvalCmd() *cobra.Command {
	var (
		suites   []string
		asJSON   bool
		data     = posttrain.Data{Format: "auto", Encoding: "deepseek-v4", Sequence: 4096, Rows: 1}
		measured = map[string]float64{}
	)
	cmd := &cobra.Command{
		Use:   "eval MODEL --suite FILE",
		Short: "measure a model on held-out data: loss, perplexity, exact answers",
		Long: `Measures a Hugging Face model directory. A suite of conversations gives the
loss of the answers and the share that greedy decoding would produce exactly; a
suite of plain text (.txt) gives loss and perplexity.

With --json: one object, FILE/loss, FILE/perplexity, FILE/exact -> value.`,
		Args: exactArgs(1, "a model directory"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(suites) == 0 {
				return usageError{fmt.Errorf("nothing to measure: give --suite FILE")}
			}
			cfg, err := hf.LoadConfig(args[0])
			if err != nil {
				return usageError{err}
			}
			tok, err := loadTokenizer(args[0])
			if err != nil {
				return usageError{err}
			}
			m, err := deepseek.NewFrozen(cfg)
			if err != nil {
				return err
			}
			if err := loadWeights(m, args[0]); err != nil {
				return err
			}
			for _, file := range suites {
				d := data
				d.Files = []string{file}
				method := "sft"
				if filepath.Ext(file) == ".txt" {
					method, d.Overlong = "cpt", "split"
				}
				rows, err := d.Pack(cmd.Context(), method, tok, "")
				if err != nil {
					return err
				}
				l, err := eval.Measure(cmd.Context(), m, rows, 0)
				if err != nil {
					return err
				}
				name := filepath.Base(file)
				measured[name+"/loss"], measured[name+"/perplexity"] = l.Mean, l.Perplexity
				text := fmt.Sprintf("%s: loss %.4f, perplexity %.2f over %d tokens", name, l.Mean, l.Perplexity, l.Tokens)
				if method == "sft" {
					a, err := eval.Exact(cmd.Context(), m, rows)
					if err != nil {
						return err
					}
					measured[name+"/exact"] = a.Value()
					text += fmt.Sprintf(", %d of %d exact (%.1f %%)", a.Right, a.Total, 100*a.Value())
				}
				if !asJSON {
					fmt.Fprintln(cmd.OutOrStdout(), text)
				}
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(measured)
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&suites, "suite", nil, "JSONL of conversations, or plain text (repeatable)")
	f.StringVar(&data.Format, "format", data.Format, "layout of the rows, as for data inspect")
	f.StringToStringVar(&data.Fields, "map", nil, "rename fields: --map prompt=question,response=answer")
	f.StringVar(&data.Encoding, "encoding", data.Encoding, "chat encoding")
	f.IntVar(&data.Sequence, "sequence", data.Sequence, "tokens of a row")
	f.BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}
