package opd

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/temper-ml/temper/internal/durable"
	"github.com/temper-ml/temper/internal/durable/durabletest"
	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/model/deepseek/deepseektest"
	"github.com/temper-ml/temper/report/record/digest"
	"github.com/temper-ml/temper/train"
	"github.com/temper-ml/temper/train/optim"
)

// files are those of a cache, sorted.
func files(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.states"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no files, %v", err)
	}
	return names
}

// Whatever happens to a file, it is noticed, named, and computed again.
func TestDamagedFiles(t *testing.T) {
	dir := t.TempDir()
	var told []string
	o := Options{Dir: dir, FS: durabletest.NoSync(durable.OS), Memory: 1, Warn: func(s string) { told = append(told, s) }}
	s := newStage(t, routed, o)
	want := asked(t, s, 0)
	for _, name := range files(t, dir) {
		good, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for what, bad := range map[string][]byte{
			"empty": nil, "short": good[:len(good)-1], "long": append(slices.Clone(good), 0),
			"header": flip(good, 3), "key": flip(good, 20), "size": flip(good, 50), "number": flip(good, headerSize+5), "digest": flip(good, len(good)-1),
		} {
			for _, during := range []bool{false, true} { // before the step begins, and while it is taken
				if err := os.WriteFile(name, bad, 0o600); err != nil {
					t.Fatal(err)
				}
				told, s.heads = nil, make([][]float32, 3)
				got := ""
				if during {
					got = said(t, s, 4)
				} else {
					got = asked(t, s, 0)
				}
				if got != want {
					t.Errorf("%s: what is learnt changes", what)
				}
				if len(told) == 0 || !strings.Contains(told[0], name+" is damaged") {
					t.Errorf("%s: told %q, want the file named", what, told)
				}
			}
		}
	}
}

func flip(b []byte, i int) []byte {
	b = slices.Clone(b)
	b[i] ^= 4
	return b
}

// A crash at any call of the file system leaves a directory that the next run can use.
func TestCrashes(t *testing.T) {
	want := asked(t, newStage(t, routed, Options{}), 0)
	for at := 1; ; at += 3 {
		dir := t.TempDir()
		fs := &durabletest.Faulty{FS: durabletest.NoSync(durable.OS), FailAt: at, Dead: true}
		s, err := New(t.Context(), vocabulary, threeTeachers(t), routed, Options{Dir: filepath.Join(dir, "states"), FS: fs})
		failed := err != nil
		if err == nil {
			rows, err := s.Rows(0)
			if err != nil {
				t.Fatal(err)
			}
			failed = s.Begin(0, rows) != nil
			s.Close()
		}
		if !failed && at > fs.Calls() {
			return
		}
		if !failed {
			t.Errorf("call %d fails and nobody says so", at)
		}
		after := newStage(t, routed, Options{Dir: filepath.Join(dir, "states"), FS: durabletest.NoSync(durable.OS)})
		if asked(t, after, 0) != want {
			t.Errorf("after a crash at call %d something else is learnt", at)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "states", "*tmp*")); len(left) > 0 {
			t.Errorf("after a crash at call %d %q stays", at, left)
		}
		after.Close()
	}
}

// No bytes are taken for a matrix but those that were written for it.
func FuzzFile(f *testing.F) {
	m := matrix{key: digest.Ints("a key"), rows: 3, columns: 2, values: []float32{1, 2, 3, 4, 5, 6}}
	var good bytes.Buffer
	if err := m.write(&good); err != nil {
		f.Fatal(err)
	}
	f.Add(good.Bytes())
	f.Add(good.Bytes()[:40])
	f.Fuzz(func(t *testing.T, b []byte) {
		name := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		file, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		got := m
		got.values = nil
		err = got.read(file)
		if (err == nil) != bytes.Equal(b, good.Bytes()) || err == nil && !slices.Equal(got.values, m.values) {
			t.Errorf("%v for %d bytes", err, len(b))
		}
	})
}

func TestRefusals(t *testing.T) {
	for want, spoil := range map[string]func(ts []Teacher, v *Vocabulary, o *Options) []Teacher{
		"no teacher": func(ts []Teacher, _ *Vocabulary, _ *Options) []Teacher { return nil },
		fmt.Sprintf(`teacher "expert1" has a vocabulary of 99 tokens, the student one of %d`, vocabulary.Size): func(ts []Teacher, _ *Vocabulary, _ *Options) []Teacher {
			ts[1].Config.VocabSize = 99
			return ts
		},
		`teacher "expert2" has the tokenizer sha256:02`: func(ts []Teacher, v *Vocabulary, _ *Options) []Teacher {
			ts[2].Tokenizer, v.Digest = digest.Digest{2}, digest.Digest{3}
			return ts
		},
		`two teachers are called "expert0"`: func(ts []Teacher, _ *Vocabulary, _ *Options) []Teacher { return append(ts, ts[0]) },
		"beta of jensen-shannon": func(ts []Teacher, _ *Vocabulary, o *Options) []Teacher {
			o.Divergence.Kind = 2
			return ts
		},
		"disk -1": func(ts []Teacher, _ *Vocabulary, o *Options) []Teacher { o.Disk = -1; return ts },
	} {
		v, o := vocabulary, Options{}
		if _, err := New(t.Context(), v, spoil(threeTeachers(t), &v, &o), routed, o); err == nil || !strings.Contains(err.Error(), want) {
			if v != vocabulary { // the student was changed
				_, err = New(t.Context(), v, spoil(threeTeachers(t), &v, &o), routed, o)
			}
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want %q", err, want)
			}
		}
	}
}

