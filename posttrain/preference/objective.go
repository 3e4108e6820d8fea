package preference

import (
	"fmt"
	"slices"

	"github.com/temper-ml/temper/posttrain/dpo"
	"github.com/temper-ml/temper/train"
)

// The names of what a step reports; sft only where the loss has such a term.
const (
	LossTerm           = "loss"
	SFTTerm            = "sft"
	AccuracyTerm       = "accuracy"
	RewardChosenTerm   = "reward_chosen"
	RewardRejectedTerm = "reward_rejected"
	MarginTerm         = "margin"
)

// Objective is the mean loss of a step's pairs. It implements [train.Objective].
type Objective struct {
	loss      dpo.Loss
	reference *Reference
	rows      []train.Row
	first     int64   // row of the stream that rows begins with
	each      float64 // one over the pairs of the step
}

var _ train.Objective = (*Objective)(nil)

// NewObjective returns the objective of a stage. ref must be complete; it is not
// used, and may be nil, where the loss has no reference.
func NewObjective(l dpo.Loss, ref *Reference) (*Objective, error) {
	if err := l.Check(); err != nil {
		return nil, err
	}
	if l.Kind == KTO {
		return nil, fmt.Errorf("kind: kto judges single answers, not pairs")
	}
	if l.NeedsReference() {
		if ref == nil || !ref.Complete() {
			return nil, fmt.Errorf("preference: the log-probabilities of the reference are not complete")
		}
		ref.finish()
	}
	return &Objective{loss: l, reference: ref}, nil
}

// Terms are the loss, which is what is minimised, then the unweighted SFT term if
// there is one, then the share of pairs whose chosen answer has the higher reward
// (by token where the loss is), and the mean rewards and their difference.
func (o *Objective) Terms() []string {
	names := []string{LossTerm, SFTTerm, AccuracyTerm, RewardChosenTerm, RewardRejectedTerm, MarginTerm}
	if o.loss.SFT == 0 {
		names = slices.Delete(names, 1, 2)
	}
	return names
}

// Begin refuses rows that are not whole pairs of answers.
func (o *Objective) Begin(step int64, rows []train.Row) error {
	pairs := 0
	for i := range rows {
		if err := check(&rows[i]); err != nil {
			return fmt.Errorf("row %d: %w", i, err)
		}
		pairs += len(rows[i].Segments) / 2
	}
	o.rows, o.first, o.each = rows, step*int64(len(rows)), 1/float64(pairs)
	return nil
}

// check refuses a row that is not whole pairs of answers with labels.
func check(row *train.Row) error {
	if n := len(row.Segments); n == 0 || n%2 != 0 {
		return fmt.Errorf("%d answers are no pairs", n)
	}
	return learnable(row)
}

// learnable refuses a row with an answer without labels.
func learnable(row *train.Row) error {
	for i, s := range row.Segments {
		if !slices.ContainsFunc(row.Labels[s.Start:s.End], func(l int32) bool { return l >= 0 }) {
			return fmt.Errorf("answer %d has no token to learn", i)
		}
	}
	return nil
}

// Loss adds a row's part.
func (o *Objective) Loss(i int, logp, dlogp []float32, terms []float64) error {
	row := &o.rows[i]
	var ref []float64
	if o.loss.NeedsReference() {
		for _, e := range o.reference.pairs.stream.Examples(o.first + int64(i)) {
			if e >= len(o.reference.of) || o.reference.of[e]-o.reference.of[e] != 0 {
				return fmt.Errorf("example %d has no reference", e)
			}
			ref = append(ref, o.reference.of[e])
		}
	}
	for at := 0; at < len(row.Segments); at += 2 {
		p := score(&o.loss, row, at, logp, ref)
		for side, g := range []float64{p.Chosen, p.Rejected} {
			s := row.Segments[at+side]
			for j := s.Start; j < s.End; j++ {
				if row.Labels[j] >= 0 {
					dlogp[j] = float32(g * o.each)
				}
			}
		}
		o.add(&p, terms)
	}
	return nil
}

// add adds a pair to the step's terms.
func (o *Objective) add(p *scored, terms []float64) {
	right := 0.0
	if p.lead > 0 {
		right = 1
	}
	parts := []float64{p.minimised, p.SFT, right, p.RewardChosen, p.RewardRejected, p.RewardChosen - p.RewardRejected}
	if o.loss.SFT == 0 {
		parts = slices.Delete(parts, 1, 2)
	}
	for k, v := range parts {
		terms[k] += float64(v * o.each)
	}
}

// scored is what a pair's answers come to.
type scored struct {
	dpo.Pair
	minimised float64 // the loss with the weighted SFT term
	lead      float64 // of the chosen answer's reward; by token where the loss is
	tokens    int64   // of both answers
}

// score returns what the answers in segments at and at+1 of a row come to.
func score(l *dpo.Loss, row *train.Row, at int, logp []float32, ref []float64) scored {
	var sides [2]dpo.Answer
	for side := range sides {
		a := &sides[side]
		a.Policy, a.Tokens = sum(row, at+side, logp)
		if ref != nil {
			a.Reference = ref[at+side]
		}
	}
	s := scored{Pair: l.Pair(sides[0], sides[1]), tokens: sides[0].Tokens + sides[1].Tokens}
	s.minimised = s.Loss + float64(l.SFT*s.SFT)
	s.lead = s.RewardChosen - s.RewardRejected
	if l.ByToken() {
		s.lead = s.RewardChosen/float64(sides[0].Tokens) - s.RewardRejected/float64(sides[1].Tokens)
	}
	return s
}
