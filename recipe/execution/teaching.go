package execution

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/temper-ml/temper/data/tokenizer"
	"github.com/temper-ml/temper/eval"
	"github.com/temper-ml/temper/internal/durable"
	"github.com/temper-ml/temper/internal/unit"
	"github.com/temper-ml/temper/posttrain"
	"github.com/temper-ml/temper/posttrain/opd"
	"github.com/temper-ml/temper/recipe"
	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/train"
)

// Teaching is what a stage has that learns from teachers, whoever wrote the answers.
// It is the source of its rows, as their order is that of teachers.
type Teaching struct {
	part     *Part
	config   *opd.Config
	files    []string // of the data, as the recipe names them
	teachers []opd.Teacher
	lessons  opd.Lessons
	deepest  int // teachers of a segment at most
	stage    *opd.Stage
	dir      string       // of the cache of what teachers said, empty for none
	held     []opd.Lesson // of given answers, each in a row's place
}

// Unmet says that a stage's teachers are not there, or are not those that it is on
// record with.
type Unmet struct{ Err error }

func (e *Unmet) Error() string { return e.Err.Error() }
func (e *Unmet) Unwrap() error { return e.Err }

// newTeaching opens the directories of a stage's teachers. It loads none.
func newTeaching(p *Part) (*Teaching, error) {
	m := p.Machine
	teachers, err := openTeachers(m.Recipe, &p.Stage, m.Tokenizer, m.Model.Config().VocabSize)
	if err != nil {
		return nil, &Unmet{err}
	}
	return &Teaching{part: p, config: p.Teaching(), files: p.Data.Files, teachers: teachers}, nil
}

// openTeachers opens the directories of a stage's teachers, for a student with a
// vocabulary of so many ids.
func openTeachers(r *recipe.Recipe, s *recipe.Stage, tok *tokenizer.Tokenizer, vocabulary int) ([]opd.Teacher, error) {
	var teachers []opd.Teacher
	for _, spec := range s.Teaching().Teachers {
		dir, err := r.Path(spec.Load)
		if err != nil {
			return nil, fmt.Errorf("teacher %q: %w", spec.Name, err)
		}
		t, err := opd.Published(spec.Name, dir, tok, s.Data.Sequence)
		if err == nil {
			err = t.Check(opd.Vocabulary{Size: vocabulary, Digest: tok.Digest()})
		}
		if err != nil {
			return nil, err
		}
		teachers = append(teachers, t)
	}
	return teachers, nil
}

// teach opens the teachers of a stage that learns from answers in its data.
func (p *Part) teach(ctx context.Context, d *posttrain.Data) (*Teaching, error) {
	t, err := newTeaching(p)
	if err != nil {
		return nil, err
	}
	return t, t.give(ctx, d, p.Material, p.Eval.Rows)
}

// give finds the teachers of all rows of a stage's data, of those held out of the first
// so many.
func (t *Teaching) give(ctx context.Context, d *posttrain.Data, m *posttrain.Material, held int) error {
	router, err := t.config.Route(ctx, t.files, d.Files)
	if err != nil {
		return err
	}
	for i := range int64(m.RowsPerEpoch()) { // now, not after hours
		row := m.Row(i)
		l, err := router.Lesson(&row)
		if err != nil {
			return err
		}
		t.deepest = max(t.deepest, l.Deepest())
	}
	t.lessons = opd.Given(m.Stream.Stream, d.Rows, router)
	n := len(m.HeldOut)
	if held > 0 {
		n = min(n, held)
	}
	for i := range int64(n) {
		row := m.Held.Row(i)
		l, err := router.Lesson(&row)
		if err != nil {
			return err
		}
		t.held = append(t.held, l)
	}
	return nil
}

// Rows returns the rows of a step, in the order of their teachers.
func (t *Teaching) Rows(step int64) ([]train.Row, error) { return t.stage.Rows(step) }

// meet loads each teacher once, alone: to find out which model it is, or to make sure
// that it is the one on record.
func (t *Teaching) meet(ctx context.Context) error {
	if t.stage != nil {
		return nil
	}
	p := t.part
	m := p.Machine
	if err := t.identify(ctx, m.Site.entered(p.Index)); err != nil {
		return &Unmet{err}
	}
	o := opd.Options{BF16: t.config.BF16, Memory: max(1, t.config.MemoryMiB<<20), Tokens: t.config.Tokens, Deepest: t.deepest, FS: m.Site.FS}
	if m.Cache != "" {
		t.dir = filepath.Join(m.Cache, "teachers", fmt.Sprintf("%02d-%s", p.Index, p.Name))
		o.Dir = t.dir
	}
	if m.Site.Note != nil {
		o.Warn = m.Site.Note
	}
	if m.Site.Tell != nil {
		o.Tell = func(r opd.Reading) { m.Site.Tell(Taught{Stage: p.Index, Name: p.Name, Reading: r}) }
	}
	var err error
	if o.Divergence, err = t.config.Measure(); err != nil {
		return err
	}
	student := opd.Vocabulary{Size: m.Model.Config().VocabSize, Digest: m.Tokenizer.Digest()}
	if t.stage, err = opd.New(ctx, student, t.teachers, t.lessons, o); err != nil {
		return err
	}
	if err := p.Trainer.Teach(t.stage, t.config.Entropy); err != nil {
		return err
	}
	return p.Trainer.Reserve(p.Data.Sequence)
}

