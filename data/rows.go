package data

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/temper-ml/temper/data/chat"
	"github.com/temper-ml/temper/data/source"
)

// run turns the lines of a block into examples.
func (b *Builder) run(f *source.File, blk *block) {
	blk.path = f.Path()
	bytes := 0
	for _, line := range blk.lines {
		bytes += len(line.Text)
	}
	blk.cols.tokens, blk.cols.mask = make([]int32, 0, bytes/3), make([]bool, 0, bytes/3)
	for _, line := range blk.lines {
		rows, err := f.Decoder().Decode(line)
		if err != nil {
			blk.errs = append(blk.errs, err)
			blk.report.Rows++
			continue
		}
		for i := range rows {
			blk.report.Rows++
			blk.kind = rows[i].Kind
			blk.rows++
			if err := b.row(blk, &rows[i]); err != nil {
				blk.errs = append(blk.errs, placed(f.Path(), &rows[i], err))
			}
		}
	}
}

// placed adds the file and line to what is wrong with a row.
func placed(path string, row *source.Row, err error) error {
	e := &source.Error{File: path, Line: row.Line, Rule: err.Error()}
	var r *Refusal
	if errors.As(err, &r) {
		e.Rule, e.Fix = r.Rule, r.Fix
	}
	return e
}

// row adds the examples of one row to a block.
func (b *Builder) row(blk *block, row *source.Row) error {
	switch row.Kind {
	case source.Text:
		return b.document(blk, row)
	case source.Supervised:
		examples, err := b.Conversation(&row.Conversation)
		if err != nil {
			return err
		}
		for i, e := range examples {
			if err := b.add(blk, row, row.Part+i, 0, e); err != nil {
				return err
			}
		}
		return nil
	case source.Preference:
		chosen, err := b.Completion(&row.Conversation, row.PromptLen)
		if err != nil {
			return err
		}
		rejected, err := b.Completion(&row.Rejected, row.PromptLen)
		if err != nil {
			return err
		}
		return b.pair(blk, row, chosen, rejected)
	case source.Feedback:
		e, err := b.Completion(&row.Conversation, row.PromptLen)
		if err != nil {
			return err
		}
		return b.judged(blk, row, e)
	}
	e, err := b.Prompt(&row.Conversation)
	if err != nil {
		return err
	}
	before := len(blk.cols.ends)
	if err := b.add(blk, row, row.Part, 0, e); err != nil {
		return err
	}
	if len(blk.cols.ends) > before {
		blk.cols.answers = append(blk.cols.answers, row.Answer)
	}
	return nil
}

// tooLong counts a row that is left out for its length, and says which it is.
func (blk *block) tooLong(row *source.Row, format string, n, most int) {
	blk.report.TooLong++
	blk.leave(row, format, n, most)
}

func (blk *block) leave(row *source.Row, format string, n, most int) {
	if r := &blk.report; len(r.FirstLong) < listedErrors {
		r.FirstLong = append(r.FirstLong, placed(blk.path, row, fmt.Errorf(format, n, most)).Error())
	}
}

// add applies the length limit to examples that stand or fall together, and
// adds them to the block.
func (b *Builder) add(blk *block, row *source.Row, part int, flags uint8, examples ...Example) error {
	r := &blk.report
	most := b.opts.MaxTokens
	var cut Report
	for i := range examples {
		e := &examples[i]
		n := len(e.Tokens)
		r.Longest = max(r.Longest, n)
		if most == 0 || n <= most {
			if row.Kind != source.Prompt && e.Supervised() == 0 {
				return refuse("", "no token of the row is to be learnt")
			}
			continue
		}
		switch {
		case b.opts.Overlong == SkipLong:
			blk.tooLong(row, "the row has %d tokens, the limit is %d", n, most)
			return nil
		case b.opts.Overlong == TruncateLong && row.Kind != source.Prompt:
			cut.Truncated++
			cut.CutTokens += int64(n - most)
			e.Tokens, e.Mask = e.Tokens[:most], e.Mask[:most]
			if e.Supervised() == 0 {
				r.Unlearnt++
				blk.leave(row, "the row has %d tokens, and none within the limit of %d is to be learnt", n, most)
				return nil
			}
		default:
			return refuse(longFix(row.Kind), "the row has %d tokens, the limit is %d", n, most)
		}
	}
	r.add(&cut)
	for _, e := range examples {
		blk.cols.add(e, row.Line, part, flags)
		r.count(e)
	}
	return nil
}

