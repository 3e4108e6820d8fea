package hf

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/train/checkpoint/safetensors"
)

// The whole published inventory of V4-Flash, 160 GB of it, opens and reads at
// full scale: the files are real, their data are holes.
func TestOpensFlashAtFullScale(t *testing.T) {
	if testing.Short() {
		t.Skip("makes large sparse files")
	}
	c, err := arch.Builtin("deepseek-v4-flash")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	sparse(t, dir, c)
	s := open(t, dir)
	names := 0
	for _, f := range s.Files() {
		names += len(f.Tensors())
	}
	if want := 67_612 + 1_575; names != want || len(s.tensors) != len(c.Tensors()) {
		t.Errorf("%d tensors in the files, want %d", names, want)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, name := range []string{"layers.42.ffn.experts.255.w2.weight", "layers.5.attn.wo_a.weight", "layers.0.ffn.gate.tid2eid", "mtp.0.e_proj.weight"} {
		x := s.byName[name].tensor
		dst := make([]float32, 128*x.Cols())
		if err := s.ReadRows(x, x.Rows()-128, 128, dst); err != nil {
			t.Error(err)
		}
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 32<<20 {
		t.Errorf("reading four times 128 rows took %d bytes of memory", used)
	}
}

// sparse writes the published form of the model with holes for data.
func sparse(t *testing.T, dir string, c *arch.Config) {
	t.Helper()
	var specs []safetensors.Spec
	for p := range c.Published(true) {
		specs = append(specs, safetensors.Spec{Name: p.Name, DType: p.DType, Shape: p.Shape})
	}
	shards := safetensors.Shards(specs, 4_000_000_000)
	for i, shard := range shards {
		path := filepath.Join(dir, safetensors.ShardName(i, len(shards)))
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := safetensors.NewWriter(f, shard, nil); err != nil {
			t.Fatal(err)
		}
		stat, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		size := stat.Size()
		for j := range shard {
			size += shard[j].Size()
		}
		if err := f.Truncate(size); err != nil {
			t.Skipf("this file system makes no sparse files: %v", err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for name, data := range map[string][]byte{safetensors.IndexName: safetensors.Index(shards), "config.json": c.MarshalHF()} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
}
