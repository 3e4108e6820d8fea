package recipe

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"

	"github.com/temper-ml/temper/data"
	"github.com/temper-ml/temper/data/source"
	"github.com/temper-ml/temper/eval"
	"github.com/temper-ml/temper/posttrain"
)

var variable = regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)\}`)

// Path resolves a path of the recipe: ${NAME} is replaced by that environment
// variable, and what is relative starts at the recipe's folder, unless Locate
// said where paths are.
func (r *Recipe) Path(path string) (string, error) {
	if r.locate != nil {
		return r.locate(path)
	}
	return r.path(path)
}

// Locate makes Path ask locate where the file or directory of a path is, as
// the recipe spells it: for a recipe that is carried out away from its folder.
func (r *Recipe) Locate(locate func(path string) (string, error)) { r.locate = locate }

func (r *Recipe) path(path string) (string, error) {
	var missing string
	path = variable.ReplaceAllStringFunc(path, func(ref string) string {
		name := ref[2 : len(ref)-1]
		value, ok := os.LookupEnv(name)
		if !ok && missing == "" {
			missing = name
		}
		return value
	})
	if missing != "" {
		return "", fmt.Errorf("recipe: path %q: the environment variable %s is not set: export it", path, missing)
	}
	if filepath.IsAbs(path) {
		return path, nil
	}
	return filepath.Join(r.dir, path), nil
}

// Paths resolves several paths.
func (r *Recipe) Paths(paths []string) ([]string, error) {
	out := make([]string, len(paths))
	for i, p := range paths {
		var err error
		if out[i], err = r.Path(p); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// StageData returns the data of stage i with its paths resolved.
func (r *Recipe) StageData(i int) (*posttrain.Data, error) {
	d := r.Stages[i].Data
	var err error
	d.Files, err = r.Paths(d.Files)
	return &d, err
}

// LoadSuite reads a suite of stage i: in the stage's encoding, and in passes of
// the length of its rows.
func (r *Recipe) LoadSuite(ctx context.Context, i int, name string, tok data.Tokenizer) (*eval.Questions, error) {
	d, suite := &r.Stages[i].Data, r.Stages[i].Eval.Suites[name]
	var err error
	if suite.File, err = r.Path(suite.File); err == nil {
		var q *eval.Questions
		if q, err = suite.Load(ctx, eval.Reader{
			Tokenizer: tok, Encoding: d.Encoding, System: d.System, Thinking: source.Thinking(d.Thinking),
			SplitThink: d.SplitThink, KeepReasoning: d.KeepReasoning, SkipReasoning: d.SkipReasoning, Sequence: d.Sequence,
		}); err == nil {
			return q, nil
		}
	}
	return nil, fmt.Errorf("suite %s: %w", name, err)
}

// Dir returns the folder that relative paths start from.
func (r *Recipe) Dir() string { return r.dir }
