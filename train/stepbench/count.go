package stepbench

import (
	"context"
	"fmt"
	"time"

	"github.com/temper-ml/temper/data"
	"github.com/temper-ml/temper/internal/detrand"
	"github.com/temper-ml/temper/internal/unit"
	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/train"
)

// CountOptions say which step to count.
type CountOptions struct {
	Options
	// Documents share each row, as equal in length as can be.
	Documents int
	// Supervised is the share of each document, at its end, that has labels.
	Supervised float64
	// Indexer trains the indexers.
	Indexer bool
}

// Check tells what is wrong with the options.
func (o *CountOptions) Check() error {
	switch {
	case o.Rows < 1 || o.MicroRows < 1 || o.Sequence < 2:
		return fmt.Errorf("stepbench: rows, rows in memory and tokens of a row must be at least 1, 1 and 2, got %d, %d and %d", o.Rows, o.MicroRows, o.Sequence)
	case o.Documents < 1 || 2*o.Documents > o.Sequence:
		return fmt.Errorf("stepbench: documents of a row must be 1 to %d, two tokens each, got %d", o.Sequence/2, o.Documents)
	case !(o.Supervised > 0 && o.Supervised <= 1):
		return fmt.Errorf("stepbench: the supervised share must be above 0 and at most 1, got %v", o.Supervised)
	}
	return nil
}

// source gives rows of several documents, of which only the ends are supervised.
func (o *CountOptions) source() packed { return packed{o, o.Model.VocabSize} }

type packed struct {
	o     *CountOptions
	vocab int
}

func (p packed) Rows(step int64) ([]train.Row, error) {
	out := make([]train.Row, p.o.Rows)
	for i := range out {
		s := detrand.Key(1, "flops", uint64(step), uint64(i))
		r := data.Row{Tokens: make([]int32, p.o.Sequence), Mask: make([]bool, p.o.Sequence)}
		for j := range r.Tokens {
			r.Tokens[j] = int32(s.Uint64nAt(uint64(j), uint64(p.vocab)))
		}
		for d := range p.o.Documents {
			lo, hi := d*p.o.Sequence/p.o.Documents, (d+1)*p.o.Sequence/p.o.Documents
			r.Segments = append(r.Segments, data.Segment{Start: lo, End: hi})
			first := hi - max(1, int(float64(p.o.Supervised*float64(hi-lo))))
			for j := max(first, lo+1); j < hi; j++ {
				r.Mask[j] = true
			}
		}
		out[i] = train.NewRow(&r)
	}
	return out, nil
}

// Count takes one step of a model with random weights and counts its
// multiplications three ways: see [train.Trainer.CountStep].
func Count(ctx context.Context, o CountOptions) (*train.Counted, error) {
	if o.Model == nil {
		var err error
		if o.Model, err = arch.Builtin("tiny-v4"); err != nil {
			return nil, err
		}
	}
	if err := o.Check(); err != nil {
		return nil, err
	}
	c := o.config()
	if o.Indexer {
		c.Loss.Indexer = 0.1
	}
	if err := fits(c, o.Model, o.source()); err != nil {
		return nil, err
	}
	m, err := deepseek.New(o.Model)
	if err != nil {
		return nil, err
	}
	m.Init(1)
	t, err := train.New(c, m, o.source(), o.Rows, time.Now)
	if err != nil {
		return nil, err
	}
	return t.CountStep(ctx)
}

// fits refuses a step that needs more memory than the machine has.
func fits(c train.Config, model *arch.Config, src train.Source) error {
	if err := model.CheckTrainable(); err != nil {
		return err
	}
	rows, err := src.Rows(0)
	if err != nil {
		return err
	}
	plan, err := train.PlanMemory(c, model, [][]train.Row{rows}, 0, nil)
	if err != nil {
		return err
	}
	if have := procBytes("/proc/meminfo", "MemAvailable:"); have > 0 && float64(plan.Total()) > have {
		return fmt.Errorf("stepbench: a step needs %s of memory, this machine has %s: lower the rows in memory or the tokens of a row, or take a smaller model",
			unit.Bytes(plan.Total()), unit.Bytes(have))
	}
	return nil
}
