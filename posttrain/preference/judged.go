package preference

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"

	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/posttrain/dpo"
	"github.com/temper-ml/temper/train"
)

// judged is what a stage of judged answers has beside its rows.
type judged struct {
	train, held *parted
	sets        []mismatches // of each step, then of what is held out
	rows        int64        // of all of them
	answers     int64
	paired      bool // what is held out are whole pairs
}

// Shape says how a stage of judged answers is laid out.
type Shape struct {
	Steps int64
	// Batch is the number of rows of a step, Sequence of tokens that a row may have.
	Batch, Sequence int
	// Held is how many rows are measured, and Paired whether they hold pairs.
	Held   int
	Paired bool
}

// NewJudged describes a stage that learns from judged answers of s and is measured
// on the first rows of held, which may be nil. The mismatched answers of every step
// belong to what it needs a reference for if the loss l has any use for them.
func NewJudged(l *dpo.Loss, s, held Judged, shape Shape) *Pairs {
	var rows []train.Row
	var examples []int
	for i := range int64(shape.Held) {
		r := held.Row(i)
		rows = append(rows, train.NewRow(&r))
		examples = append(examples, held.Examples(i)...)
	}
	p := NewPairs(s, shape.Steps, shape.Batch, rows)
	j := &judged{train: &parted{stream: s, limit: shape.Sequence}, held: &parted{stream: held, limit: shape.Sequence}, paired: shape.Paired}
	p.judged = j
	if !l.NeedsReference() {
		return p
	}
	for step := range shape.Steps {
		var of []int
		for i := range p.batch {
			of = append(of, s.Examples(step*p.batch+i)...)
		}
		j.put(j.train.cross(of))
	}
	j.put(j.held.cross(examples))
	return p
}

func (j *judged) put(m mismatches) {
	m.first = j.rows
	j.rows += int64(len(m.rows))
	j.answers += int64(len(m.pairs))
	j.sets = append(j.sets, m)
}

// row returns row i of all mismatched answers.
func (j *judged) row(i int64) train.Row {
	s := sort.Search(len(j.sets), func(s int) bool { return j.sets[s].first > i }) - 1
	m := &j.sets[s]
	r := m.rows[i-m.first]
	of := j.train
	if s == len(j.sets)-1 {
		of = j.held
	}
	return of.row(m.pairs[r.lo:r.hi])
}

// divergence is z of set s: the mean log-ratio of its mismatched answers by the
// weights that m has, at least 0, and the ratios, in order. It takes micro rows at a
// time, which changes no bit.
func (p *Pairs) divergence(ctx context.Context, m *deepseek.Model, ref *Reference, s, micro int) (z float64, ratios []float64, err error) {
	if len(p.judged.sets) == 0 {
		return 0, nil, nil
	}
	set, before := &p.judged.sets[s], p.used+int64(len(p.held))
	for lo := 0; lo < len(set.rows); lo += micro {
		if err := ctx.Err(); err != nil {
			return 0, nil, err
		}
		hi := min(lo+micro, len(set.rows))
		var rows []train.Row
		var by []float64
		for i := lo; i < hi; i++ {
			rows = append(rows, p.judged.row(set.first+int64(i)))
			by = append(by, ref.values[before+set.first+int64(i)]...)
		}
		all := join(rows)
		sums, err := answers(m, &all)
		if err != nil {
			return 0, nil, fmt.Errorf("mismatched answers: %w", err)
		}
		for k, v := range sums {
			ratios = append(ratios, v-by[k])
		}
	}
	return dpo.Divergence(ratios), ratios, nil
}

// DivergenceTerm is the name of z in what a step of judged answers reports.
const DivergenceTerm = "kl"

// Judging is the mean loss of a step's answers, each of which is desirable or not.
// It implements [train.Forward]: z is that of the whole step, by the weights that
// the step begins with.
type Judging struct {
	loss      dpo.Loss
	pairs     *Pairs
	reference *Reference
	stream    Judged
	model     *deepseek.Model
	micro     int

	step      int64
	rows      []train.Row
	examples  [][]int // by row and segment
	each      float64 // one over the answers of the step
	good, bad float64 // one over those that are desirable, and over the others
	z         float64
}

var _ train.Forward = (*Judging)(nil)

// NewJudging returns the objective of a stage that NewJudged describes. ref must be
// complete, or nil where the loss has no reference; m is what is trained, of which
// micro rows are looked at at a time.
func NewJudging(l dpo.Loss, p *Pairs, ref *Reference, m *deepseek.Model, micro int) (*Judging, error) {
	if err := l.Check(); err != nil {
		return nil, err
	}
	switch {
	case l.Kind != KTO || p.judged == nil:
		return nil, fmt.Errorf("kind: %s compares pairs", l.Kind)
	case l.NeedsReference() && (ref == nil || !ref.Complete()):
		return nil, errors.New("preference: the log-probabilities of the reference are not complete")
	case l.NeedsReference():
		ref.finish()
	}
	return &Judging{loss: l, pairs: p, reference: ref, stream: p.judged.train.stream, model: m, micro: micro}, nil
}

