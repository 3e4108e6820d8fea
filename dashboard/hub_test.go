package dashboard

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/runlog"
)

// stateOf looks and returns how the only run stands.
func stateOf(t *testing.T, s *Server, now time.Time) (State, string) {
	t.Helper()
	look(s)
	return only(t, s).state(now)
}

func TestStates(t *testing.T) {
	for name, c := range map[string]struct {
		do    func(*synthetic)
		after time.Duration // the last entry
		want  State
		says  string
	}{
		"live":       {func(*synthetic) {}, time.Minute, Live, "entries come"},
		"crashed":    {func(*synthetic) {}, time.Hour, Crashed, "no entry for 1 h 0 min"},
		"slow":       {func(s *synthetic) { s.stepTime = time.Hour; s.run(2) }, 3 * time.Hour, Live, ""},
		"slow, gone": {func(s *synthetic) { s.stepTime = time.Hour; s.run(2) }, 30 * time.Hour, Crashed, "no entry for 1 d 6 h"},
		"ended":      {func(s *synthetic) { s.end("complete") }, 0, Ended, "complete"},
		"failed":     {func(s *synthetic) { s.add(&record.End{Status: "failed", Reason: "out of memory"}) }, 0, Failed, "out of memory"},
		"paused":     {func(s *synthetic) { s.add(&record.Pause{Step: 3, Reason: "interrupted"}) }, time.Hour, Paused, "interrupted"},
		"resumed": {func(s *synthetic) {
			s.add(&record.Pause{Step: 3, Reason: "interrupted"})
			s.add(&record.Resume{Step: 3, Host: record.Host{Name: "h", Features: []string{}}})
		}, time.Second, Live, ""},
		"clock ahead": {func(*synthetic) {}, -time.Hour, Live, ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			syn := begin(t, dir, "r", 1, noon.Add(-time.Hour), [3]int64{100, 0, 0})
			syn.run(3)
			c.do(syn)
			if got, why := stateOf(t, prepared(t, dir), syn.now.Add(c.after)); got != c.want || !strings.Contains(why, c.says) {
				t.Errorf("%s (%s), want %s (%s)", got, why, c.want, c.says)
			}
		})
	}
}

// What is wrong with a record stands on its card, with the entry, and hides
// nothing of the other runs.
func TestBadRecordsAreShown(t *testing.T) {
	for name, c := range map[string]struct {
		file   string
		change func([]byte) []byte
		want   State
		says   string
	}{
		"torn":      {runlog.LogName, func(b []byte) []byte { return append(b, `{"body":`...) }, Torn, "a last entry is incomplete (8 bytes)"},
		"zeros":     {runlog.LogName, func(b []byte) []byte { return append(b, "\x00\x00\n"...) }, Torn, "a last entry is incomplete"},
		"truncated": {runlog.LogName, func(b []byte) []byte { return b[:len(b)/2] }, Refused, "truncated: a head was signed of"},
		"rewritten": {runlog.LogName, func(b []byte) []byte {
			return bytes.Replace(b, []byte(`"stage":0,"step":1`), []byte(`"stage":0,"step":7`), 1)
		}, Refused, "rewritten: up to here"},
		"newer": {runlog.ManifestName, func(b []byte) []byte {
			return bytes.Replace(b, []byte("temper-record/1"), []byte("temper-record/2"), 1)
		}, Refused, `manifest.json: format: another version of the format: "temper-record/2"`},
		"forged": {runlog.HeadsName, func(b []byte) []byte { return bytes.Replace(b, []byte("\n1\n"), []byte("\n2\n"), 1) }, Refused, "heads: head 0: "},
		"unknown": {runlog.LogName, func(b []byte) []byte {
			return append(b, `{"body":{},"index":6,"kind":"surprise","time":1795514400000}`+"\n"...)
		}, Refused, "log: entry 6: kind: \"surprise\" is unknown"},
		"binary": {runlog.LogName, func(b []byte) []byte { return append(b, 0xff, 0xfe, '<', '\n') }, Refused, "log: entry 6: "},
		"empty":  {runlog.ManifestName, func([]byte) []byte { return nil }, Refused, "manifest.json: "},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			syn := begin(t, filepath.Join(dir, "bad"), "bad", 1, noon.Add(-time.Hour), [3]int64{100, 0, 0})
			syn.run(3)
			syn.close()
			good := begin(t, filepath.Join(dir, "good"), "good", 1, noon.Add(-time.Hour), [3]int64{3, 0, 0})
			good.run(3)
			good.end("complete")
			p := filepath.Join(dir, "bad", recordDir, c.file)
			b, err := os.ReadFile(p)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(p, c.change(b), 0o644); err != nil {
				t.Fatal(err)
			}
			s := prepared(t, dir)
			got, why := s.hub.runs[0].state(noon)
			if got != c.want || !strings.Contains(why, c.says) {
				t.Errorf("%s (%s), want %s (%s)", got, why, c.want, c.says)
			}
			if w := get(s, "/runs/"+s.hub.runs[0].id); w.Code != 200 {
				t.Errorf("page: %d", w.Code)
			}
			if st, _ := s.hub.runs[1].state(noon); st != Ended {
				t.Errorf("the other run is %s", st)
			}
		})
	}
}

