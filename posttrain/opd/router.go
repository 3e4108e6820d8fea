package opd

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/temper-ml/temper/data"
	"github.com/temper-ml/temper/data/source"
)

// Router knows the teachers of every row of some files.
type Router struct {
	files map[string]routes // by path
}

// routes are the teachers of a file's rows.
type routes struct {
	whole []Share         // of every row, where that does not depend on its fields
	lines map[int][]Share // else of the row that begins on a line
	lost  map[int]error   // rows without a teacher
}

// Route finds out which teachers the rows of files have, where paths are where they
// are. It reads them if teachers are chosen by fields.
func (c *Config) Route(ctx context.Context, files, paths []string) (*Router, error) {
	r := &Router{files: map[string]routes{}}
	for i, path := range paths {
		if !c.Reads() {
			shares, err := c.Shares(files[i], nil)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
			r.files[path] = routes{whole: shares}
			continue
		}
		of := routes{lines: map[int][]Share{}, lost: map[int]error{}}
		if err := c.read(ctx, files[i], path, &of); err != nil {
			return nil, err
		}
		r.files[path] = of
	}
	return r, nil
}

// read finds the teachers of the rows of a file.
func (c *Config) read(ctx context.Context, file, path string, to *routes) error {
	f, err := source.Open(path, source.Options{Format: source.PromptFormat}) // any format: nothing is decoded
	if err != nil {
		return err
	}
	defer f.Close()
	same := map[string][]Share{} // rows share what is equal
	for ctx.Err() == nil {
		line, ok, err := f.Next()
		if err != nil || !ok {
			return err
		}
		var fields map[string]json.RawMessage
		if json.Unmarshal([]byte(line.Text), &fields) != nil {
			continue // no row: what reads them says so
		}
		shares, err := c.Shares(file, fields)
		if err != nil {
			to.lost[line.Number] = err
			continue
		}
		key := fmt.Sprint(shares)
		if same[key] == nil {
			same[key] = shares
		}
		to.lines[line.Number] = same[key]
	}
	return ctx.Err()
}

// Of returns the teachers of what comes from a row.
func (r *Router) Of(s data.Source) ([]Share, error) {
	of, ok := r.files[s.File]
	switch shares := of.lines[s.Line]; {
	case !ok:
		return nil, fmt.Errorf("opd: %s is no file of the stage", s)
	case of.whole != nil:
		return of.whole, nil
	case shares != nil:
		return shares, nil
	case of.lost[s.Line] != nil:
		return nil, fmt.Errorf("opd: %s:%d: %w", s.File, s.Line, of.lost[s.Line])
	}
	return nil, fmt.Errorf("opd: %s:%d: no row begins there", s.File, s.Line)
}
