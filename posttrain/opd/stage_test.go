package opd

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/internal/detrand"
	"github.com/temper-ml/temper/internal/durable"
	"github.com/temper-ml/temper/internal/durable/durabletest"
	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/model/deepseek/deepseektest"
	"github.com/temper-ml/temper/nn"
	"github.com/temper-ml/temper/report/record/digest"
	"github.com/temper-ml/temper/train"
	"github.com/temper-ml/temper/train/optim"
)

var vocabulary = Vocabulary{Size: deepseektest.SmallV4().VocabSize}

// teacherModel is a model with opinions: its head is that of a fresh one, many times over.
func teacherModel(width int, seed uint64) (*deepseek.Model, error) {
	cfg := deepseektest.SmallV4()
	cfg.HiddenSize = width
	m, err := deepseek.New(cfg)
	if err != nil {
		return nil, err
	}
	m.Init(seed)
	for _, p := range m.Params() {
		if p.Role == arch.Head {
			kernel.Scale(p.Data, 20)
		}
	}
	return m, nil
}

// threeTeachers are of three widths, the first one the student's.
func threeTeachers(t testing.TB) []Teacher {
	t.Helper()
	var out []Teacher
	for i, width := range []int{deepseektest.SmallV4().HiddenSize, 16, 40} {
		cfg := deepseektest.SmallV4()
		cfg.HiddenSize = width
		load := func() (*deepseek.Model, error) { return teacherModel(width, uint64(20+i)) }
		m, err := load()
		if err != nil {
			t.Fatal(err)
		}
		d, err := Digest(m)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, Teacher{Name: fmt.Sprint("expert", i), Config: cfg, Digest: d, Load: load})
	}
	return out
}

// rows are four of two segments; each segment begins with a question that is not learnt.
func rows(step int64) []train.Row {
	out := make([]train.Row, 4)
	for i := range out {
		s, n, cut := detrand.Key(3, "rows", uint64(step), uint64(i)), 30+i, 11+2*i
		r := train.Row{Segments: []nn.Segment{{Start: 0, End: cut}, {Start: cut, End: n}}}
		for at := range n {
			id := int32(s.Uint64nAt(uint64(at), uint64(vocabulary.Size)))
			r.Tokens, r.Labels, r.MTPLabels = append(r.Tokens, id), append(r.Labels, -1), append(r.MTPLabels, -1)
			if begin := at == 0 || at == cut; !begin && at != 4 && at != cut+1 {
				r.Labels[at-1] = id
			}
		}
		out[i] = r
	}
	return out
}

// routed has a teacher for each row, in an order that sorting changes.
func routed(step int64) ([]Lesson, error) {
	var out []Lesson
	for i, r := range rows(step) {
		out = append(out, Routed(r, []int{2, 0, 2, 1}[i]))
	}
	return out, nil
}

// mixed has sums of teachers, and a segment without any.
func mixed(step int64) ([]Lesson, error) {
	shares := [][][]Share{
		{{{2, .5}, {0, .25}}, {{1, 1}}},
		{{}, {{0, .1}, {1, .7}, {2, .2}}},
		{{{1, 1}}, {{1, 1}}},
		{{{0, 2}}, {{2, .3}, {1, .7}}},
	}
	var out []Lesson
	for i, r := range rows(step) {
		out = append(out, Lesson{Row: r, Shares: shares[i]})
	}
	return out, nil
}

func still(source Lessons) Lessons { return func(int64) ([]Lesson, error) { return source(0) } }

