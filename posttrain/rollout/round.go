package rollout

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"math"

	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/model/generate"
	"github.com/temper-ml/temper/posttrain/grpo"
	"github.com/temper-ml/temper/posttrain/reward"
	"github.com/temper-ml/temper/report/record/digest"
	"github.com/temper-ml/temper/train"
)

// Answer is what the policy answered to a question.
type Answer struct {
	Question *Question
	// Cursor is the question's place in the endless order, Sample the answer's number
	// among those to it.
	Cursor int64
	Sample int
	// Tokens are the answer's, its end included.
	Tokens []int32
	// LogProb are their log-probabilities under the policy that sampled them, Sampled
	// those under the distribution that they were drawn from.
	LogProb, Sampled []float32
	// Reason says why the answer ended.
	Reason generate.Reason
	// Verdict is what the rules said; it has no parts where there are none.
	Verdict reward.Verdict
	// Old and Reference are log-probabilities of the tokens under later and other
	// weights, if the stage needs them: see [Sampler.Amend].
	Old, Reference []float32
	// Routes are the choices made for all tokens but the last, the question's
	// included, if the stage replays them.
	Routes *deepseek.Routes
}

// Truncated reports whether the answer did not end by itself.
func (a *Answer) Truncated() bool {
	return a.Reason == generate.Length || a.Reason == generate.Context
}

// Group is the answers to one question.
type Group struct {
	Question *Question
	Cursor   int64
	// Answers are a part of the round's.
	Answers []Answer
	// Dropped says why updates leave the group out; "" if they do not.
	Dropped Drop
}

// Drop is a reason to leave a group out.
type Drop string

// The reasons.
const (
	// Unjudged groups have fewer than two answers that the rules could judge.
	Unjudged Drop = "unjudged"
	// Flat groups have equal rewards, which teach nothing (dynamic sampling).
	Flat Drop = "flat"
	// Surplus groups come after enough others (dynamic sampling).
	Surplus Drop = "surplus"
)

// Judged are the group's answers that all rules could judge, in order, and their
// rewards.
func (g *Group) Judged() (answers []*Answer, rewards []float64) {
	for i := range g.Answers {
		if a := &g.Answers[i]; !a.Verdict.Failed {
			answers, rewards = append(answers, a), append(rewards, a.Verdict.Total)
		}
	}
	return answers, rewards
}

// Round is the answers that one or several optimizer steps learn.
type Round struct {
	// Number counts the rounds of the stage; First is the cursor of its first
	// question, Used how many questions it asked.
	Number, First, Used int64
	// Seed names the random numbers, Config what decides the answers besides the
	// weights, Policy those.
	Seed   uint64
	Config digest.Digest
	Policy digest.Digest
	// Answers are in the order of questions asked, then of samples; Groups are the same
	// by question.
	Answers []Answer
	Groups  []Group
	// Sealed says that the round's file is complete.
	Sealed bool
}

// group cuts the answers, size to a question, and says which groups are learnt: those
// with at least two judged answers and, if sampling is dynamic, the first so many of
// them whose rewards are unequal. Where nothing is judged all are.
func (r *Round) group(size int, judged, dynamic bool, prompts int) {
	r.Groups = make([]Group, 0, len(r.Answers)/size)
	kept := 0
	for lo := 0; lo+size <= len(r.Answers); lo += size {
		g := Group{Question: r.Answers[lo].Question, Cursor: r.Answers[lo].Cursor, Answers: r.Answers[lo : lo+size : lo+size]}
		if judged {
			g.Dropped = g.drop(dynamic)
		}
		if g.Dropped == "" {
			if kept++; dynamic && kept > prompts {
				g.Dropped = Surplus
			}
		}
		r.Groups = append(r.Groups, g)
	}
}

// drop says whether a group teaches something.
func (g *Group) drop(dynamic bool) Drop {
	_, rewards := g.Judged()
	switch {
	case len(rewards) < 2:
		return Unjudged
	case dynamic && grpo.Flat(rewards):
		return Flat
	}
	return ""
}

// Sums describe a round in a few numbers.
type Sums struct {
	Questions, Answers int64
	Tokens             int64 // of answers
	Longest            int64 // answer
	Truncated          int64 // answers that did not end by themselves
	Failed             int64 // answers that a rule could not judge
	Unjudged           int64 // groups
	Flat, Surplus      int64 // groups left out
	// Reward is the mean over judged answers, Deviation their standard deviation, Rules
	// the mean of each rule's value.
	Reward, Deviation float64
	Rules             []Mean
	// LogProb is the sum over all tokens.
	LogProb float64
}

// Mean is a named mean over Count values.
type Mean struct {
	Name  string
	Value float64
	Count int64
}

