package eval

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/temper-ml/temper/data"
	"github.com/temper-ml/temper/data/chat"
	"github.com/temper-ml/temper/data/source"
)

// Reader says how the model reads conversations.
type Reader struct {
	Tokenizer data.Tokenizer
	// Encoding is the chat encoding's name.
	Encoding string
	// System is used for rows that bring no system message.
	System string
	// Thinking is the mode of rows that do not say it.
	Thinking source.Thinking
	// SplitThink, KeepReasoning and SkipReasoning are as for training data.
	SplitThink, KeepReasoning, SkipReasoning bool
	// Sequence is the most tokens of a question with an answer, and of a pass.
	Sequence int
}

// Questions are a suite's rows, as tokens.
type Questions struct {
	// Kind is the suite's, recognised if it was not given.
	Kind Kind
	// Rows is how many the file holds, Bad and Long how many of those read were
	// left out, and FirstBad why the first ones were.
	Rows, Bad, Long int64
	FirstBad        []string

	suite   Suite
	reader  Reader
	builder *data.Builder
	eos     int32
	items   []item
}

// item is a question, or a document.
type item struct {
	line, part int
	answers    []answer
	// right is the answer that should win (choice).
	right int
	// prompt is what the model continues, asked the last message of it, and fields
	// the row's own (generated answers).
	prompt   []int32
	asked    string
	thinking bool
	fields   map[string]json.RawMessage
	// unsafe says whether to refuse, if the row does.
	unsafe *bool
}

// answer is a sequence whose labels' log-probabilities are added up.
type answer struct {
	tokens, labels []int32
	bytes, words   int64
}

// Len returns the number of questions.
func (q *Questions) Len() int { return len(q.items) }

// Load reads the suite's file. Rows that cannot be used are named by file and
// line.
func (s Suite) Load(ctx context.Context, r Reader) (*Questions, error) {
	if err := s.Check(); err != nil {
		return nil, fmt.Errorf("eval: %w", err)
	}
	enc, err := chat.Lookup(r.Encoding)
	if err != nil {
		return nil, err
	}
	q := &Questions{Kind: s.Kind, suite: s, reader: r}
	if q.builder, err = data.NewBuilder(r.Tokenizer, enc, s.builder(&r)); err != nil {
		return nil, err
	}
	q.eos, _ = r.Tokenizer.Special(enc.EOS())
	f, err := q.open()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := q.read(ctx, f); err != nil {
		return nil, err
	}
	if len(q.items) == 0 {
		return nil, fmt.Errorf("%s: no question is left: %d too long, %d bad", s.File, q.Long, q.Bad)
	}
	return q, nil
}

