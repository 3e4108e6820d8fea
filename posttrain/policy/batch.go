package policy

import (
	"errors"
	"fmt"

	"github.com/temper-ml/temper/posttrain/grpo"
	"github.com/temper-ml/temper/posttrain/pack"
	"github.com/temper-ml/temper/posttrain/rollout"
	"github.com/temper-ml/temper/train"
)

// learnt is an answer that takes part in updates.
type learnt struct {
	*rollout.Answer
	advantage float64
}

// lesson is what a round teaches.
type lesson struct {
	round  *rollout.Round
	groups [][]learnt // none of them empty
	// reward is the mean over the judged answers of the round, share the part of its
	// answers that takes part.
	reward, share float64
}

// newLesson compares the answers of each group. Rewards of truncated answers count in
// the statistics of their group, also where the answers themselves are masked.
func newLesson(c *grpo.Config, r *rollout.Round) (*lesson, error) {
	l := &lesson{round: r}
	judged, kept := 0, 0
	for i := range r.Groups {
		g := &r.Groups[i]
		answers, rewards := g.Judged()
		for _, v := range rewards {
			l.reward += v
		}
		judged += len(rewards)
		if g.Dropped != "" {
			continue
		}
		advantages, err := c.Advantages(rewards)
		if err != nil {
			return nil, fmt.Errorf("question %d: %w", g.Cursor, err)
		}
		var group []learnt
		for j, a := range answers {
			if c.Counts(&grpo.Answer{Truncated: a.Truncated()}) {
				group = append(group, learnt{a, advantages[j]})
			}
		}
		if len(group) > 0 {
			l.groups = append(l.groups, group)
			kept += len(group)
		}
	}
	if judged > 0 {
		l.reward /= float64(judged)
	}
	if n := len(r.Answers); n > 0 {
		l.share = float64(kept) / float64(n)
	}
	return l, nil
}

// batch is what an optimizer step learns.
type batch struct {
	*lesson
	rows     []train.Row
	segments [][]learnt // of each row; none in a step that has nothing to learn
	divisors grpo.Divisors
}

// add puts an answer into a row, with the choices made when it was sampled if they are
// to be made again.
func add(p *pack.Packer, a *rollout.Answer, replay bool) (pack.Place, error) {
	at, err := p.Add(a.Question.Tokens, a.Tokens)
	if err == nil && replay {
		if a.Routes == nil {
			err = errors.New("there are no routes to replay")
		}
		r := &p.Rows[len(p.Rows)-1]
		r.Routes = append(r.Routes, a.Routes)
	}
	if err != nil {
		err = fmt.Errorf("answer %d to question %d: %w", a.Sample, a.Cursor, err)
	}
	return at, err
}

// batch returns part number part of parts of the groups, in rows of up to sequence
// tokens. A part without groups is a row of the round that no loss reads.
func (l *lesson) batch(part, parts, sequence int, replay bool) (*batch, error) {
	b := &batch{lesson: l}
	p := pack.Packer{Room: sequence}
	n := len(l.groups)
	for _, group := range l.groups[n*part/parts : n*(part+1)/parts] {
		for _, a := range group {
			at, err := add(&p, a.Answer, replay)
			if err != nil {
				return nil, err
			}
			if at.Row == len(b.segments) {
				b.segments = append(b.segments, nil)
			}
			b.segments[at.Row] = append(b.segments[at.Row], a)
			b.divisors.Add(len(a.Tokens))
		}
	}
	if len(p.Rows) == 0 {
		return b, b.idle(&p, replay)
	}
	b.rows = p.Rows
	return b, nil
}

// idle makes the batch a row whose labels have no gradient.
func (b *batch) idle(p *pack.Packer, replay bool) error {
	if len(b.round.Answers) == 0 {
		return fmt.Errorf("round %d has no answers", b.round.Number)
	}
	if _, err := add(p, &b.round.Answers[0], replay); err != nil {
		return err
	}
	for i := range p.Rows[0].MTPLabels {
		p.Rows[0].MTPLabels[i] = -1
	}
	b.rows, b.segments = p.Rows, [][]learnt{nil}
	return nil
}
