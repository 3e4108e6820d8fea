package recipe

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/temper-ml/temper/data/tokenizer"
	"github.com/temper-ml/temper/posttrain"
	"github.com/temper-ml/temper/report/record/digest"
)

// Check returns the first field that is missing or out of range. It reads no file.
func (r *Recipe) Check() error {
	switch {
	case r.Name == "":
		return field("name", "missing: a run needs a name")
	case strings.ContainsAny(r.Name, "/\\\x00\n"):
		return field("name", "%q must not hold slashes or line breaks", r.Name)
	case (r.Model.Load == "") == (r.Model.Init == ""):
		return field("model", "give exactly one of load (a directory with weights) and init (a built-in name or a config.json)")
	case r.Model.Load != "" && len(r.Model.Set) > 0:
		return field("model.set", "a loaded model's architecture is what it is: use set with init only")
	case r.Tokenizer.File != "" && r.Tokenizer.Train != nil:
		return field("tokenizer", "give file or train, not both")
	case r.Model.Init != "" && r.Tokenizer.File == "" && r.Tokenizer.Train == nil:
		return field("tokenizer", "missing: an initialised model has none, give file or train")
	case len(r.Stages) == 0:
		return field("stages", "empty: give at least one")
	case r.Checkpoint.Every < 0:
		return field("checkpoint.every", "%d is negative: use a number of steps, or 0 for the ends of stages only", r.Checkpoint.Every)
	case r.Checkpoint.Keep < 1:
		return field("checkpoint.keep", "%d must be at least 1", r.Checkpoint.Keep)
	case r.Checkpoint.KeepEvery < 0:
		return field("checkpoint.keep_every", "%d is negative: use a multiple of every, or 0 to keep the newest only", r.Checkpoint.KeepEvery)
	case r.Checkpoint.KeepEvery > 0 && r.Checkpoint.Every == 0:
		return field("checkpoint.keep_every", "%d keeps nothing where every is 0: give every too", r.Checkpoint.KeepEvery)
	case r.Checkpoint.KeepEvery > 0 && r.Checkpoint.KeepEvery%r.Checkpoint.Every != 0:
		return field("checkpoint.keep_every", "%d must be a multiple of every, %d: nearest is %d", r.Checkpoint.KeepEvery, r.Checkpoint.Every, nearestMultiple(r.Checkpoint.KeepEvery, r.Checkpoint.Every))
	case r.Export.DType != "bf16" && r.Export.DType != "f32":
		return field("export.dtype", "%q is not known: use bf16 or f32", r.Export.DType)
	}
	if err := r.Record.check(); err != nil {
		return err
	}
	if err := r.Tokenizer.check(); err != nil {
		return err
	}
	names := map[string]bool{}
	for i := range r.Stages {
		s := &r.Stages[i]
		if err := s.check(); err != nil {
			return under(fmt.Sprintf("stages[%d]", i), err)
		}
		if names[s.Name] {
			return field(fmt.Sprintf("stages[%d].name", i), "%q is used twice: names of stages are unique", s.Name)
		}
		names[s.Name] = true
	}
	return nil
}

// nearestMultiple returns the multiple of m, at least m, that is nearest to n.
func nearestMultiple(n, m int64) int64 {
	down := n / m * m
	if down == 0 || n-down > m/2 {
		return down + m
	}
	return down
}

// maxDigestPeriod is far more than any stage has steps to cover a model in.
const maxDigestPeriod = 1 << 20

func (r *Record) check() error {
	if r.DigestPeriod < 0 || r.DigestPeriod > maxDigestPeriod {
		return field("record.digest_period", "%d is outside [0, %d]: use 1 for all of the state in every step, %d by default, or 0 for no digests", r.DigestPeriod, maxDigestPeriod, digest.DefaultPeriod)
	}
	return nil
}

