package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/temper-ml/temper/compute/dtype"
	"github.com/temper-ml/temper/train/checkpoint/hf"
)

func newModelCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "model",
		Short: "make, look into, convert and compare Hugging Face model directories, streamed",
	}
	cmd.AddCommand(newModelInitCmd(), newModelInspectCmd(), newModelConvertCmd(), newModelDiffCmd())
	return cmd
}

// formatFlags say how a model is written.
type formatFlags struct {
	dtype, names, shard string
	asJSON              bool
}

func (f *formatFlags) register(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.dtype, "dtype", "bf16", "what weights are stored in: bf16 or f32")
	fl.StringVar(&f.names, "names", "deepseek", "names of the tensors: deepseek (as published) or transformers (fused experts)")
	fl.StringVar(&f.shard, "shard", "5GB", "largest file, about: a number with KB, MB, GB or TB")
	fl.BoolVar(&f.asJSON, "json", false, "print one JSON object about the written model, as 'model inspect --json' does")
}

// options turns the flags' words into hf.Options.
func (f *formatFlags) options(stderr io.Writer) (hf.Options, error) {
	var o hf.Options
	switch strings.ToLower(f.dtype) {
	case "bf16", "bfloat16":
		o.DType = dtype.BF16
	case "f32", "fp32", "float32":
		o.DType = dtype.F32
	default:
		return o, usageError{fmt.Errorf("--dtype is %q, want bf16 or f32", f.dtype)}
	}
	var err error
	if o.Style, err = hf.ParseStyle(f.names); err != nil {
		return o, usageError{fmt.Errorf("--names is %q, want %s or %s", f.names, hf.DeepSeek, hf.Transformers)}
	}
	if o.MaxShard, err = parseSize(f.shard); err != nil {
		return o, usageError{fmt.Errorf("--shard: %w", err)}
	}
	o.Progress = newMeter(stderr, "written")
	return o, nil
}

// report describes what was written.
func (f *formatFlags) report(cmd *cobra.Command, dir string) error {
	s, err := hf.Inspect(dir, 4096)
	if err != nil {
		return fmt.Errorf("the model was written but does not open: %w", err)
	}
	if f.asJSON {
		return printJSON(cmd.OutOrStdout(), s)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "wrote %s: %d tensors in %d files, %s\n", dir, s.Stored.Tensors, s.Stored.Files, bytesText(s.Stored.Bytes))
	return nil
}

// printJSON writes one indented object without escaping <, > and &.
func printJSON(out io.Writer, v any) error {
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
