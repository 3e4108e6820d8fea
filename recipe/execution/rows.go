package execution

import (
	"context"
	"fmt"

	"github.com/temper-ml/temper/posttrain"
	"github.com/temper-ml/temper/recipe"
	"github.com/temper-ml/temper/train"
)

// StageRows are the token rows of one stage, for another program that wants to
// train on the same and be measured on the same.
type StageRows struct {
	// Recipe, Stage and Method say where the rows are from.
	Recipe string `json:"recipe"`
	Stage  string `json:"stage"`
	Method string `json:"method"`
	// Parameters are those of the recipe's model without its MTP blocks, which
	// have MTP more; Active are those that take part in one token.
	Parameters int64 `json:"parameters"`
	MTP        int64 `json:"mtp_parameters"`
	Active     int64 `json:"active_parameters"`
	// Vocabulary is the number of token ids.
	Vocabulary int `json:"vocabulary"`
	// Sequence is the most tokens a row has; Rows the rows of a step; Steps the
	// length of the stage.
	Sequence int   `json:"sequence"`
	Rows     int   `json:"rows"`
	Steps    int64 `json:"steps"`
	// HeldOut are the rows the stage is measured on.
	HeldOut []train.Row `json:"-"`

	source train.Source
}

// Rows prepares stage i of a recipe as a run in dir would.
func Rows(ctx context.Context, r *recipe.Recipe, dir string, i int) (*StageRows, error) {
	if i < 0 || i >= len(r.Stages) {
		return nil, fmt.Errorf("execution: stage %d of %d", i, len(r.Stages))
	}
	if s := &r.Stages[i]; posttrain.Asks(s.Method) {
		return nil, fmt.Errorf("stage %s: method %s learns what the model itself answers: it has no rows before it runs", s.Name, s.Method)
	}
	tok, err := Tokenizer(ctx, r, dir)
	if err != nil {
		return nil, err
	}
	cfg, err := Architecture(r, tok)
	if err != nil {
		return nil, err
	}
	d, err := r.StageData(i)
	if err != nil {
		return nil, err
	}
	s := &r.Stages[i]
	m, err := d.Load(ctx, s.Takes(), tok, "", r.Seed)
	if err != nil {
		return nil, fmt.Errorf("stage %s: %w", s.Name, err)
	}
	out := &StageRows{
		Recipe: r.Name, Stage: s.Name, Method: s.Method, Vocabulary: cfg.VocabSize,
		Sequence: d.Sequence, Rows: d.Rows, Steps: s.Steps, HeldOut: m.HeldOut, source: m,
	}
	if s.Epochs > 0 {
		out.Steps = m.Steps(s.Epochs)
	}
	if n := s.Eval.Rows; n > 0 && n < len(out.HeldOut) {
		out.HeldOut = out.HeldOut[:n]
	}
	out.Parameters, out.MTP, out.Active = cfg.Count()
	return out, nil
}

// Step returns the rows of a step.
func (s *StageRows) Step(step int64) ([]train.Row, error) { return s.source.Rows(step) }
