package rollout

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/model/generate"
	"github.com/temper-ml/temper/posttrain/reward"
	"github.com/temper-ml/temper/posttrain/rollout/journal"
	"github.com/temper-ml/temper/report/record/digest"
)

// run is a round in the making. What it holds of an answer is also in its file.
type run struct {
	s      *Sampler
	round  *Round
	file   *journal.Journal // nil if there is none
	logged int              // questions in the file
	judged []bool           // by answer
	kept   [][journal.Arrays]bool
	wave   int
	told   Progress
	sum    float64 // of rewards, of so many answers
	fair   int
}

// start opens the round's file, if there is to be one, and takes in what it holds. It
// makes one if there is a model to fill it.
func (s *Sampler) start(m *deepseek.Model, policy digest.Digest, number, first int64) (*run, error) {
	if number < 0 || first < 0 {
		return nil, fmt.Errorf("round %d begins with question %d, want 0 or more", number, first)
	}
	h := s.header(policy, number, first)
	if s.o.Dir == "" {
		return &run{s: s, round: s.round(&h)}, nil
	}
	path := s.path(number)
	if policy.IsZero() || m == nil {
		old, err := journal.Read(path)
		switch {
		case err == nil && policy.IsZero():
			h.Policy = old.Header.Policy
		case err != nil && (m == nil || !errors.Is(err, os.ErrNotExist)):
			return nil, err
		}
	}
	file, state, err := journal.Open(s.o.FS, path, &h)
	if err != nil {
		return nil, err
	}
	if state.Torn > 0 && s.o.Warn != nil {
		s.o.Warn(fmt.Sprintf("%s: its last %d bytes were being written when it was interrupted: what they held is made again", path, state.Torn))
	}
	r := &run{s: s, round: s.round(&h), file: file}
	if err := r.recall(state); err != nil {
		_ = file.Close()
		return nil, err
	}
	return r, nil
}

// recall takes in what a file holds: the answers of as many waves as verdicts say that
// there were, and of the one after them.
func (r *run) recall(state *journal.State) error {
	path := r.s.path(r.round.Number)
	r.logged = len(state.Questions)
	for n := r.next(); n > 0; n = r.next() {
		from := len(r.round.Answers)
		r.ask(n)
		for i := from; i < len(r.round.Answers); i++ {
			if x := state.Answers[i]; x != nil {
				if err := r.remember(i, x); err != nil {
					return fmt.Errorf("%s: answer %d: %w", path, i, err)
				}
				delete(state.Answers, i)
			}
		}
		if !r.complete(from) {
			break
		}
	}
	for i := range state.Questions {
		if at := i * r.s.o.Config.Group; at >= len(r.round.Answers) || !slices.Equal(state.Questions[i].Tokens, r.round.Answers[at].Question.Tokens) {
			return &journal.DamagedError{Path: path, Offset: state.Size, Rule: fmt.Sprintf("question %d is not what is asked there", i)}
		}
	}
	if len(state.Answers) > 0 {
		return &journal.DamagedError{Path: path, Offset: state.Size, Rule: fmt.Sprintf("answer %d is there, which verdicts before it do not ask for", slices.Min(slices.Collect(maps.Keys(state.Answers))))}
	}
	if !state.Sealed {
		return nil
	}
	if !r.done() {
		return &journal.DamagedError{Path: path, Offset: state.Size, Rule: fmt.Sprintf("it is sealed with %d of at least %d answers", r.told.Answers, len(r.round.Answers))}
	}
	r.finish()
	if sum := r.round.Digest(); sum != state.Digest || r.round.Used != state.Asked {
		return &journal.DamagedError{Path: path, Offset: state.Size, Rule: fmt.Sprintf("its seal says %v and %d questions, its content gives %v and %d", state.Digest, state.Asked, sum, r.round.Used)}
	}
	r.round.Sealed = true
	return nil
}

