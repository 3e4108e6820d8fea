package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/temper-ml/temper/internal/unit"
	"github.com/temper-ml/temper/recipe"
	"github.com/temper-ml/temper/recipe/execution"
)

func newCheckCmd() *cobra.Command {
	var (
		out       string
		asJSON    bool
		overrides []string
	)
	cmd := &cobra.Command{
		Use:   "check RECIPE.yaml",
		Short: "refuse everything about a recipe that can be refused before any work",
		Long: `Reads everything a run would read (recipe, tokenizer, model, data with its
masks), predicts memory and disk, and prints the complete recipe with every
default filled in. Nothing is written.

With --json: parameters, active_parameters, stages (name, method, steps, data,
packing, held_out_rows, memory, flops, reference_rows, reference_flops,
reference_bytes, answers, notes), memory_bytes, memory_available_bytes, disk_bytes,
disk_free_bytes.`,
		Args: exactArgs(1, "a recipe"),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := recipe.Load(args[0], overrides)
			if err != nil {
				return usageError{err}
			}
			if out == "" {
				out = "runs/" + r.Name
			}
			c, err := execution.Check(cmd.Context(), r, out)
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(c)
			}
			text, err := r.YAML()
			if err != nil {
				return err
			}
			if _, err := cmd.OutOrStdout().Write(text); err != nil {
				return err
			}
			return checkedText(cmd.ErrOrStderr(), c)
		},
	}
	f := cmd.Flags()
	f.StringVar(&out, "out", "", "run directory (default runs/NAME)")
	f.BoolVar(&asJSON, "json", false, "print what was found as one JSON object")
	f.StringArrayVar(&overrides, "set", nil, "override a field, as run does")
	return cmd
}

// checkedText prints what a check found for a person.
func checkedText(w io.Writer, c *execution.Checked) error {
	fmt.Fprintf(w, "temper: good: %s parameters, %s active\n", unit.Count(c.Parameters), unit.Count(c.Active))
	for _, s := range c.Stages {
		m := &s.Memory
		if s.Answers != nil {
			checkedAnswers(w, &s)
		} else {
			fmt.Fprintf(w, "temper: stage %s: %d steps, %s examples, %s tokens (%s supervised), rows %.1f %% full, %s\n", s.Name, s.Steps,
				unit.Count(s.Data.Examples), unit.Count(s.Data.Tokens), unit.Count(s.Data.Supervised), 100*s.Packing.Efficiency, unit.FLOPs(s.FLOPs))
		}
		fmt.Fprintf(w, "temper: stage %s: memory %s (parameters %s, gradients %s, optimizer %s, activations %s, rest %s)\n", s.Name,
			unit.Bytes(m.Total()), unit.Bytes(m.Parameters), unit.Bytes(m.Gradients), unit.Bytes(m.Optimizer), unit.Bytes(m.Activations), unit.Bytes(m.Scratch+m.Data+m.Program))
		if s.ReferenceRows > 0 {
			fmt.Fprintf(w, "temper: stage %s: first the reference's log-probabilities of %s rows, forward only: %s, %.0f %% of what its steps take\n", s.Name,
				unit.Count(s.ReferenceRows), unit.FLOPs(s.ReferenceFLOPs), 100*s.ReferenceFLOPs/s.FLOPs)
		}
		for _, t := range s.Teachers {
			fmt.Fprintf(w, "temper: stage %s: teacher %s (%s parameters) reads %s tokens: %s forward and %s in its head, beside %s of the model; %s of memory while it reads\n", s.Name, t.Name,
				unit.Count(t.Parameters), unit.Count(t.Tokens), unit.FLOPs(t.Reading), unit.FLOPs(t.Head), unit.FLOPs(s.FLOPs), unit.Bytes(t.Memory))
		}
		leftOut(w, s.Name, &s.Data)
		for _, n := range s.Notes {
			fmt.Fprintf(w, "temper: note: %s\n", n)
		}
	}
	_, err := fmt.Fprintf(w, "temper: needs %s of memory (%s available) and at most %s of disk (%s free)\n",
		unit.Bytes(c.MemoryBytes), unit.Bytes(c.AvailableBytes), unit.Bytes(c.DiskBytes), unit.Bytes(c.FreeBytes))
	return err
}

// checkedAnswers prints what a stage needs that learns from the model's own answers.
func checkedAnswers(w io.Writer, s *execution.CheckedStage) {
	a := s.Answers
	fmt.Fprintf(w, "temper: stage %s: %d steps in %d rounds, %s questions (%d held out); a round of at most %s answers with %s tokens\n",
		s.Name, s.Steps, a.Rounds, unit.Count(int64(a.Questions)), s.HeldOut, unit.Count(a.Generations), unit.Count(a.Tokens))
	fmt.Fprintf(w, "temper: stage %s: at most %s for sampling and reading answers, %s for steps\n", s.Name, unit.FLOPs(a.FLOPs), unit.FLOPs(s.FLOPs))
	fmt.Fprintf(w, "temper: stage %s: sampling takes %s more memory (caches %s, logits %s, further weights %s, rounds %s), and %s of disk\n", s.Name, unit.Bytes(a.Memory),
		unit.Bytes(a.Engine.Cache+a.Engine.Sequences), unit.Bytes(a.Engine.Logits), unit.Bytes(a.Weights.Total()), unit.Bytes(a.Kept), unit.Bytes(a.Bytes))
}
