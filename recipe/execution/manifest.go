package execution

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/temper-ml/temper/data"
	"github.com/temper-ml/temper/posttrain"
	"github.com/temper-ml/temper/posttrain/rollout"
	"github.com/temper-ml/temper/recipe"
	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/record/digest"
	"github.com/temper-ml/temper/train"
)

// manifest says what the run is, but for the parameters that it begins with.
func (x *runner) manifest(ctx context.Context) (*record.Manifest, error) {
	text, err := x.recipe.YAML()
	if err != nil {
		return nil, err
	}
	tok, err := x.tok.MarshalJSON()
	if err != nil {
		return nil, err
	}
	m := &record.Manifest{
		Run: x.recipe.Name, Recipe: string(text), Seed: x.recipe.Seed, Started: x.start.UnixMilli(),
		Architecture: string(x.arch.MarshalHF()),
		Precision:    record.Precision{Parameters: "fp32", Linear: "fp32", Attention: "fp32"},
		Tokenizer:    record.SHA256(tok), Program: Program(), Hosts: []record.Host{host()}, Ranks: 1, Mesh: record.One(),
		Devices: []record.Device{x.device}, DigestPeriod: int64(x.recipe.Record.DigestPeriod), Clock: "system",
	}
	if m.Data, err = files(ctx, x.recipe, paths(x.recipe)); err != nil {
		return nil, err
	}
	m.Order, err = x.survey(ctx, m.Data)
	return m, err
}

// tensors are the digests of a model that is loaded, none of one that is drawn.
func (x *runner) tensors() (map[string]record.Digest, error) {
	digests := map[string]record.Digest{}
	if x.recipe.Model.Load == "" {
		return digests, nil
	}
	tensors, err := train.TensorDigests(x.model)
	for name, d := range tensors {
		digests[name] = record.Digest(d.String())
	}
	return digests, err
}

// files describes files of the recipe, each once, in the order given.
func files(ctx context.Context, r *recipe.Recipe, paths []string) ([]record.File, error) {
	files := []record.File{}
	var names []string
	for _, path := range paths {
		if slices.ContainsFunc(files, func(f record.File) bool { return f.Path == path }) {
			continue
		}
		name, err := r.Path(path)
		if err != nil {
			return nil, err
		}
		files, names = append(files, record.File{Path: path}), append(names, name)
	}
	hashes, err := hashFiles(ctx, names)
	for i, h := range hashes {
		files[i].Digest, files[i].Bytes = h.digest, h.bytes
	}
	return files, err
}

// paths are all files of text that the recipe reads, as it names them: those of
// the tokenizer's training, of the stages, and of their suites.
func paths(r *recipe.Recipe) []string {
	var ps []string
	if r.Tokenizer.Train != nil {
		ps = append(ps, r.Tokenizer.Train.Files...)
	}
	for i := range r.Stages {
		ps = append(ps, stagePaths(&r.Stages[i])...)
	}
	return ps
}

func stagePaths(s *recipe.Stage) []string {
	ps := append(slices.Clone(s.Data.Files), s.Programs()...)
	for _, name := range s.SuiteNames() {
		ps = append(ps, s.Eval.Suites[name].File)
	}
	return ps
}

// survey reads the data of all stages and suites once, which also fills the
// cache: it counts the files' rows and returns the digest of the order of examples.
func (x *runner) survey(ctx context.Context, files []record.File) (record.Digest, error) {
	rows := map[string]int64{}
	var orders []digest.Digest
	for i := range x.recipe.Stages {
		s := &x.recipe.Stages[i]
		x.tell(Reading{i, s.Name})
		report, order, err := x.look(ctx, i)
		if err != nil {
			return "", fmt.Errorf("stage %s: %w", s.Name, err)
		}
		for k, n := range report.Files {
			rows[s.Data.Files[k]] = n
		}
		orders = append(orders, order)
		for _, name := range s.SuiteNames() {
			q, err := x.recipe.LoadSuite(ctx, i, name, x.tok)
			if err != nil {
				return "", fmt.Errorf("stage %s: %w", s.Name, err)
			}
			rows[s.Eval.Suites[name].File] = q.Rows
		}
	}
	for i := range files {
		files[i].Rows = rows[files[i].Path]
	}
	return record.Digest(digest.List("orders", orders).String()), nil
}

// look reads the data of stage i.
func (x *runner) look(ctx context.Context, i int) (*data.Report, digest.Digest, error) {
	s := &x.recipe.Stages[i]
	d, err := x.recipe.StageData(i)
	if err != nil {
		return nil, digest.Digest{}, err
	}
	if s.Rollout != nil {
		q, _, report, err := rollout.Load(ctx, d, x.tok, s.Rollout.MaxTokens, x.recipe.Seed)
		if err != nil {
			return nil, digest.Digest{}, err
		}
		return report, questionOrder(q), nil
	}
	m, err := d.Load(ctx, s.Takes(), x.tok, x.cache(), x.recipe.Seed)
	if err != nil {
		return nil, digest.Digest{}, err
	}
	return &m.Report, order(s, m), nil
}

// questionOrder is the digest of the first epoch of questions, in the order in which
// they are asked: it decides that of all others.
func questionOrder(q *rollout.Questions) digest.Digest {
	list := make([]int32, q.Len())
	for i := range list {
		list[i] = int32(q.At(int64(i)).Index)
	}
	return digest.Ints("questions", list)
}

// order is the digest of the examples of a stage's rows, in order.
func order(s *recipe.Stage, m *posttrain.Material) digest.Digest {
	steps := s.Steps
	if s.Epochs > 0 {
		steps = m.Steps(s.Epochs)
	}
	return digest.Digest(m.Order(steps * int64(s.Data.Rows)))
}

// unchanged refuses to continue a run on other files, or with another tokenizer
// or model than it began with, and says so when the program is another. What
// stages before from have read is not needed any more.
func (x *runner) unchanged(ctx context.Context, from int) (notes []string, err error) {
	m := x.old
	tok, err := x.tok.MarshalJSON()
	if err != nil {
		return nil, err
	}
	if d := record.SHA256(tok); d != m.Tokenizer {
		return nil, fmt.Errorf("run: the tokenizer has digest %s, the run began with %s: a resumed run needs the same", d, m.Tokenizer)
	}
	if c := string(x.arch.MarshalHF()); c != m.Architecture {
		return nil, errors.New("run: the model's configuration is not that of record/manifest.json: a resumed run needs the same model")
	}
	known := map[string]record.Digest{}
	for _, f := range m.Data {
		known[f.Path] = f.Digest
	}
	for i := from; i < len(x.recipe.Stages); i++ {
		now, err := files(ctx, x.recipe, stagePaths(&x.recipe.Stages[i]))
		if err != nil {
			return nil, err
		}
		for _, f := range now {
			if f.Digest != known[f.Path] {
				return nil, fmt.Errorf("run: %s is other data than the run began with (%s, now %s): a resumed run needs the same files", f.Path, known[f.Path], f.Digest)
			}
		}
	}
	if p := Program(); !same(p, m.Program) {
		notes = append(notes, fmt.Sprintf("continued by another program: version %s, revision %s, %s; the run was begun by version %s, revision %s, %s",
			p.Version, p.Revision, p.Go, m.Program.Version, m.Program.Revision, m.Program.Go))
	}
	return notes, nil
}

func same(a, b record.Program) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && string(x) == string(y)
}
