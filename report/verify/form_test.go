package verify_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/runlog"
	"github.com/temper-ml/temper/report/verify"
	"github.com/temper-ml/temper/report/verify/verifytest"
)

// makeRun writes a run into a directory of the test.
func makeRun(t testing.TB, o verifytest.Options) *verifytest.Run {
	t.Helper()
	r, err := verifytest.Write(filepath.Join(t.TempDir(), "run"), verifytest.Key(0), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// all makes both kinds of checks that need no replay.
func all(dir string, trust runlog.Trust) (*verify.Log, []verify.Check) {
	l, cs := verify.Form(dir, trust)
	return l, append(cs, l.Arithmetic()...)
}

func TestHonestRunPasses(t *testing.T) {
	r := makeRun(t, verifytest.Default())
	_, cs := all(r.Dir, runlog.Trust{Verifier: r.Key.Verifier()})
	for _, c := range cs {
		t.Logf("%-14s %s %s", c.Name, c.Result, c.Evidence)
		if c.Result != verify.Pass {
			t.Errorf("%s: %s: %s", c.Name, c.Result, c.Evidence)
		}
	}
}

// Whatever honest runs are made of, nothing about them is found false.
func TestHonestRunsPass(t *testing.T) {
	dir := t.TempDir()
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		o := verifytest.Options{
			Seed: rapid.Uint64().Draw(t, "seed"), CheckpointEvery: rapid.Int64Range(0, 12).Draw(t, "checkpoints"), EvaluateEvery: rapid.Int64Range(0, 9).Draw(t, "evaluations"),
			Recoveries: rapid.IntRange(0, 3).Draw(t, "recoveries"), Pauses: rapid.IntRange(0, 2).Draw(t, "pauses"), Skips: rapid.Bool().Draw(t, "skips"),
			Period: rapid.SampledFrom([]int64{0, 1, 7, 32}).Draw(t, "period"), SignEvery: rapid.Int64Range(0, 9).Draw(t, "heads"),
			Step: time.Duration(rapid.Int64Range(1, 20_000).Draw(t, "ms")) * time.Millisecond, Files: rapid.Bool().Draw(t, "files"),
		}
		for i := range rapid.IntRange(1, 3).Draw(t, "stages") {
			s := verifytest.StageOptions{
				Name: fmt.Sprintf("s%d", i), Method: "sft", Steps: rapid.Int64Range(1, 60).Draw(t, "steps"),
				Batch: rapid.Int64Range(1, 5).Draw(t, "batch"), Sequence: rapid.Int64Range(8, 200).Draw(t, "sequence"),
			}
			s.LR = record.Schedule{Kind: "linear", Peak: 1e-3, Final: 1e-4, Warmup: rapid.Int64Range(0, s.Steps).Draw(t, "warmup")}
			o.Stages = append(o.Stages, s)
		}
		n++
		run, err := verifytest.Write(filepath.Join(dir, fmt.Sprint(n)), verifytest.Key(0), o)
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(run.Dir)
		l, cs := all(run.Dir, runlog.Trust{Verifier: run.Key.Verifier()})
		out, err := verify.Replay(context.Background(), l, &verifytest.Replayer{Run: run, Log: l}, verify.Plan{Seed: o.Seed})
		if err != nil {
			t.Fatal(err)
		}
		if r := verify.NewReport(l, cs, out); r.Verdict != verify.Pass {
			var b strings.Builder
			r.Text(&b)
			t.Fatalf("%+v\n%s", o, &b)
		}
	})
}

