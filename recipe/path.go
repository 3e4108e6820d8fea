package recipe

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"

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

// SuiteData returns how a suite of stage i is read: in the stage's encoding and
// rows, with everything that says what to train on left out.
func (r *Recipe) SuiteData(i int, name string) (*posttrain.Data, error) {
	stage, suite := &r.Stages[i].Data, r.Stages[i].Eval.Suites[name]
	path, err := r.Path(suite.File)
	return &posttrain.Data{
		Files: []string{path}, Format: suite.Format, Fields: suite.Fields, System: stage.System,
		Thinking: stage.Thinking, SplitThink: stage.SplitThink, SkipReasoning: stage.SkipReasoning,
		Encoding: stage.Encoding, Sequence: stage.Sequence, Rows: 1,
	}, err
}

// Dir returns the folder that relative paths start from.
func (r *Recipe) Dir() string { return r.dir }
