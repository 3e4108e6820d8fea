package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/temper-ml/temper/recipe/execution"
	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/runlog"
	"github.com/temper-ml/temper/train"
	"github.com/temper-ml/temper/train/stepbench"
)

// stepRecord is a record of steps that nobody keeps.
type stepRecord struct {
	dir string
	log *runlog.Writer

	steps int
}

// recordedSteps is stepbench.Run with every step put on record.
func recordedSteps(ctx context.Context, o stepbench.Options) ([]stepbench.Result, error) {
	s, err := newStepRecord(o.Digest)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	o.Record = s.add
	results, err := stepbench.Run(ctx, o)
	if err != nil {
		return nil, err
	}
	size, err := s.size()
	return append(results, size), err
}

func newStepRecord(period int) (*stepRecord, error) {
	k, err := runlog.NewKey()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "temper-bench-")
	if err != nil {
		return nil, err
	}
	m := &record.Manifest{Run: "bench", Ranks: 1, Mesh: record.One(), DigestPeriod: int64(period), Clock: "system"}
	log, err := runlog.Create(filepath.Join(dir, execution.RecordName), m, k, runlog.Options{Interval: 10 * time.Second})
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return &stepRecord{dir: dir, log: log}, nil
}

// add puts a step on record.
func (s *stepRecord) add(r *train.Result) error {
	const peak = 1e12 // its value does not matter here
	s.steps++
	_, err := s.log.Append(execution.MeasuredStepEntry(0, r, peak))
	return err
}

// size is the bytes of a step's entry.
func (s *stepRecord) size() (stepbench.Result, error) {
	info, err := os.Stat(filepath.Join(s.dir, execution.RecordName, runlog.LogName))
	if err != nil {
		return stepbench.Result{}, err
	}
	mean := float64(info.Size()) / float64(s.steps)
	return stepbench.Result{Name: "step/record_bytes", Value: mean, Unit: "B", Min: mean, Median: mean, N: s.steps}, nil
}

// Close removes the record.
func (s *stepRecord) Close() error { return errors.Join(s.log.Close(), os.RemoveAll(s.dir)) }
