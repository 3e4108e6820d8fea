package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/temper-ml/temper/internal/unit"
	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/train"
	"github.com/temper-ml/temper/train/checkpoint/hf"
	"github.com/temper-ml/temper/train/stepbench"
)

func newBenchFLOPsCmd() *cobra.Command {
	var (
		asJSON bool
		model  string
		o      stepbench.CountOptions
	)
	cmd := &cobra.Command{
		Use:   "flops",
		Short: "count the multiplications of one step three ways: by formula, product by product, as executed",
		Long: `Takes one step of a model with random weights and counts its multiplications
three ways: by the closed form that MFU is computed from, summed over every
product that the architecture asks for, and as the kernels tell what they
execute. The three must agree for every operator; exit code 1 if they do not.
What is executed beyond them, and what other conventions would have counted, is
listed with its share.`,
		Args: exactArgs(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if o.Model, err = hf.LoadConfig(model); err != nil {
				return usageError{err}
			}
			if err := o.Check(); err != nil {
				return usageError{err}
			}
			c, err := stepbench.Count(cmd.Context(), o)
			if err != nil {
				return err
			}
			table, err := countTable(o.Model, c)
			if err != nil {
				return err
			}
			if asJSON {
				err = json.NewEncoder(cmd.OutOrStdout()).Encode(table)
			} else {
				err = table.write(cmd.OutOrStdout())
			}
			if err == nil && !table.Agree {
				err = fmt.Errorf("the three counts differ")
			}
			return err
		},
	}
	f := cmd.Flags()
	f.BoolVar(&asJSON, "json", false, "print one JSON object")
	f.StringVar(&model, "model", "tiny-v4", "built-in architecture, or config.json")
	f.IntVar(&o.Rows, "rows", 4, "rows of a step")
	f.IntVar(&o.MicroRows, "micro-rows", 4, "rows in memory at once")
	f.IntVar(&o.Sequence, "sequence", 256, "tokens of a row")
	f.IntVar(&o.Documents, "documents", 1, "documents of a row, isolated from each other")
	f.Float64Var(&o.Supervised, "supervised", 1, "share of each document, at its end, that is supervised")
	f.BoolVar(&o.Indexer, "indexer-loss", false, "train the indexers")
	f.StringVar(&o.Optimizer, "optimizer", "adamw", "adamw or muon")
	f.StringVar(&o.Recompute, "recompute", "none", "none, selective or full")
	return cmd
}

// counts is the answer of temper bench flops. Everything is in multiplications; an
// operation count is twice that.
type counts struct {
	Agree       bool              `json:"agree"`
	Tokens      int64             `json:"tokens"`
	Ledger      int64             `json:"ledger"`
	Executed    int64             `json:"executed"`
	Operators   []countedOperator `json:"operators"`
	Beyond      []beyond          `json:"beyond"`
	Conventions []convention      `json:"conventions"`
}

type countedOperator struct {
	Operator string `json:"operator"`
	Ledger   int64  `json:"ledger"`
	Products int64  `json:"products"`
	Counted  int64  `json:"counted"`
}

type beyond struct {
	Name            string  `json:"name"`
	Multiplications int64   `json:"multiplications"`
	Share           float64 `json:"share"` // of the ledger
	Why             string  `json:"why"`
}

// convention is what others would have counted for the trunk, per token of a row of
// the documents' mean length.
type convention struct {
	Name        string       `json:"name"`
	PerToken    float64      `json:"flops_per_token"`
	Differences []difference `json:"differences"`
}

type difference struct {
	Operator string  `json:"operator"`
	FLOPs    float64 `json:"flops"` // convention - ledger
	Why      string  `json:"why"`
}

func countTable(c *arch.Config, got *train.Counted) (*counts, error) {
	out := &counts{Agree: true, Ledger: got.Ledger, Executed: got.Executed}
	for _, n := range got.Work.Lengths {
		out.Tokens += int64(n)
	}
	for _, l := range got.Lines {
		out.Operators = append(out.Operators, countedOperator{l.Operator, l.Ledger, l.Listed, l.Counted})
		out.Agree = out.Agree && l.Ledger == l.Listed && l.Ledger == l.Counted
	}
	for _, b := range got.Beyond {
		out.Beyond = append(out.Beyond, beyond{b.Name, b.Multiplications, float64(b.Multiplications) / float64(got.Ledger), b.Why})
	}
	documents := int64(len(got.Work.Lengths))
	length := int((out.Tokens + documents - 1) / documents)
	for _, by := range []arch.Convention{arch.ByLedger, arch.Megatron, arch.Verl, arch.Torchtitan} {
		per, err := c.FLOPsPerToken(by, length)
		if err != nil {
			return nil, err
		}
		diff, err := c.Compare(by, length)
		if err != nil {
			return nil, err
		}
		k := convention{Name: string(by), PerToken: per}
		for _, d := range diff {
			if d.Note != "" {
				k.Differences = append(k.Differences, difference{d.Operator, d.Convention - d.Ledger, d.Note})
			}
		}
		out.Conventions = append(out.Conventions, k)
	}
	return out, nil
}

func (t *counts) write(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "operator\tformula\tproducts\texecuted\tshare\t")
	for _, o := range t.Operators {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%.2f %%\t\n", o.Operator, o.Ledger, o.Products, o.Counted, 100*float64(o.Ledger)/float64(t.Ledger))
	}
	fmt.Fprintf(w, "all\t%d\t\t\t\t\n", t.Ledger)
	if err := w.Flush(); err != nil {
		return err
	}
	w = tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "\nmultiplications of a step of %d tokens: %s operations; executed in all %d, so beyond the ledger:\n", t.Tokens, unit.FLOPs(2*float64(t.Ledger)), t.Executed)
	for _, b := range t.Beyond {
		fmt.Fprintf(w, "%s\t%d\t%.2f %%\t%s\n", b.Name, b.Multiplications, 100*b.Share, b.Why)
	}
	fmt.Fprintf(w, "\nthe trunk's operations per token, every position supervised, by convention:\n")
	for _, c := range t.Conventions {
		fmt.Fprintf(w, "%s\t%s\t\t\n", c.Name, unit.FLOPs(c.PerToken))
		for _, d := range c.Differences {
			fmt.Fprintf(w, "\t%+.4g\t%s\t%s\n", d.FLOPs, d.Operator, d.Why)
		}
	}
	return w.Flush()
}
