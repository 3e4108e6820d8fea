package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/temper-ml/temper/internal/durable"
	"github.com/temper-ml/temper/recipe/execution"
	"github.com/temper-ml/temper/report/render"
)

// write makes the files that are asked for and prints their names.
func (f *reportFlags) write(stdout, names io.Writer, dirs []string, runs []*render.Run) error {
	for _, o := range []struct {
		file  string
		write func(w io.Writer) error
	}{
		{f.html, func(w io.Writer) error { return render.HTML(w, runs...) }},
		{f.csv, func(w io.Writer) error { return render.CSV(w, runs...) }},
		{f.prometheus, func(w io.Writer) error { return render.Prometheus(w, runs...) }},
		{f.mlperf, func(w io.Writer) error { return f.log(w, runs[0]) }},
	} {
		if o.file != "" {
			if err := writeOutput(stdout, names, o.file, o.write); err != nil {
				return err
			}
		}
	}
	if f.tensorboard != "" {
		if err := f.events(names, runs); err != nil {
			return err
		}
	}
	if f.out != "" {
		for _, dir := range dirs {
			if err := writeCurves(names, dir, f.out); err != nil {
				return err
			}
		}
	}
	return nil
}

// log writes a run as an MLPerf log.
func (f *reportFlags) log(w io.Writer, r *render.Run) error {
	src, err := os.ReadFile(f.submission)
	if err != nil {
		return usageError{err}
	}
	s, err := render.ParseSubmission(src, f.submission)
	if err != nil {
		return usageError{err}
	}
	return render.MLLOG(w, r, s)
}

// events writes the event files of TensorBoard, of several runs each in a folder.
func (f *reportFlags) events(names io.Writer, runs []*render.Run) error {
	for i, r := range runs {
		dir := filepath.Join(f.tensorboard, fmt.Sprintf("%02d-%s", i+1, filepath.Base(r.Name)))
		if len(runs) == 1 {
			dir = f.tensorboard
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		name := filepath.Join(dir, render.TensorBoardName(r))
		if err := writeOutput(nil, names, name, func(w io.Writer) error { return render.TensorBoard(w, r) }); err != nil {
			return err
		}
	}
	return nil
}

// writeOutput writes a file whole or not at all and prints its name, or writes
// to standard output for "-".
func writeOutput(stdout, names io.Writer, name string, write func(io.Writer) error) error {
	var b bytes.Buffer
	if err := write(&b); err != nil {
		return err
	}
	if name == "-" {
		_, err := stdout.Write(b.Bytes())
		return err
	}
	if err := durable.WriteFile(durable.OS, name, b.Bytes()); err != nil {
		return err
	}
	fmt.Fprintln(names, name)
	return nil
}

func writeCurves(w io.Writer, run, out string) error {
	curves, err := execution.Curves(run)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	for i := range curves {
		c := &curves[i]
		base := filepath.Join(out, filepath.Base(run)+"-"+filepath.Base(c.Name))
		if err := writeCurve(w, c, base); err != nil {
			return err
		}
	}
	return nil
}

func writeCurve(w io.Writer, c *execution.Curve, base string) error {
	if err := writeOutput(nil, w, base+".csv", c.CSV); err != nil {
		return err
	}
	return writeOutput(nil, w, base+".svg", func(w io.Writer) error { return c.SVG(w, filepath.Base(base)) })
}