// Sums returns the round's numbers. They are sums in the order of answers.
func (r *Round) Sums() Sums {
	s := Sums{Questions: r.Used, Answers: int64(len(r.Answers))}
	for i := range r.Answers {
		a := &r.Answers[i]
		s.Tokens += int64(len(a.Tokens))
		s.Longest = max(s.Longest, int64(len(a.Tokens)))
		if a.Truncated() {
			s.Truncated++
		}
		if a.Verdict.Failed {
			s.Failed++
		}
		for _, p := range a.LogProb {
			s.LogProb += float64(p)
		}
	}
	for i := range r.Groups {
		switch r.Groups[i].Dropped {
		case Unjudged:
			s.Unjudged++
		case Flat:
			s.Flat++
		case Surplus:
			s.Surplus++
		}
	}
	s.rewards(r.Answers)
	return s
}

// rewards fills what is said of verdicts.
func (s *Sums) rewards(answers []Answer) {
	n, sum := 0, 0.0
	for i := range answers {
		v := &answers[i].Verdict
		for j, p := range v.Parts {
			if len(s.Rules) <= j {
				s.Rules = append(s.Rules, Mean{Name: p.Name})
			}
			if p.Error == "" {
				s.Rules[j].Value += p.Value
				s.Rules[j].Count++
			}
		}
		if len(v.Parts) > 0 && !v.Failed {
			sum += v.Total
			n++
		}
	}
	for j := range s.Rules {
		if c := s.Rules[j].Count; c > 0 {
			s.Rules[j].Value /= float64(c)
		}
	}
	if n == 0 {
		return
	}
	s.Reward = sum / float64(n)
	square := 0.0
	for i := range answers {
		if v := &answers[i].Verdict; len(v.Parts) > 0 && !v.Failed {
			d := v.Total - s.Reward
			square += float64(d * d)
		}
	}
	s.Deviation = math.Sqrt(square / float64(n))
}

// Digest identifies the round by all that its updates depend on: see docs/rollouts.md.
// How often it was interrupted, and what rules gave as reasons, is no part of it.
func (r *Round) Digest() digest.Digest {
	w := hashing{h: sha256.New()}
	w.text("temper-round/1\n")
	w.number(uint64(r.Number), uint64(r.First), uint64(r.Used), r.Seed, uint64(len(r.Answers)))
	w.h.Write(r.Config[:])
	w.h.Write(r.Policy[:])
	for i := range r.Answers {
		w.answer(&r.Answers[i])
	}
	w.flush()
	return digest.Digest(w.h.Sum(nil))
}

// hashing writes numbers of 8 bytes and lists of numbers of 4 bytes, little-endian.
type hashing struct {
	h   hash.Hash
	buf []byte
}

func (w *hashing) flush() {
	w.h.Write(w.buf)
	w.buf = w.buf[:0]
}

func (w *hashing) text(s string) { w.buf = append(w.buf, s...); w.flush() }

func (w *hashing) number(ns ...uint64) {
	for _, n := range ns {
		w.buf = binary.LittleEndian.AppendUint64(w.buf, n)
	}
	w.flush()
}

func (w *hashing) ints(list []int32) {
	w.number(uint64(len(list)))
	for _, v := range list {
		w.buf = binary.LittleEndian.AppendUint32(w.buf, uint32(v))
	}
	w.flush()
}

// floats writes a list; nil is none, which is not the empty one.
func (w *hashing) floats(list []float32) {
	if list == nil {
		w.number(math.MaxUint64)
		return
	}
	w.number(uint64(len(list)))
	for _, v := range list {
		w.buf = binary.LittleEndian.AppendUint32(w.buf, math.Float32bits(v))
	}
	w.flush()
}

func (w *hashing) answer(a *Answer) {
	w.number(uint64(a.Cursor), uint64(a.Sample), uint64(a.Question.Index), uint64(a.Reason))
	w.ints(a.Question.Tokens)
	w.ints(a.Tokens)
	for _, list := range [][]float32{a.LogProb, a.Sampled, a.Old, a.Reference} {
		w.floats(list)
	}
	v := &a.Verdict
	w.number(math.Float64bits(v.Total), uint64(flag(v.Failed)), uint64(len(v.Parts)))
	for _, p := range v.Parts {
		w.number(uint64(len(p.Name)))
		w.text(p.Name)
		w.number(math.Float64bits(p.Weight), math.Float64bits(p.Value), uint64(flag(p.Error != "")))
	}
	if a.Routes == nil {
		w.number(0)
		return
	}
	d := train.RoutesDigest(a.Routes)
	w.number(1)
	w.h.Write(d[:])
}
