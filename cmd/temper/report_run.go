package main

import (
	"path/filepath"

	"github.com/temper-ml/temper/recipe/execution"
	"github.com/temper-ml/temper/report/render"
	"github.com/temper-ml/temper/report/runlog"
)

// readRun fills a report's run from the record in a run directory. The name is
// that of the directory, which tells runs of one recipe apart.
func readRun(dir string) (*render.Run, error) {
	log, err := runlog.OpenReader(filepath.Join(dir, execution.RecordName), runlog.Trust{})
	if err != nil {
		return nil, err
	}
	defer log.Close()
	f := render.NewFiller(&log.Manifest)
	if _, _, err := runlog.Read(filepath.Join(dir, execution.RecordName), runlog.Trust{}, f.Add); err != nil {
		return nil, err
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	f.Run().Name = filepath.Base(abs)
	return f.Run(), nil
}
