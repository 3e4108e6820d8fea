package opd

import (
	"context"
	"fmt"
	"slices"

	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/model/generate"
	"github.com/temper-ml/temper/posttrain/pack"
)

// Prompt is a question, and the teachers of whatever the student answers.
type Prompt struct {
	Tokens []int32
	Shares []Share
}

// Rollouts say how a student answers.
type Rollouts struct {
	// Prompts returns the questions of a step; the same one may be there several
	// times, and gets other answers.
	Prompts func(step int64) ([]Prompt, error)
	// Sampling draws the tokens; its Prompt and Sample are set to the place of the
	// question in the step, and to the step. The divergence is of the distribution at
	// temperature 1, whatever the temperature here.
	generate.Sampling
	// MaxTokens bounds an answer, Sequence a row: question and answer must fit.
	MaxTokens, Sequence int
	// Engine bounds what is generated at a time. It changes no token.
	Engine generate.Options
	// Tell, if not nil, is told how a step's answers came out.
	Tell func(Answers)
}

// Answers sum up what a student answered in a step.
type Answers struct {
	Step             int64
	Answers          int
	Ended            int // that the student ended itself
	Tokens           int // of answers
	Rows             int
	Longest, Prompts int // tokens: of an answer, of all questions
}

// OnPolicy returns lessons that a student's own answers are, at every step with the weights that
// it has then: a function of those, the questions and the seed. So a run that is
// resumed from a checkpoint answers as it would have without the interruption.
//
// Answers are packed into rows with others of the same teachers, in the order of their
// questions. Only their tokens are learnt, the one that ends them included.
func OnPolicy(ctx context.Context, student *deepseek.Model, r Rollouts) (Lessons, error) {
	switch {
	case r.Prompts == nil:
		return nil, fmt.Errorf("opd: rollouts have no questions")
	case r.MaxTokens < 1 || r.Sequence < 2 || r.MaxTokens >= r.Sequence:
		return nil, fmt.Errorf("opd: answers of up to %d tokens do not fit rows of %d with a question: want 1 or more, and rows longer than that", r.MaxTokens, r.Sequence)
	}
	if err := r.Sampling.Check(); err != nil {
		return nil, fmt.Errorf("opd: %w", err)
	}
	return func(step int64) ([]Lesson, error) { return r.answer(ctx, student, step) }, nil
}

// answer makes the lessons of a step.
func (r *Rollouts) answer(ctx context.Context, student *deepseek.Model, step int64) ([]Lesson, error) {
	prompts, err := r.Prompts(step)
	if err != nil {
		return nil, err
	}
	requests := make([]generate.Request, len(prompts))
	for i, p := range prompts {
		if len(p.Tokens)+r.MaxTokens > r.Sequence {
			return nil, fmt.Errorf("question %d has %d tokens, with up to %d of the answer more than a row of %d", i, len(p.Tokens), r.MaxTokens, r.Sequence)
		}
		requests[i] = generate.Request{Prompt: p.Tokens, MaxTokens: r.MaxTokens, Sampling: r.Sampling}
		requests[i].Sampling.Prompt, requests[i].Sampling.Sample = uint64(i), uint64(step)
	}
	e, err := generate.New(student, r.Engine)
	if err != nil {
		return nil, err
	}
	results, err := e.Run(ctx, requests, nil)
	if closing := e.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return nil, err
	}
	told := Answers{Step: step, Answers: len(results)}
	p := packer{Packer: pack.Packer{Room: r.Sequence}}
	for _, i := range order(prompts) {
		if results[i].Err != nil {
			return nil, fmt.Errorf("question %d: %w", i, results[i].Err)
		}
		answer := make([]int32, len(results[i].Tokens))
		for k, t := range results[i].Tokens {
			answer[k] = t.ID
		}
		if err := p.add(&prompts[i], answer); err != nil {
			return nil, fmt.Errorf("question %d: %w", i, err)
		}
		if results[i].Reason == generate.EOS {
			told.Ended++
		}
		told.Tokens, told.Prompts, told.Longest = told.Tokens+len(answer), told.Prompts+len(prompts[i].Tokens), max(told.Longest, len(answer))
	}
	if told.Rows = len(p.lessons); r.Tell != nil {
		r.Tell(told)
	}
	return p.lessons, nil
}

// order sorts questions by their teachers, otherwise as they are.
func order(prompts []Prompt) []int {
	at := make([]int, len(prompts))
	for i := range at {
		at[i] = i
	}
	slices.SortStableFunc(at, func(a, b int) int { return slices.Compare(prompts[a].teachers(), prompts[b].teachers()) })
	return at
}

func (p *Prompt) teachers() []int {
	l := Lesson{Shares: [][]Share{p.Shares}}
	return l.teachers()
}

// packer lays sequences end to end in rows.
type packer struct {
	pack.Packer
	lessons  []Lesson
	teachers []int // of the last row
}

// add puts a question and its answer into the last row, or into a new one if that is
// full or has other teachers.
func (p *packer) add(q *Prompt, answer []int32) error {
	if !slices.Equal(p.teachers, q.teachers()) {
		p.Cut()
		p.teachers = q.teachers()
	}
	at, err := p.Add(q.Tokens, answer)
	if err != nil {
		return err
	}
	if at.Row == len(p.lessons) {
		p.lessons = append(p.lessons, Lesson{})
	}
	l := &p.lessons[at.Row]
	l.Row, l.Shares = p.Rows[at.Row], append(l.Shares, q.Shares)
	return nil
}