func newStage(t testing.TB, source Lessons, o Options) *Stage {
	t.Helper()
	s, err := New(context.Background(), vocabulary, threeTeachers(t), source, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// learn takes steps of a student and returns the divergences and its parameters' digest.
func learn(t *testing.T, s *Stage, steps int64, micro int) ([]float64, digest.Digest) {
	t.Helper()
	student, err := deepseek.New(deepseektest.SmallV4())
	if err != nil {
		t.Fatal(err)
	}
	student.Init(3)
	tr, err := train.New(train.Config{
		Steps: steps, Slots: 1, MicroRows: micro, Recompute: "none", NonFinite: "skip",
		Optimizer: optim.Default(), LR: optim.LRSchedule{Name: "constant", Peak: 0.012},
	}, student, s, 4, func() time.Time { return time.Unix(0, 0) })
	if err != nil {
		t.Fatal(err)
	}
	if err := tr.Teach(s, 0); err != nil {
		t.Fatal(err)
	}
	var out []float64
	for !tr.Done() {
		r, err := tr.Step(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if r.Skipped {
			t.Fatal(r.Why)
		}
		out = append(out, r.Terms["divergence"])
	}
	d, err := train.ParametersDigest(student)
	if err != nil {
		t.Fatal(err)
	}
	return out, d
}

// A student comes nearer to its teachers at every step, and by the same bits whether
// states are in memory, on disk, or on disk without any memory, and for every cut into
// micro-batches.
func TestStudentLearns(t *testing.T) {
	for name, source := range map[string]Lessons{"routed": still(routed), "mixed": still(mixed)} {
		for _, by := range []kernel.Divergence{{}, {Kind: kernel.DivergenceForward}, {Kind: kernel.DivergenceJensenShannon, Beta: .5}} {
			t.Run(name+" "+by.Kind.String(), func(t *testing.T) {
				s := newStage(t, source, Options{Divergence: by})
				losses, want := learn(t, s, 10, 1)
				for i := 1; i < len(losses); i++ {
					if !(losses[i] < losses[i-1]) {
						t.Errorf("divergence goes from %.4f to %.4f at step %d", losses[i-1], losses[i], i)
					}
				}
				if t.Logf("divergences %.4f", losses); losses[9] > .8*losses[0] {
					t.Errorf("divergence only goes from %.4f to %.4f", losses[0], losses[9])
				}
				if s.Loads != 3 {
					t.Errorf("loaded %d teachers for rows that stay the same, want each of 3 once", s.Loads)
				}
				for what, o := range map[string]Options{
					"on disk": {Dir: t.TempDir()}, "without memory": {Dir: t.TempDir(), Memory: 1}, "row by row": {Tokens: 1},
				} {
					o.Divergence, o.FS = by, durabletest.NoSync(durable.OS)
					for micro := 1; micro <= 4; micro += 3 {
						got, d := learn(t, newStage(t, source, o), 10, micro)
						if !slices.Equal(got, losses) || d != want {
							t.Errorf("%s, %d rows at once: other bits", what, micro)
						}
						if o.Dir != "" {
							o.Dir = t.TempDir()
						}
					}
				}
			})
		}
	}
}

// asked is what a stage says of a step, as one value.
func asked(t *testing.T, s *Stage, step int64) string {
	t.Helper()
	rows, err := s.Rows(step)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Begin(step, rows); err != nil {
		t.Fatal(err)
	}
	return said(t, s, len(rows))
}

func said(t *testing.T, s *Stage, n int) string {
	t.Helper()
	d, err := s.Lessons(0, n)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(d)
}

// Every step needs every teacher at most once, and none whose states are there.
func TestTeachersAreLoadedWhenNeeded(t *testing.T) {
	dir := t.TempDir()
	fs := durabletest.NoSync(durable.OS)
	s := newStage(t, routed, Options{Dir: dir, FS: fs})
	first := asked(t, s, 0)
	if s.Loads != 3 {
		t.Errorf("loaded %d teachers, want 3", s.Loads)
	}
	asked(t, s, 1)
	if s.Loads != 6 {
		t.Errorf("loaded %d teachers for two steps, want 6", s.Loads)
	}
	asked(t, s, 0) // the first step's states had to make room
	if s.Loads != 9 {
		t.Errorf("loaded %d teachers for three steps, want 9", s.Loads)
	}
	s.Close()
	s = newStage(t, routed, Options{Dir: dir, FS: fs, Disk: 1 << 20}) // after a crash
	if got := asked(t, s, 0); got != first || s.Loads != 0 {
		t.Errorf("what is on disk is used: %d teachers loaded, want none", s.Loads)
	}
	asked(t, s, 1)
	asked(t, s, 0)
	if s.Loads != 3 {
		t.Errorf("loaded %d teachers with room for both steps, want 3", s.Loads)
	}
	if _, err := New(t.Context(), vocabulary, threeTeachers(t), routed, Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("%v, want the directory to be in use", err)
	}
}

// A teacher whose digest is not given is loaded once all the same, and not at all if the
// step does not need it.
func TestUnknownTeachers(t *testing.T) {
	ts := threeTeachers(t)
	known := ts[2].Digest
	for j := range ts {
		ts[j].Digest = digest.Digest{}
	}
	two := func(step int64) ([]Lesson, error) {
		l, err := routed(step)
		return l[1:], err
	}
	one := func(step int64) ([]Lesson, error) {
		l, err := two(step)
		return l[1:2], err
	}
	s, err := New(t.Context(), vocabulary, ts, one, Options{})
	if err != nil {
		t.Fatal(err)
	}
	asked(t, s, 0)
	asked(t, s, 1)
	if s.Loads != 2 || s.teachers[2].Digest != known || !s.teachers[0].Digest.IsZero() {
		t.Errorf("loaded %d teachers for two steps of one, want 2", s.Loads)
	}
}

// When the context ends, reading does, and what was read is there afterwards.
func TestInterruptedReading(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	o := Options{Dir: t.TempDir(), FS: durabletest.NoSync(durable.OS), Tokens: 1, Tell: func(r Reading) {
		if r.Teacher == "expert1" {
			cancel()
		}
	}}
	s, err := New(ctx, vocabulary, threeTeachers(t), routed, o)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := s.Rows(0)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Begin(0, rows); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "expert1") {
		t.Errorf("%v, want the context's end", err)
	}
	s.Close()
	after := newStage(t, routed, o)
	if got := asked(t, after, 0); got != asked(t, newStage(t, routed, Options{}), 0) || after.Loads != 2 {
		t.Errorf("loaded %d teachers afterwards, want the 2 that had not read", after.Loads)
	}
}

// Only what a micro-batch needs is there.
func TestOneHeadAtATime(t *testing.T) {
	s := newStage(t, routed, Options{Dir: t.TempDir(), Memory: 1, FS: durabletest.NoSync(durable.OS)})
	asked(t, s, 0)
	for i, want := range []int{0, 1, 2, 2} {
		if _, err := s.Lessons(i, i+1); err != nil {
			t.Fatal(err)
		}
		for j, h := range s.heads {
			if (h != nil) != (j == want) {
				t.Errorf("row %d: head of teacher %d is there: %v", i, j, h != nil)
			}
		}
	}
	if s.cache.held != 0 {
		t.Errorf("%d bytes are held", s.cache.held)
	}
}

func TestSort(t *testing.T) {
	lessons, _ := mixed(0)
	Sort(lessons)
	var got []string
	for i := range lessons {
		got = append(got, fmt.Sprint(lessons[i].teachers(), len(lessons[i].Row.Tokens)))
	}
	if want := []string{"[0 1 2] 30", "[0 1 2] 31", "[0 1 2] 33", "[1] 32"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	// The order in which a segment's teachers are listed is not seen.
	swapped := func(step int64) ([]Lesson, error) {
		l, err := mixed(step)
		for i := range l {
			for _, shares := range l[i].Shares {
				slices.Reverse(shares)
			}
		}
		return l, err
	}
	if a, b := asked(t, newStage(t, mixed, Options{}), 0), asked(t, newStage(t, swapped, Options{}), 0); a != b {
		t.Error("listing teachers in another order changes what is learnt")
	}
}

// The sampled form asks for the teacher's log-probabilities: its own, to the bit.
func TestLogProbs(t *testing.T) {
	s := newStage(t, mixed, Options{})
	asked(t, s, 0)
	m, err := s.teachers[1].Load()
	if err != nil {
		t.Fatal(err)
	}
	for i, l := range s.lessons {
		b := l.part(l.taughtBy(1))
		want, err := m.LogProbs(b)
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.LogProbs(1, i)
		if err != nil || len(got) != len(l.Row.Tokens) {
			t.Fatalf("row %d: %d of %d log-probabilities, %v", i, len(got), len(l.Row.Tokens), err)
		}
		for _, j := range l.taughtBy(1) {
			seg := l.Row.Segments[j]
			if !slices.Equal(got[seg.Start:seg.End], want[:seg.Len()]) {
				t.Errorf("row %d, segment %d: other log-probabilities", i, j)
			}
			want = want[seg.Len():]
		}
	}
	adv := []float32{1, 1, -1}
	if err := Penalise(adv, []float32{-1, -2, -3}, []float32{-2, 0, -1}, .5); err != nil || !slices.Equal(adv, []float32{.5, 1, 0}) {
		t.Errorf("advantages are %v, %v", adv, err)
	}
	if err := Penalise(adv, adv, adv[:2], 1); err == nil {
		t.Error("lengths that differ are taken")
	}
}

// Rounded states err by at most 2^-8 of themselves, and are the same from memory and disk.
func TestBF16(t *testing.T) {
	exact := newStage(t, routed, Options{})
	asked(t, exact, 0)
	s := newStage(t, routed, Options{BF16: true, Dir: t.TempDir(), FS: durabletest.NoSync(durable.OS)})
	first := asked(t, s, 0)
	s.cache.memory, s.cache.order, s.cache.held = map[digest.Digest][]float32{}, nil, 0
	if said(t, s, 4) != first {
		t.Error("states from disk differ from those that were written")
	}
	for j := range s.batch.States {
		for i, v := range s.batch.States[j] {
			want := exactStates(t, exact, j)[i]
			if math.Abs(float64(v-want)) > math.Abs(float64(want))/256 {
				t.Fatalf("state %d of teacher %d is %g, want %g", i, j, v, want)
			}
		}
	}
}

func exactStates(t *testing.T, s *Stage, j int) []float32 {
	t.Helper()
	d, err := s.Lessons(0, 4)
	if err != nil {
		t.Fatal(err)
	}
	return d.States[j]
}
