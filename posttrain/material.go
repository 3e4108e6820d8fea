package posttrain

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/temper-ml/temper/data"
	"github.com/temper-ml/temper/data/chat"
	"github.com/temper-ml/temper/data/source"
	"github.com/temper-ml/temper/train"
)

// Data says what a stage trains on and how rows are made of it.
type Data struct {
	// Files are read in this order.
	Files []string `yaml:"files" json:"files"`
	// Format is auto, text, alpaca, sharegpt, messages, pair, ...
	Format string `yaml:"format" json:"format"`
	// Fields maps temper's field names to the files' own.
	Fields map[string]string `yaml:"fields,omitempty" json:"fields,omitempty"`
	// Separator cuts plain text into documents; empty means one document a file.
	Separator string `yaml:"separator,omitempty" json:"separator,omitempty"`
	// System is used for rows that bring no system message.
	System string `yaml:"system,omitempty" json:"system,omitempty"`
	// Thinking is row, chat or thinking: the mode of rows that do not say it.
	Thinking string `yaml:"thinking,omitempty" json:"thinking,omitempty"`
	// SplitThink moves a leading <think> block of an answer to its reasoning.
	SplitThink bool `yaml:"split_think,omitempty" json:"split_think,omitempty"`
	// KeepReasoning keeps the reasoning of earlier turns in the context.
	KeepReasoning bool `yaml:"keep_reasoning,omitempty" json:"keep_reasoning,omitempty"`
	// SkipReasoning leaves reasoning in the text but does not learn it.
	SkipReasoning bool `yaml:"skip_reasoning,omitempty" json:"skip_reasoning,omitempty"`
	// Turns is last, or empty for every assistant turn.
	Turns string `yaml:"turns,omitempty" json:"turns,omitempty"`
	// History is unroll, or empty to refuse rows whose history is rewritten.
	History string `yaml:"history,omitempty" json:"history,omitempty"`
	// BadRows is skip, or empty to stop at rows that cannot be used.
	BadRows string `yaml:"bad_rows,omitempty" json:"bad_rows,omitempty"`
	// Encoding is the chat encoding: deepseek-v4, deepseek-v3 or plain.
	Encoding string `yaml:"encoding" json:"encoding"`
	// Sequence is the length of a packed row in tokens.
	Sequence int `yaml:"sequence" json:"sequence"`
	// Rows is the number of packed rows in an optimizer step; 0 for methods that
	// learn from the model's own answers.
	Rows int `yaml:"rows,omitempty" json:"rows,omitempty"`
	// Overlong says what happens to an example beyond Sequence, or to a pair that
	// is longer with both sides together: truncate (of a pair, the beginning of the
	// prompt), skip, split (plain text only), or empty to refuse it.
	Overlong string `yaml:"overlong,omitempty" json:"overlong,omitempty"`
	// HoldOut is the fraction of the examples, from the end, that is kept for
	// evaluation and never trained on.
	HoldOut float64 `yaml:"hold_out" json:"hold_out"`
}

// Methods are the names of methods.
func Methods() []string { return []string{"cpt", "sft", "dpo", "distill", "grpo", "opd"} }

// KTO stands for dpo in [Data.Check] and [Data.Load] where the loss is of single
// answers, each desirable or not. It takes pairs apart.
const KTO = "kto"

// takes says in words what rows a method takes.
var takes = map[string]string{
	"cpt":     "plain text or conversations",
	"sft":     "conversations, or pairs of which it learns the chosen answer",
	"dpo":     "pairs of a chosen and a rejected answer",
	"grpo":    "questions",
	"opd":     "questions",
	"distill": "plain text or conversations, or pairs of which it learns the chosen answer",
	KTO:       "judged answers, or pairs, of which each answer is judged",
}

// Check returns the first field out of range for the method; it reads no file.
// Its errors begin with the field's name.
func (d *Data) Check(method string) error {
	switch {
	case len(d.Files) == 0:
		return fmt.Errorf("files: empty: give at least one")
	case d.Sequence < 8 || d.Sequence > 1<<20:
		return fmt.Errorf("sequence: %d is outside [8, 1048576]", d.Sequence)
	case !Asks(method) && (d.Rows < 1 || d.Rows > 1<<20):
		return fmt.Errorf("rows: %d is outside [1, 1048576]", d.Rows)
	case !(d.HoldOut >= 0) || d.HoldOut > 0.9:
		return fmt.Errorf("hold_out: %v is outside [0, 0.9]", d.HoldOut)
	case d.Overlong == "split" && method != "cpt" && method != "distill" && !Asks(method):
		return fmt.Errorf("overlong: split is for plain text: use truncate, skip, or leave it out to refuse")
	}
	format, err := source.ParseFormat(d.Format)
	if err != nil {
		return fmt.Errorf("format: %w", err)
	}
	if method == "sft" && format == source.TextFormat {
		return fmt.Errorf("format: text has no answers to supervise: use method cpt, or a conversation format")
	}
	if method == "dpo" && format != source.Auto && format != source.PreferenceFormat {
		return fmt.Errorf("format: %s has no pairs of answers: use preference, or auto", format)
	}
	if Asks(method) {
		if err := d.checkAsking(method, format); err != nil {
			return err
		}
	}
	if method == KTO && format != source.Auto && format != source.PreferenceFormat && format != source.KTO {
		return fmt.Errorf("format: %s has no judged answers: use kto, preference, or auto", format)
	}
	if _, err := chat.Lookup(d.Encoding); err != nil {
		return fmt.Errorf("encoding: %w", err)
	}
	o := d.options(format)
	if err := o.Check(); err != nil {
		_, rule, _ := strings.Cut(err.Error(), ": ")
		name, _, _ := strings.Cut(rule, " ")
		return fmt.Errorf("%s: %s", name, rule)
	}
	return nil
}