func TestBadLessons(t *testing.T) {
	for want, spoil := range map[string]func(l []Lesson){
		"row 1 has teachers for 1 segments, want 2":          func(l []Lesson) { l[1].Shares = l[1].Shares[:1] },
		"row 2 segment 0 has teacher 7 of 3":                 func(l []Lesson) { l[2].Shares[0] = []Share{{7, 1}} },
		`row 0 segment 1 has teacher "expert1" twice`:        func(l []Lesson) { l[0].Shares[1] = []Share{{1, 1}, {1, 2}} },
		`row 0 segment 1 has weight NaN`:                     func(l []Lesson) { l[0].Shares[1] = []Share{{1, float32(math.NaN())}} },
		`row 3 has 3 labels and 33 mtp labels for 33 tokens`: func(l []Lesson) { l[3].Row.Labels = l[3].Row.Labels[:3] },
		"row 3 nn: segments end at token":                    func(l []Lesson) { l[3].Row.Segments[1].End-- },
	} {
		s := newStage(t, func(step int64) ([]Lesson, error) {
			l, err := mixed(step)
			spoil(l)
			return l, err
		}, Options{})
		if _, err := s.Rows(0); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	s := newStage(t, routed, Options{})
	if err := s.Begin(0, rows(1)); err == nil || !strings.Contains(err.Error(), "the lessons are of rows") {
		t.Errorf("%v, want other rows refused", err)
	}
	if _, err := s.Lessons(0, 9); err == nil {
		t.Error("rows that are not there are taken")
	}
	small := newStage(t, routed, Options{Memory: 100})
	if err := small.Begin(0, sorted(t, small)); err == nil || !strings.Contains(err.Error(), "give them a directory, or allow more") {
		t.Errorf("%v, want the bound named", err)
	}
}

func sorted(t *testing.T, s *Stage) []train.Row {
	t.Helper()
	rows, err := s.Rows(0)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// Teachers that are not what they should be stop the stage; their step is not skipped.
func TestBadTeachers(t *testing.T) {
	nan := float32(math.NaN())
	for want, load := range map[string]func() (*deepseek.Model, error){
		`teacher "expert1": no such disk`:                   func() (*deepseek.Model, error) { return nil, fmt.Errorf("no such disk") },
		`teacher "expert1" was loaded as sha256:`:           func() (*deepseek.Model, error) { return teacherModel(16, 99) },
		`teacher "expert1" was loaded with a vocabulary of`: func() (*deepseek.Model, error) { return teacherModel(24, 21) },
		`teacher "expert1" reads row`:                       broken(arch.Embed, nan),
		`teacher "expert1" is not finite at token`:          broken(arch.Head, nan),
	} {
		ts := threeTeachers(t)
		ts[1].Load = load
		if strings.Contains(want, "reads") || strings.Contains(want, "finite") {
			ts[1].Digest = digest.Digest{}
		}
		s, err := New(t.Context(), vocabulary, ts, routed, Options{})
		if err != nil {
			t.Fatal(err)
		}
		student, err := deepseek.New(deepseektest.SmallV4())
		if err != nil {
			t.Fatal(err)
		}
		student.Init(3)
		tr, err := train.New(train.Config{
			Steps: 1, Slots: 1, MicroRows: 1, Recompute: "none", NonFinite: "skip",
			Optimizer: optim.Default(), LR: optim.LRSchedule{Name: "constant", Peak: 0.004},
		}, student, s, 4, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		if err := tr.Teach(s, 0); err != nil {
			t.Fatal(err)
		}
		if _, err := tr.Step(t.Context()); err == nil || !strings.Contains(err.Error(), want) || train.IsNonFinite(err) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// broken is a teacher with one bad value.
func broken(role arch.Role, bad float32) func() (*deepseek.Model, error) {
	return func() (*deepseek.Model, error) {
		m, err := teacherModel(16, 21)
		if err != nil {
			return nil, err
		}
		for _, p := range m.Params() {
			if p.Role == role {
				for i := range p.Data {
					p.Data[i] = bad
				}
			}
		}
		return m, nil
	}
}
