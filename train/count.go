package train

import (
	"context"

	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/model/deepseek"
)

// Counted holds the multiplications of one step, counted three ways.
type Counted struct {
	Work  arch.Work
	Lines []CountedLine
	// Beyond is what was executed and is in no line: Executed is Ledger and all of it.
	Beyond []Beyond
	// Ledger and Executed are totals. An operation count is twice Ledger.
	Ledger, Executed int64
}

// CountedLine is one operator.
type CountedLine struct {
	Operator string
	Ledger   int64 // by the closed form: arch.Config.Ledger
	Listed   int64 // summed over products: arch.Config.Operations
	Counted  int64 // as the kernels told, computed for the first time, less Idle
}

// Beyond is something executed that no convention counts.
type Beyond struct {
	Name, Why       string
	Multiplications int64
}

// CountStep takes the trainer's next step while the kernels tell what they execute
// ([kernel.Watch]), and holds it against the ledger. It costs two steps: forward and
// backward run once by themselves, to tell them from the optimizer.
func (t *Trainer) CountStep(ctx context.Context) (*Counted, error) {
	rows, err := t.source.Rows(t.step)
	if err != nil {
		return nil, err
	}
	r := Result{Step: t.step, Counts: Count(rows)}
	model, all := newTally(t.model), newTally(t.model)
	if err := model.watch(func() error { return t.accumulate(ctx, rows, &r, nil) }); err != nil {
		return nil, err
	}
	if err := all.watch(func() error { _, err := t.Step(ctx); return err }); err != nil {
		return nil, err
	}
	c := &Counted{Work: WorkOf(t.cfg, t.model.Config(), rows), Executed: all.total}
	list := t.listed(rows, c.Work)
	model.pool(list)
	recomputed, idle := int64(0), int64(0)
	for _, l := range t.model.Config().Ledger(c.Work) {
		got := model.operators[l.Operator]
		line := CountedLine{Operator: l.Operator, Ledger: int64((l.Forward + l.Backward) / 2)}
		var again int64
		if e := list.operators[l.Operator]; e != nil {
			line.Listed = e.wanted
			idle += e.executed.sum() - e.wanted
			if t.recompute != deepseek.RecomputeNone {
				again = got[0] - e.executed[0]
			}
			line.Counted = got.sum() - again - (e.executed.sum() - e.wanted)
		}
		recomputed += again
		c.Ledger += line.Ledger
		c.Lines = append(c.Lines, line)
	}
	c.Beyond = model.beyond(recomputed, idle, all.total-model.total)
	return c, nil
}

// listed adds up the operations of a step, micro-batch by micro-batch.
func (t *Trainer) listed(rows []Row, step arch.Work) *listing {
	l := &listing{products: map[productKey]int64{}, operators: map[string]*listedOperator{}, of: map[string]string{}}
	for slot := range t.cfg.Slots {
		lo, hi := slotRange(len(rows), t.cfg.Slots, slot)
		for ; lo < hi; lo += t.cfg.MicroRows {
			w := WorkOf(t.cfg, t.model.Config(), rows[lo:min(hi, lo+t.cfg.MicroRows)])
			w.MTP, w.IndexerLoss = step.MTP, step.IndexerLoss
			for _, o := range t.model.Config().Operations(w) {
				l.add(&o)
			}
		}
	}
	return l
}

// listing is what a step is expected to execute.
type listing struct {
	products  map[productKey]int64
	operators map[string]*listedOperator
	of        map[string]string // operator of a role
	pooling   int64             // of compressors, not of indexers
}

type listedOperator struct {
	executed twoWays
	wanted   int64
}

// twoWays are multiplications forward and backward.
type twoWays [2]int64

func (w twoWays) sum() int64 { return w[0] + w[1] }

// productKey names the products of one weight in one pass.
type productKey struct {
	layer int
	name  string
	pass  arch.Pass
}

func keyOf(layer int, name string, pass arch.Pass) productKey {
	if name == string(arch.Head) { // one weight for all depths
		layer = -1
	}
	return productKey{layer, name, pass}
}

func (l *listing) add(o *arch.Operation) {
	l.products[keyOf(o.Layer, o.Name, o.Pass)] += o.Executed()
	e := l.operators[o.Operator]
	if e == nil {
		e = &listedOperator{}
		l.operators[o.Operator] = e
	}
	e.executed[min(1, int(o.Pass))] += o.Executed()
	e.wanted += o.Wanted
	l.of[o.Name] = o.Operator
	if o.Name == "pooling" && o.Operator == "compressor" {
		l.pooling += o.Executed()
	}
}

// told names what kernels say a part of their work is for.
type told struct {
	name string
	pass kernel.Pass
}
