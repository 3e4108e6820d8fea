package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/temper-ml/temper/recipe/execution"
	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/render"
	"github.com/temper-ml/temper/report/runlog"
	"github.com/temper-ml/temper/report/verify"
)

// read fills a report's runs from run directories.
func (f *reportFlags) read(dirs []string) ([]*render.Run, error) {
	var runs []*render.Run
	names := map[string]string{}
	for i, dir := range dirs {
		r, m, err := readRun(dir)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, usageError{fmt.Errorf("%s holds no record of a run: %w", dir, err)}
		}
		if err != nil {
			return nil, err
		}
		if first, ok := names[r.Name]; ok { // names tell runs apart: use the paths
			r.Name = dir
			if first == dir {
				return nil, usageError{fmt.Errorf("%s is given twice", dir)}
			}
		}
		names[r.Name] = dir
		if f.check {
			file := ""
			if len(f.verified) > 0 {
				file = f.verified[i]
			}
			if r.Verdict, err = judge(dir, m, file); err != nil {
				return nil, err
			}
		}
		runs = append(runs, r)
	}
	return runs, nil
}

// readRun fills a report's run from the record in a run directory, up to where
// the record is refused, if it is: then it has a verdict.
// The name is that of the directory, which tells runs of one recipe apart.
func readRun(dir string) (*render.Run, *record.Manifest, error) {
	log, err := runlog.OpenReader(filepath.Join(dir, execution.RecordName), runlog.Trust{})
	if err != nil {
		return nil, nil, err
	}
	defer log.Close()
	f := render.NewFiller(&log.Manifest)
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, nil, err
	}
	f.Run().Name, f.Run().Title = filepath.Base(abs), log.Manifest.Run
	for {
		e, err := log.Next()
		var refused *runlog.Error
		switch {
		case errors.Is(err, io.EOF):
			return f.Run(), &log.Manifest, nil
		case errors.As(err, &refused):
			f.Run().Verdict = &render.Verdict{Result: string(verify.Fail), Text: refused.Error()}
			return f.Run(), &log.Manifest, nil
		case err != nil:
			return nil, nil, err
		}
		if err := f.Add(e); err != nil {
			f.Run().Verdict = &render.Verdict{Result: string(verify.Fail), Text: err.Error()}
			return f.Run(), &log.Manifest, nil
		}
	}
}

// judge checks form and arithmetic of a record, and takes in what a replay found
// from a file that temper verify wrote.
func judge(dir string, m *record.Manifest, file string) (*render.Verdict, error) {
	log, checks := verify.Form(dir, runlog.Trust{})
	checks = append(checks, log.Arithmetic()...)
	v := &render.Verdict{Result: string(verify.Pass)}
	for _, c := range checks {
		add(v, c)
	}
	if file == "" {
		add(v, verify.Check{Name: "replay", Result: verify.Incomplete, Evidence: "not done here, run temper verify"})
		v.Text = told(v, "; replay: not done here, run temper verify")
		return v, nil
	}
	src, err := os.ReadFile(file)
	if err != nil {
		return nil, usageError{err}
	}
	var found verify.Report
	if err := json.Unmarshal(src, &found); err != nil {
		return nil, usageError{fmt.Errorf("%s: not what temper verify --json prints: %w", file, err)}
	}
	if found.Run != m.Run || found.Signer != m.Signer || found.Steps != log.Steps() {
		return nil, usageError{fmt.Errorf("%s: is about a run %q of %d steps signed by %q, %s holds %q of %d steps signed by %q",
			file, found.Run, found.Steps, found.Signer, dir, m.Run, log.Steps(), m.Signer)}
	}
	for _, c := range found.Checks {
		if c.Result == verify.Pass && slices.ContainsFunc(checks, func(d verify.Check) bool { return d.Name == c.Name }) {
			continue // checked here too
		}
		c.Name += byVerify
		add(v, c)
	}
	if len(found.Checks) == 0 || found.Verdict == verify.Incomplete {
		add(v, verify.Check{Name: "verdict" + byVerify, Result: verify.Incomplete, Evidence: strings.Join(found.NotChecked, "; ")})
	} else if found.Verdict != verify.Pass {
		add(v, verify.Check{Name: "verdict" + byVerify, Result: verify.Fail, Evidence: string(found.Verdict)})
	}
	v.Text = told(v, fmt.Sprintf("; replay: %d of %d steps, as %s says", found.ReplayedSteps, found.Steps, filepath.Base(file)))
	return v, nil
}

// reportVerified writes a page about a run that was verified just now.
func reportVerified(ctx context.Context, dir, page string, found *verify.Report) error {
	r, _, err := readRun(dir)
	if err != nil {
		return err
	}
	r.Verdict = &render.Verdict{Result: string(found.Verdict)}
	for _, c := range found.Checks {
		r.Verdict.Checks = append(r.Verdict.Checks, render.Check{Name: c.Name, Result: string(c.Result), Evidence: c.Evidence})
	}
	r.Verdict.Text = fmt.Sprintf("%d checks hold; replay: %d of %d steps, on the machine of the run", len(found.Checks), found.ReplayedSteps, found.Steps)
	f := &reportFlags{hardware: comparedTo}
	if err := f.compare(ctx, []*render.Run{r}); err != nil {
		return err
	}
	return writeOutput(nil, io.Discard, page, func(w io.Writer) error { return render.HTML(w, r) })
}

// byVerify marks checks that another program, or this one before, made.
const byVerify = ", by temper verify"

// add adds a check; the verdict is as bad as the worst.
func add(v *render.Verdict, c verify.Check) {
	v.Checks = append(v.Checks, render.Check{Name: c.Name, Result: string(c.Result), Evidence: c.Evidence})
	switch {
	case c.Result == verify.Pass || v.Result == string(verify.Fail):
	case c.Result == verify.Incomplete:
		v.Result = string(verify.Incomplete)
	default:
		v.Result = string(verify.Fail)
	}
}

// told sums the checks up in a sentence: the first that failed, or how many hold.
func told(v *render.Verdict, replay string) string {
	pass, open := 0, []string{}
	for _, c := range v.Checks {
		switch c.Result {
		case string(verify.Pass):
			if !strings.HasSuffix(c.Name, byVerify) {
				pass++
			}
		case string(verify.Fail):
			return c.Name + ": " + c.Evidence
		default:
			if !strings.HasPrefix(c.Name, "replay") {
				open = append(open, c.Name)
			}
		}
	}
	s := fmt.Sprintf("%d checks of form and arithmetic hold", pass)
	if len(open) > 0 {
		s += ", not complete: " + strings.Join(open, ", ")
	}
	return s + replay
}
