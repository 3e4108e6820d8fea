package execution

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/recipe"
	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/runlog"
	"github.com/temper-ml/temper/train"
)

// stopped runs a recipe until so many steps are taken.
func stopped(t *testing.T, r *recipe.Recipe, o Options, after int) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	o.Observer = ObserverFunc(func(e Event) {
		if _, ok := e.(Stepped); ok {
			if after--; after == 0 {
				cancel()
			}
		}
	})
	if _, err := Run(ctx, r, o); !errors.Is(err, ErrInterrupted) {
		t.Fatalf("error %v, want an interruption", err)
	}
}

// log reads a run's record whole.
func log(t *testing.T, dir string) (m *record.Manifest, es []*record.Entry) {
	t.Helper()
	m, s, err := runlog.Read(filepath.Join(dir, RecordName), runlog.Trust{}, func(e *record.Entry) error { es = append(es, e); return nil })
	if err != nil || s.Torn != 0 || s.Signed != s.Leaves {
		t.Fatalf("%s: %+v, %v", dir, s, err)
	}
	return m, es
}

// of returns the bodies of a kind.
func of[T record.Body](es []*record.Entry) (out []T) {
	for _, e := range es {
		if b, ok := e.Body.(T); ok {
			out = append(out, b)
		}
	}
	return out
}

func kinds(es []*record.Entry) string {
	var ks []string
	for _, e := range es {
		ks = append(ks, e.Kind)
	}
	return strings.Join(ks, " ")
}

func TestRecordSaysWhatWasRun(t *testing.T) {
	r := setup(t)
	dir := filepath.Join(t.TempDir(), "run")
	s := execute(t, r, dir)
	m, es := log(t, dir)
	text, err := os.ReadFile(filepath.Join(dir, "recipe.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	tok, err := os.ReadFile(filepath.Join(dir, "tokenizer.json"))
	if err != nil {
		t.Fatal(err)
	}
	if m.Recipe != string(text) || m.Seed != 1 || m.Tokenizer != record.SHA256(tok) || m.DigestPeriod != 32 || m.Clock != "system" ||
		m.Order == "" || m.Architecture == "" || m.Started == 0 || m.Precision.Linear != "fp32" || len(m.Model) != 0 {
		t.Errorf("manifest %+v", m)
	}
	var files []string
	for _, f := range m.Data {
		b, err := os.ReadFile(filepath.Join(r.Dir(), f.Path))
		if err != nil || f.Digest != record.SHA256(b) || f.Bytes != int64(len(b)) {
			t.Errorf("file %+v, %v", f, err)
		}
		files = append(files, fmt.Sprint(f.Path, " ", f.Rows))
	}
	if want := []string{"data/text.txt 60", "data/questions.jsonl 120", "data/held_out.jsonl 7"}; !slices.Equal(files, want) {
		t.Errorf("files %q, want %q", files, want)
	}
	if d := m.Devices[0]; d.Path != kernel.Path() || d.Threads != kernel.Threads() || !(d.Peak["f32"] > 1e6) || len(m.Hosts) != 1 || m.Hosts[0].Cores < 1 {
		t.Errorf("devices %+v, hosts %+v", m.Devices, m.Hosts)
	}
	begin, checkpoints, end := of[*record.Begin](es)[0], of[*record.Checkpoint](es), of[*record.End](es)[0]
	if begin.Total != 128609 || begin.Parameters == "" || begin.Parameters == end.Weights {
		t.Errorf("begin %+v", begin)
	}
	if last := checkpoints[len(checkpoints)-1]; last.Parameters != end.Weights || string(end.Weights) != s.WeightsDigest || last.Optimizer == "" {
		t.Errorf("last checkpoint %+v, end %+v, summary %s", last, end, s.WeightsDigest)
	}
	for _, c := range checkpoints[len(checkpoints)-1:] {
		b, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(c.Path), "manifest.json"))
		if err != nil || c.Content != record.SHA256(b) {
			t.Errorf("checkpoint %+v, %v", c, err)
		}
	}
	for name, d := range end.Export {
		b, err := os.ReadFile(filepath.Join(dir, "model", name))
		if err != nil || d != record.SHA256(b) {
			t.Errorf("model/%s: %s, %v", name, d, err)
		}
	}
	if _, ok := end.Export["config.json"]; !ok || end.Steps != s.Steps || end.Tokens != s.Tokens {
		t.Errorf("end %+v, summary %+v", end, s)
	}
	checkSums(t, es, end)
}