func TestRunsComeAndGo(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "later")
	s := NewServer(Options{Dir: dir, Now: func() time.Time { return noon }})
	look(s)
	if body := get(s, "/").Body.String(); !strings.Contains(body, "the directory cannot be read: no such file or directory") || strings.Contains(body, dir) {
		t.Errorf("no directory: %s", body)
	}
	names := func() string {
		look(s)
		var out []string
		for _, r := range s.hub.runs {
			out = append(out, fmt.Sprint(r.name, " ", r.title(), " ", r.table.steps))
		}
		return strings.Join(out, "; ")
	}
	a := begin(t, filepath.Join(dir, "x", "y", "a"), "a", 1, noon, [3]int64{9, 0, 0})
	a.run(2)
	begin(t, filepath.Join(dir, ".hidden", "b"), "b", 1, noon, [3]int64{9, 0, 0})
	if got := names(); got != "x/y/a a 2" {
		t.Errorf("%q", got)
	}
	id := s.hub.runs[0].id
	a.run(3)
	begin(t, filepath.Join(dir, "b"), "b", 1, noon, [3]int64{9, 0, 0})
	if got := names(); got != "b b 0; x/y/a a 5" {
		t.Errorf("%q", got)
	}
	left := s.hub.budget.left.Load()
	// Another run takes the place of the first.
	a.close()
	if err := os.RemoveAll(filepath.Join(dir, "x", "y", "a")); err != nil {
		t.Fatal(err)
	}
	next := begin(t, filepath.Join(dir, "x", "y", "a"), "next", 1, noon, [3]int64{9, 0, 0})
	next.run(1)
	if got := names(); got != "b b 0; x/y/a next 1" || s.hub.runs[1].id != id {
		t.Errorf("%q", got)
	}
	if err := os.RemoveAll(filepath.Join(dir, "x")); err != nil {
		t.Fatal(err)
	}
	if got := names(); got != "b b 0" || get(s, "/runs/"+id).Code != 404 {
		t.Errorf("%q", got)
	}
	if s.hub.budget.left.Load() <= left {
		t.Error("a run that is gone keeps its memory")
	}
	// A run itself, and a record itself.
	for _, d := range []string{filepath.Join(dir, "b"), filepath.Join(dir, "b", recordDir)} {
		s = prepared(t, d)
		if r := only(t, s); r.title() != "b" {
			t.Errorf("%s: %q", d, r.title())
		}
	}
}

// A run that goes on after a crash: what is taken again replaces what stood.
func TestRecovery(t *testing.T) {
	dir := t.TempDir()
	syn := begin(t, dir, "r", 1, noon.Add(-time.Hour), [3]int64{20, 20, 0})
	syn.run(10)
	syn.checkpoint()
	syn.run(15) // into the second stage
	s := prepared(t, dir)
	r := only(t, s)
	if r.table.steps != 25 || len(r.stages) != 2 || r.stages[1].Before != 20 {
		t.Fatalf("%d steps, %d stages", r.table.steps, len(r.stages))
	}
	syn.add(&record.Evaluation{Stage: 1, Step: 5, Suites: map[string]record.Score{}})
	syn.add(&record.Fault{Fault: "crash", Stage: 1, Step: 5, Evidence: "e"})
	syn.add(&record.Recovery{Stage: 0, Step: 10, Again: 15, Cause: "c"})
	syn.stage, syn.step, syn.taken = 0, 10, 10
	look(s)
	if r.table.steps != 10 || len(r.stages) != 1 || len(r.evaluations) != 1 {
		t.Errorf("%d steps, %d stages, %d evaluations", r.table.steps, len(r.stages), len(r.evaluations))
	}
	syn.run(12)
	look(s)
	if r.table.steps != 22 || r.stages[1].Before != 20 || r.row(noon).Step != 2 {
		t.Errorf("%d steps, row %+v", r.table.steps, r.row(noon))
	}
	body := get(s, "/metrics").Body.String()
	for _, want := range []string{`temper_steps_total{run="r"} 37`, `temper_events_total{run="r",kind="recovery"} 1`, `temper_evaluation{run="r",stage="base",measure="units"}`} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s in\n%s", want, body)
		}
	}
	if !slices.ContainsFunc(r.viewTimeline().Events, func(e event) bool { return e.Kind == "recovery" && e.At == 10 }) {
		t.Error("no recovery in the timeline")
	}
}

