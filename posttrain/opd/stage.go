package opd

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"

	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/internal/durable"
	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/nn"
	"github.com/temper-ml/temper/report/record/digest"
	"github.com/temper-ml/temper/train"
)

// Lessons returns the lessons of a step. It must be a pure function of step: a resumed
// run and a verifier ask for any step again.
type Lessons func(step int64) ([]Lesson, error)

// Options decide what is learnt from teachers, and what that may cost.
type Options struct {
	// Divergence is what is minimised; its zero value is the reverse one.
	Divergence kernel.Divergence
	// BF16 rounds last hidden states to bfloat16, which halves what they take. Each
	// element then errs by at most 2^-8 of itself, and a teacher's logit by at most
	// 2^-8 Σ |state|·|head|.
	BF16 bool
	// Dir is a directory for states and heads; without it they are kept in memory.
	Dir string
	// Memory bounds the states and heads held, in bytes; 0 stands for 1 GiB. The heads
	// of the teachers that one micro-batch needs, and its states, come on top.
	Memory int64
	// Disk is how many bytes of other steps than the present one stay in Dir.
	Disk int64
	// Tokens is how many tokens a teacher reads at once; 0 stands for 4096. A row is
	// read whole.
	Tokens int
	// Deepest is how many teachers a segment has at most, for the memory that is
	// reserved; 0 stands for all.
	Deepest int
	// FS writes Dir; nil is the machine's.
	FS durable.FS
	// Warn, if not nil, is told of damaged files.
	Warn func(string)
	// Tell, if not nil, is told what a teacher is about to read.
	Tell func(Reading)
}

// Reading says that a teacher was loaded and how many rows it reads: of the steps
// First to Last, or of what is held out.
type Reading struct {
	Teacher string `json:"teacher"`
	Rows    int    `json:"rows"`
	First   string `json:"first"`
	Last    string `json:"last"`
}

// Stage gives a trainer its rows and what teachers say of them. It is not safe for
// concurrent use.
type Stage struct {
	ctx      context.Context
	o        Options
	teachers []Teacher
	source   Lessons
	cache    *cache
	ahead    map[int64][]Lesson // of the steps whose rows teachers have read
	step     int64              // whose lessons are present, -1 for none
	lessons  []Lesson
	kept     map[digest.Digest]bool // in the cache, whatever the step
	heads    [][]float32            // of each teacher, nil if not in memory
	batch    nn.Distillation
	Loads    int // teachers loaded so far
}

// New returns the stage of a student with that vocabulary. It loads no teacher. When ctx
// ends, so does reading that nobody asked Prepare for, after the rows that are being read;
// what was read is kept.
func New(ctx context.Context, student Vocabulary, teachers []Teacher, source Lessons, o Options) (*Stage, error) {
	if len(teachers) == 0 {
		return nil, fmt.Errorf("opd: no teacher: give at least one")
	}
	names := map[string]bool{}
	for i := range teachers {
		if err := teachers[i].Check(student); err != nil {
			return nil, err
		}
		if names[teachers[i].Name] {
			return nil, fmt.Errorf("opd: two teachers are called %q", teachers[i].Name)
		}
		names[teachers[i].Name] = true
	}
	if err := o.Divergence.Check(); err != nil {
		return nil, fmt.Errorf("opd: %w", err)
	}
	if o.Memory < 0 || o.Disk < 0 || o.Tokens < 0 {
		return nil, fmt.Errorf("opd: memory %d, disk %d and tokens %d must not be negative", o.Memory, o.Disk, o.Tokens)
	}
	if o.Memory == 0 {
		o.Memory = 1 << 30
	}
	if o.Tokens == 0 {
		o.Tokens = 4096
	}
	if o.Deepest == 0 {
		o.Deepest = len(teachers)
	}
	if o.FS == nil {
		o.FS = durable.OS
	}
	if o.Warn == nil {
		o.Warn = func(string) {}
	}
	if o.Tell == nil {
		o.Tell = func(Reading) {}
	}
	c, err := newCache(&o)
	if err != nil {
		return nil, err
	}
	return &Stage{
		ctx: ctx, o: o, teachers: slices.Clone(teachers), source: source, cache: c, ahead: map[int64][]Lesson{}, step: -1,
		kept: map[digest.Digest]bool{}, heads: make([][]float32, len(teachers)),
	}, nil
}