// checkSums adds up what steps say and compares it with what else says it.
func checkSums(t *testing.T, es []*record.Entry, end *record.End) {
	t.Helper()
	var total record.End
	var wall, summed, routed, loaded int64
	for _, e := range es {
		switch b := e.Body.(type) {
		case *record.Step:
			total.Steps++
			total.Examples += b.Examples
			total.Tokens += b.Tokens
			total.Supervised += b.Supervised
			wall += b.Time.Wall
			loaded += b.Tokens
			if b.Batch == "" || b.Parameters == "" || b.Optimizer == "" || b.Bias == "" || b.Load == nil || b.Memory == 0 {
				t.Errorf("entry %d lacks something: %+v", e.Index, b)
			}
		case *record.Times:
			summed += b.Ranks[0].Split.Wall
		case *record.Routing:
			for _, n := range b.Counts[0] {
				routed += n
			}
			if len(b.Counts) != len(of[*record.Routing](es)[0].Counts) {
				t.Errorf("entry %d: %d blocks", e.Index, len(b.Counts))
			}
		}
	}
	if total.Steps != end.Steps || total.Examples != end.Examples || total.Tokens != end.Tokens || total.Supervised != end.Supervised {
		t.Errorf("steps add up to %+v, the end says %+v", total, end)
	}
	if wall != summed || routed != 2*loaded { // each token goes to two experts of a block
		t.Errorf("steps take %d ns, times %d; %d tokens routed of %d", wall, summed, routed, loaded)
	}
}

// An epoch's tokens and labels are those of its rows.
func TestStageCountsAreThoseOfAnEpoch(t *testing.T) {
	r := setup(t)
	r.Stages[0].Steps, r.Stages[0].LR.Warmup = 40, 1 // more than two epochs
	dir := filepath.Join(t.TempDir(), "run")
	execute(t, r, dir)
	_, es := log(t, dir)
	for i, s := range of[*record.Stage](es) {
		rows, err := Rows(context.Background(), r, dir, i)
		if err != nil {
			t.Fatal(err)
		}
		var all []train.Row
		for step := int64(0); int64(len(all)) < s.Rows; step++ {
			more, err := rows.Step(step)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, more...)
		}
		if c := train.Count(all[:s.Rows]); c.Tokens != s.Tokens || c.Supervised != s.Supervised || s.Batch != 4 || s.Sequence != 96 {
			t.Errorf("stage %+v, its rows count %+v", s, c)
		}
	}
}

func TestAccumulation(t *testing.T) {
	for _, c := range []struct{ rows, slots, micro, want int }{{4, 1, 2, 2}, {4, 4, 2, 4}, {7, 2, 2, 4}, {5, 1, 5, 1}, {9, 4, 3, 4}} {
		if got := accumulation(c.rows, c.slots, c.micro); got != int64(c.want) {
			t.Errorf("%+v: %d", c, got)
		}
	}
}

// Neither instructions nor threads nor micro-batches show in what stands, nor
// does a clock.
func TestRecordDependsOnTheRecipeOnly(t *testing.T) {
	if testing.Short() {
		t.Skip("short: takes a run on every instruction set")
	}
	r := setup(t)
	dir := filepath.Join(t.TempDir(), "run")
	execute(t, r, dir)
	want := entries(t, dir)
	if len(want) < 7 {
		t.Fatalf("%d steps", len(want))
	}
	defer kernel.SetThreads(kernel.Threads())
	path := kernel.Path()
	defer func() { _, _ = kernel.SetPath(path) }()
	for i, p := range kernel.Paths() {
		if _, err := kernel.SetPath(p); err != nil {
			t.Fatal(err)
		}
		kernel.SetThreads(1 + i%3)
		again := load(t, filepath.Join(r.Dir(), "small.yaml"))
		again.Stages[0].MicroRows, again.Stages[1].MicroRows = 1+i%4, 1+(i+1)%4
		other := filepath.Join(t.TempDir(), "run")
		execute(t, again, other)
		if diff := cmp.Diff(want, entries(t, other)); diff != "" {
			t.Errorf("%s, %d threads: %s", p, 1+i%3, diff)
		}
	}
}

