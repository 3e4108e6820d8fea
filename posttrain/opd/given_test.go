package opd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/temper-ml/temper/data"
	"github.com/temper-ml/temper/internal/durable"
	"github.com/temper-ml/temper/internal/durable/durabletest"
	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/model/deepseek/deepseektest"
)

// questionnaire writes two files of rows: the lines of one are objects, the other is an array.
func questionnaire(t *testing.T) []string {
	t.Helper()
	dir := t.TempDir()
	paths := []string{filepath.Join(dir, "x.jsonl"), filepath.Join(dir, "y.json")}
	for i, text := range []string{
		"{\"domain\": \"algebra\"}\n{\"domain\": \"harm\"}\nno json\n{\"domain\": \"law\"}\n",
		"[\n{\"domain\":\n \"algebra\"},\n{\"domain\": 7}]\n",
	} {
		if err := os.WriteFile(paths[i], []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return paths
}

// Rows find their teachers by file and line.
func TestRouter(t *testing.T) {
	c, paths := decode(t, section), questionnaire(t)
	r, err := c.Route(t.Context(), []string{"x.jsonl", "y.json"}, paths)
	if err != nil {
		t.Fatal(err)
	}
	for i, lines := range []map[int]string{
		{1: "[{0 1}] <nil>", 2: "[{1 0.5}] <nil>", 3: "x.jsonl:3: no row begins there", 4: `x.jsonl:4: no teacher for it: its domain is "law"`, 9: "no row begins"},
		{2: "[{0 1}] <nil>", 4: "[{0 1}] <nil>"},
	} {
		for line, want := range lines {
			shares, err := r.Of(data.Source{File: paths[i], Line: line})
			if got := fmt.Sprint(shares, err); !strings.Contains(got, want) {
				t.Errorf("%s:%d: %s, want %s", paths[i], line, got, want)
			}
		}
	}
	if _, err := r.Of(data.Source{File: "z", Line: 1}); err == nil || !strings.Contains(err.Error(), "z:1 is no file") {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Route(ctx, []string{"x.jsonl"}, paths[:1]); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want the context's end", err)
	}
	if _, err := c.Route(t.Context(), []string{"x.jsonl"}, []string{paths[0] + "z"}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v, want the file to be missing", err)
	}
	c.Teachers[0].Where, c.Teachers[1].Where = nil, nil
	c.Teachers[0].Files = []string{"y.json"}
	if r, err = c.Route(t.Context(), []string{"x.jsonl", "y.json"}, []string{"no", "file"}); err != nil {
		t.Fatal(err) // by file alone nothing is read
	}
	x, _ := r.Of(data.Source{File: "no", Line: 3})
	y, _ := r.Of(data.Source{File: "file", Line: 3})
	if fmt.Sprint(x, y) != "[{1 0.5}] [{0 1}]" {
		t.Errorf("%v and %v", x, y)
	}
	c.Teachers[1].Files = []string{"y.json"}
	if _, err := c.Route(t.Context(), []string{"x.jsonl"}, []string{"no"}); err == nil || !strings.Contains(err.Error(), "no: no teacher for it: its file is x.jsonl") {
		t.Errorf("%v, want the file named", err)
	}
}

// twoRows is a stream of which every row has an example of each domain.
type twoRows struct{ path string }

func (s twoRows) Row(g int64) data.Row {
	r := data.Row{}
	for line := range 2 {
		at := len(r.Tokens)
		for i := range 4 {
			r.Tokens, r.Mask = append(r.Tokens, int32(g)+int32(5*line+i)), append(r.Mask, i > 1)
		}
		r.Segments = append(r.Segments, data.Segment{Start: at, End: at + 4, Source: data.Source{File: s.path, Line: line + 1}})
	}
	return r
}

// Answers of the data have the teachers of their rows.
func TestGiven(t *testing.T) {
	c, paths := decode(t, section), questionnaire(t)
	r, err := c.Route(t.Context(), []string{"x.jsonl"}, paths[:1])
	if err != nil {
		t.Fatal(err)
	}
	lessons, err := Given(twoRows{paths[0]}, 3, r)(2)
	if err != nil || len(lessons) != 3 {
		t.Fatalf("%d lessons, %v", len(lessons), err)
	}
	for i, l := range lessons {
		if fmt.Sprint(l.Shares) != "[[{0 1}] [{1 0.5}]]" || l.Row.Tokens[0] != int32(6+i) || fmt.Sprint(l.Row.Labels[:4]) != fmt.Sprint([]int32{-1, int32(8 + i), int32(9 + i), -1}) {
			t.Errorf("lesson %d is %+v", i, l)
		}
	}
	if _, err := Given(twoRows{paths[1]}, 3, r)(0); err == nil {
		t.Error("rows of another file are taken")
	}
}

// What is measured is what a step says of the same rows, and it takes nothing from the
// steps: what was prepared for them is still there.
func TestMeasure(t *testing.T) {
	student, err := deepseek.New(deepseektest.SmallV4())
	if err != nil {
		t.Fatal(err)
	}
	student.Init(3)
	first, _ := learn(t, newStage(t, mixed, Options{}), 1, 1)
	s := newStage(t, mixed, Options{Dir: t.TempDir(), FS: durabletest.NoSync(durable.OS)})
	if err := s.Prepare(t.Context(), 3, 5); err != nil {
		t.Fatal(err)
	}
	held, _ := mixed(0)
	for _, keep := range []bool{true, true, false} {
		got, err := s.Measure(t.Context(), student, held, keep)
		if err != nil {
			t.Fatal(err)
		}
		if got.Divergence != first[0] || got.Tokens == 0 || len(got.Teachers) != 3 || got.Teachers[2].Name != "expert2" || !(got.Teachers[2].Divergence > 0) || !(got.Entropy > 0) {
			t.Errorf("measured %+v, the step says %v", got, first[0])
		}
	}
	if s.Loads != 6 {
		t.Errorf("loaded %d teachers, want 3 for two steps and 3 for three measurements", s.Loads)
	}
	for step := int64(3); step < 5; step++ {
		if !s.Prepared(step) {
			t.Errorf("step %d is not prepared any more", step)
		}
		asked(t, s, step)
	}
	if s.Loads != 6 {
		t.Errorf("loaded %d teachers after the steps, want still 6", s.Loads)
	}
	if err := s.Prepare(t.Context(), 5, 6); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Measure(t.Context(), student, held, false); err != nil || s.Loads != 9 {
		t.Errorf("loaded %d teachers, %v, want 9: what is measured was kept", s.Loads, err)
	}
	if _, err := s.Measure(t.Context(), student, nil, false); err == nil {
		t.Error("nothing is measured")
	}
	held[0].Shares = nil
	if _, err := s.Measure(t.Context(), student, held, false); err == nil || !strings.Contains(err.Error(), "held out: row 0 has teachers for 0 segments") {
		t.Errorf("%v", err)
	}
}

// Teachers read the rows of several steps when they are loaded, and what a step says is
// the same.
func TestPrepare(t *testing.T) {
	s := newStage(t, routed, Options{})
	for from := int64(0); from < 6; from += 3 {
		if err := s.Prepare(t.Context(), from, from+3); err != nil {
			t.Fatal(err)
		}
		for step := from; step < from+3; step++ {
			if got, want := asked(t, s, step), asked(t, newStage(t, routed, Options{}), step); got != want {
				t.Errorf("step %d says something else", step)
			}
		}
	}
	if s.Loads != 6 {
		t.Errorf("loaded %d teachers for six steps, want 6", s.Loads)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Prepare(ctx, 6, 7); !errors.Is(err, context.Canceled) || s.Prepared(6) {
		t.Errorf("%v, want the context's end", err)
	}
	again := newStage(t, still(routed), Options{}) // the same rows at every step are read once
	told := 0
	again.o.Tell = func(r Reading) { told += r.Rows }
	if err := again.Prepare(t.Context(), 0, 4); err != nil || told != 4 {
		t.Errorf("%d rows are read, %v, want 4", told, err)
	}
}

// A teacher that is given with another digest than it has is refused.
func TestIdentify(t *testing.T) {
	ts := threeTeachers(t)
	if err := ts[1].Identify(); err != nil {
		t.Error(err)
	}
	ts[1].Digest[3]++
	if err := ts[1].Identify(); err == nil || !strings.Contains(err.Error(), "its files have changed") {
		t.Errorf("%v, want it refused", err)
	}
}
