package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/temper-ml/temper/recipe"
	"github.com/temper-ml/temper/recipe/execution"
	"github.com/temper-ml/temper/train"
)

func newDataRowsCmd() *cobra.Command {
	var (
		dir, stage string
		steps      int64
		overrides  []string
	)
	cmd := &cobra.Command{
		Use:   "rows RECIPE.yaml",
		Short: "print the token rows that a recipe trains on and is measured on",
		Long: `Rows prints what a stage of a recipe is made of, exactly as run feeds it to the
model, for another program to train on the same and be measured on the same.

One JSON object a line. The first: recipe, stage, method, parameters,
mtp_parameters, active_parameters, vocabulary, sequence, rows (of a step), steps,
held_out_rows. Then held-out rows and the rows of each step, in order: kind
(held_out or train), step (of train), tokens, labels (the token each position
must predict, -1 for none), segments (start and end of each document, which see
nothing of each other).`,
		Example: `  temper data rows recipes/shakespeare.yaml >rows.jsonl`,
		Args:    exactArgs(1, "a recipe"),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := recipe.Load(args[0], overrides)
			if err != nil {
				return usageError{err}
			}
			i := 0
			if stage != "" {
				i = slices.IndexFunc(r.Stages, func(s recipe.Stage) bool { return s.Name == stage })
			}
			if i < 0 {
				return usageError{fmt.Errorf("--stage: %s has no stage %q", args[0], stage)}
			}
			if dir == "" {
				dir = "runs/" + r.Name
			}
			s, err := execution.Rows(cmd.Context(), r, dir, i)
			if err != nil {
				return err
			}
			if steps >= 0 {
				s.Steps = min(s.Steps, steps)
			}
			return writeRows(cmd.OutOrStdout(), s)
		},
	}
	f := cmd.Flags()
	f.StringVar(&dir, "out", "", "run directory, whose tokenizer is used if it has one (default runs/NAME)")
	f.StringVar(&stage, "stage", "", "name of the stage (default: the first)")
	f.Int64Var(&steps, "steps", -1, "print the rows of so many steps (default: all)")
	f.StringArrayVar(&overrides, "set", nil, "override a field, as run does")
	return cmd
}

// row is a line of data rows.
type row struct {
	Kind     string   `json:"kind"`
	Step     *int64   `json:"step,omitempty"`
	Tokens   []int32  `json:"tokens"`
	Labels   []int32  `json:"labels"`
	Segments [][2]int `json:"segments"`
}

func writeRows(w io.Writer, s *execution.StageRows) error {
	b := bufio.NewWriter(w)
	out := json.NewEncoder(b)
	head := struct {
		*execution.StageRows
		HeldOutRows int `json:"held_out_rows"`
	}{s, len(s.HeldOut)}
	if err := out.Encode(head); err != nil {
		return err
	}
	for _, r := range s.HeldOut {
		if err := encodeRow(out, "held_out", nil, &r); err != nil {
			return err
		}
	}
	for step := range s.Steps {
		rows, err := s.Step(step)
		if err != nil {
			return err
		}
		for _, r := range rows {
			if err := encodeRow(out, "train", &step, &r); err != nil {
				return err
			}
		}
	}
	return b.Flush()
}

func encodeRow(out *json.Encoder, kind string, step *int64, r *train.Row) error {
	o := row{Kind: kind, Step: step, Tokens: r.Tokens, Labels: r.Labels}
	for _, s := range r.Segments {
		o.Segments = append(o.Segments, [2]int{s.Start, s.End})
	}
	return out.Encode(o)
}
