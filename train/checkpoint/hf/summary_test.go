package hf

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/temper-ml/temper/compute/dtype"
)

func TestInspect(t *testing.T) {
	c := small()
	dir := write(t, c, Options{DType: dtype.F32, MaxShard: 500_000})
	s, err := Inspect(dir, 256)
	if err != nil {
		t.Fatal(err)
	}
	total, mtp, active := c.Count()
	if s.Parameters.Total != total || s.Parameters.MTP != mtp || s.Parameters.Active != active {
		t.Errorf("parameters %+v", s.Parameters)
	}
	var values int64
	count := 0
	for _, g := range s.Groups {
		values += g.Values
		count += g.Count
	}
	table := int64(c.VocabSize * c.TopK)
	if values != total+mtp+table || count != len(c.Tensors()) {
		t.Errorf("groups hold %d values in %d tensors, want %d in %d", values, count, total+mtp+table, len(c.Tensors()))
	}
	if s.Stored == nil || s.Stored.Tensors != count || s.Stored.Bytes != 4*values+4*table {
		t.Errorf("stored %+v", s.Stored)
	}
	if s.Attention["csa"] != 2 || s.Attention["hca"] != 1 || s.Attention["window"] != 1 {
		t.Errorf("attention %v", s.Attention)
	}
	// The configuration alone is enough, except for what only files can tell.
	alone, err := Inspect(filepath.Join(dir, "config.json"), 256)
	if err != nil || alone.Stored != nil || alone.Parameters != s.Parameters || alone.FLOPsPerToken["ledger"] != s.FLOPsPerToken["ledger"] {
		t.Errorf("from config.json: %+v, %v", alone, err)
	}
	shards, err := filepath.Glob(filepath.Join(dir, "*.safetensors"))
	if err != nil || len(shards) < 2 {
		t.Fatalf("shards are %v, %v", shards, err)
	}
	if err := os.Remove(shards[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := Inspect(dir, 256); err == nil {
		t.Error("a missing shard was not noticed")
	}
}