// remember takes in what a file holds of an answer.
func (r *run) remember(i int, x *journal.Answer) error {
	a := &r.round.Answers[i]
	a.Tokens, a.LogProb, a.Sampled, a.Reason = x.Tokens, x.LogProb, x.Sampled, x.Reason
	a.Old, a.Reference = x.Arrays[journal.Old], x.Arrays[journal.Reference]
	r.kept[i] = [journal.Arrays]bool{a.Old != nil, a.Reference != nil}
	r.told.Tokens += int64(len(a.Tokens))
	if a.Reason == generate.Running {
		return nil
	}
	r.told.Answers++
	if r.s.judges == nil {
		if x.Verdict != nil {
			return errors.New("it is judged, and there are no rules")
		}
	} else if x.Verdict != nil {
		r.rule(i, *x.Verdict)
	}
	if r.s.o.Routes == nil {
		return nil
	}
	var err error
	a.Routes, err = deepseek.DecodeRoutes(x.Routes, r.s.o.Routes, len(a.Question.Tokens)+len(a.Tokens)-1)
	return err
}

// rule takes in a verdict.
func (r *run) rule(i int, v reward.Verdict) {
	r.round.Answers[i].Verdict, r.judged[i] = v, true
	if r.told.Judged++; !v.Failed {
		r.sum += v.Total
		r.fair++
	}
}

// next says how many questions the next wave asks, 0 if there is none: as many as the
// waves before would have needed for the groups that are missing, one round's at most.
func (r *run) next() int {
	c := &r.s.o.Config
	asked := len(r.round.Answers) / c.Group
	switch {
	case r.wave == 0:
		return c.Prompts
	case r.wave >= r.s.waves():
		return 0
	}
	r.round.group(c.Group, true, true, c.Prompts)
	good := 0
	for i := range r.round.Groups {
		if d := r.round.Groups[i].Dropped; d == "" || d == Surplus {
			good++
		}
	}
	missing := c.Prompts - good
	switch {
	case missing <= 0:
		return 0
	case good == 0:
		return c.Prompts
	}
	return min(c.Prompts, (missing*asked+good-1)/good)
}

// ask begins a wave of n questions.
func (r *run) ask(n int) {
	c := &r.s.o.Config
	for range n {
		cursor := r.round.First + int64(len(r.round.Answers)/c.Group)
		q := r.s.o.Questions.At(cursor)
		for k := range c.Group {
			r.round.Answers = append(r.round.Answers, Answer{Question: q, Cursor: cursor, Sample: k})
		}
	}
	r.judged = append(r.judged, make([]bool, n*c.Group)...)
	r.kept = append(r.kept, make([][journal.Arrays]bool, n*c.Group)...)
	r.wave++
}

// write tells the file what is asked.
func (r *run) write() error {
	if r.file == nil {
		return nil
	}
	var list []journal.Question
	size := r.s.o.Config.Group
	for at := r.logged * size; at < len(r.round.Answers); at += size {
		q := r.round.Answers[at].Question
		list = append(list, journal.Question{Index: int64(q.Index), Place: q.Source.String(), Thinking: q.Thinking, Tokens: q.Tokens})
	}
	if len(list) == 0 {
		return nil
	}
	first := r.logged
	r.logged += len(list)
	return r.file.Questions(first, list)
}

// settled tells whether nothing is left to do for an answer.
func (r *run) settled(i int) bool {
	return r.round.Answers[i].Reason != generate.Running && (r.s.judges == nil || r.judged[i])
}

// complete tells whether all answers from one on are settled.
func (r *run) complete(from int) bool {
	for i := from; i < len(r.round.Answers); i++ {
		if !r.settled(i) {
			return false
		}
	}
	return true
}

// done tells whether no answer is missing.
func (r *run) done() bool { return r.wave > 0 && r.complete(0) && r.next() == 0 }

// finish says what is learnt of the answers.
func (r *run) finish() {
	c := &r.s.o.Config
	r.round.Used = int64(len(r.round.Answers) / c.Group)
	r.round.group(c.Group, r.s.judges != nil, r.s.o.Dynamic, c.Prompts)
}

// keep writes an array that is not in the file yet.
func (r *run) keep(answer, which int, values []float32) error {
	if r.kept[answer][which] || r.file == nil {
		return nil
	}
	r.kept[answer][which] = true
	return r.file.Array(answer, which, values)
}

// progress describes the run.
func (r *run) progress() Progress {
	p := r.told
	p.Round, p.Wave, p.Total = r.round.Number, r.wave, int64(len(r.round.Answers))
	p.Questions = p.Total / int64(r.s.o.Config.Group)
	if r.fair > 0 {
		p.Reward = r.sum / float64(r.fair)
	}
	return p
}
