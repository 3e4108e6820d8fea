package journal

import (
	"errors"
	"fmt"

	"github.com/temper-ml/temper/model/generate"
	"github.com/temper-ml/temper/posttrain/reward"
	"github.com/temper-ml/temper/report/record/digest"
)

// Header says what a round's answers are a function of, and bounds them.
type Header struct {
	Config, Questions, Policy digest.Digest
	Seed                      uint64
	Number, First             int64
	// Prompts is how many questions a wave asks at most, Group how many answers each
	// gets, Tokens how long one may be, Waves how many waves there may be.
	Prompts, Group, Tokens, Waves uint32
}

// Capacity is the number of answers that a round may have: answer i is number
// i mod Group to question i / Group after the first.
func (h *Header) Capacity() int64 {
	return int64(h.Prompts) * int64(h.Group) * int64(h.Waves)
}

// maxAnswers bounds a round.
const maxAnswers = 1 << 24

// check tells what is impossible about h.
func (h *Header) check() error {
	if h.Number < 0 || h.First < 0 || h.First > 1<<56 {
		return fmt.Errorf("round %d begins with question %d, want 0 or more", h.Number, h.First)
	}
	n := uint64(1)
	for _, f := range []uint32{h.Prompts, h.Group, h.Waves} {
		if f == 0 || n*uint64(f) > maxAnswers {
			return fmt.Errorf("%d waves of %d questions with %d answers each, want 1 to %d answers in all", h.Waves, h.Prompts, h.Group, maxAnswers)
		}
		n *= uint64(f)
	}
	if h.Tokens == 0 || h.Tokens > 1<<24 {
		return fmt.Errorf("answers of up to %d tokens, want 1 to %d", h.Tokens, 1<<24)
	}
	return nil
}

// Answer is what a file knows of an answer.
type Answer struct {
	Tokens           []int32
	LogProb, Sampled []float32
	// Reason is why it ended, Running if it has not.
	Reason generate.Reason
	// Verdict is nil until it is judged.
	Verdict *reward.Verdict
	// Arrays are numbers of its tokens.
	Arrays [Arrays][]float32
	// Routes are the compact form of what [deepseek.Routes] has for all tokens but the
	// last, the question's included; they may be there before the last tokens are.
	Routes []byte
}

// Which of the arrays.
const (
	Old = iota
	Reference
	Arrays // how many there are
)

// Question is what a file says of a question.
type Question struct {
	Index    int64
	Place    string
	Thinking bool
	Tokens   []int32
}

// State is what a file says.
type State struct {
	Header Header
	// Questions are those asked, in order, as far as they are told.
	Questions []Question
	// Answers are those of which there is anything.
	Answers map[int]*Answer
	// Sealed says that the round is complete; Asked and Digest are the seal's.
	Sealed bool
	Asked  int64
	Digest digest.Digest
	// Size is how many bytes of the file count, Torn how many after them do not.
	Size, Torn int64

	durable int64 // bytes that a mark says are on the disk
	salt    uint32
}

// Add is tokens of one answer.
type Add struct {
	Answer           int
	Tokens           []int32
	LogProb, Sampled []float32
	Reason           generate.Reason
}

// ends reports whether an answer may end so.
func ends(r generate.Reason) bool {
	return r == generate.EOS || r == generate.Stopped || r == generate.Length || r == generate.Context
}

// add takes tokens in.
func (s *State) add(a *Add) error {
	if int64(a.Answer) >= s.Header.Capacity() {
		return fmt.Errorf("answer %d of a round of %d", a.Answer, s.Header.Capacity())
	}
	x := s.Answers[a.Answer]
	if x == nil {
		x = &Answer{}
		s.Answers[a.Answer] = x
	}
	n := len(x.Tokens) + len(a.Tokens)
	switch {
	case x.Reason != generate.Running:
		return fmt.Errorf("answer %d goes on after its end", a.Answer)
	case n > int(s.Header.Tokens):
		return fmt.Errorf("answer %d has %d tokens, at most %d are allowed", a.Answer, n, s.Header.Tokens)
	case n == 0 || a.Reason != generate.Running && !ends(a.Reason):
		return fmt.Errorf("answer %d of %d tokens ends with %v", a.Answer, n, a.Reason)
	}
	x.Tokens = append(x.Tokens, a.Tokens...)
	x.LogProb = append(x.LogProb, a.LogProb...)
	x.Sampled = append(x.Sampled, a.Sampled...)
	x.Reason = a.Reason
	return nil
}

// ended returns an answer that has ended.
func (s *State) ended(i uint64) (*Answer, error) {
	if i >= maxAnswers || s.Answers[int(i)] == nil || s.Answers[int(i)].Reason == generate.Running {
		return nil, fmt.Errorf("answer %d has not ended", i)
	}
	return s.Answers[int(i)], nil
}

func (s *State) judge(i uint64, v *reward.Verdict) error {
	x, err := s.ended(i)
	if err != nil {
		return err
	}
	if x.Verdict != nil {
		return fmt.Errorf("answer %d is judged twice", i)
	}
	x.Verdict = v
	return nil
}

func (s *State) amend(i uint64, which byte, values []float32) error {
	x, err := s.ended(i)
	switch {
	case err != nil:
		return err
	case which >= Arrays:
		return fmt.Errorf("answer %d has an array %d, there are %d", i, which, Arrays)
	case len(values) != len(x.Tokens):
		return fmt.Errorf("answer %d has %d tokens and an array of %d", i, len(x.Tokens), len(values))
	}
	x.Arrays[which] = values
	return nil
}

// ask takes a question in.
func (s *State) ask(number uint64, q Question) error {
	if number != uint64(len(s.Questions)) || int64(number) >= int64(s.Header.Prompts)*int64(s.Header.Waves) {
		return fmt.Errorf("question %d comes after %d of at most %d", number, len(s.Questions), int64(s.Header.Prompts)*int64(s.Header.Waves))
	}
	s.Questions = append(s.Questions, q)
	return nil
}

// route keeps the routes of an answer that is about to end.
func (s *State) route(i uint64, coded []byte) error {
	if i >= uint64(s.Header.Capacity()) {
		return fmt.Errorf("answer %d of a round of %d", i, s.Header.Capacity())
	}
	x := s.Answers[int(i)]
	if x == nil {
		x = &Answer{}
		s.Answers[int(i)] = x
	}
	if x.Reason != generate.Running {
		return fmt.Errorf("answer %d gets routes after its end", i)
	}
	x.Routes = coded
	return nil
}

// ErrDamaged is wrapped by errors about files whose content changed after it had
// reached the disk, or was never written by this program.
var ErrDamaged = errors.New("damaged")

// DamagedError says where a file is damaged.
type DamagedError struct {
	Path   string
	Offset int64
	Rule   string
}

// Error names file, offset and what is wrong.
func (e *DamagedError) Error() string {
	return fmt.Sprintf("%s is damaged at byte %d: %s: remove the file to sample its round again", e.Path, e.Offset, e.Rule)
}

// Is makes errors.Is(err, ErrDamaged) true.
func (e *DamagedError) Is(target error) bool { return target == ErrDamaged }