// Of many tables the newest and some older ones are kept, of little memory one.
func TestRoutingIsThinnedOut(t *testing.T) {
	for _, c := range []struct {
		memory    int64
		most      int
		keepFirst bool
	}{{1 << 30, maxTables, true}, {10 * (24 + 8*4), 10, true}, {0, 1, false}} {
		b := newBudget(c.memory)
		r := &run{known: known{table: newTable(b)}}
		r.stages = []*stage{{}}
		for i := range int64(200) {
			e := record.NewEntry(i+1, 0, &record.Routing{From: i, To: i + 1, Counts: [][]int64{{1, 2, 3, i}}})
			if err := r.take(e); err != nil {
				t.Fatal(err)
			}
			last := r.routing[len(r.routing)-1]
			if last.To != i+1 || len(r.routing) > c.most {
				t.Fatalf("%d tables, the last to step %d of %d", len(r.routing), last.To, i+1)
			}
		}
		v := r.viewRouting(-1)
		if v.At != 200 || v.Chosen != "" || (len(v.Spans) > 1) != c.keepFirst {
			t.Errorf("%+v", v)
		}
		if old := v.Spans[0].To; len(v.Spans) > 1 && (r.viewRouting(old).At != old || r.viewRouting(old).Chosen == "") {
			t.Errorf("the table of step %d cannot be chosen", old)
		}
		r.reset()
		if b.left.Load() != c.memory {
			t.Errorf("%d bytes are not given back", c.memory-b.left.Load())
		}
	}
}

// Two runs of one name are told apart in metrics.
func TestMetricsOfOneName(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{"a", "b"} {
		begin(t, filepath.Join(dir, d), "same", 1, noon, [3]int64{9, 0, 0}).run(1)
	}
	body := get(prepared(t, dir), "/metrics").Body.String()
	for _, want := range []string{`temper_steps_total{run="same"} 1`, `temper_steps_total{run="same (b)"} 1`} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s", want)
		}
	}
}

// Whatever entries say, folding them and drawing the pages does not panic.
func FuzzEntries(f *testing.F) {
	dir := f.TempDir()
	whole(f, dir, "seed", 1, noon, [3]int64{6, 3, 0})
	b, err := os.ReadFile(filepath.Join(dir, recordDir, runlog.LogName))
	if err != nil {
		f.Fatal(err)
	}
	m, err := os.ReadFile(filepath.Join(dir, recordDir, runlog.ManifestName))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"body":{"again":9000,"cause":"","stage":7,"step":4611686018427387904},"index":1,"kind":"recovery","time":1}`))
	f.Add([]byte(`{"body":{"counts":[[],[0],[9223372036854775807,9223372036854775807]],"from":0,"stage":0,"to":9223372036854775807},"index":1,"kind":"routing","time":9223372036854775807}`))
	f.Add([]byte(`{"body":{"from":0,"ranks":[],"stage":3,"to":0},"index":1,"kind":"times","time":1}`))
	f.Fuzz(func(t *testing.T, log []byte) {
		s := NewServer(Options{Dir: t.TempDir(), Now: func() time.Time { return noon }, Memory: 1 << 16})
		r := &run{id: "r", path: "record", name: "r", known: known{table: newTable(s.hub.budget)}}
		var err error
		if r.follower, err = runlog.NewFollower(m, runlog.Trust{}); err != nil {
			t.Fatal(err)
		}
		if r.log, err = os.Stat("."); err != nil {
			t.Fatal(err)
		}
		s.hub.runs, s.hub.byID = []*run{r}, map[string]*run{"r": r}
		for _, line := range bytes.Split(log, []byte("\n")) {
			e := &record.Entry{}
			if record.Unmarshal(line, e) != nil {
				continue
			}
			if err := r.take(e); err != nil {
				t.Fatal(err)
			}
		}
		for _, path := range []string{"/", "/runs/r", "/compare?run=r", "/api/runs/r/series?from=1&to=3", "/api/runs/r/routing"} {
			if w := get(s, path); w.Code != 200 {
				t.Fatalf("%s: %d", path, w.Code)
			}
		}
		get(s, "/metrics")
		get(s, "/runs/r/experts")
	})
}
