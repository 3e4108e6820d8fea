package posttrain

import (
	"context"
	"fmt"

	"github.com/temper-ml/temper/data"
	"github.com/temper-ml/temper/data/chat"
	"github.com/temper-ml/temper/data/source"
)

// Asks reports whether a method learns from the model's own answers: its data are
// questions, and Data has no rows.
func Asks(method string) bool { return method == "grpo" || method == "opd" }

// checkAsking returns the first field that does not fit questions.
func (d *Data) checkAsking(method string, format source.Format) error {
	switch {
	case format == source.TextFormat:
		return fmt.Errorf("format: text asks nothing: use prompt, or a conversation format")
	case d.Rows != 0:
		return fmt.Errorf("rows: %d, but what a step of %s learns are the answers to its questions: leave it out, and give rollout.prompts and group", d.Rows, method)
	case d.Overlong != "" && d.Overlong != "skip":
		return fmt.Errorf("overlong: %s would change what is asked: use skip, or leave it out to refuse", d.Overlong)
	}
	for _, f := range []struct {
		name  string
		given bool
	}{{"turns", d.Turns != ""}, {"history", d.History != ""}, {"separator", d.Separator != ""}, {"skip_reasoning", d.SkipReasoning}} {
		if f.given {
			return fmt.Errorf("%s: it is about answers in files, %s learns from the model's own: leave it out", f.name, method)
		}
	}
	return nil
}

// Questions are what a stage asks, in the order of the files.
type Questions struct {
	// Train are learnt from, HeldOut kept for evaluation: the last ones.
	Train, HeldOut []data.Question
	// Report counts what became of the files' rows.
	Report data.Report
	// Builder reads answers.
	Builder *data.Builder
}

// Questions reads the data as questions that leave room for answers of up to answer
// tokens.
func (d *Data) Questions(ctx context.Context, tok data.Tokenizer, answer int) (*Questions, error) {
	most := d.Sequence - answer
	if most < 2 {
		return nil, fmt.Errorf("posttrain: answers of up to %d tokens leave no room for questions in a sequence of %d: raise the sequence, or lower max_tokens", answer, d.Sequence)
	}
	format, err := source.ParseFormat(d.Format)
	if err != nil {
		return nil, err
	}
	enc, err := chat.Lookup(d.Encoding)
	if err != nil {
		return nil, err
	}
	o := d.options(format)
	o.MaxTokens = most
	q := &Questions{}
	if q.Builder, err = data.NewBuilder(tok, enc, o); err != nil {
		return nil, err
	}
	l := data.Loader{Tokenizer: tok, Encoding: enc, Options: o}
	all, report, err := l.Questions(ctx, d.Files...)
	if err != nil {
		return nil, err
	}
	n := len(all) - int(d.HoldOut*float64(len(all)))
	q.Train, q.HeldOut, q.Report = all[:n:n], all[n:], *report
	return q, nil
}
