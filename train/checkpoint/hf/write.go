package hf

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/temper-ml/temper/compute/dtype"
	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/internal/durable"
	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/train/checkpoint/safetensors"
)

// Options say how a model is written. The zero value is BF16 under DeepSeek
// names, in shards of 5 GB.
type Options struct {
	DType    dtype.DType             // F32 or BF16
	Style    Style                   // names
	MaxShard int64                   // bytes of data per file, about
	CopyFrom string                  // model directory whose tokenizer and generation files are taken along
	Files    map[string][]byte       // more small files to write, by name; they win over copied ones
	Progress func(done, total int64) // called with bytes of data written, now and then; nil = not
}

// Fill provides rows [row, row+rows) of a parameter. Calls come from several
// goroutines at once, in no order, each for other rows.
type Fill func(t *arch.Tensor, row, rows int, dst []float32) error

// Write makes a model directory: config.json, generation_config.json, shards and
// the files of the options. Values come from fill, chunk by chunk. The directory
// must not exist; it appears when everything is on the disk.
func Write(fs durable.FS, path string, c *arch.Config, o Options, fill Fill) error {
	o, err := o.complete()
	if err != nil {
		return err
	}
	c = plainConfig(c, o.DType)
	if err := c.Check(); err != nil {
		return fmt.Errorf("hf: %w", err)
	}
	files, err := o.companions(c)
	if err != nil {
		return err
	}
	all, total := plan(c, o.Style)
	if err := durable.Reserve(path, total); err != nil {
		return fmt.Errorf("hf: %w", err)
	}
	d, err := durable.NewDir(fs, path)
	if err != nil {
		return fmt.Errorf("hf: %w", err)
	}
	defer d.Abort()
	w := &modelWriter{dir: d, fill: fill, total: total, progress: o.Progress}
	if err := w.shards(all, o.MaxShard); err != nil {
		return fmt.Errorf("hf: writing %s: %w", path, err)
	}
	for _, f := range files {
		if err := d.WriteFile(f.name, f.data); err != nil {
			return fmt.Errorf("hf: writing %s: %s: %w", path, f.name, err)
		}
	}
	if err := d.Commit(); err != nil {
		return fmt.Errorf("hf: writing %s: %w", path, err)
	}
	return nil
}

// complete fills in defaults and refuses what cannot be written.
func (o Options) complete() (Options, error) {
	if o.DType.Size() == 0 {
		o.DType = dtype.BF16
	}
	if o.DType != dtype.F32 && o.DType != dtype.BF16 {
		return o, fmt.Errorf("hf: cannot write %v, want BF16 or F32", o.DType)
	}
	if o.Style == "" {
		o.Style = DeepSeek
	}
	if o.MaxShard == 0 {
		o.MaxShard = 5_000_000_000
	}
	if o.MaxShard < 0 {
		return o, fmt.Errorf("hf: shards of %d bytes, want at least 1", o.MaxShard)
	}
	return o, nil
}

// plainConfig is the architecture of the unquantised copy.
func plainConfig(c *arch.Config, dt dtype.DType) *arch.Config {
	plain := *c
	plain.Quantization, plain.ExpertDType = nil, ""
	plain.TorchDType = "bfloat16"
	if dt == dtype.F32 {
		plain.TorchDType = "float32"
	}
	return &plain
}

// planned is one tensor to write.
type planned struct {
	group
	spec safetensors.Spec
}

// plan lists what will be written, and how many bytes of data that is.
func plan(c *arch.Config, style Style) (all []planned, total int64) {
	for _, g := range groups(c, style) {
		p := planned{g, safetensors.Spec{Name: g.name, DType: g.parts[0].DType, Shape: g.shape}}
		all = append(all, p)
		total += p.spec.Size()
	}
	return all, total
}

// modelWriter streams a model into a directory.
type modelWriter struct {
	dir         *durable.Dir
	fill        Fill
	done, total int64
	progress    func(done, total int64)
}

// shards streams all tensors into as many files as they need.
func (w *modelWriter) shards(all []planned, maxBytes int64) error {
	specs := make([]safetensors.Spec, len(all))
	for i := range all {
		specs[i] = all[i].spec
	}
	shards := safetensors.Shards(specs, maxBytes)
	for i, shard := range shards {
		if err := w.shard(safetensors.ShardName(i, len(shards)), shard, all[:len(shard)]); err != nil {
			return err
		}
		all = all[len(shard):]
	}
	if len(shards) == 1 {
		return nil
	}
	return w.dir.WriteFile(safetensors.IndexName, safetensors.Index(shards))
}

func (w *modelWriter) shard(name string, specs []safetensors.Spec, all []planned) error {
	f, err := w.dir.Create(name)
	if err != nil {
		return err
	}
	out, err := safetensors.NewWriter(f, specs, map[string]string{"format": "pt"})
	for i := 0; err == nil && i < len(all); i++ {
		if err = out.Next(all[i].name); err == nil {
			err = w.tensor(out, &all[i].group)
		}
	}
	if err == nil {
		err = out.Close()
	}
	if err != nil {
		f.Discard()
		return fmt.Errorf("%s: %w", name, err)
	}
	return f.Close()
}

// tensor converts a few chunks at a time in parallel, and writes them in order.
func (w *modelWriter) tensor(out io.Writer, g *group) error {
	var chunks []chunk
	for _, t := range g.parts {
		chunks = append(chunks, chunksOf(t)...)
	}
	for batch := range slices.Chunk(chunks, 2*kernel.Threads()) {
		encoded := make([][]byte, len(batch))
		jobs := make([]int, len(batch))
		for i := range jobs {
			jobs[i] = i
		}
		err := each(jobs, func(i int) (err error) { encoded[i], err = encode(batch[i], w.fill); return err })
		if err != nil {
			return err
		}
		for _, b := range encoded {
			n, err := out.Write(b)
			if err != nil {
				return err
			}
			w.done += int64(n)
		}
		if w.progress != nil {
			w.progress(w.done, w.total)
		}
	}
	return nil
}

// encode fills one chunk and converts it to what the file holds.
func encode(k chunk, fill Fill) ([]byte, error) {
	t := k.tensor
	values := make([]float32, k.rows*t.Cols())
	if err := fill(t, k.row, k.rows, values); err != nil {
		return nil, err
	}
	out := make([]byte, 0, len(values)*t.DType.Size())
	switch t.DType {
	case dtype.F32:
		for _, v := range values {
			out = binary.LittleEndian.AppendUint32(out, math.Float32bits(v))
		}
	case dtype.BF16:
		short := make([]uint16, len(values))
		dtype.BF16FromF32(short, values)
		for _, v := range short {
			out = binary.LittleEndian.AppendUint16(out, v)
		}
	case dtype.I64:
		for i, v := range values {
			if float32(int64(v)) != v {
				return nil, fmt.Errorf("value %d of %q is %g, want an integer", i, t.Name, v)
			}
			out = binary.LittleEndian.AppendUint64(out, uint64(int64(v)))
		}
	default:
		return nil, fmt.Errorf("cannot write %q as %v", t.Name, t.DType)
	}
	return out, nil
}