func TestPauseAndResumeAreRecorded(t *testing.T) {
	r := setup(t)
	dir := filepath.Join(t.TempDir(), "run")
	now := ticking()
	stopped(t, r, Options{Dir: dir, Now: now}, 3)
	_, es := log(t, dir)
	pause, ok := es[len(es)-1].Body.(*record.Pause)
	if !ok || pause.Stage != 0 || pause.Step != 3 {
		t.Fatalf("the record ends with %+v", es[len(es)-1])
	}
	before := len(es)
	if _, err := Run(context.Background(), load(t, filepath.Join(r.Dir(), "small.yaml")), Options{Dir: dir, Resume: true, Now: now}); err != nil {
		t.Fatal(err)
	}
	_, es = log(t, dir)
	resume, ok := es[before].Body.(*record.Resume)
	if !ok || resume.Step != 3 || resume.Parameters == "" || resume.Host.Cores == 0 || len(resume.Devices) != 1 || es[before+1].Kind != "stage" {
		t.Errorf("after the pause: %+v, %+v", es[before], es[before+1])
	}
	if n := len(of[*record.Recovery](es)) + len(of[*record.Fault](es)); n > 0 {
		t.Errorf("%d faults and recoveries in %s", n, kinds(es))
	}
}

// overflowing makes a recipe of one stage whose second step cannot be finite.
func overflowing(r *recipe.Recipe, policy string) *recipe.Recipe {
	r.Stages = r.Stages[:1]
	s := &r.Stages[0]
	s.LR.Peak, s.NonFinite, s.Data.HoldOut, s.Eval = 1e30, policy, 0, recipe.Eval{}
	return r
}

func TestStepsThatAreNotFinite(t *testing.T) {
	r := overflowing(setup(t), "skip")
	dir := filepath.Join(t.TempDir(), "run")
	execute(t, r, dir)
	_, es := log(t, dir)
	holds(t, dir)
	skipped := 0
	for i, e := range es {
		if s, ok := e.Body.(*record.Step); ok && s.Skipped != "" {
			skipped++
			f, ok := es[i-1].Body.(*record.Fault)
			if !ok || f.Fault != "non-finite" || f.Step != s.Step || f.Evidence == "" || s.Skipped != "non-finite" || s.MFU != 0 || s.Time.Wall == 0 || s.Parameters == "" {
				t.Errorf("%+v, after %+v", s, es[i-1].Body)
			}
		}
	}
	if skipped == 0 {
		t.Fatalf("no step was skipped: %s", kinds(es))
	}
	r = overflowing(load(t, filepath.Join(r.Dir(), "small.yaml")), "stop")
	dir = filepath.Join(t.TempDir(), "run")
	if _, err := Run(context.Background(), r, Options{Dir: dir, Now: ticking()}); !train.IsNonFinite(err) {
		t.Fatalf("error %v", err)
	}
	_, es = log(t, dir)
	if n := len(es); !strings.HasSuffix(kinds(es), "checkpoint pause") && !strings.HasSuffix(kinds(es), "fault pause") || len(of[*record.Fault](es)) != 1 {
		t.Errorf("%d entries: %s", n, kinds(es))
	}
}

// A machine whose peak was measured while it was busy turns out to be faster.
func TestDeviceIsMeasuredAgain(t *testing.T) {
	r := setup(t)
	dir := filepath.Join(t.TempDir(), "run")
	at := time.Unix(1e9, 0)
	fast := func() time.Time { at = at.Add(time.Microsecond); return at }
	s, err := Run(context.Background(), r, Options{Dir: dir, Now: fast})
	if err != nil {
		t.Fatal(err)
	}
	_, es := log(t, dir)
	again := of[*record.Ranks](es)
	if len(again) == 0 || !(again[len(again)-1].Devices[0].Peak["f32"] > 1e12) || !(s.MFU <= 1) {
		t.Errorf("%d times measured again, MFU %v", len(again), s.MFU)
	}
	for _, s := range of[*record.Step](es) {
		if s.MFU > 1 {
			t.Errorf("step %d of stage %d is faster than the peak: %v", s.Step, s.Stage, s.MFU)
		}
	}
	holds(t, dir)
}

func TestNoDigestsIfNotWanted(t *testing.T) {
	r := setup(t)
	r.Record.DigestPeriod = 0
	dir := filepath.Join(t.TempDir(), "run")
	execute(t, r, dir)
	m, es := log(t, dir)
	for _, s := range of[*record.Step](es) {
		if s.Batch != "" || s.Parameters != "" || s.Optimizer != "" {
			t.Errorf("step %+v", s)
		}
	}
	if notes := of[*record.Note](es); m.DigestPeriod != 0 || len(notes) == 0 || !strings.Contains(notes[0].Text, "no digests") {
		t.Errorf("notes %+v", notes)
	}
}
