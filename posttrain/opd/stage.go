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
	// FS writes Dir; nil is the machine's.
	FS durable.FS
	// Warn, if not nil, is told of damaged files and of teachers being loaded.
	Warn func(string)
}

// Stage gives a trainer its rows and what teachers say of them. It is not safe for
// concurrent use.
type Stage struct {
	ctx      context.Context
	o        Options
	teachers []Teacher
	source   Lessons
	cache    *cache
	step     int64 // whose lessons are present, -1 for none
	lessons  []Lesson
	heads    [][]float32 // of each teacher, nil if not in memory
	batch    nn.Distillation
	Loads    int // teachers loaded so far
}

// New returns the stage of a student with that vocabulary. It loads no teacher. When ctx
// ends, so does reading, after the rows that are being read; what was read is kept.
func New(ctx context.Context, student Vocabulary, teachers []Teacher, source Lessons, o Options) (*Stage, error) {
	if len(teachers) == 0 {
		return nil, fmt.Errorf("opd: no teacher: give at least one")
	}
	names := map[string]bool{}
	for i := range teachers {
		if err := teachers[i].check(student); err != nil {
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
	if o.FS == nil {
		o.FS = durable.OS
	}
	if o.Warn == nil {
		o.Warn = func(string) {}
	}
	c, err := newCache(&o)
	if err != nil {
		return nil, err
	}
	return &Stage{ctx: ctx, o: o, teachers: slices.Clone(teachers), source: source, cache: c, step: -1, heads: make([][]float32, len(teachers))}, nil
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
	s.step = -1
	lessons, err := s.source(step)
	if err != nil {
		return fmt.Errorf("opd: step %d: %w", step, err)
	}
	lessons = slices.Clone(lessons)
	for i := range lessons {
		lessons[i].Shares = slices.Clone(lessons[i].Shares)
		if err := lessons[i].check(s.teachers); err != nil {
			return fmt.Errorf("opd: step %d: row %d %w", step, i, err)
		}
	}
	Sort(lessons)
	s.lessons, s.step = lessons, step
	return nil
}

// Begin has every teacher that the step needs read its rows, one teacher after the
// other, and keeps what the step needs of them.
func (s *Stage) Begin(step int64, rows []train.Row) error {
	if err := s.turn(step); err != nil {
		return err
	}
	if got, want := batchOf(s.lessons), train.BatchDigest(rows); got != want {
		return fmt.Errorf("opd: step %d has rows %s, the lessons are of rows %s", step, want, got)
	}
	used := s.used()
	for _, j := range used {
		if err := s.identify(j); err != nil {
			return err
		}
	}
	wanted := map[digest.Digest]bool{}
	for _, j := range used {
		wanted[s.head(j).key] = true
		for i := range s.lessons {
			if m := s.states(j, i); m.rows > 0 {
				wanted[m.key] = true
			}
		}
	}
	if err := s.cache.prune(wanted, s.o.Disk); err != nil {
		return err
	}
	for _, j := range used {
		if err := s.ask(j); err != nil {
			return err
		}
	}
	return nil
}

// used are the teachers that have something to say in the present step.
func (s *Stage) used() []int {
	var all []int
	for j := range s.teachers {
		if slices.ContainsFunc(s.lessons, func(l Lesson) bool { return l.labels(l.taughtBy(j)) > 0 }) {
			all = append(all, j)
		}
	}
	return all
}

func batchOf(lessons []Lesson) digest.Digest {
	rows := make([]train.Row, len(lessons))
	for i := range rows {
		rows[i] = lessons[i].Row
	}
	return train.BatchDigest(rows)
}

// identify finds out the digest of a teacher that came without; as it is there then, it
// reads too.
func (s *Stage) identify(j int) error {
	if !s.teachers[j].Digest.IsZero() {
		return nil
	}
	return s.with(j, func(m *deepseek.Model) error {
		w, err := s.lacking(j)
		if err != nil {
			return err
		}
		return s.read(m, j, w)
	})
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
func (s *Stage) states(j, row int) matrix {
	t, l := &s.teachers[j], &s.lessons[row]
	segments := l.taughtBy(j)
	m := matrix{rows: l.labels(segments), columns: t.Config.HiddenSize, short: s.o.BF16}
	m.key = digest.List("opd-states", []digest.Digest{t.Digest, l.Row.Digest(), digest.Ints("opd", segments, []int32{int32(m.width())})})
	return m
}

// work is what a teacher has to do.
type work struct {
	rows  []int
	head  bool  // its head is not in the cache
	bytes int64 // that the cache will take
}

// lacking tells what is not in the cache.
func (s *Stage) lacking(j int) (work, error) {
	var w work
	head := s.head(j)
	ok, err := s.cache.has(head)
	if err != nil {
		return w, err
	}
	if w.head = !ok; w.head {
		w.bytes = head.bytes()
	}
	for i := range s.lessons {
		m := s.states(j, i)
		if m.rows == 0 {
			continue
		}
		ok, err := s.cache.has(m)
		if err != nil {
			return w, err
		}
		if !ok {
			w.rows = append(w.rows, i)
			w.bytes += m.bytes()
		}
	}
	return w, nil
}

// ask has a teacher read what is not in the cache. If all is, it is not loaded.
func (s *Stage) ask(j int) error {
	w, err := s.lacking(j)
	if err != nil || !w.head && len(w.rows) == 0 {
		return err
	}
	return s.with(j, func(m *deepseek.Model) error { return s.read(m, j, w) })
}

// read has the teacher do its work.
func (s *Stage) read(m *deepseek.Model, j int, w work) error {
	t := &s.teachers[j]
	if s.o.Dir != "" {
		if err := durable.Reserve(s.o.Dir, w.bytes); err != nil {
			return fmt.Errorf("opd: teacher %q: %w", t.Name, err)
		}
	}
	s.o.Warn(fmt.Sprintf("opd: teacher %q reads %d rows of step %d", t.Name, len(w.rows), s.step))
	if w.head {
		head := s.head(j)
		head.values = slices.Clone(m.Teacher("").Data)
		if err := s.cache.put(&head); err != nil {
			return err
		}
	}
	for rows := w.rows; len(rows) > 0; {
		if err := s.ctx.Err(); err != nil {
			return fmt.Errorf("opd: teacher %q: %w", t.Name, err)
		}
		n, err := s.some(m, j, rows)
		if err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

// some has the teacher read the first of the rows, as many tokens as are allowed at once,
// and returns how many rows those were.
func (s *Stage) some(m *deepseek.Model, j int, rows []int) (int, error) {
	b, n := &deepseek.Batch{}, 0
	for n < len(rows) {
		part := s.lessons[rows[n]].part(s.lessons[rows[n]].taughtBy(j))
		if n > 0 && len(b.Tokens)+len(part.Tokens) > s.o.Tokens {
			break
		}
		join(b, part)
		n++
	}
	states, err := m.HiddenStates(b)
	if err != nil { // not wrapped: a teacher's numbers are no reason to skip a step
		return 0, fmt.Errorf("opd: teacher %q reads row %d of step %d and up to %d after it: %v", s.teachers[j].Name, rows[0], s.step, n-1, err)
	}
	if s.o.BF16 {
		kernel.RoundBF16(states)
	}
	for _, row := range rows[:n] {
		at := s.states(j, row)
		at.values = slices.Clone(states[:at.rows*at.columns])
		states = states[at.rows*at.columns:]
		if err := s.cache.put(&at); err != nil {
			return 0, err
		}
	}
	return n, nil
}

// part is the batch of some segments of the row.
func (l *Lesson) part(segments []int32) *deepseek.Batch {
	b := &deepseek.Batch{}
	for _, i := range segments {
		s, at := l.Row.Segments[i], len(b.Tokens)
		b.Tokens = append(b.Tokens, l.Row.Tokens[s.Start:s.End]...)
		b.Labels = append(b.Labels, l.Row.Labels[s.Start:s.End]...)
		b.Segments = append(b.Segments, nn.Segment{Start: at, End: at + s.Len()})
	}
	return b
}

func join(b, more *deepseek.Batch) {
	at := len(b.Tokens)
	b.Tokens, b.Labels = append(b.Tokens, more.Tokens...), append(b.Labels, more.Labels...)
	for _, s := range more.Segments {
		b.Segments = append(b.Segments, nn.Segment{Start: at + s.Start, End: at + s.End})
	}
}
