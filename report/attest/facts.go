package attest

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/runlog"
)

// ErrNoResult says that a run has nothing to attest: it failed, or is not
// complete.
var ErrNoResult = errors.New("nothing to attest")

// RecordDir is where a run directory has its record, ModelDir its exported
// model, Dir its attestations.
const (
	RecordDir = "record"
	ModelDir  = "model"
	Dir       = "attestations"
)

// facts are what documents are made of: what one pass over a record keeps. They
// grow with the number of stages, not of steps.
type facts struct {
	manifest record.Manifest
	// The last tree head, and the digests of the record's files.
	leaves       int64
	root         string // hexadecimal
	manifestFile record.Digest
	logFile      record.Digest

	begin       record.Begin
	stages      []stage
	first, last *record.Entry // steps that stand
	end         *record.End
	finished    int64 // time of the end, ms
	lastKind    string

	steps      int64 // taken, those taken again counted again
	wall       int64 // ns in them
	flops      float64
	energy     float64 // J in them
	noEnergy   bool    // some step does not tell
	faults     int64
	recoveries int64
	resumes    int64
}

// stage is a stage of a run.
type stage struct {
	record.Stage
	first, last   *record.Step
	before, after *record.Evaluation
}

// readFacts reads the record of a run. It refuses what is not a whole record, and
// with ErrNoResult what is one of a run without a result.
func readFacts(run string, trust runlog.Trust) (*facts, error) {
	dir := filepath.Join(run, RecordDir)
	r, err := runlog.OpenReader(dir, trust)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	f := &facts{manifest: r.Manifest}
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = f.add(e)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", dir, err)
		}
	}
	n, root := r.Head()
	f.leaves, f.root = n, hex.EncodeToString(root[:])
	if err := f.settled(r.Summary()); err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	if f.manifestFile, _, err = digestFile(filepath.Join(dir, runlog.ManifestName)); err != nil {
		return nil, err
	}
	f.logFile, _, err = digestFile(filepath.Join(dir, runlog.LogName))
	return f, err
}

// settled refuses a record that has no result, or not yet.
func (f *facts) settled(s runlog.Summary) error {
	switch {
	case f.end == nil:
		return fmt.Errorf("%w: the record has no end, the run is not complete", ErrNoResult)
	case f.end.Status != "complete":
		return fmt.Errorf("%w: the run ended as %s: %.200q", ErrNoResult, f.end.Status, f.end.Reason)
	case f.lastKind != "end":
		return fmt.Errorf("%w: the record goes on after its end, with a %s", ErrNoResult, f.lastKind)
	case s.Signed != s.Leaves || s.Torn != 0:
		return fmt.Errorf("%w: the last head is of %d leaves of %d, with %d bytes of an incomplete entry: the record is not closed", ErrNoResult, s.Signed, s.Leaves, s.Torn)
	case len(f.end.Export) == 0:
		return fmt.Errorf("%w: the record's end names no files of a model", ErrNoResult)
	case len(f.stages) == 0:
		return fmt.Errorf("%w: the record has no stage", ErrNoResult)
	}
	return nil
}

// add takes the next entry. Steps that are taken again replace those that stand
// there: the log has them later.
func (f *facts) add(e *record.Entry) error {
	f.lastKind = e.Kind
	switch b := e.Body.(type) {
	case *record.Begin:
		f.begin = *b
	case *record.Stage:
		return f.addStage(e.Index, b)
	case *record.Step:
		return f.addStep(e, b)
	case *record.Evaluation:
		return f.addEvaluation(e.Index, b)
	case *record.Fault:
		f.faults++
	case *record.Recovery:
		f.recoveries++
		f.stages = f.stages[:min(len(f.stages), b.Stage+1)]
	case *record.Resume:
		f.resumes++
	case *record.End:
		f.end, f.finished = b, e.Time
	}
	return nil
}

// addStage opens a stage; of one that is continued the beginning stays.
func (f *facts) addStage(index int64, b *record.Stage) error {
	switch {
	case b.Stage > len(f.stages):
		return fmt.Errorf("entry %d: stage %d begins after %d stages", index, b.Stage, len(f.stages))
	case b.Stage == len(f.stages):
		f.stages = append(f.stages, stage{Stage: *b})
	}
	return nil
}

// stageOf returns a stage that has begun.
func (f *facts) stageOf(index int64, n int) (*stage, error) {
	if n >= len(f.stages) {
		return nil, fmt.Errorf("entry %d: stage %d of %d that have begun", index, n, len(f.stages))
	}
	return &f.stages[n], nil
}

func (f *facts) addStep(e *record.Entry, b *record.Step) error {
	s, err := f.stageOf(e.Index, b.Stage)
	if err != nil {
		return err
	}
	if s.first == nil || b.Step <= s.first.Step {
		s.first = b
	}
	s.last = b
	if f.first == nil || b.Stage == 0 && b.Step == 0 {
		f.first = e
	}
	f.last = e
	f.steps++
	f.wall += b.Time.Wall
	f.flops += b.FLOPs
	if b.Energy == nil {
		f.noEnergy = true
	} else {
		f.energy += *b.Energy
	}
	return nil
}

func (f *facts) addEvaluation(index int64, b *record.Evaluation) error {
	s, err := f.stageOf(index, b.Stage)
	if err != nil {
		return err
	}
	if s.before == nil || b.Step <= s.before.Step {
		s.before = b
	}
	s.after = b
	return nil
}

// rfc3339 is a time of the record as text, in UTC.
func rfc3339(ms int64) string {
	return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z")
}

// name is what documents call the model: the run's name, and the directory's
// where the run has none.
func (f *facts) name() string {
	if f.manifest.Run != "" {
		return f.manifest.Run
	}
	return ModelDir
}
