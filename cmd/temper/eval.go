package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/temper-ml/temper/data/source"
	"github.com/temper-ml/temper/data/tokenizer"
	"github.com/temper-ml/temper/eval"
	"github.com/temper-ml/temper/internal/durable"
	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/posttrain/reward"
	"github.com/temper-ml/temper/train/checkpoint/hf"
)

// evalFlags say what is measured, and how the model reads it.
type evalFlags struct {
	files       []string
	suite       eval.Suite
	kind, judge string
	answerField string
	thinking    string
	reader      eval.Reader
	items       string
	asJSON      bool
}

// evaluated is what the command says of one suite.
type evaluated struct {
	Suite string `json:"suite"`
	*eval.Result
	Headline string   `json:"headline,omitempty"`
	Rows     int64    `json:"rows"`
	Bad      int64    `json:"bad,omitempty"`
	Long     int64    `json:"too_long,omitempty"`
	FirstBad []string `json:"first_bad,omitempty"`
}

func newEvalCmd() *cobra.Command {
	f := evalFlags{reader: eval.Reader{Encoding: "deepseek-v4", Sequence: 4096}}
	cmd := &cobra.Command{
		Use:   "eval MODEL --suite FILE...",
		Short: "measure a model on suites of questions: exact, choice, preference, perplexity, refusal, pass@k",
		Long: `Measures a Hugging Face model directory, or the model of a run directory.

  exact       conversations: greedy decoding would produce the answers; their loss
  choice      {"question", "choices": [...], "answer": index, letter or text}
  preference  {"prompt", "chosen", "rejected"}, or two whole dialogues
  perplexity  {"text"} or plain text: loss, perplexity, bits a byte, word perplexity
  refusal     prompts, perhaps with "unsafe": true or false; answers are generated
  pass@k      prompts with a reference answer; answers are generated and judged

The first four are recognised from the rows' fields. Every number has a count and
an interval of 95 %.

With --json: one object, "suites": [{"suite", "kind", "questions", "score",
"metrics": {name: {"value", "count", "interval"}}}].`,
		Args: exactArgs(1, "a model or run directory"),
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args[0]) },
	}
	f.register(cmd.Flags())
	return cmd
}

func (f *evalFlags) register(fl *pflag.FlagSet) {
	s, r := &f.suite, &f.reader
	fl.StringArrayVar(&f.files, "suite", nil, "JSONL or a JSON array of rows, or plain text (repeatable)")
	fl.StringVar(&f.kind, "kind", "", "exact, choice, preference, perplexity, refusal or pass@k; empty: recognised from the rows")
	fl.StringVar(&f.suite.Format, "format", "auto", "layout of the rows, as for data inspect")
	fl.StringToStringVar(&s.Fields, "map", nil, "rename fields: --map prompt=question,response=answer")
	fl.StringVar(&s.Separator, "separator", "", "cuts plain text into documents")
	fl.IntVar(&s.Limit, "limit", 0, "take the first so many questions of each suite")
	fl.StringVar(&s.BadRows, "bad-rows", "", "skip leaves out rows that cannot be used, and counts them")
	fl.StringVar(&s.Overlong, "overlong", "", "skip leaves out questions longer than --sequence, and counts them")
	fl.StringVar(&s.Measure, "measure", "", "what decides a choice or a preference: sum (default), token or byte")
	fl.IntVar(&s.MaxTokens, "max-tokens", 0, "most tokens of a generated answer (default 256)")
	fl.Float32Var(&s.Temperature, "temperature", 0, "of generated answers; 0 takes the most likely token")
	fl.Float32Var(&s.TopP, "top-p", 0, "of generated answers")
	fl.Uint64Var(&s.Seed, "seed", 0, "of generated answers")
	fl.BoolVar(&s.Latent, "latent", false, "of generated answers, keep V3's latent vectors only: less memory, more time")
	fl.IntVar(&s.Samples, "samples", 0, "answers to a question of pass@k (default the largest k)")
	fl.IntSliceVar(&s.K, "k", nil, "attempts of pass@k (default 1)")
	fl.StringVar(&f.judge, "judge", "numeric", "what an answer of pass@k is compared as: numeric or exact")
	fl.StringVar(&f.answerField, "answer", "answer", "the field that holds the reference of pass@k")
	fl.StringVar(&r.Encoding, "encoding", r.Encoding, "chat encoding")
	fl.StringVar(&f.thinking, "thinking", "", "mode of rows that do not say it: row, chat or thinking")
	fl.StringVar(&r.System, "system", "", "system text for rows without one")
	fl.IntVar(&r.Sequence, "sequence", r.Sequence, "most tokens of a question with its answer")
	fl.StringVar(&f.items, "items", "", "write what was asked, answered and scored to this file, a line a question")
	fl.BoolVar(&f.asJSON, "json", false, "print one JSON object")
}

