package data

import (
	"errors"

	"github.com/temper-ml/temper/data/source"
)

// run turns the lines of a block into examples.
func (b *Builder) run(f *source.File, blk *block) {
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
		return b.add(blk, row, row.Part, 0, chosen, rejected)
	case source.Feedback:
		e, err := b.Completion(&row.Conversation, row.PromptLen)
		if err != nil {
			return err
		}
		flags := uint8(0)
		if row.Desirable {
			flags = flagDesirable
		}
		return b.add(blk, row, row.Part, flags, e)
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
			r.TooLong++
			return nil
		case b.opts.Overlong == TruncateLong && row.Kind != source.Prompt:
			cut.Truncated++
			cut.CutTokens += int64(n - most)
			e.Tokens, e.Mask = e.Tokens[:most], e.Mask[:most]
			if e.Supervised() == 0 {
				r.Unlearnt++
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
