package policy

import (
	"fmt"
	"slices"

	"github.com/temper-ml/temper/nn"
	"github.com/temper-ml/temper/posttrain/grpo"
	"github.com/temper-ml/temper/train"
)

// The names of what a step reports. All but the last are means over the tokens that
// the step learns, unless said otherwise; kl, weight and dropped are there only where
// the loss has such terms.
const (
	LossTerm     = "loss"         // what is minimised
	KLTerm       = "kl"           // the divergence from the anchor, unweighted, aggregated as the loss is
	RewardTerm   = "reward"       // mean over all judged answers of the round
	LearntTerm   = "learnt"       // share of the round's answers that take part
	SurpriseTerm = "surprise"     // mean of -log π of the sampled tokens: on-policy, an estimate of the entropy
	RatioTerm    = "ratio"        // mean of π/π_old, or of the answers' ratio
	ClippedTerm  = "clipped"      // share of tokens whose gradient a bound took away
	WeightTerm   = "weight"       // mean weight of the correction
	DroppedTerm  = "dropped"      // share of tokens that the correction or the mask left out
	MismatchTerm = "mismatch"     // mean of |log π_old - log μ|
	LargestTerm  = "mismatch_max" // the largest
)

var (
	_ train.Source   = (*Stage)(nil)
	_ train.Extremes = (*Stage)(nil)
)

// Terms names what a step reports.
func (s *Stage) Terms() []string { return slices.Clone(s.terms) }

// Largest is 1: the largest mismatch is the last term.
func (s *Stage) Largest() int { return 1 }

// termsOf lists the terms that a loss has.
func termsOf(c *grpo.Config) []string {
	names := []string{LossTerm, RewardTerm, LearntTerm, SurpriseTerm, RatioTerm, ClippedTerm}
	if c.KL.Weight > 0 {
		names = append(names, KLTerm)
	}
	if !c.Correction.None() {
		names = append(names, WeightTerm)
	}
	if !c.Correction.None() || c.OffPolicy > 0 {
		names = append(names, DroppedTerm)
	}
	return append(names, MismatchTerm, LargestTerm)
}

// Begin is told the rows of a step, which are those of Rows.
func (s *Stage) Begin(step int64, rows []train.Row) error {
	b, err := s.batch(step)
	if err != nil {
		return err
	}
	if len(rows) != len(b.rows) {
		return fmt.Errorf("%d rows, the step has %d", len(rows), len(b.rows))
	}
	s.present, s.loss = b, s.o.Loss
	// Later steps of a round learn answers of older weights.
	s.loss.OnPolicy = s.o.Loss.OnPolicy && step%s.o.Rollout.Steps() == 0
	return nil
}

// Loss adds a row's part.
func (s *Stage) Loss(i int, logp, dlogp []float32, terms []float64) error {
	b := s.present
	row := &b.rows[i]
	if i == 0 {
		s.add(terms, RewardTerm, b.reward)
		s.add(terms, LearntTerm, b.share)
		s.add(terms, RatioTerm, 1) // rows add how far they are from it
	}
	for j, a := range b.segments[i] {
		seg := row.Segments[j]
		lo, hi := seg.Start+len(a.Question.Tokens)-1, seg.End-1
		if err := s.answer(&a, logp[lo:hi], dlogp[lo:hi], terms); err != nil {
			return fmt.Errorf("row %d, tokens from %d on, answer %d to question %d of round %d: %w", i, lo+1, a.Sample, a.Cursor, b.round.Number, err)
		}
	}
	return nil
}

// answer adds an answer's part.
func (s *Stage) answer(a *learnt, logp, dlogp []float32, terms []float64) error {
	g := grpo.Answer{
		Advantage: a.advantage, Truncated: a.Truncated(),
		Policy: logp, Old: a.LogProb, Sampled: a.Sampled, Reference: a.Reference,
	}
	if computed, _ := Needs(&s.loss); computed {
		if g.Old = a.Old; g.Old == nil {
			return fmt.Errorf("its log-probabilities at the start of the round were not computed")
		}
	}
	s.grad = append(s.grad[:0], make([]float64, len(logp))...)
	t, err := s.loss.Loss(&g, s.present.divisors, s.grad)
	if err != nil {
		return err
	}
	for k, v := range s.grad {
		dlogp[k] = float32(v)
	}
	surprise := 0.0
	for _, p := range logp {
		surprise -= float64(p)
	}
	n := float64(s.present.divisors.Tokens)
	s.add(terms, LossTerm, t.Loss)
	s.add(terms, KLTerm, t.KL)
	s.add(terms, SurpriseTerm, surprise/n)
	if t.Ratio != 0 || t.Dropped == 0 { // dropped answers have no ratios
		s.add(terms, RatioTerm, (t.Ratio-float64(len(logp)))/n)
	}
	s.add(terms, ClippedTerm, float64(t.Clipped)/n)
	s.add(terms, WeightTerm, t.Weight/n)
	s.add(terms, DroppedTerm, float64(t.Dropped)/n)
	s.add(terms, MismatchTerm, t.Mismatch/n)
	last := &terms[len(terms)-1]
	*last = max(*last, t.MaxMismatch)
	return nil
}

// add adds to the term of that name, if there is one. Parts are rounded here, so that
// it makes no difference how answers were packed.
func (s *Stage) add(terms []float64, name string, v float64) {
	if i := slices.Index(s.terms, name); i >= 0 {
		terms[i] += nn.Term(v)
	}
}
