package data

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/temper-ml/temper/data/chat"
	"github.com/temper-ml/temper/data/source"
)

// Question is a row that the model is to answer.
type Question struct {
	// Tokens are what the model continues.
	Tokens []int32
	// Asked is the last message of the user.
	Asked string
	// Thinking says in which mode the answer is to be.
	Thinking bool
	// Row is the JSON text of the line that the question comes from.
	Row string
	// Source says where that is.
	Source Source
}

// Fields returns the row's own fields, for those who judge the answer. The caller
// may change the map.
func (q *Question) Fields() map[string]json.RawMessage {
	fields := map[string]json.RawMessage{}
	_ = json.Unmarshal([]byte(q.Row), &fields) // Question has seen that it can be read
	return fields
}

// Question makes a question of a row: all of a prompt row, and of other rows what
// comes before the last answer, or the answers that are compared.
func (b *Builder) Question(r *source.Row, line source.Line) (Question, error) {
	q := Question{Row: line.Text}
	c := r.Conversation
	switch n := len(c.Messages); {
	case r.Kind == source.Text:
		return q, refuse("give rows of prompts or conversations", "a plain text asks nothing")
	case r.Kind == source.Preference || r.Kind == source.Feedback:
		c.Messages = c.Messages[:r.PromptLen]
	case r.Kind == source.Supervised && n > 0:
		c.Messages = c.Messages[:n-1]
	}
	q.Thinking = c.Thinking
	for i := range c.Messages {
		if m := &c.Messages[i]; m.Role == chat.User {
			q.Asked = m.Content
		}
	}
	if q.Asked == "" {
		return q, refuse("", "nobody asks anything before the answer")
	}
	e, err := b.Prompt(&c)
	if err != nil {
		return q, err
	}
	q.Tokens = e.Tokens
	var fields map[string]json.RawMessage
	return q, json.Unmarshal([]byte(line.Text), &fields)
}

// Answer is the text of an answer as it is judged: its content, without reasoning
// and the end of the turn. Where it breaks the encoding's rules before it says
// anything, it is all of the text, special tokens spelled out; but reasoning that
// does not end has no answer.
func (b *Builder) Answer(ids []int32, thinking bool) string {
	m, err := b.Parse(ids, thinking)
	if err != nil && m.Content == "" && m.Reasoning == "" {
		return b.tok.Decode(ids)
	}
	return m.Content
}

// Questions reads the files in order as questions of at most Options.MaxTokens.
// One with the tokens of an earlier one is a bad row. The result does not depend
// on Workers.
func (l *Loader) Questions(ctx context.Context, paths ...string) ([]Question, *Report, error) {
	b, err := NewBuilder(l.Tokenizer, l.Encoding, l.Options)
	if err != nil {
		return nil, nil, err
	}
	report := &Report{}
	var all []Question
	seen := map[[sha256.Size]byte]int{}
	for _, path := range paths {
		first, err := source.First(path)
		if err != nil {
			return nil, nil, err
		}
		j := joiner{path: path, skip: l.Options.BadRows == SkipRows}
		err = l.blocks(ctx, path, l.Options.Source.Of(first), b.askAll, func(blk *block) {
			for i := range blk.questions {
				q := &blk.questions[i]
				key := tokenKey(q.Tokens)
				first, twice := seen[key]
				if twice {
					blk.errs = append(blk.errs, &source.Error{File: path, Line: q.Source.Line, Rule: fmt.Sprintf("it asks what %s asks", all[first].Source), Fix: "remove one of them, or set bad_rows to skip"})
					continue
				}
				seen[key] = len(all)
				all = append(all, *q)
				blk.report.count(Example{Tokens: q.Tokens})
			}
			slices.SortStableFunc(blk.errs, func(a, b error) int { return lineOf(a) - lineOf(b) })
			j.join(blk)
		})
		if err := j.finish(err); err != nil {
			return nil, nil, err
		}
		report.add(&j.report)
		report.Files = append(report.Files, j.report.Rows)
	}
	if len(all) == 0 {
		return nil, nil, fmt.Errorf("data: %s: no question is left: %d too long, %d bad", paths[0], report.TooLong, report.Bad)
	}
	return all, report, ctx.Err()
}

// askAll turns the lines of a block into questions.
func (b *Builder) askAll(f *source.File, blk *block) {
	for _, line := range blk.lines {
		rows, err := f.Decoder().Decode(line)
		if err != nil {
			blk.errs = append(blk.errs, err)
			blk.report.Rows++
			continue
		}
		for i := range rows {
			blk.report.Rows++
			blk.kind, blk.rows = source.Prompt, blk.rows+1
			if err := b.ask(blk, f.Path(), &rows[i], line); err != nil {
				blk.errs = append(blk.errs, placed(f.Path(), &rows[i], err))
			}
		}
	}
}

// ask adds the question of a row to a block.
func (b *Builder) ask(blk *block, path string, r *source.Row, line source.Line) error {
	q, err := b.Question(r, line)
	if err != nil {
		return err
	}
	n, most := len(q.Tokens), b.opts.MaxTokens
	blk.report.Longest = max(blk.report.Longest, n)
	if most > 0 && n > most {
		if b.opts.Overlong == SkipLong {
			blk.report.TooLong++
			return nil
		}
		return refuse("shorten it, raise the sequence length, or set overlong to skip", "the question has %d tokens, at most %d leave room for an answer", n, most)
	}
	q.Source = Source{File: path, Line: r.Line, Part: r.Part}
	blk.questions = append(blk.questions, q)
	return nil
}

func tokenKey(ids []int32) [sha256.Size]byte {
	buf := make([]byte, 0, 4*len(ids))
	for _, id := range ids {
		buf = binary.LittleEndian.AppendUint32(buf, uint32(id))
	}
	return sha256.Sum256(buf)
}

// lineOf returns the line that an error is about.
func lineOf(err error) int {
	var row *source.Error
	if errors.As(err, &row) {
		return row.Line
	}
	return 0
}
