package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/temper-ml/temper/internal/unit"
	"github.com/temper-ml/temper/train/checkpoint/hf"
)

func newModelInspectCmd() *cobra.Command {
	var asJSON bool
	var seq int
	cmd := &cobra.Command{
		Use:   "inspect MODEL",
		Short: "show a model's tensors, parameter counts, memory for training and operations per token",
		Long: `Inspect describes a model: a built-in name, a config.json, or a directory, whose
weight files are then checked: every tensor there, none too many, each of the right
shape and complete. No weights are read.

With --json it prints one object: model, family, layers, mtp_blocks, attention (kind
-> layers), hash_layers, hidden, vocabulary, experts, experts_per_token, parameters
(total, mtp, active), training_bytes (weights, gradients, muon, adamw, total_muon,
total_adamw), flops_per_token (by convention, at sequence tokens), stored (names,
files, tensors, bytes, bytes_by_dtype; absent without weights), groups (name, shape,
count, values, dtype, optimizer), notes.`,
		Example: `  temper model inspect deepseek-v4-flash
  temper model inspect runs/base --json`,
		Args: exactArgs(1, "one MODEL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if seq < 1 {
				return usageError{fmt.Errorf("--seq is %d, want at least 1", seq)}
			}
			s, err := hf.Inspect(args[0], seq)
			if err != nil {
				return err
			}
			for _, note := range s.Notes {
				fmt.Fprintf(cmd.ErrOrStderr(), "temper: %s\n", note)
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), s)
			}
			return writeSummary(cmd.OutOrStdout(), s)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	cmd.Flags().IntVar(&seq, "seq", 4096, "sequence length for operations per token")
	return cmd
}

// writeSummary prints the table of tensors, then the totals.
func writeSummary(out io.Writer, s *hf.Summary) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "tensor\tshape\tcount\tparameters\tdtype\toptimizer")
	for _, g := range s.Groups {
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s\n", g.Name, shapeText(g.Shape), g.Count, countText(g.Values), g.DType, g.Optimizer)
	}
	fmt.Fprintln(w)
	experts := "no experts"
	if s.Experts > 0 {
		experts = fmt.Sprintf("%d experts of which %d per token", s.Experts, s.TopK)
	}
	fmt.Fprintf(w, "model\t%s, %s: %d layers (%s), %d MTP, hidden %d, vocabulary %d, %s\n",
		s.Model, s.Family, s.Layers, kindsText(s.Attention), s.MTPBlocks, s.Hidden, s.Vocabulary, experts)
	p := &s.Parameters
	fmt.Fprintf(w, "parameters\t%s, MTP %s more; %s active per token\n", countText(p.Total), countText(p.MTP), countText(p.Active))
	b := s.TrainingBytes
	fmt.Fprintf(w, "training\t%s with Muon, %s with AdamW alone: weights %s, gradients %s, moments %s or %s; activations come on top\n",
		bytesText(b["total_muon"]), bytesText(b["total_adamw"]), bytesText(b["weights"]), bytesText(b["gradients"]), bytesText(b["muon"]), bytesText(b["adamw"]))
	f := s.FLOPsPerToken
	fmt.Fprintf(w, "operations\t%v per token forward and backward at %d tokens (megatron %v, verl %v, torchtitan %v)\n",
		unit.FLOPs(f["ledger"]), s.Sequence, unit.FLOPs(f["megatron"]), unit.FLOPs(f["verl"]), unit.FLOPs(f["torchtitan"]))
	if st := s.Stored; st != nil {
		fmt.Fprintf(w, "files\t%d with %d tensors, %s, %s names\n", st.Files, st.Tensors, bytesText(st.Bytes), st.Names)
	}
	return w.Flush()
}

func shapeText(shape []int) string { return strings.Join(strings.Fields(fmt.Sprint(shape)), ", ") }

func countText(n int64) string { return strings.TrimSpace(unit.Count(n).String()) }

func bytesText(n int64) string { return unit.Bytes(n).String() }

// kindsText lists kinds of attention with their numbers of layers.
func kindsText(kinds map[string]int) string {
	var parts []string
	for kind, n := range kinds {
		parts = append(parts, fmt.Sprintf("%d %s", n, kind))
	}
	slices.SortFunc(parts, func(a, b string) int {
		return strings.Compare(a[strings.IndexByte(a, ' '):], b[strings.IndexByte(b, ' '):])
	})
	return strings.Join(parts, ", ")
}
