package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/runlog"
)

// Form reads the record of a run directory once and judges its form: that it is
// signed and unchanged, that its entries are those of a run, and that the files
// it names are what it says. It writes nothing, waits for nothing, and what it
// keeps does not grow with the size of files. The Log is never nil; what could
// not be read is in the checks.
func Form(dir string, trust runlog.Trust) (*Log, []Check) {
	return FormContext(context.Background(), dir, trust)
}

// FormContext is Form, which may take long where there are large checkpoints,
// until the context ends: what was not read by then is not checked.
func FormContext(ctx context.Context, dir string, trust runlog.Trust) (*Log, []Check) {
	p := newPass(ctx, dir, trust)
	opened, err := os.OpenRoot(dir)
	if err != nil {
		p.manifest.fail(-1, "%v", err)
		p.notRead("the run directory")
		return p.log, p.checks()
	}
	defer opened.Close()
	root := &directory{opened, ctx}
	if p.open(root) {
		p.read()
		p.settle()
		checkFiles(root, p.log, p.files)
		checkModel(root, p.log, p.model)
	}
	return p.log, p.checks()
}

// pass is one reading of a record.
type pass struct {
	log    *Log
	trust  runlog.Trust
	reader *runlog.Reader
	opened []io.Closer

	sequence *sequence
	digests  *digests
	findings findings

	retaken *retaken

	manifest, entries, heads, signer, kept, witness, order, twice, end, states, files, model *finding
}

func newPass(ctx context.Context, dir string, trust runlog.Trust) *pass {
	p := &pass{log: &Log{Dir: dir, EndIndex: -1}, trust: trust, findings: findings{ctx: ctx}}
	for _, f := range []struct {
		name string
		to   **finding
	}{
		{"manifest", &p.manifest},
		{"signer", &p.signer},
		{"entries", &p.entries},
		{"heads", &p.heads},
		{"kept heads", &p.kept},
		{"witness", &p.witness},
		{"sequence", &p.order},
		{"steps taken twice", &p.twice},
		{"end", &p.end},
		{"states", &p.states},
		{"files", &p.files},
		{"model", &p.model},
	} {
		*f.to = p.findings.add(f.name)
	}
	p.digests = &digests{f: p.states}
	p.log.arithmetic = newArithmetic(p.log)
	p.retaken = &retaken{f: p.twice, first: map[Position]step{}}
	p.sequence = &sequence{log: p.log, at: Position{-1, 0}, dropped: func(at Position, s *step) {
		p.retaken.first[at] = *s
	}}
	return p
}

// checks leaves out what nobody asked for.
func (p *pass) checks() []Check {
	for _, c := range p.opened {
		c.Close()
	}
	var cs []Check
	for _, c := range p.findings.checks() {
		if c.Name == p.kept.name && len(p.trust.Heads) == 0 || c.Name == p.witness.name && len(p.trust.Witnesses) == 0 {
			continue
		}
		cs = append(cs, c)
	}
	return cs
}

// open opens the files of the record and reads manifest and first head.
func (p *pass) open(root *directory) bool {
	var manifest []byte
	var files [2]*file
	var err error
	for i, name := range []string{runlog.ManifestName, runlog.LogName, runlog.HeadsName} {
		f, openErr := openFile(root, recordDir+"/"+name)
		if openErr != nil {
			p.manifest.fail(-1, "no record: %v", openErr)
			p.notRead("the record")
			return false
		}
		p.opened = append(p.opened, f)
		if i == 0 {
			manifest, err = io.ReadAll(io.LimitReader(f, record.MaxManifest+2))
		} else {
			files[i-1] = f
			p.retaken.log = files[0]
		}
	}
	if err == nil {
		p.reader, err = runlog.NewReader(manifest, files[0], files[1], p.trust)
	}
	if err != nil {
		p.refused(err)
		p.notRead("the log")
		return false
	}
	p.log.Manifest = &p.reader.Manifest
	p.manifest.saw("%d bytes of %s, run %.80q", len(manifest), record.Format, p.log.Manifest.Run)
	p.signer.saw("%s, the only key that signed; it is the one expected", p.log.Manifest.Signer)
	p.log.trusted = p.trust.Verifier != "" || len(p.trust.Heads) > 0
	switch {
	case p.trust.Verifier == "" && len(p.trust.Heads) > 0:
		p.signer.saw("%s, the only key that signed; it also signed the head that was kept elsewhere", p.log.Manifest.Signer)
	case p.trust.Verifier == "":
		p.signer.saw("%s, the only key that signed; whose it is was not checked", p.log.Manifest.Signer)
		p.log.notChecked("whose key signed: give the verifier key, or a head that was kept while the run lived; without one, the whole record may have been made anew by anyone")
	}
	p.digests.period = p.log.Manifest.DigestPeriod
	p.log.arithmetic.manifest()
	return true
}