func (t *Tokenizer) check() error {
	if t.Train == nil {
		return nil
	}
	switch {
	case len(t.Train.Files) == 0:
		return field("tokenizer.train.files", "empty: give at least one file")
	case t.Train.VocabSize < 512 || t.Train.VocabSize > 1<<20:
		return field("tokenizer.train.vocab_size", "%d is outside [512, 1048576]", t.Train.VocabSize)
	case !slices.Contains(tokenizer.PreTokenizers(), t.Train.PreTokenizer):
		return field("tokenizer.train.pre_tokenizer", "%q is not known: use %s", t.Train.PreTokenizer, strings.Join(tokenizer.PreTokenizers(), ", "))
	case t.Train.MinFrequency < 0:
		return field("tokenizer.train.min_frequency", "%d is negative", t.Train.MinFrequency)
	}
	return nil
}

func (s *Stage) check() error {
	switch {
	case s.Name == "" || strings.ContainsAny(s.Name, "/\\\x00\n"):
		return field("name", "%q must be given and hold no slashes", s.Name)
	case !slices.Contains(posttrain.Methods(), s.Method):
		return field("method", "%q is not known: use %s", s.Method, strings.Join(posttrain.Methods(), ", "))
	case (s.Epochs == 0) == (s.Steps == 0):
		return field("steps", "give exactly one of steps and epochs")
	case !(s.Epochs >= 0) || s.Epochs > 1e6:
		return field("epochs", "%v is outside (0, 1000000]", s.Epochs)
	case s.Eval.Every < 0:
		return field("eval.every", "%d is negative: use a number of steps, or 0", s.Eval.Every)
	case s.Eval.Rows < 0:
		return field("eval.rows", "%d is negative: use a number of rows, or 0 for all", s.Eval.Rows)
	}
	if err := s.Data.Check(s.Takes()); err != nil {
		return under("data", asField(err))
	}
	if err := s.checkAnswers(); err != nil {
		return err
	}
	if err := s.checkDPO(); err != nil {
		return under("dpo", err)
	}
	if err := s.checkTeaching(); err != nil {
		return err
	}
	for _, name := range s.SuiteNames() {
		suite := s.Eval.Suites[name]
		if err := suite.Check(); err != nil {
			return under("eval.suites."+name, asField(err))
		}
		if name == PreferenceSuite && s.Method == "dpo" {
			return field("eval.suites."+name, "the stage measures this by itself, on its held-out pairs: choose another name")
		}
	}
	cfg := s.Config
	if cfg.Steps == 0 {
		// Epochs: the number of steps is known once the data is; ranges that depend on it are checked then.
		cfg.Steps = max(1, cfg.LR.Warmup+cfg.LR.Decay)
	}
	rows := s.Data.Rows
	if s.Rollout != nil {
		rows = max(s.Slots, s.MicroRows) // the answers decide how many there are
	}
	return asField(cfg.Check(rows))
}

// PreferenceSuite is the name under which a dpo stage reports how many held-out
// pairs it tells apart.
const PreferenceSuite = "preference_accuracy"

func (s *Stage) checkDPO() error {
	switch {
	case s.Method != "dpo" && s.DPO != nil:
		return fmt.Errorf("method %s has no pairs to compare: use method dpo, or leave the section out", s.Method)
	case s.Method != "dpo":
		return nil
	case s.DPO == nil:
		return fmt.Errorf("empty: give kind and beta, or leave the section out for sigmoid with 0.1")
	}
	return asField(s.DPO.Check())
}

func field(path, format string, args ...any) error {
	return &FieldError{path, fmt.Errorf(format, args...)}
}

// asField turns "lr.peak: rule" of a lower package into a FieldError.
func asField(err error) error {
	if err == nil {
		return nil
	}
	path, rule, ok := strings.Cut(err.Error(), ": ")
	if !ok {
		return err
	}
	return &FieldError{path, errors.New(rule)}
}

// under puts a path before that of a field.
func under(path string, err error) error {
	var f *FieldError
	if errors.As(err, &f) {
		return &FieldError{path + "." + f.Path, f.Err}
	}
	return &FieldError{path, err}
}