// open recognises the kind and opens the file for it.
func (q *Questions) open() (*source.File, error) {
	o := q.suite.source()
	o.Thinking, o.System = q.reader.Thinking, q.reader.System
	o.SplitThink, o.KeepReasoning = q.reader.SplitThink, q.reader.KeepReasoning
	first, err := source.First(q.suite.File)
	if err != nil {
		return nil, err
	}
	if q.Kind == Auto && q.field(first, "choices") != nil {
		q.Kind = Choice
	}
	if q.Kind == Choice && o.Format == source.Auto {
		o.Format = source.PromptFormat
	}
	if q.Kind == Choice || q.Kind.generates() {
		o = o.Of(first)
	}
	f, err := source.Open(q.suite.File, o)
	if err != nil {
		return nil, err
	}
	if err := q.settle(f.Decoder().Format()); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// settle makes the kind that of a format, or refuses those that do not belong
// together.
func (q *Questions) settle(f source.Format) error {
	fits := map[source.Format][]Kind{
		source.PreferenceFormat: {Preference, Refusal, PassAtK},
		source.TextFormat:       {Perplexity},
		source.PromptFormat:     {Choice, Refusal, PassAtK},
		source.Pair:             {Exact, Refusal, PassAtK},
		source.Alpaca:           {Exact, Refusal, PassAtK},
		source.Messages:         {Exact, Refusal, PassAtK},
		source.ShareGPT:         {Exact, Refusal, PassAtK},
	}[f]
	switch {
	case len(fits) == 0:
		return fmt.Errorf("%s: no kind of suite reads %s rows", q.suite.File, f)
	case q.Kind == Auto && f == source.PromptFormat:
		return fmt.Errorf("%s: the rows are prompts without an answer to compare with: give kind refusal or pass@k", q.suite.File)
	case q.Kind == Auto:
		q.Kind = fits[0]
	case !slices.Contains(fits, q.Kind):
		names := make([]string, len(fits))
		for i, k := range fits {
			names[i] = string(k)
		}
		return fmt.Errorf("%s: a suite of kind %s cannot be of %s rows, which are for %s", q.suite.File, q.Kind, f, strings.Join(names, ", "))
	}
	if q.suite.Measure != "" && !q.Kind.compares() {
		return fmt.Errorf("%s: measure %s is for choice and preference, the rows are for %s", q.suite.File, q.suite.Measure, q.Kind)
	}
	return nil
}

// errLong is what every question that does not fit a row is.
var errLong = errors.New("too long")

// tooLong is a question that does not fit a row.
type tooLong struct{ tokens, row int }

func (e *tooLong) Error() string {
	return fmt.Sprintf("question and answer have %d tokens, a row has %d", e.tokens, e.row)
}

func (*tooLong) Is(target error) bool { return target == errLong }

// full reports whether there are as many questions as the suite asks for.
func (q *Questions) full() bool { return q.suite.Limit > 0 && len(q.items) >= q.suite.Limit }

// read makes questions of the file's rows, and counts those beyond the limit.
func (q *Questions) read(ctx context.Context, f *source.File) error {
	var bad data.RowErrors
	for {
		line, ok, err := f.Next()
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		err = q.row(f, line)
		switch {
		case err == nil:
		case errors.Is(err, errLong) && q.suite.Overlong != "":
			q.Long++
		case q.suite.BadRows != "" && !errors.Is(err, errLong):
			if q.Bad++; len(q.FirstBad) < 3 {
				q.FirstBad = append(q.FirstBad, err.Error())
			}
		case len(bad.Errors) < 20:
			bad.Errors = append(bad.Errors, err)
		default:
			bad.More++
		}
	}
	if len(bad.Errors) > 0 {
		return &bad
	}
	return nil
}

// row adds the questions of a line.
func (q *Questions) row(f *source.File, line source.Line) error {
	rows, err := f.Decoder().Decode(line)
	q.Rows += int64(max(1, len(rows)))
	if q.full() {
		return nil
	}
	if err != nil {
		return err
	}
	for i := range rows {
		if q.full() {
			return nil
		}
		it, err := q.item(&rows[i], line)
		if err != nil {
			return q.at(line, err)
		}
		it.line, it.part = line.Number, rows[i].Part
		q.items = append(q.items, it)
	}
	return nil
}

// at names the place of an error.
func (q *Questions) at(line source.Line, err error) error {
	e := &source.Error{File: q.suite.File, Line: line.Number, Rule: err.Error()}
	var refusal *data.Refusal
	var field *fieldError
	switch {
	case errors.As(err, &refusal):
		e.Rule, e.Fix = refusal.Rule, refusal.Fix
	case errors.As(err, &field):
		e.Rule, e.Fix = field.rule, field.fix
	}
	if errors.Is(err, errLong) {
		e.Fix = "raise the sequence length, or let overlong be skip"
		return &longError{e}
	}
	return e
}

// longError is an error with its place that is also errLong.
type longError struct{ at *source.Error }

func (e *longError) Error() string { return e.at.Error() }

func (*longError) Is(target error) bool { return target == errLong }

// fieldError is a rule that a field of a row breaks.
type fieldError struct{ rule, fix string }

func (e *fieldError) Error() string { return e.rule }

func refuse(fix, format string, args ...any) error {
	return &fieldError{fmt.Sprintf(format, args...), fix}
}