// notRead says that what follows from the log could not be checked.
func (p *pass) notRead(what string) {
	for _, f := range p.findings.list {
		if f.result == Pass && f.evidence == "" {
			f.skip(-1, "%s could not be read", what)
		}
	}
}

// refused puts an error of the reader under the check that it belongs to.
func (p *pass) refused(err error) {
	var e *runlog.Error
	index := int64(-1)
	f := p.entries
	if errors.As(err, &e) {
		switch e.File {
		case runlog.ManifestName:
			f, index = p.manifest, 0
		case runlog.HeadsName:
			f = p.heads
		default:
			index = e.Index
		}
	}
	switch {
	case errors.Is(err, runlog.ErrKept):
		f = p.kept
	case errors.Is(err, runlog.ErrWrongKey):
		f = p.signer
	case errors.Is(err, runlog.ErrRewritten), errors.Is(err, runlog.ErrTruncated):
		f = p.heads
	}
	f.fail(index, "%v", err)
}

// read takes all entries.
func (p *pass) read() {
	err := p.each(func(e *record.Entry, at runlog.Place) {
		if p.order.result == Fail { // what follows has no place any more
			return
		}
		if err := p.sequence.entry(e, at); err != nil {
			p.order.fail(e.Index, "entry %d (%s): %v", e.Index, e.Kind, err)
			return
		}
		if s, ok := e.Body.(*record.Step); ok {
			p.retaken.step(e, s)
		}
		p.digests.entry(p.log, e)
		p.log.arithmetic.entry(e)
	})
	p.log.Summary = p.reader.Summary()
	if err != nil {
		p.refused(err)
	}
	p.log.complete = err == nil && p.order.result == Pass
}

// settle says what was found when the log was read, to its end or not.
func (p *pass) settle() {
	s := p.log.Summary
	last := s.Leaves - 1
	p.entries.saw("%d entries, canonical, numbered without gaps, times never going back", last)
	p.heads.saw("%d heads, each of the entries before it and naming the head before; %d of %d leaves signed", s.Heads, s.Signed, s.Leaves)
	q := p.sequence
	p.order.saw("%s, %s that stand, %s (%s taken again), %s", many(len(p.log.Stages), "stage"), many(len(p.log.steps), "step"),
		recoveries(q.recoveries), many(q.again, "step"), many(q.pauses, "pause"))
	if s.Signed < s.Leaves {
		p.heads.skip(s.Signed, "the last %d of %d leaves, from entry %d on, are under no head: nothing says that they are what was written", s.Leaves-s.Signed, s.Leaves, s.Signed)
	}
	if s.Torn+s.TornHead > 0 {
		p.entries.skip(last, "%d bytes after entry %d and %d after the last head are no complete line: a write was cut short", s.Torn, last, s.TornHead)
	}
	p.kept.saw("the log begins with what %d heads kept elsewhere were signed of", len(p.trust.Heads))
	p.witness.saw("witnesses signed %d of %d leaves", s.Witnessed, s.Leaves)
	if s.Witnessed < s.Leaves {
		p.witness.skip(s.Witnessed, "witnesses signed %d of %d leaves", s.Witnessed, s.Leaves)
	}
	p.states.saw("%s", p.digests.evidence())
	p.twice.saw("%s taken again after recoveries, with the same results", many(p.retaken.compared, "step"))
	if !p.log.complete {
		p.order.skip(last, "read up to entry %d only", last)
		p.end.skip(-1, "read up to entry %d only", last)
		p.states.skip(-1, "read up to entry %d only", last)
		p.twice.skip(-1, "read up to entry %d only", last)
		p.model.skip(-1, "read up to entry %d only", last)
		p.files.skip(-1, "those of entries after %d are not known", last)
		return
	}
	switch end := p.log.End; {
	case end == nil:
		p.end.skip(last, "the run has not ended, or its end is not in the log")
	case end.Status == "complete":
		p.end.saw("the run ended complete in entry %d, after all steps of %s", p.log.EndIndex, many(len(p.log.Stages), "stage"))
	default:
		p.end.saw("the run ended in entry %d as %q: %.200s", p.log.EndIndex, end.Status, end.Reason)
	}
}

func recoveries(n int64) string {
	if n == 1 {
		return "1 recovery"
	}
	return fmt.Sprintf("%d recoveries", n)
}

// notChecked adds a sentence about what no check looked at, once.
func (l *Log) notChecked(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	for _, s := range l.NotChecked {
		if s == text {
			return
		}
	}
	l.NotChecked = append(l.NotChecked, text)
}
