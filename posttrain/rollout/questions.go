package rollout

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/temper-ml/temper/data"
	"github.com/temper-ml/temper/internal/detrand"
	"github.com/temper-ml/temper/posttrain"
	"github.com/temper-ml/temper/report/record/digest"
)

// Question is a row that the policy is to answer.
type Question struct {
	data.Question
	// Index is its place among the questions, in the order of the files.
	Index int
}

// Questions are what a stage asks, epoch after epoch without end. They do not change
// and may be used by several goroutines.
type Questions struct {
	list    []Question
	seed    uint64
	longest int
	digest  digest.Digest
	builder *data.Builder
	tok     data.Tokenizer

	mu     sync.Mutex
	epochs [2]epoch // the two used last
}

// epoch is the order of one epoch.
type epoch struct {
	number int64
	order  []int
}

// Load reads a stage's questions: those to learn from, in an order that seed decides,
// and those held out, nil if there are none. answer is the most tokens of an answer.
func Load(ctx context.Context, d *posttrain.Data, tok data.Tokenizer, answer int, seed uint64) (train, held *Questions, report *data.Report, err error) {
	q, err := d.Questions(ctx, tok, answer)
	if err != nil {
		return nil, nil, nil, err
	}
	if len(q.Train) == 0 {
		return nil, nil, nil, fmt.Errorf("rollout: hold_out leaves none of %d questions to learn from: lower it", len(q.HeldOut))
	}
	train = newQuestions(q.Train, q.Builder, tok, seed)
	if len(q.HeldOut) > 0 {
		held = newQuestions(q.HeldOut, q.Builder, tok, seed)
	}
	return train, held, &q.Report, nil
}

func newQuestions(list []data.Question, b *data.Builder, tok data.Tokenizer, seed uint64) *Questions {
	q := &Questions{builder: b, tok: tok, seed: seed, list: make([]Question, len(list))}
	for i := range list {
		q.list[i] = Question{list[i], i}
		q.longest = max(q.longest, len(list[i].Tokens))
	}
	for i := range q.epochs {
		q.epochs[i].number = -1
	}
	q.digest = q.sum()
	return q
}

// Len returns the number of questions.
func (q *Questions) Len() int { return len(q.list) }

// Question returns question i in the order of the files.
func (q *Questions) Question(i int) *Question { return &q.list[i] }

// Longest is the most tokens of a question.
func (q *Questions) Longest() int { return q.longest }

// Digest identifies the questions: tokens, modes and rows. File names and lines are not
// part of it, nor is the order in which they are asked.
func (q *Questions) Digest() digest.Digest { return q.digest }

// At returns the question at a cursor of the endless order: every epoch has every
// question once, in an order of its own.
func (q *Questions) At(cursor int64) *Question {
	if cursor < 0 {
		panic("rollout: a negative cursor")
	}
	n := int64(len(q.list))
	return &q.list[q.order(cursor / n)[cursor%n]]
}

func (q *Questions) order(number int64) []int {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, e := range q.epochs {
		if e.number == number {
			return e.order
		}
	}
	q.epochs[1] = q.epochs[0]
	q.epochs[0] = epoch{number, detrand.Key(q.seed, "rollout.questions", uint64(number)).Permutation(len(q.list))}
	return q.epochs[0].order
}

// sum is
//
//	SHA-256("temper-questions/1\n", number of questions, for each: its number of tokens,
//	        its tokens of 4 bytes, 1 byte for thinking, length of the row's text, the text)
func (q *Questions) sum() digest.Digest {
	h := sha256.New()
	h.Write([]byte("temper-questions/1\n"))
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(q.list)))
	for i := range q.list {
		x := &q.list[i]
		b = binary.LittleEndian.AppendUint64(b, uint64(len(x.Tokens)))
		for _, id := range x.Tokens {
			b = binary.LittleEndian.AppendUint32(b, uint32(id))
		}
		b = append(b, flag(x.Thinking))
		b = binary.LittleEndian.AppendUint64(b, uint64(len(x.Row)))
		h.Write(b)
		h.Write([]byte(x.Row))
		b = b[:0]
	}
	h.Write(b)
	return digest.Digest(h.Sum(nil))
}

func flag(v bool) byte {
	if v {
		return 1
	}
	return 0
}
