package opd

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/internal/durable"
	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/nn"
	"github.com/temper-ml/temper/report/record/digest"
)

// Prepare has every teacher that steps from to to-1 need read their rows, one teacher
// after the other, each loaded once at most, and keeps what these steps need of them.
// Begin then finds it there. When ctx ends, so does reading, after the rows that are
// being read; what was read is kept.
func (s *Stage) Prepare(ctx context.Context, from, to int64) error {
	ahead := map[int64][]Lesson{}
	var all []reading
	for step := from; step < to; step++ {
		lessons, err := s.lessonsOf(step)
		if err != nil {
			return err
		}
		ahead[step] = lessons
		all = append(all, readings(lessons, fmt.Sprint("step ", step))...)
	}
	if err := s.teach(ctx, all, nil); err != nil {
		return err
	}
	s.ahead = ahead
	return nil
}

// Forget lets go of the lessons of steps, which are asked for again. What teachers have
// said of their rows stays in the cache.
func (s *Stage) Forget() {
	s.step, s.lessons, s.ahead = -1, nil, map[int64][]Lesson{}
}

// Prepared reports whether teachers have read the rows of a step.
func (s *Stage) Prepared(step int64) bool { return s.ahead[step] != nil }

// reading is a row that teachers read, and where it stands.
type reading struct {
	*Lesson
	place string
	row   int
}

func readings(lessons []Lesson, place string) []reading {
	all := make([]reading, len(lessons))
	for i := range lessons {
		all[i] = reading{&lessons[i], place, i}
	}
	return all
}

// all are the rows of the steps that are prepared, and of the present one.
func (s *Stage) all() []reading {
	var all []reading
	for _, step := range slices.Sorted(maps.Keys(s.ahead)) {
		all = append(all, readings(s.ahead[step], fmt.Sprint("step ", step))...)
	}
	if _, ok := s.ahead[s.step]; !ok {
		all = append(all, readings(s.lessons, fmt.Sprint("step ", s.step))...)
	}
	return all
}

// teach has teachers read rows, and lets go of everything else that they said, but of
// other rows.
func (s *Stage) teach(ctx context.Context, rows, other []reading) error {
	used := s.used(rows)
	for _, j := range used {
		if err := s.identify(ctx, j, rows); err != nil {
			return err
		}
	}
	wanted := s.keys(rows)
	maps.Copy(wanted, s.keys(other))
	maps.Copy(wanted, s.kept)
	if err := s.cache.prune(wanted, s.o.Disk); err != nil {
		return err
	}
	for _, j := range used {
		if err := s.ask(ctx, j, rows); err != nil {
			return err
		}
	}
	return nil
}

// keys are what the cache has of rows once teachers have read them.
func (s *Stage) keys(rows []reading) map[digest.Digest]bool {
	keys := map[digest.Digest]bool{}
	for _, j := range s.used(rows) {
		keys[s.head(j).key] = true
		for _, r := range rows {
			if m := s.states(j, r.Lesson); m.rows > 0 {
				keys[m.key] = true
			}
		}
	}
	return keys
}

// used are the teachers that have something to say of rows.
func (s *Stage) used(rows []reading) []int {
	var all []int
	for j := range s.teachers {
		if slices.ContainsFunc(rows, func(r reading) bool { return r.labels(r.taughtBy(j)) > 0 }) {
			all = append(all, j)
		}
	}
	return all
}

// identify finds out the digest of a teacher that came without; as it is there then, it
// reads too.
func (s *Stage) identify(ctx context.Context, j int, rows []reading) error {
	if !s.teachers[j].Digest.IsZero() {
		return nil
	}
	return s.with(j, func(m *deepseek.Model) error {
		w, err := s.lacking(j, rows)
		if err != nil {
			return err
		}
		return s.read(ctx, m, j, w)
	})
}

// work is what a teacher has to do.
type work struct {
	rows  []reading
	head  bool  // its head is not in the cache
	bytes int64 // that the cache will take
}

// lacking tells what is not in the cache.
func (s *Stage) lacking(j int, rows []reading) (work, error) {
	var w work
	head := s.head(j)
	ok, err := s.cache.has(head)
	if err != nil {
		return w, err
	}
	if w.head = !ok; w.head {
		w.bytes = head.bytes()
	}
	seen := map[digest.Digest]bool{}
	for _, r := range rows {
		m := s.states(j, r.Lesson)
		if m.rows == 0 || seen[m.key] {
			continue
		}
		seen[m.key] = true
		ok, err := s.cache.has(m)
		if err != nil {
			return w, err
		}
		if !ok {
			w.rows = append(w.rows, r)
			w.bytes += m.bytes()
		}
	}
	return w, nil
}

// ask has a teacher read what is not in the cache. If all is, it is not loaded.
func (s *Stage) ask(ctx context.Context, j int, rows []reading) error {
	w, err := s.lacking(j, rows)
	if err != nil || !w.head && len(w.rows) == 0 {
		return err
	}
	return s.with(j, func(m *deepseek.Model) error { return s.read(ctx, m, j, w) })
}

// read has the teacher do its work.
func (s *Stage) read(ctx context.Context, m *deepseek.Model, j int, w work) error {
	t := &s.teachers[j]
	if s.o.Dir != "" {
		if err := durable.Reserve(s.o.Dir, w.bytes); err != nil {
			return fmt.Errorf("opd: teacher %q: %w", t.Name, err)
		}
	}
	if n := len(w.rows); n > 0 {
		s.o.Tell(Reading{t.Name, n, w.rows[0].place, w.rows[n-1].place})
	}
	if w.head {
		head := s.head(j)
		head.values = slices.Clone(m.Teacher("").Data)
		if err := s.cache.put(&head); err != nil {
			return err
		}
	}
	for rows := w.rows; len(rows) > 0; {
		if err := ctx.Err(); err != nil {
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
func (s *Stage) some(m *deepseek.Model, j int, rows []reading) (int, error) {
	b, n := &deepseek.Batch{}, 0
	for n < len(rows) {
		part := rows[n].part(rows[n].taughtBy(j))
		if n > 0 && len(b.Tokens)+len(part.Tokens) > s.o.Tokens {
			break
		}
		join(b, part)
		n++
	}
	states, err := m.HiddenStates(b)
	if err != nil { // not wrapped: a teacher's numbers are no reason to skip a step
		return 0, fmt.Errorf("opd: teacher %q reads row %d of %s and up to %d after it: %v", s.teachers[j].Name, rows[0].row, rows[0].place, n-1, err)
	}
	if s.o.BF16 {
		kernel.RoundBF16(states)
	}
	for _, r := range rows[:n] {
		at := s.states(j, r.Lesson)
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
