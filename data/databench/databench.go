// Package databench measures the path from a data file to packed rows: reading
// and parsing, rendering and tokenising and masking, packing, and the token
// cache. All figures of a run come from the same file on the same machine, and
// each is the best of several passes: what else runs there only adds time.
package databench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"time"

	"github.com/temper-ml/temper/data"
	"github.com/temper-ml/temper/data/chat"
	"github.com/temper-ml/temper/data/source"
	"github.com/temper-ml/temper/internal/detrand"
)

// Result is one measured figure. Value is the best pass; Min and Median are over
// all passes, in the same unit.
type Result struct {
	Name        string
	Value       float64
	Unit        string
	Min, Median float64
	N           int
}

// Options say what to measure.
type Options struct {
	Tokenizer data.Tokenizer // nil: bytes
	// Path is a data file and Mapping how to read it; empty: rows of two
	// sentences and a short answer, made up and always the same.
	Path    string
	Mapping map[string]string
	SeqLen  int // default 4096
	Workers int // default one a processor
	Passes  int // default 7
}

func (o Options) withDefaults() Options {
	if o.Tokenizer == nil {
		o.Tokenizer = data.NewBytes(chat.V4{})
	}
	if o.SeqLen == 0 {
		o.SeqLen = 4096
	}
	if o.Passes == 0 {
		o.Passes = 7
	}
	return o
}

// Run measures, stage by stage. The figure to compare is "data": rows a second
// from the file to packed rows.
func Run(ctx context.Context, o Options) ([]Result, error) {
	o = o.withDefaults()
	dir, err := os.MkdirTemp("", "temper-databench-")
	if err != nil {
		return nil, fmt.Errorf("databench: %w", err)
	}
	defer os.RemoveAll(dir)
	if o.Path == "" {
		o.Path = filepath.Join(dir, "rows.jsonl")
		if err := os.WriteFile(o.Path, madeUp(7500), 0o666); err != nil {
			return nil, fmt.Errorf("databench: %w", err)
		}
	}
	b := bench{opts: o, loader: data.Loader{
		Tokenizer: o.Tokenizer, Encoding: chat.V4{}, Workers: o.Workers,
		Options: data.Options{Source: source.Options{Mapping: o.Mapping}},
	}, cached: filepath.Join(dir, "cache")}
	stages := []struct {
		name, unit string
		pass       func(context.Context) (count int64, err error)
	}{
		{"data/parse", "rows/s", b.parse},
		{"data", "rows/s", b.rows},
		{"data/tokens", "tokens/s", b.tokens},
		{"data/pack", "examples/s", b.pack},
		{"data/cache", "tokens/s", b.fromCache},
	}
	var results []Result
	for _, s := range stages {
		r, err := measure(ctx, o.Passes, s.pass)
		if err != nil {
			return nil, fmt.Errorf("databench: %s: %w", s.name, err)
		}
		r.Name, r.Unit = s.name, s.unit
		results = append(results, r)
	}
	return results, nil
}

// measure runs passes and turns counts and times into rates.
func measure(ctx context.Context, passes int, pass func(context.Context) (int64, error)) (Result, error) {
	rates := make([]float64, 0, passes)
	for range passes {
		start := time.Now()
		n, err := pass(ctx)
		if err != nil {
			return Result{}, err
		}
		rates = append(rates, float64(n)/time.Since(start).Seconds())
	}
	sort.Float64s(rates)
	return Result{Value: rates[len(rates)-1], Min: rates[0], Median: rates[len(rates)/2], N: passes}, nil
}

type bench struct {
	opts   Options
	loader data.Loader
	set    *data.Dataset
	cached string
}

// parse reads and decodes all rows on one goroutine.
func (b *bench) parse(context.Context) (int64, error) {
	f, err := source.Open(b.opts.Path, b.loader.Options.Source)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	n := int64(0)
	for {
		line, ok, err := f.Next()
		if err != nil || !ok {
			return n, err
		}
		rows, err := f.Decoder().Decode(line)
		if err != nil {
			return n, err
		}
		n += int64(len(rows))
	}
}

func (b *bench) load(ctx context.Context) (*data.Report, error) {
	set, report, err := b.loader.Load(ctx, b.opts.Path)
	if err != nil {
		return nil, err
	}
	b.set = set
	_, err = data.NewStream(set, data.StreamConfig{SeqLen: b.opts.SeqLen, Rows: 1})
	return report, err
}

func (b *bench) rows(ctx context.Context) (int64, error) {
	r, err := b.load(ctx)
	if err != nil {
		return 0, err
	}
	return r.Rows, nil
}

func (b *bench) tokens(ctx context.Context) (int64, error) {
	r, err := b.load(ctx)
	if err != nil {
		return 0, err
	}
	return r.Tokens, nil
}

func (b *bench) pack(context.Context) (int64, error) {
	s, err := data.NewStream(b.set, data.StreamConfig{SeqLen: b.opts.SeqLen, Rows: 1})
	if err != nil {
		return 0, err
	}
	return int64(s.Packing().Examples), nil
}

func (b *bench) fromCache(ctx context.Context) (int64, error) {
	l := b.loader
	l.CacheDir = b.cached
	set, r, err := l.Load(ctx, b.opts.Path)
	if err != nil {
		return 0, err
	}
	if set.Digest() != b.set.Digest() {
		return 0, errors.New("the cache gives other examples than the file")
	}
	return r.Tokens, nil
}

// madeUp writes rows of a few sums in words.
func madeUp(rows int) []byte {
	r := detrand.Key(0, "databench")
	names := []string{"Ada", "Bo", "Chen", "Dina", "Emre", "Fatou", "Gita", "Hugo"}
	things := []string{"apples", "books", "coins", "lamps", "maps", "pens", "stones", "tickets"}
	var out []byte
	for i := range rows {
		at := func(j int) int { return int(r.Uint64nAt(uint64(i*8+j), 97)) + 2 }
		a, b, c := at(0), at(1), at(2)
		who, what := names[at(3)%len(names)], things[at(4)%len(things)]
		row := map[string]string{
			"prompt": fmt.Sprintf("%s has %d boxes with %d %s in each and gives away %d of the %s on the way home. How many %s are left when %s arrives, if nothing else is lost?",
				who, a, b, what, c, what, what, who),
			"response": fmt.Sprintf("%s begins with %d times %d, which is %d %s.\nAfter giving away %d there are %d - %d = %d %s left.\n#### %d",
				who, a, b, a*b, what, c, a*b, c, int64(a)*int64(b)-int64(c), what, int64(a)*int64(b)-int64(c)),
		}
		line, err := json.Marshal(row)
		if err != nil {
			panic("databench: a row cannot be written as JSON")
		}
		out = append(append(out, line...), '\n')
	}
	return out
}

// Write prints results for people.
func Write(w io.Writer, results []Result) error {
	for _, r := range results {
		if _, err := fmt.Fprintf(w, "%-12s %14.0f %-10s (median %.0f, least %.0f, %d passes)\n", r.Name, r.Value, r.Unit, r.Median, r.Min, r.N); err != nil {
			return err
		}
	}
	return nil
}
