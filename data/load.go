package data

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"github.com/temper-ml/temper/data/chat"
	"github.com/temper-ml/temper/data/source"
	"github.com/temper-ml/temper/internal/durable"
)

// Loader reads files into data sets.
type Loader struct {
	Tokenizer Tokenizer
	Encoding  chat.Encoding
	Options   Options
	Workers   int    // goroutines that parse and tokenise; 0: one a processor
	CacheDir  string // where token caches are kept; empty: none
	// FS is the disk that caches are written to; nil: the machine's.
	FS durable.FS
}

// Load reads the files in order into one data set. The result does not depend
// on Workers or on the cache.
func (l *Loader) Load(ctx context.Context, paths ...string) (*Dataset, *Report, error) {
	if len(paths) == 0 {
		return nil, nil, fmt.Errorf("data: no files to load")
	}
	b, err := NewBuilder(l.Tokenizer, l.Encoding, l.Options)
	if err != nil {
		return nil, nil, err
	}
	d := &Dataset{files: paths, options: l.Options.canonical()}
	report := &Report{FromCache: true}
	for i, path := range paths {
		kind, cols, r, err := l.file(ctx, b, path)
		if err != nil {
			return nil, nil, err
		}
		if i > 0 && kind != d.kind {
			return nil, nil, fmt.Errorf("data: %s holds %s rows, %s holds %s rows: load them separately", paths[0], d.kind, path, kind)
		}
		d.kind = kind
		if i == 0 {
			d.cols = *cols
		} else {
			d.cols.join(cols, int32(i))
		}
		report.add(r)
		report.Files = append(report.Files, r.Rows)
		report.FromCache = report.FromCache && r.FromCache
	}
	if d.Len() == 0 {
		return nil, nil, fmt.Errorf("data: %s: no row is left to train on: %d too long, %d bad", paths[0], report.TooLong+report.Unlearnt, report.Bad)
	}
	d.digest = d.cols.digest(d.kind)
	return d, report, nil
}

// file loads one file through the cache.
func (l *Loader) file(ctx context.Context, b *Builder, path string) (source.Kind, *columns, *Report, error) {
	if l.CacheDir == "" {
		return l.build(ctx, b, path)
	}
	key, err := l.cacheKey(path)
	if err != nil {
		return 0, nil, nil, err
	}
	if kind, cols, r, err := readCache(l.CacheDir, key); err == nil {
		r.FromCache = true
		return kind, cols, r, nil
	}
	kind, cols, r, err := l.build(ctx, b, path)
	if err != nil {
		return 0, nil, nil, err
	}
	if again, err := l.cacheKey(path); err != nil || again != key {
		return 0, nil, nil, fmt.Errorf("data: %s changed while it was read: load it again", path)
	}
	fs := l.FS
	if fs == nil {
		fs = durable.OS
	}
	return kind, cols, r, writeCache(fs, l.CacheDir, key, kind, cols, r)
}

// block is a run of consecutive lines and what became of them.
type block struct {
	path      string
	lines     []source.Line
	kind      source.Kind
	rows      int
	cols      columns
	questions []Question
	report    Report
	errs      []error
	done      chan struct{}
}

const (
	blockLines = 128
	blockBytes = 256 << 10
)

// build reads one file into examples.
func (l *Loader) build(ctx context.Context, b *Builder, path string) (source.Kind, *columns, *Report, error) {
	j := joiner{path: path, skip: l.Options.BadRows == SkipRows}
	if err := j.finish(l.blocks(ctx, path, l.Options.Source, b.run, j.join)); err != nil {
		return 0, nil, nil, err
	}
	return j.kind, joined(j.parts), &j.report, ctx.Err()
}

// blocks reads one file: one goroutine reads lines, several run blocks of lines, the
// caller joins the blocks in order. An error of reading comes after the blocks
// before it.
func (l *Loader) blocks(ctx context.Context, path string, o source.Options, run func(*source.File, *block), join func(*block)) error {
	f, err := source.Open(path, o)
	if err != nil {
		return err
	}
	defer f.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	workers := l.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	todo := make(chan *block, workers)
	ordered := make(chan *block, 2*workers)
	var readErr error
	go func() {
		defer close(todo)
		defer close(ordered)
		readErr = readBlocks(ctx, f, todo, ordered)
	}()
	for range workers {
		go func() {
			for blk := range todo {
				run(f, blk)
				close(blk.done)
			}
		}()
	}
	for blk := range ordered {
		<-blk.done
		join(blk)
	}
	return readErr
}

// readBlocks sends blocks to the workers and, in order, to the joiner.
func readBlocks(ctx context.Context, f *source.File, todo, ordered chan<- *block) error {
	for {
		blk := &block{done: make(chan struct{})}
		var err error
		ok, size := true, 0
		for ok && err == nil && len(blk.lines) < blockLines && size < blockBytes {
			var line source.Line
			if line, ok, err = f.Next(); ok && err == nil {
				blk.lines = append(blk.lines, line)
				size += len(line.Text)
			}
		}
		if len(blk.lines) > 0 {
			select {
			case ordered <- blk:
				todo <- blk
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if err != nil || !ok {
			return err
		}
	}
}

// joiner puts blocks together.
type joiner struct {
	path   string
	skip   bool // leave bad rows out
	seen   bool
	kind   source.Kind
	parts  []columns
	report Report
	bad    RowErrors
}

func (j *joiner) join(blk *block) {
	if blk.rows > 0 && !j.seen {
		j.kind, j.seen = blk.kind, true
	}
	if blk.rows > 0 && blk.kind != j.kind {
		panic("data: rows of two kinds from one format")
	}
	j.parts = append(j.parts, blk.cols)
	for _, err := range blk.errs {
		if j.skip {
			blk.report.Bad++
			if len(blk.report.FirstBad) < listedErrors {
				blk.report.FirstBad = append(blk.report.FirstBad, err.Error())
			}
			continue
		}
		if len(j.bad.Errors) < listedErrors {
			j.bad.Errors = append(j.bad.Errors, err)
		} else {
			j.bad.More++
		}
	}
	j.report.add(&blk.report)
	blk.lines, blk.cols, blk.questions = nil, columns{}, nil
}

// finish returns what makes the file unusable. An error of reading ends the
// file early and is never skipped, but for an empty line.
func (j *joiner) finish(readErr error) error {
	var row *source.Error
	if readErr != nil && errors.As(readErr, &row) && len(j.bad.Errors) > 0 {
		j.bad.Errors = append(j.bad.Errors, readErr)
		readErr = nil
	}
	if readErr != nil {
		return readErr
	}
	if len(j.bad.Errors) > 0 {
		return &j.bad
	}
	return nil
}