// snapshot is all that is in a directory.
func snapshot(t testing.TB, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		text := ""
		if err == nil && info.Mode().IsRegular() {
			var b []byte
			b, err = os.ReadFile(name)
			text = string(record.SHA256(b))
		}
		all[name] = fmt.Sprint(info.Mode(), info.ModTime().UnixNano(), text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestVerifyingWritesNothing(t *testing.T) {
	run := makeRun(t, verifytest.Default())
	before := snapshot(t, run.Dir)
	l, _ := all(run.Dir, runlog.Trust{})
	replay(t, l, &verifytest.Replayer{Run: run, Log: l}, verify.Plan{All: true})
	if after := snapshot(t, run.Dir); !maps.Equal(before, after) {
		t.Errorf("before %v, after %v", before, after)
	}
}

// What is missing is never passed over.
func TestIncompleteRuns(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*verifytest.Options)
		do     func(dir string) error
		check  string
		says   string
	}{
		"not ended":     {change: func(o *verifytest.Options) { o.Unfinished = true }, check: "end", says: "has not ended"},
		"tail unsigned": {change: func(o *verifytest.Options) { o.Unsigned, o.SignEvery = true, 0 }, check: "heads", says: "are under no head"},
		"torn": {change: func(o *verifytest.Options) { o.Unfinished = true }, do: func(dir string) error {
			f, err := os.OpenFile(filepath.Join(dir, "record/log"), os.O_APPEND|os.O_WRONLY, 0)
			if err == nil {
				_, err = f.WriteString(`{"body":`)
				err = errors.Join(err, f.Close())
			}
			return err
		}, check: "entries", says: "8 bytes after entry"},
		"model gone":     {do: func(dir string) error { return os.Remove(filepath.Join(dir, "model/model.safetensors")) }, check: "files", says: "model/model.safetensors"},
		"tokenizer gone": {do: func(dir string) error { return os.Remove(filepath.Join(dir, "tokenizer.json")) }, check: "files", says: "tokenizer.json"},
	} {
		o := verifytest.Default()
		if c.change != nil {
			c.change(&o)
		}
		run := makeRun(t, o)
		if c.do != nil {
			if err := c.do(run.Dir); err != nil {
				t.Fatal(err)
			}
		}
		l, cs := all(run.Dir, runlog.Trust{})
		out := replay(t, l, &verifytest.Replayer{Run: run, Log: l}, verify.Plan{All: true})
		r := verify.NewReport(l, cs, out)
		i := slices.IndexFunc(cs, func(k verify.Check) bool { return k.Name == c.check })
		if r.Verdict != verify.Incomplete || cs[i].Result != verify.Incomplete || !strings.Contains(cs[i].Evidence, c.says) {
			t.Errorf("%s: %s, %+v", name, r.Verdict, cs[i])
		}
	}
}

// Checkpoints that were removed are said, and are no fault.
func TestOldCheckpointsMayBeGone(t *testing.T) {
	run := makeRun(t, verifytest.Default())
	names, err := filepath.Glob(filepath.Join(run.Dir, "checkpoints/00-base/*"))
	if err != nil || len(names) < 2 {
		t.Fatal(names, err)
	}
	for _, n := range names[:2] {
		if err := os.RemoveAll(n); err != nil {
			t.Fatal(err)
		}
	}
	l, cs := all(run.Dir, runlog.Trust{})
	for _, c := range cs {
		if c.Result != verify.Pass {
			t.Errorf("%s: %s", c.Name, c.Evidence)
		}
	}
	if !slices.ContainsFunc(l.NotChecked, func(s string) bool { return strings.Contains(s, "2 of 7 checkpoints, no longer there") }) {
		t.Errorf("%q", l.NotChecked)
	}
}

// When the context ends, what was not read is not checked, and nothing is false.
func TestFormStops(t *testing.T) {
	run := makeRun(t, verifytest.Default())
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, cs := verify.FormContext(ctx, run.Dir, runlog.Trust{})
	for _, c := range cs {
		if c.Result == verify.Fail {
			t.Errorf("%+v", c)
		}
	}
	if !slices.ContainsFunc(cs, func(c verify.Check) bool { return strings.Contains(c.Evidence, "stopped: context canceled") }) {
		t.Errorf("%+v", cs)
	}
}
