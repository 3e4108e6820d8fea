package main

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/temper-ml/temper/report/runlog"
	"github.com/temper-ml/temper/report/verify"
	"github.com/temper-ml/temper/report/verify/verifytest"
)

// A page about a run that was verified just now says so, and on which terms.
func TestReportVerified(t *testing.T) {
	dir, page := t.TempDir()+"/run", t.TempDir()+"/page.html"
	if _, err := verifytest.Write(dir, verifytest.Key(1), verifytest.Default()); err != nil {
		t.Fatal(err)
	}
	log, checks := verify.Form(dir, runlog.Trust{})
	found := verify.NewReport(log, append(checks, log.Arithmetic()...), nil)
	if err := reportVerified(context.Background(), dir, page, found); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(page)
	if err != nil || !strings.Contains(string(b), "verification incomplete") || !strings.Contains(string(b), "replay: 0 of 56 steps") || !strings.Contains(string(b), "Predicted by temper plan") {
		t.Errorf("%v: %.300s", err, b)
	}
}
