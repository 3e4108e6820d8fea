package stepbench

import "github.com/temper-ml/temper/train"

// Trace is what the steps of a measurement were made of and what came out of
// them, for a program that wants to compute the same. scripts/bench_torch.py
// does.
type Trace struct {
	Steps []TracedStep `json:"steps"`
}

// TracedStep is one optimizer step: its rows of tokens, every token but the
// first of a row supervised, and the unweighted means that it found before its
// update.
type TracedStep struct {
	Tokens  [][]int32 `json:"tokens"`
	LM      float64   `json:"lm"`
	MTP     float64   `json:"mtp"`
	Balance float64   `json:"balance"`
	// GradNorm is the norm of the weighted sum's gradient before clipping.
	GradNorm float64 `json:"grad_norm"`
}

func (t *Trace) add(rows []train.Row, r *train.Result) {
	s := TracedStep{LM: r.LM, MTP: r.MTP, Balance: r.Balance, GradNorm: r.GradNorm}
	for _, row := range rows {
		s.Tokens = append(s.Tokens, row.Tokens)
	}
	t.Steps = append(t.Steps, s)
}