func (d *Data) options(format source.Format) data.Options {
	return data.Options{
		Source: source.Options{
			Format: format, Mapping: d.Fields, Separator: d.Separator, System: d.System,
			Thinking: source.Thinking(d.Thinking), SplitThink: d.SplitThink, KeepReasoning: d.KeepReasoning,
		},
		Turns: data.Turns(d.Turns), History: data.History(d.History), BadRows: data.BadRows(d.BadRows),
		SkipReasoning: d.SkipReasoning, MaxTokens: d.Sequence, Overlong: data.Overlong(d.Overlong),
	}
}

// Material is what a stage trains on and what it is measured on.
type Material struct {
	train.Stream
	// HeldOut are the packed rows kept for evaluation, Held the stream that they
	// are the first epoch of, nil without any. Pairs stay pairs.
	HeldOut []train.Row
	Held    *data.Stream
	// Paired says that they are pairs.
	Paired bool
	// Desirable and Undesirable count the judged answers trained on.
	Desirable, Undesirable int64
	// Report counts what became of the files' rows.
	Report data.Report
	// Digest identifies the examples trained on.
	Digest [32]byte
	// Tokens and Labels are those of an epoch; the first token of an example is
	// nothing's label.
	Tokens, Labels int64
}

// Load reads, tokenises, packs and divides a stage's data. The order of steps
// is keyed by seed; token caches are kept in cacheDir, if it is not empty.
func (d *Data) Load(ctx context.Context, method string, tok data.Tokenizer, cacheDir string, seed uint64) (*Material, error) {
	all, report, err := d.read(ctx, method, tok, cacheDir)
	if err != nil {
		return nil, err
	}
	used, held := all, (*data.Dataset)(nil)
	if n := d.heldOut(all); n > 0 {
		if used, err = all.Slice(0, all.Len()-n); err != nil {
			return nil, err
		}
		if held, err = all.Slice(all.Len()-n, all.Len()); err != nil {
			return nil, err
		}
	}
	if method == KTO && used.Kind() == source.Preference {
		used = used.Judged()
	}
	m := &Material{Report: *report, Digest: used.Digest(), Tokens: used.Tokens(), Labels: used.Supervised()}
	for i := range used.Len() {
		if mask := used.Example(i).Mask; len(mask) > 0 && mask[0] {
			m.Labels--
		}
		if used.Kind() == source.Feedback {
			if used.Desirable(i) {
				m.Desirable++
			} else {
				m.Undesirable++
			}
		}
	}
	if m.Stream.Stream, err = data.NewStream(used, data.StreamConfig{SeqLen: d.Sequence, Rows: d.Rows, Seed: seed}); err != nil {
		return nil, err
	}
	if held != nil {
		m.Paired = held.Kind() == source.Preference
		m.Held, m.HeldOut, err = d.pack(held)
	}
	return m, err
}

// heldOut is how many examples from the end are not trained on. Pairs stay whole.
func (d *Data) heldOut(all *data.Dataset) int {
	if all.Kind() == source.Preference {
		return 2 * int(d.HoldOut*float64(all.Pairs()))
	}
	return int(d.HoldOut * float64(all.Len()))
}

// Pack reads all of the data and lays it out in rows, in order: for evaluation.
func (d *Data) Pack(ctx context.Context, method string, tok data.Tokenizer, cacheDir string) ([]train.Row, error) {
	all, _, err := d.read(ctx, method, tok, cacheDir)
	if err != nil {
		return nil, err
	}
	_, rows, err := d.pack(all)
	return rows, err
}

func (d *Data) read(ctx context.Context, method string, tok data.Tokenizer, cacheDir string) (*data.Dataset, *data.Report, error) {
	format, err := source.ParseFormat(d.Format)
	if err != nil {
		return nil, nil, err
	}
	if (method == "cpt" || method == "distill") && format == source.Auto && d.plain() {
		format = source.TextFormat
	}
	enc, err := chat.Lookup(d.Encoding)
	if err != nil {
		return nil, nil, err
	}
	l := data.Loader{Tokenizer: tok, Encoding: enc, Options: d.options(format), CacheDir: cacheDir}
	all, report, err := l.Load(ctx, d.Files...)
	if err != nil {
		return nil, nil, err
	}
	k := all.Kind()
	if k == source.Preference && (method == "sft" || method == "distill") {
		return all.Chosen(), report, nil
	}
	fits := k == source.Supervised
	switch method {
	case "cpt", "distill":
		fits = fits || k == source.Text
	case "dpo":
		fits = k == source.Preference
	case KTO:
		fits = k == source.Preference || k == source.Feedback
	}
	if !fits {
		return nil, nil, fmt.Errorf("posttrain: %s holds %s rows, %s takes %s", d.Files[0], k, method, takes[method])
	}
	return all, report, nil
}

// plain reports whether every file is named like plain text.
func (d *Data) plain() bool {
	return !slices.ContainsFunc(d.Files, func(f string) bool {
		return !strings.HasSuffix(strings.TrimSuffix(f, ".gz"), ".txt") && !strings.HasSuffix(strings.TrimSuffix(f, ".gz"), ".md")
	})
}

// pack lays all examples out in rows, in the order of the files.
func (d *Data) pack(all *data.Dataset) (*data.Stream, []train.Row, error) {
	s, err := data.NewStream(all, data.StreamConfig{SeqLen: d.Sequence, Rows: 1, InOrder: true})
	if err != nil {
		return nil, nil, err
	}
	rows := make([]train.Row, s.RowsPerEpoch())
	for i := range rows {
		r := s.Row(int64(i))
		rows[i] = train.NewRow(&r)
	}
	return s, rows, nil
}
