package execution

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/temper-ml/temper/report/runlog"
)

// A key is found where the recipe, the environment or the user has it, and a run
// that was begun with one is continued with no other.
func TestKeyIsTheOneTheRunBeganWith(t *testing.T) {
	home := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", home)
	t.Setenv(runlog.KeyVariable, "")
	r, dir := setup(t), filepath.Join(t.TempDir(), "run")
	find := func() *runlog.Key {
		t.Helper()
		k, _, err := Key(r, dir)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	k, note, err := Key(r, dir)
	if err != nil || !strings.Contains(note, "made the signing key "+home) {
		t.Fatalf("note %q, %v", note, err)
	}
	if again := find(); again.Verifier() != k.Verifier() {
		t.Errorf("the user's key is %v, then %v", k, again)
	}
	r.Record.Key = "own.key"
	own := find()
	if _, err := os.Stat(filepath.Join(r.Dir(), "own.key")); err != nil || own.Verifier() == k.Verifier() {
		t.Errorf("the recipe's key is %v, the user's %v, %v", own, k, err)
	}
	stopped(t, r, Options{Dir: dir, Key: k, Now: ticking()}, 1)
	if got := find(); got.Verifier() != k.Verifier() {
		t.Errorf("the run began with %v, and would continue with %v", k, got)
	}
	if err := os.Remove(filepath.Join(home, "temper", "signing.key")); err != nil {
		t.Fatal(err)
	}
	_, _, err = Key(r, dir)
	if err == nil || !strings.Contains(err.Error(), "is signed by "+k.Verifier()) || !strings.Contains(err.Error(), runlog.KeyVariable) {
		t.Errorf("the key is gone: %v", err)
	}
	if _, err := os.Stat(filepath.Join(home, "temper", "signing.key")); err == nil {
		t.Error("another key was made")
	}
	for what, o := range map[string]Options{"another key": {Key: own}, "no key": {}} {
		o.Dir, o.Resume, o.Now = dir, true, ticking()
		if _, err := Run(context.Background(), r, o); err == nil || !strings.Contains(err.Error(), k.Verifier()) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := Run(context.Background(), r, Options{Dir: dir, Resume: true, Key: k, Now: ticking()}); err != nil {
		t.Error(err)
	}
}

// A run does not fail because the user's directory cannot be written.
func TestKeyOfTheRunDirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("XDG_CONFIG_HOME", file) // not a directory, for root too
	t.Setenv(runlog.KeyVariable, "")
	r, dir := setup(t), filepath.Join(t.TempDir(), "run")
	k, note, err := Key(r, dir)
	if err != nil || !strings.Contains(note, "leave it out when you publish the run") {
		t.Fatalf("note %q, %v", note, err)
	}
	info, err := os.Stat(filepath.Join(dir, keyName))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	stopped(t, r, Options{Dir: dir, Key: k, Now: ticking()}, 1)
	if again, _, err := Key(r, dir); err != nil || again.Verifier() != k.Verifier() {
		t.Errorf("resumed with %v, %v", again, err)
	}
	t.Setenv(runlog.KeyVariable, "/no/such/file")
	if _, _, err := Key(r, filepath.Join(t.TempDir(), "run")); err == nil {
		t.Error("a key that was asked for is not there, and another was taken")
	}
	if k, _, err := Key(r, dir); err != nil || k == nil {
		t.Errorf("the run's own key is there: %v", err)
	}
}
