package main

import (
	"context"
	"encoding/json"
	"os"
	"slices"
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

// What temper verify found is taken in only of the same record, and no verdict is
// better than what was checked here.
func TestJudgeTakesInWhatVerifyFound(t *testing.T) {
	dir := t.TempDir() + "/run"
	if _, err := verifytest.Write(dir, verifytest.Key(1), verifytest.Default()); err != nil {
		t.Fatal(err)
	}
	_, m, err := readRun(dir)
	if err != nil {
		t.Fatal(err)
	}
	v, err := judge(dir, m, "")
	if err != nil || v.Result != "incomplete" || !strings.HasSuffix(v.Text, "hold; replay: not done here, run temper verify") {
		t.Errorf("%+v, %v", v, err)
	}
	log, _ := verify.Form(dir, runlog.Trust{})
	found := verify.Report{Run: m.Run, Signer: m.Signer, Steps: log.Steps(), ReplayedSteps: 7, Verdict: verify.Pass, Checks: []verify.Check{{Name: "replay", Result: verify.Pass}}}
	for name, c := range map[string]struct {
		change func(*verify.Report)
		want   string
	}{
		"pass":       {func(*verify.Report) {}, "pass"},
		"incomplete": {func(r *verify.Report) { r.Verdict = verify.Incomplete }, "incomplete"},
		"fail":       {func(r *verify.Report) { r.Verdict = verify.Fail }, "fail"},
		"a check":    {func(r *verify.Report) { r.Checks[0].Result = verify.Fail }, "fail"},
		"empty":      {func(r *verify.Report) { r.Checks, r.NotChecked = nil, []string{"all"} }, "incomplete"},
		"other run":  {func(r *verify.Report) { r.Run = "other" }, "is about a run \"other\""},
		"other key":  {func(r *verify.Report) { r.Signer = "x" }, "signed by \"x\""},
		"other end":  {func(r *verify.Report) { r.Steps-- }, "of 55 steps"},
	} {
		r := found
		r.Checks = slices.Clone(found.Checks)
		c.change(&r)
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		file := t.TempDir() + "/v.json"
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		v, err := judge(dir, m, file)
		if err == nil && v.Result != c.want || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %+v, %v; want %s", name, v, err, c.want)
		}
		if name == "pass" && !strings.HasSuffix(v.Text, "replay: 7 of 56 steps, as v.json says") {
			t.Error(v.Text)
		}
	}
}
