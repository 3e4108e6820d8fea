package verify_test

import (
	"path/filepath"
	"testing"

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
