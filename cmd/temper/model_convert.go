package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/temper-ml/temper/internal/durable"
	"github.com/temper-ml/temper/train/checkpoint/hf"
)

func newModelConvertCmd() *cobra.Command {
	var f formatFlags
	cmd := &cobra.Command{
		Use:   "convert FROM DIR",
		Short: "write a copy of a model in another dtype or under other names",
		Long: `Convert reads a model directory (DeepSeek or transformers names; F32, BF16, F16,
FP8 with block scales, packed FP4) and writes a copy, tensor by tensor. The tokenizer
and generation files come along. DIR must not exist; it appears when it is complete.`,
		Example: `  temper model convert DeepSeek-V4-Flash/ flash-bf16/
  temper model convert base/ base-hf/ --names transformers --dtype f32`,
		Args: exactArgs(2, "FROM and DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := f.options(cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			from, err := hf.Open(args[0])
			if err != nil {
				return err
			}
			defer from.Close()
			for _, note := range from.Notes {
				fmt.Fprintf(cmd.ErrOrStderr(), "temper: %s\n", note)
			}
			if err := hf.Convert(cmd.Context(), durable.OS, args[1], from, o); err != nil {
				return err
			}
			return f.report(cmd, args[1])
		},
	}
	f.register(cmd)
	return cmd
}