// identify finds out the digests of the teachers, which are those of a stage that was
// entered before.
func (t *Teaching) identify(ctx context.Context, e *record.Stage) error {
	if e != nil && len(e.Teachers) != len(t.teachers) {
		return fmt.Errorf("the stage began with %d teachers, the recipe has %d", len(e.Teachers), len(t.teachers))
	}
	for j := range t.teachers {
		if err := ctx.Err(); err != nil {
			return err
		}
		teacher := &t.teachers[j]
		if e != nil {
			d, ok := e.Teachers[teacher.Name]
			if !ok {
				return fmt.Errorf("the stage began without teacher %q", teacher.Name)
			}
			if err := teacher.Digest.UnmarshalText([]byte(d)); err != nil {
				return fmt.Errorf("teacher %q: %w", teacher.Name, err)
			}
		}
		if err := affordable(teacher); err != nil {
			return err
		}
		if err := teacher.Identify(); err != nil {
			return err
		}
	}
	return nil
}

// affordable refuses a teacher that this machine has no memory for.
func affordable(t *opd.Teacher) error {
	n, _, _ := t.Config.Count()
	if has := Available(); has > 0 && n > has/4 {
		return fmt.Errorf("teacher %q has %s parameters and needs %s of memory beside the student, this machine has %s", t.Name, unit.Count(n), unit.Bytes(4*n), unit.Bytes(has))
	}
	return nil
}

// describe adds what the record says of the teachers, once they are known.
func (t *Teaching) describe(e *record.Stage) {
	if t.stage == nil {
		return
	}
	e.Teachers = map[string]record.Digest{}
	for i := range t.teachers {
		e.Teachers[t.teachers[i].Name] = record.Digest(t.teachers[i].Digest.String())
	}
}

// prepare has teachers read the rows of the steps from one on, up to another.
func (t *Teaching) prepare(ctx context.Context, from, to int64) error {
	if t.stage.Prepared(from) {
		return nil
	}
	if err := t.stage.Prepare(ctx, from, min(to, t.part.Steps)); err != nil {
		return &Unmet{err}
	}
	return nil
}

// measure says how far the model is from its teachers on lessons; given says that
// these are always the same, and how many tokens they have a matter of record. The
// model's own answers are counted as such.
func (t *Teaching) measure(ctx context.Context, e *Measured, lessons []opd.Lesson, given bool) error {
	q, err := t.stage.Measure(ctx, t.part.Machine.Model, lessons, given)
	if err != nil {
		return &Unmet{err}
	}
	count := func(tokens, answers int64) int64 {
		if given {
			return tokens
		}
		return answers
	}
	e.metric(train.DivergenceTerm, q.Divergence, count(q.Tokens, q.Answers))
	for _, teacher := range q.Teachers {
		e.metric(train.DivergenceTerm+"."+teacher.Name, teacher.Divergence, count(teacher.Tokens, teacher.Answers))
	}
	return nil
}

// Close gives up the cache of what teachers said, and removes it if all steps are taken.
func (t *Teaching) Close() error {
	if t.stage == nil {
		return nil
	}
	t.stage.Close()
	if t.dir == "" || !t.part.Trainer.Done() {
		return nil
	}
	fs := t.part.Machine.Site.FS
	if fs == nil {
		fs = durable.OS
	}
	return fs.RemoveAll(t.dir)
}

// Meet loads the teachers of a stage that learns from answers in its data, and refuses
// others than those on record. Call it before Prepare and Measure; without teachers it
// does nothing.
func (p *Part) Meet(ctx context.Context) error {
	if p.Taught == nil {
		return nil
	}
	return p.Taught.meet(ctx)
}

// Prepare has teachers read what the next step needs of them, if that is not done, and
// what some steps after it do: call it before each, so that no step's time has it.
func (p *Part) Prepare(ctx context.Context) error {
	if p.Taught == nil {
		return nil
	}
	taken, _ := p.Trainer.Steps()
	return p.Taught.prepare(ctx, taken, taken+p.Taught.config.Ahead)
}

// measureTaught measures a stage that learns from answers in its data, on those held out.
func (p *Part) measureTaught(ctx context.Context, e *Measured) error {
	l, err := eval.Measure(ctx, p.Machine.Model, p.Material.HeldOut, p.Eval.Rows)
	if err != nil {
		return err
	}
	e.Loss = &l
	return p.Taught.measure(ctx, e, p.Taught.held, true)
}