// KTO is the kind of loss that judges single answers.
const KTO = "kto"

// Terms are the loss, the unweighted SFT term if there is one, z, the share of
// answers whose reward is on the right side of z, the mean rewards of the desirable
// and the other answers, 0 without any, and their difference, 0 without one of them.
func (o *Judging) Terms() []string {
	names := []string{LossTerm, SFTTerm, DivergenceTerm, AccuracyTerm, RewardChosenTerm, RewardRejectedTerm, MarginTerm}
	if o.loss.SFT == 0 {
		names = slices.Delete(names, 1, 2)
	}
	return names
}

// Begin refuses rows that are not answers with something to learn.
func (o *Judging) Begin(step int64, rows []train.Row) error {
	o.step, o.rows, o.examples = step, rows, o.examples[:0]
	good, all := 0, 0
	for i := range rows {
		if err := learnable(&rows[i]); err != nil {
			return fmt.Errorf("row %d: %w", i, err)
		}
		es := o.stream.Examples(step*int64(len(rows)) + int64(i))
		if len(es) != len(rows[i].Segments) {
			return fmt.Errorf("row %d: %d answers, %d judgements", i, len(rows[i].Segments), len(es))
		}
		for _, e := range es {
			if o.stream.Desirable(e) {
				good++
			}
		}
		o.examples, all = append(o.examples, es), all+len(es)
	}
	o.each, o.good, o.bad = 1/float64(all), 1/float64(max(1, good)), 1/float64(max(1, all-good))
	if good == 0 {
		o.good = 0
	}
	if good == all {
		o.bad = 0
	}
	return nil
}

// Forward computes z. A context that has ended ends it.
func (o *Judging) Forward(ctx context.Context) (ratios []float64, err error) {
	o.z, ratios, err = o.pairs.divergence(ctx, o.model, o.reference, int(o.step), o.micro)
	return ratios, err
}

// Work is that of the step's mismatched answers.
func (o *Judging) Work() arch.Work { return o.pairs.MismatchWork(o.step) }

// MismatchWork is what a step runs the model on, forward only, beside its own rows.
func (p *Pairs) MismatchWork(step int64) arch.Work {
	w := arch.Work{Supervised: []int64{0}}
	if p.judged == nil || len(p.judged.sets) == 0 {
		return w
	}
	set := &p.judged.sets[step]
	for i := range set.rows {
		r := p.judged.row(set.first + int64(i))
		addWork(&w, &r)
	}
	return w
}

// ReferenceWork is what row i of a reference takes, forward only.
func (p *Pairs) ReferenceWork(i int64) arch.Work {
	w := arch.Work{Supervised: []int64{0}}
	r := p.Row(i)
	addWork(&w, &r)
	return w
}

func addWork(w *arch.Work, r *train.Row) {
	for _, s := range r.Segments {
		w.Lengths = append(w.Lengths, s.Len())
	}
	for _, l := range r.Labels {
		if l >= 0 {
			w.Supervised[0]++
		}
	}
}

// Loss adds a row's part.
func (o *Judging) Loss(i int, logp, dlogp []float32, terms []float64) error {
	row, names := &o.rows[i], o.Terms()
	kl := slices.Index(names, DivergenceTerm)
	if i == 0 {
		terms[kl] += o.z
	}
	for k, e := range o.examples[i] {
		a := dpo.Answer{}
		a.Policy, a.Tokens = sum(row, k, logp)
		if o.loss.NeedsReference() {
			if e >= len(o.reference.of) || o.reference.of[e]-o.reference.of[e] != 0 {
				return fmt.Errorf("example %d has no reference", e)
			}
			a.Reference = o.reference.of[e]
		}
		good := o.stream.Desirable(e)
		s := o.loss.Single(a, good, o.z)
		for j := row.Segments[k].Start; j < row.Segments[k].End; j++ {
			if row.Labels[j] >= 0 {
				dlogp[j] = float32(s.Answer * o.each)
			}
		}
		terms[0] += float64((s.Loss + float64(o.loss.SFT*s.SFT)) * o.each)
		if o.loss.SFT > 0 {
			terms[1] += float64(s.SFT * o.each)
		}
		o.rewards(&s, good, terms[kl+1:])
	}
	return nil
}

// rewards adds an answer's part of accuracy, rewards and margin.
func (o *Judging) rewards(s *dpo.Single, good bool, terms []float64) {
	lead, both := s.Reward-float64(o.loss.Beta*o.z), o.good > 0 && o.bad > 0
	part, side, sign := o.good, 1, 1.0
	if !good {
		lead, part, side, sign = -lead, o.bad, 2, -1
	}
	if lead > 0 {
		terms[0] += o.each
	}
	terms[side] += float64(s.Reward * part)
	if both {
		terms[3] += float64(float64(sign*s.Reward) * part)
	}
}