// pair adds the two sides of a preference, which share one row: the length limit
// is that of both together. What is too long loses the beginning of its prompt,
// the same tokens on both sides, as far as the prompt reaches; answers stay whole.
func (b *Builder) pair(blk *block, row *source.Row, chosen, rejected Example) error {
	r, most := &blk.report, b.opts.MaxTokens
	switch {
	case chosen.Supervised() == 0 || rejected.Supervised() == 0:
		return refuse("", "no token of the row is to be learnt")
	case slices.Equal(chosen.Tokens, rejected.Tokens):
		return refuse("remove the row", "chosen and rejected are the same tokens")
	case blankAnswer(&row.Conversation, row.PromptLen):
		return refuse("remove the row or fill it in", "chosen is empty")
	case blankAnswer(&row.Rejected, row.PromptLen):
		return refuse("remove the row or fill it in", "rejected is empty")
	}
	r.Longest = max(r.Longest, len(chosen.Tokens), len(rejected.Tokens))
	if n := len(chosen.Tokens) + len(rejected.Tokens); most > 0 && n > most {
		cut := (n - most + 1) / 2
		switch {
		case b.opts.Overlong == SkipLong, b.opts.Overlong == TruncateLong && cut > sharedPrompt(&chosen, &rejected)-2:
			blk.tooLong(row, "the pair has %d tokens, the limit of both sides together is %d", n, most)
			return nil
		case b.opts.Overlong != TruncateLong:
			return refuse("raise the limit, or set overlong to truncate or skip", "the pair has %d tokens, the limit of both sides together is %d", n, most)
		}
		r.Truncated += 2
		r.CutTokens += 2 * int64(cut)
		chosen, rejected = chosen.without(cut), rejected.without(cut)
	}
	for _, e := range []Example{chosen, rejected} {
		blk.cols.add(e, row.Line, row.Part, 0)
		r.count(e)
	}
	return nil
}

// judged adds an answer with its judgement. Like a pair, what is too long loses the
// beginning of its prompt, and answers stay whole.
func (b *Builder) judged(blk *block, row *source.Row, e Example) error {
	r, most := &blk.report, b.opts.MaxTokens
	switch {
	case e.Supervised() == 0:
		return refuse("", "no token of the row is to be learnt")
	case blankAnswer(&row.Conversation, row.PromptLen):
		return refuse("remove the row or fill it in", "the answer is empty")
	}
	n := len(e.Tokens)
	r.Longest = max(r.Longest, n)
	if most > 0 && n > most {
		switch {
		case b.opts.Overlong == SkipLong, b.opts.Overlong == TruncateLong && n-most > sharedPrompt(&e, &e)-2:
			blk.tooLong(row, "the row has %d tokens, the limit is %d", n, most)
			return nil
		case b.opts.Overlong != TruncateLong:
			return refuse(longFix(row.Kind), "the row has %d tokens, the limit is %d", n, most)
		}
		r.Truncated++
		r.CutTokens += int64(n - most)
		e = e.without(n - most)
	}
	flags := uint8(0)
	if row.Desirable {
		flags = flagDesirable
	}
	blk.cols.add(e, row.Line, row.Part, flags)
	r.count(e)
	return nil
}

// blankAnswer reports whether an assistant says nothing after the first n messages.
func blankAnswer(c *chat.Conversation, n int) bool {
	for _, m := range c.Messages[n:] {
		if m.Role == chat.Assistant && len(m.ToolCalls) == 0 && strings.TrimSpace(m.Content) == "" {
			return true
		}
	}
	return false
}

// sharedPrompt counts the tokens that both examples begin with and neither learns.
func sharedPrompt(a, b *Example) int {
	n := 0
	for n < min(len(a.Tokens), len(b.Tokens)) && a.Tokens[n] == b.Tokens[n] && !a.Mask[n] && !b.Mask[n] {
		n++
	}
	return n
}

// without returns e with n tokens less after its first.
func (e *Example) without(n int) Example {
	o := *e
	o.Tokens = append(e.Tokens[:1:1], e.Tokens[1+n:]...)
	o.Mask = append(e.Mask[:1:1], e.Mask[1+n:]...)
	return o
}

func longFix(kind source.Kind) string {
	if kind == source.Prompt {
		return "shorten the prompt, raise max_tokens, or set overlong to skip"
	}
	return "raise max_tokens, or set overlong to truncate or skip"
}

func (r *Report) count(e Example) {
	r.Examples++
	r.Tokens += int64(len(e.Tokens))
	r.Supervised += int64(e.Supervised())
}

// document adds a plain text, cut into consecutive examples when it is too long
// and SplitLong is set. Each piece but the first begins with the last token of
// the piece before it, not learnt again: so every token is learnt exactly once.
func (b *Builder) document(blk *block, row *source.Row) error {
	e := b.Document(row.Text)
	most := b.opts.MaxTokens
	if most == 0 || len(e.Tokens) <= most || b.opts.Overlong != SplitLong {
		return b.add(blk, row, row.Part, 0, e)
	}
	blk.report.Longest = max(blk.report.Longest, len(e.Tokens))
	blk.report.Split++
	for lo, part := 0, 0; lo+1 < len(e.Tokens); part++ {
		hi := min(lo+most, len(e.Tokens))
		piece := Example{Tokens: e.Tokens[lo:hi], Mask: append([]bool(nil), e.Mask[lo:hi]...)}
		piece.Mask[0] = false
		blk.cols.add(piece, row.Line, row.Part+part, 0)
		blk.report.count(piece)
		lo = hi - 1
	}
	return nil
}
