package checkpoint

import (
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"github.com/temper-ml/temper/compute/dtype"
	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/internal/durable"
	"github.com/temper-ml/temper/train/checkpoint/safetensors"
)

// Saved tells what [Store.Save] did.
type Saved struct {
	Entry
	Bytes   int64 // of data
	Warning error // an old save that could not be removed; the new one is safe
}

// Save writes the state. When it returns without error the save is on the disk;
// when it returns an error, earlier saves are as they were, and the new one is
// there completely or not at all. The tensors must not change meanwhile; no copy
// of them is made.
func (s *Store) Save(state *State) (*Saved, error) {
	if err := state.check(); err != nil {
		return nil, err
	}
	if err := durable.RemoveStale(s.opt.FS, s.dir, stalePrefix); err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	entries, err := List(s.dir)
	if err != nil {
		return nil, err
	}
	if err := durable.Reserve(s.dir, state.bytes()); err != nil {
		return nil, fmt.Errorf("checkpoint: saving step %d: %w", state.Step, err)
	}
	number := 1
	if len(entries) > 0 {
		number = entries[0].Number + 1
	}
	saved := &Saved{Entry: Entry{filepath.Join(s.dir, nameOf(number, state.Step)), number, state.Step}}
	d, err := durable.NewDir(s.opt.FS, saved.Path)
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	defer d.Abort()
	if saved.Bytes, err = s.write(d, state); err != nil {
		return nil, fmt.Errorf("checkpoint: saving step %d: %w", state.Step, err)
	}
	if err := d.Commit(); err != nil {
		return nil, fmt.Errorf("checkpoint: saving step %d: %w", state.Step, err)
	}
	saved.Warning = s.prune()
	return saved, nil
}

// write streams data files and manifest, and returns the bytes of data.
func (s *Store) write(d *durable.Dir, state *State) (int64, error) {
	m := &manifest{Format: formatName, Step: state.Step, Meta: state.Meta, Tensors: []item{}}
	specs := make([]safetensors.Spec, len(state.Tensors))
	for i, t := range state.Tensors {
		specs[i] = safetensors.Spec{Name: t.Name, DType: dtype.F32, Shape: t.Shape}
	}
	var total int64
	left := state.Tensors
	shards := safetensors.Shards(specs, s.opt.MaxFile)
	for i, shard := range shards {
		name := fmt.Sprintf("data-%05d-of-%05d.safetensors", i+1, len(shards))
		sums, err := writeFile(d, name, shard, left[:len(shard)])
		if err != nil {
			return 0, err
		}
		for j, t := range left[:len(shard)] {
			m.Tensors = append(m.Tensors, item{t.Name, append([]int{}, t.Shape...), name, sums[j].String()})
			total += shard[j].Size()
		}
		left = left[len(shard):]
	}
	text, err := m.encode()
	if err != nil {
		return 0, err
	}
	return total, d.WriteFile(ManifestName, text)
}

// writeFile streams one data file and returns the digests of its tensors.
func writeFile(d *durable.Dir, name string, specs []safetensors.Spec, tensors []Tensor) ([]Sum, error) {
	f, err := d.Create(name)
	if err != nil {
		return nil, err
	}
	sums := make([]Sum, len(tensors))
	w, err := safetensors.NewWriter(f, specs, nil)
	for i := 0; err == nil && i < len(tensors); i++ {
		if err = w.Next(tensors[i].Name); err == nil {
			sums[i], err = writeTensor(w, tensors[i].Data)
		}
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		f.Discard()
		return nil, err
	}
	return sums, f.Close()
}

// writeTensor encodes and hashes a few leaves at a time in parallel, and writes
// them in order.
func writeTensor(w io.Writer, data []float32) (Sum, error) {
	leaves := make([]Sum, leafCount(len(data)))
	width := min(len(leaves), 2*kernel.Threads())
	bufs := make([][]byte, width)
	for i := range bufs {
		buf := leafBuffers.Get().(*[4 * leafValues]byte)
		defer leafBuffers.Put(buf)
		bufs[i] = buf[:0]
	}
	index := make([]int, len(leaves))
	for i := range index {
		index[i] = i
	}
	for batch := range slices.Chunk(index, max(1, width)) {
		kernel.Parallel(len(batch), 1, func(lo, hi int) {
			for i := lo; i < hi; i++ {
				bufs[i] = encodeLeaf(bufs[i], leaf(data, batch[i]))
				leaves[batch[i]] = hashLeaf(bufs[i])
			}
		})
		for i := range batch {
			if _, err := w.Write(bufs[i]); err != nil {
				return Sum{}, err
			}
		}
	}
	return root(len(data), leaves), nil
}
