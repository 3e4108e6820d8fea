package verify

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/report/record"
)

// checkModel compares the model that a run left with what it trained: each
// tensor with that of the last checkpoint, rounded as it was stored, its
// configuration with the architecture, its tokenizer with the run's. Digests of
// files alone say that a model is the one on record, not that training made it.
func checkModel(root *directory, l *Log, f *finding) {
	if l.End == nil || len(l.End.Export) == 0 || l.End.Status != "complete" {
		f.saw("the record names no model")
		return
	}
	for _, name := range slices.Sorted(maps.Keys(l.End.Export)) {
		if _, err := root.Stat(modelDir + "/" + name); err != nil {
			f.skip(l.EndIndex, "%.200s is not there or cannot be read", modelDir+"/"+name)
			return
		}
	}
	if d := l.End.Export[tokenizerFile]; d != l.Manifest.Tokenizer {
		f.fail(l.EndIndex, "%s/%s has digest %.24s..., the run's tokenizer %.24s...", modelDir, tokenizerFile, d, l.Manifest.Tokenizer)
	}
	if err := sameConfig(root, l.Manifest.Architecture); err != nil {
		f.fail(l.EndIndex, "%s/config.json: %v", modelDir, err)
	}
	last := len(l.Stages) - 1
	k := l.At(Position{last, l.Taken(last)})
	if k == nil || k.Path == "" || !filepath.IsLocal(k.Path) {
		f.skip(l.EndIndex, "the record has no checkpoint of the end to compare the model's tensors with")
		return
	}
	if _, err := root.Stat(k.Path); errors.Is(err, fs.ErrNotExist) {
		f.skip(l.EndIndex, "the last checkpoint, %.200s, is not there to compare the model's tensors with", k.Path)
		return
	}
	n, rounded, err := sameTensors(root, k, l.End.Export)
	if err != nil {
		f.fail(l.EndIndex, "the model is not what the last checkpoint, of entry %d, holds: %v", k.Index, err)
		return
	}
	f.saw("%d tensors are those of the last checkpoint (entry %d), %d of them rounded to bf16; configuration and tokenizer are the run's", n, k.Index, rounded)
}

// sameConfig compares a config.json with the architecture of the manifest, apart
// from what it says of stored number formats.
func sameConfig(root *directory, architecture string) error {
	f, err := openFile(root, modelDir+"/config.json")
	if err != nil {
		return err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, record.MaxSize))
	if err != nil {
		return err
	}
	got, err := arch.ParseConfig(text)
	if err != nil {
		return err
	}
	want, err := arch.ParseConfig([]byte(architecture))
	if err != nil {
		return err
	}
	for _, c := range []*arch.Config{got, want} {
		c.Quantization, c.ExpertDType, c.TorchDType = nil, "", "float32"
	}
	if !bytes.Equal(got.MarshalHF(), want.MarshalHF()) {
		return errors.New("it is not the architecture in the manifest")
	}
	return nil
}

// sameTensors compares all tensors of a model's files with the parameters of a
// checkpoint, whose own digests have been checked.
func sameTensors(root *directory, k *Checkpoint, export map[string]record.Digest) (n, rounded int, err error) {
	_, m, err := readSave(root, k.Path)
	if err != nil {
		return 0, 0, err
	}
	stored, in := newTensorFiles(root, modelDir), map[string]string{}
	defer stored.Close()
	for _, name := range slices.Sorted(maps.Keys(export)) {
		if !strings.HasSuffix(name, ".safetensors") || strings.Contains(name, "/") {
			continue
		}
		f, err := stored.get(name)
		if err != nil {
			return 0, 0, err
		}
		for t := range f.at {
			if in[t] != "" {
				return 0, 0, fmt.Errorf("tensor %.80q is in two files", t)
			}
			in[t] = name
		}
	}
	saved := newTensorFiles(root, k.Path)
	defer saved.Close()
	for i := range m.Tensors {
		t := &m.Tensors[i]
		if isSlot(t.Name) {
			continue
		}
		if in[t.Name] == "" {
			return n, rounded, fmt.Errorf("tensor %.80q is not in the model", t.Name)
		}
		own, err := saved.get(t.File)
		if err != nil {
			return n, rounded, err
		}
		to, err := stored.get(in[t.Name])
		if err != nil {
			return n, rounded, err
		}
		if err := sameValues(own, to, t.Name); err != nil {
			return n, rounded, fmt.Errorf("tensor %.80q: %w", t.Name, err)
		}
		n++
		if to.at[t.Name].dtype == "BF16" {
			rounded++
		}
	}
	if n != len(in) {
		return n, rounded, fmt.Errorf("the model has %d tensors, the checkpoint %d", len(in), n)
	}
	return n, rounded, nil
}

// sameValues compares a tensor of float32 values with what was stored of it.
func sameValues(own, to *tensorFile, name string) error {
	a, b := own.at[name], to.at[name]
	if !slices.Equal(a.shape, b.shape) {
		return fmt.Errorf("shape %v, the checkpoint has %v", b.shape, a.shape)
	}
	const chunk = 1 << 16
	width := int64(dtypes[b.dtype])
	x, y := make([]byte, 4*chunk), make([]byte, width*chunk)
	for at, values := int64(0), (a.hi-a.lo)/4; at < values; at += chunk {
		n := min(chunk, values-at)
		if _, err := own.ReadAt(x[:4*n], a.lo+4*at); err != nil {
			return err
		}
		if _, err := to.ReadAt(y[:width*n], b.lo+width*at); err != nil {
			return err
		}
		for i := range n {
			v := math.Float32frombits(binary.LittleEndian.Uint32(x[4*i:]))
			if !isStored(v, y[width*i:width*(i+1)]) {
				return fmt.Errorf("value %d is %x, the checkpoint has %v", at+i, y[width*i:width*(i+1)], v)
			}
		}
	}
	return nil
}

// isStored reports whether bytes are what a value becomes in a file: float32
// itself, bfloat16 by rounding to nearest and to even, or an integer.
func isStored(v float32, b []byte) bool {
	bits := math.Float32bits(v)
	switch len(b) {
	case 4:
		return binary.LittleEndian.Uint32(b) == bits
	case 2:
		got := binary.LittleEndian.Uint16(b)
		if v != v {
			return got&0x7fff > 0x7f80
		}
		return uint32(got) == (bits+0x7fff+bits>>16&1)>>16
	}
	return float32(int64(binary.LittleEndian.Uint64(b))) == v
}

// isSlot reports whether a tensor of a checkpoint is the optimizer's.
func isSlot(name string) bool {
	return slices.ContainsFunc(slots, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}