// Close gives the directory up.
func (s *Stage) Close() { s.cache.lock.Release() }

// Rows returns the rows of a step, sorted by teacher.
func (s *Stage) Rows(step int64) ([]train.Row, error) {
	if err := s.turn(step); err != nil {
		return nil, err
	}
	rows := make([]train.Row, len(s.lessons))
	for i := range rows {
		rows[i] = s.lessons[i].Row
	}
	return rows, nil
}

// turn brings the lessons of a step.
func (s *Stage) turn(step int64) error {
	if s.step == step {
		return nil
	}
	lessons, err := s.lessonsOf(step)
	s.lessons, s.step = lessons, step
	if err != nil {
		s.step = -1
	}
	return err
}

// lessonsOf returns the lessons of a step, checked and sorted.
func (s *Stage) lessonsOf(step int64) ([]Lesson, error) {
	if lessons, ok := s.ahead[step]; ok {
		return lessons, nil
	}
	if step == s.step {
		return s.lessons, nil
	}
	lessons, err := s.source(step)
	if err == nil {
		lessons, err = s.ordered(lessons)
	}
	if err != nil {
		return nil, fmt.Errorf("opd: step %d: %w", step, err)
	}
	return lessons, nil
}

// ordered checks lessons and returns them sorted.
func (s *Stage) ordered(lessons []Lesson) ([]Lesson, error) {
	lessons = slices.Clone(lessons)
	for i := range lessons {
		lessons[i].Shares = slices.Clone(lessons[i].Shares)
		if err := lessons[i].check(s.teachers); err != nil {
			return nil, fmt.Errorf("row %d %w", i, err)
		}
	}
	Sort(lessons)
	return lessons, nil
}

// Begin refuses other rows than the step's, and has teachers read them if that was not
// prepared.
func (s *Stage) Begin(step int64, rows []train.Row) error {
	if err := s.turn(step); err != nil {
		return err
	}
	if got, want := batchOf(s.lessons), train.BatchDigest(rows); got != want {
		return fmt.Errorf("opd: step %d has rows %s, the lessons are of rows %s", step, want, got)
	}
	if _, ok := s.ahead[step]; ok {
		return nil
	}
	return s.Prepare(s.ctx, step, step+1)
}

func batchOf(lessons []Lesson) digest.Digest {
	rows := make([]train.Row, len(lessons))
	for i := range rows {
		rows[i] = lessons[i].Row
	}
	return train.BatchDigest(rows)
}

// with loads a teacher for the time of use. Its memory is given back before
// anything else is loaded.
func (s *Stage) with(j int, use func(m *deepseek.Model) error) error {
	clear(s.heads)
	debug.FreeOSMemory()
	err := s.teachers[j].with(use)
	s.Loads++
	debug.FreeOSMemory()
	return err
}

// head is a teacher's head as the cache has it.
func (s *Stage) head(j int) matrix {
	t := &s.teachers[j]
	return matrix{key: digest.List("opd-head", []digest.Digest{t.Digest}), rows: t.Config.VocabSize, columns: t.Config.HiddenSize}
}

// states are what a teacher says of the segments of a row that it has a share in, as
// the cache has it; no rows if there are none.
func (s *Stage) states(j int, l *Lesson) matrix {
	t := &s.teachers[j]
	segments := l.taughtBy(j)
	m := matrix{rows: l.labels(segments), columns: t.Config.HiddenSize, short: s.o.BF16}
	m.key = digest.List("opd-states", []digest.Digest{t.Digest, l.Row.Digest(), digest.Ints("opd", segments, []int32{int32(m.width())})})
	return m
}