// complete turns flags into suites.
func (f *evalFlags) complete() ([]eval.Suite, error) {
	f.suite.Kind, f.reader.Thinking = eval.Kind(f.kind), source.Thinking(f.thinking)
	if f.suite.Kind == eval.PassAtK {
		switch f.judge {
		case "numeric":
			f.suite.Rewards = []reward.Spec{{Numeric: &reward.Numeric{Answer: f.answerField}}}
		case "exact":
			f.suite.Rewards = []reward.Spec{{Exact: &reward.Exact{Answer: f.answerField}}}
		default:
			return nil, fmt.Errorf("--judge is %q, want numeric or exact: a recipe's suite has all rules", f.judge)
		}
	}
	if len(f.files) == 0 {
		return nil, fmt.Errorf("nothing to measure: give --suite FILE")
	}
	if f.reader.Sequence < 8 {
		return nil, fmt.Errorf("--sequence is %d, want at least 8", f.reader.Sequence)
	}
	var suites []eval.Suite
	for i, file := range f.files {
		if slices.Contains(f.files[:i], file) {
			return nil, fmt.Errorf("--suite %s is given twice", file)
		}
		s := f.suite
		s.File = file
		if err := s.Check(); err != nil {
			return nil, err
		}
		suites = append(suites, s)
	}
	return suites, nil
}

// modelDir is the directory itself, or the model of the run that it holds.
func modelDir(dir string) (string, error) {
	exists := func(path ...string) bool {
		_, err := os.Stat(filepath.Join(append([]string{dir}, path...)...))
		return err == nil
	}
	switch {
	case exists("config.json"):
		return dir, nil
	case exists("model", "config.json"):
		return filepath.Join(dir, "model"), nil
	case exists("recipe.yaml"):
		return "", fmt.Errorf("%s is a run without a model yet: `temper run --resume` continues it to its end", dir)
	}
	return dir, nil // what reads it says what is missing
}

func (f *evalFlags) run(cmd *cobra.Command, dir string) error {
	suites, err := f.complete()
	if err != nil {
		return usageError{err}
	}
	if dir, err = modelDir(dir); err != nil {
		return usageError{err}
	}
	cfg, err := hf.LoadConfig(dir)
	if err != nil {
		return usageError{err}
	}
	tok, err := loadTokenizer(dir)
	if err != nil {
		return usageError{err}
	}
	questions, err := f.read(cmd.Context(), suites, tok) // before the weights, which take longer
	if err != nil {
		return err
	}
	m, err := deepseek.NewFrozen(cfg)
	if err != nil {
		return err
	}
	if err := loadWeights(m, dir); err != nil {
		return err
	}
	results, err := f.measure(cmd, m, questions)
	if err != nil {
		return err
	}
	if f.asJSON {
		return printJSON(cmd.OutOrStdout(), struct {
			Model  string      `json:"model"`
			Suites []evaluated `json:"suites"`
		}{dir, results})
	}
	return evalTable(cmd.OutOrStdout(), results)
}

func (f *evalFlags) read(ctx context.Context, suites []eval.Suite, tok *tokenizer.Tokenizer) ([]*eval.Questions, error) {
	f.reader.Tokenizer = tok
	all := make([]*eval.Questions, len(suites))
	for i := range suites {
		var err error
		if all[i], err = suites[i].Load(ctx, f.reader); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// measure asks the model all questions. What is said of each is written as a whole
// file or not at all.
func (f *evalFlags) measure(cmd *cobra.Command, m *deepseek.Model, questions []*eval.Questions) (results []evaluated, err error) {
	if f.items == "" {
		return f.ask(cmd, m, questions, nil)
	}
	err = durable.WriteStream(durable.OS, f.items, func(w io.Writer) error {
		out := json.NewEncoder(w)
		out.SetEscapeHTML(false)
		results, err = f.ask(cmd, m, questions, out)
		return err
	})
	return results, err
}

func (f *evalFlags) ask(cmd *cobra.Command, m *deepseek.Model, questions []*eval.Questions, items *json.Encoder) (results []evaluated, err error) {
	for i, q := range questions {
		name := f.files[i]
		o := eval.Options{Details: true, Progress: questionMeter(cmd.ErrOrStderr(), name)}
		if items != nil {
			o.Items = func(it *eval.Item) error {
				it.Suite = name
				return items.Encode(it)
			}
		}
		r, err := q.Measure(cmd.Context(), m, o)
		if err != nil {
			return nil, err
		}
		results = append(results, evaluated{
			Suite: name, Result: r, Headline: q.Headline(), Rows: q.Rows, Bad: q.Bad, Long: q.Long, FirstBad: q.FirstBad,
		})
	}
	return results, nil
}

// questionMeter shows how far a suite has come, on a terminal.
func questionMeter(out io.Writer, name string) func(done, total int) {
	if file, ok := out.(*os.File); !ok || !isTerminal(file) {
		return nil
	}
	return func(done, total int) {
		fmt.Fprintf(out, "\r\x1b[K%s: %d of %d questions", name, done, total)
		if done == total {
			fmt.Fprint(out, "\r\x1b[K")
		}
	}
}
