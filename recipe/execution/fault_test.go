package execution

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/temper-ml/temper/internal/durable"
	"github.com/temper-ml/temper/internal/durable/durabletest"
	"github.com/temper-ml/temper/recipe"
	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/runlog"
)

// carryOn resumes a run until it is done, and compares it with one that was left alone.
func carryOn(t *testing.T, what string, r *recipe.Recipe, dir string, want []string, weights string) {
	t.Helper()
	resume := true
	if _, err := os.Stat(filepath.Join(dir, "recipe.yaml")); errors.Is(err, os.ErrNotExist) {
		resume = false
	}
	s, err := Run(context.Background(), load(t, filepath.Join(r.Dir(), "small.yaml")), Options{Dir: dir, Resume: resume, Now: ticking(), FS: durabletest.NoSync(durable.OS)})
	if err != nil {
		t.Errorf("%s: resumed: %v", what, err)
		return
	}
	if diff := cmp.Diff(want, entries(t, dir)); diff != "" || s.WeightsDigest != weights {
		_, es := log(t, dir)
		t.Errorf("%s: weights %s, want %s; %s: %s", what, s.WeightsDigest, weights, kinds(es), diff)
	}
}

// The disk fails, fills up, or goes away with the process, at any call: the run
// stops, and goes on when it is resumed, with nothing missing from its record.
func TestDiskFaults(t *testing.T) {
	r := setup(t)
	whole := filepath.Join(t.TempDir(), "whole")
	counting := &durabletest.Faulty{FS: durabletest.NoSync(durable.OS)}
	s, err := Run(context.Background(), r, Options{Dir: whole, Now: ticking(), FS: counting})
	if err != nil {
		t.Fatal(err)
	}
	want := entries(t, whole)
	tries := 12
	if testing.Short() {
		tries = 3
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range tries {
		at := 1 + (i*counting.Calls()+rng.IntN(counting.Calls()))/tries
		fs := &durabletest.Faulty{FS: durabletest.NoSync(durable.OS), FailAt: at, Err: syscall.ENOSPC, Lost: i%2 == 1, Dead: i%3 > 0}
		what := fmt.Sprintf("call %d of %d, lost %t, dead %t", at, counting.Calls(), fs.Lost, fs.Dead)
		dir := filepath.Join(t.TempDir(), "run")
		_, err := Run(context.Background(), load(t, filepath.Join(r.Dir(), "small.yaml")), Options{Dir: dir, Now: ticking(), FS: fs})
		if err == nil {
			continue // the call was one that only tidies up
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("%s: error %v", what, err)
		}
		if i%3 == 2 {
			if err := fs.PowerCut(); err != nil {
				t.Fatal(err)
			}
		}
		carryOn(t, what, r, dir, want, s.WeightsDigest)
	}
}

// A process that ends between writing a checkpoint and declaring it leaves that
// to the next one.
func TestCheckpointThatIsNotDeclared(t *testing.T) {
	r := setup(t)
	counting := &durabletest.Faulty{FS: durabletest.NoSync(durable.OS)}
	whole := filepath.Join(t.TempDir(), "whole")
	s, err := Run(context.Background(), r, Options{Dir: whole, Now: ticking(), FS: counting})
	if err != nil {
		t.Fatal(err)
	}
	at, saves := 0, 0
	for i, call := range counting.Log() {
		if strings.HasPrefix(call, "rename save-") {
			saves++
		}
		if saves == 2 && call == "write log" {
			at = i + 1
			break
		}
	}
	if at == 0 {
		t.Fatalf("no second checkpoint in %q", counting.Log())
	}
	dir := filepath.Join(t.TempDir(), "run")
	fs := &durabletest.Faulty{FS: durabletest.NoSync(durable.OS), FailAt: at, Dead: true}
	if _, err := Run(context.Background(), load(t, filepath.Join(r.Dir(), "small.yaml")), Options{Dir: dir, Now: ticking(), FS: fs}); !errors.Is(err, durabletest.ErrInjected) {
		t.Fatalf("error %v", err)
	}
	before := len(of[*record.Checkpoint](tornLog(t, dir)))
	carryOn(t, "second checkpoint", r, dir, entries(t, whole), s.WeightsDigest)
	_, es := log(t, dir)
	recovery, saved := of[*record.Recovery](es), of[*record.Checkpoint](es)
	if before != 1 || len(recovery) != 1 || recovery[0].Again != 0 || saved[1].Step != recovery[0].Step || saved[1].Content != recovery[0].Checkpoint || saved[1].Bytes != saved[0].Bytes {
		t.Errorf("%d checkpoints before %+v, then %+v", before, recovery, saved)
	}
}

// tornLog reads a record that a process has left.
func tornLog(t *testing.T, dir string) (es []*record.Entry) {
	t.Helper()
	_, _, err := runlog.Read(filepath.Join(dir, RecordName), runlog.Trust{}, func(e *record.Entry) error { es = append(es, e); return nil })
	if err != nil {
		t.Fatal(err)
	}
	return es
}

// Entries that are lost under a checkpoint are not glossed over.
func TestRecordThatLostItsEnd(t *testing.T) {
	r := setup(t)
	dir := filepath.Join(t.TempDir(), "run")
	stopped(t, r, Options{Dir: dir, Now: ticking()}, 1)
	old := map[string][]byte{}
	for _, name := range []string{runlog.LogName, runlog.HeadsName} {
		b, err := os.ReadFile(filepath.Join(dir, RecordName, name))
		if err != nil {
			t.Fatal(err)
		}
		old[name] = b
	}
	again := func() error {
		_, err := Run(context.Background(), load(t, filepath.Join(r.Dir(), "small.yaml")), Options{Dir: dir, Resume: true, Now: ticking()})
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	steps := 0
	_, err := Run(ctx, load(t, filepath.Join(r.Dir(), "small.yaml")), Options{Dir: dir, Resume: true, Now: ticking(), Observer: ObserverFunc(func(e Event) {
		if _, ok := e.(Stepped); ok {
			if steps++; steps == 2 {
				cancel()
			}
		}
	})})
	cancel()
	if !errors.Is(err, ErrInterrupted) {
		t.Fatal(err)
	}
	for name, b := range old { // an older copy of the record is put back
		if err := os.WriteFile(filepath.Join(dir, RecordName, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := again(); err == nil || !strings.Contains(err.Error(), "but the record ends after 1 of stage 0") {
		t.Errorf("error %v", err)
	}
	if err := os.RemoveAll(filepath.Join(dir, RecordName)); err != nil {
		t.Fatal(err)
	}
	if err := again(); err == nil || !strings.Contains(err.Error(), "has checkpoints but no record") {
		t.Errorf("error %v", err)
	}
}

// What stages that are done have read may be gone, and a run that is stopped
// before its record begins can be continued like any other.
func TestResumeNeedsWhatIsLeft(t *testing.T) {
	r := setup(t)
	dir := filepath.Join(t.TempDir(), "run")
	ctx, cancel := context.WithCancel(context.Background())
	_, err := Run(ctx, r, Options{Dir: dir, Now: ticking(), Observer: ObserverFunc(func(e Event) {
		if _, ok := e.(Reading); ok {
			cancel()
		}
	})})
	if !errors.Is(err, ErrInterrupted) {
		t.Fatalf("error %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, RecordName)); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("there is a record of nothing: %v", err)
	}
	again := load(t, filepath.Join(r.Dir(), "small.yaml"))
	stopped(t, again, Options{Dir: dir, Resume: true, Now: ticking()}, int(again.Stages[0].Steps)+1)
	if err := os.Remove(filepath.Join(r.Dir(), "data", "text.txt")); err != nil {
		t.Fatal(err)
	}
	again = load(t, filepath.Join(r.Dir(), "small.yaml"))
	if _, err := Run(context.Background(), again, Options{Dir: dir, Resume: true, Now: ticking()}); err != nil {
		t.Error(err)
	}
	holds(t, dir)
}

// A checkpoint that a crash kept from being declared is declared, and one that
// is damaged is passed over with a word.
func TestRecoveryFromAnOlderCheckpoint(t *testing.T) {
	r := setup(t)
	r.Checkpoint.Keep, r.Checkpoint.Every = 2, 1
	dir := filepath.Join(t.TempDir(), "run")
	stopped(t, r, Options{Dir: dir, Now: ticking()}, 4)
	names, err := filepath.Glob(filepath.Join(dir, "checkpoints", "00-base", "*-0000000004", "*.safetensors"))
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	b, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(names[0], b, 0o644); err != nil {
		t.Fatal(err)
	}
	again := load(t, filepath.Join(r.Dir(), "small.yaml"))
	again.Checkpoint = r.Checkpoint
	s, err := Run(context.Background(), again, Options{Dir: dir, Resume: true, Now: ticking()})
	if err != nil {
		t.Fatal(err)
	}
	_, es := log(t, dir)
	rs := of[*record.Recovery](es)
	if len(rs) != 1 || rs[0].Step != 3 || rs[0].Again != 1 || !strings.Contains(rs[0].Cause, "digest") || rs[0].Checkpoint == "" || rs[0].Host == nil {
		t.Errorf("recoveries %+v", rs)
	}
	if end := of[*record.End](es)[0]; end.Steps != s.Steps || string(end.Weights) != s.WeightsDigest {
		t.Errorf("end %+v, summary %+v", end, s)
	}
	again.Checkpoint.Every = 2
	whole := filepath.Join(t.TempDir(), "whole")
	execute(t, load(t, filepath.Join(r.Dir(), "small.yaml")), whole)
	if diff := cmp.Diff(entries(t, whole), entries(t, dir)); diff != "" {
		t.Error(diff)
	}
}

// Another model than the one that training began with is noticed.
func TestLoadedModelsAreRecorded(t *testing.T) {
	r := setup(t)
	first := filepath.Join(t.TempDir(), "first")
	execute(t, r, first)
	text := strings.Replace(small, "init: tiny-v4", "load: "+filepath.Join(first, "model"), 1)
	i, j := strings.Index(text, "  set:"), strings.Index(text, "stages:")
	text = text[:i] + text[j:]
	if err := os.WriteFile(filepath.Join(r.Dir(), "small.yaml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	r = load(t, filepath.Join(r.Dir(), "small.yaml"))
	dir := filepath.Join(t.TempDir(), "run")
	fault := &durabletest.Faulty{FS: durabletest.NoSync(durable.OS)}
	ctx, cancel := context.WithCancel(context.Background())
	_, err := Run(ctx, r, Options{Dir: dir, Now: ticking(), FS: fault, Observer: ObserverFunc(func(e Event) {
		if _, ok := e.(StageBegan); ok {
			cancel() // before the first step
		}
	})})
	cancel()
	if !errors.Is(err, ErrInterrupted) {
		t.Fatal(err)
	}
	m, es := log(t, dir)
	if len(m.Model) < 20 || !bytes.Contains([]byte(kinds(es)), []byte("pause")) {
		t.Errorf("%d tensors; %s", len(m.Model), kinds(es))
	}
	weights, err := filepath.Glob(filepath.Join(first, "model", "*.safetensors"))
	if err != nil || len(weights) != 1 {
		t.Fatal(weights, err)
	}
	b, err := os.ReadFile(weights[0])
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)-1] ^= 1
	if err := os.WriteFile(weights[0], b, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Run(context.Background(), r, Options{Dir: dir, Resume: true, Now: ticking()}); err == nil || !strings.Contains(err.Error(), "are not those that this run began with") {
		t.Errorf("error %v", err)
	}
	b[len(b)-1] ^= 1
	if err := os.WriteFile(weights[0], b, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Run(context.Background(), r, Options{Dir: dir, Resume: true, Now: ticking()}); err != nil {
		t.Error(err)
	}
}
