package execution

import (
	"context"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/temper-ml/temper/train/checkpoint"
)

func TestSavesForVerifiersStay(t *testing.T) {
	r := setup(t)
	r.Checkpoint.KeepEvery = 2
	dir := filepath.Join(t.TempDir(), "run")
	checked, err := Check(context.Background(), r, dir)
	if err != nil {
		t.Fatal(err)
	}
	execute(t, r, dir)
	for i, stage := range []string{"00-base", "01-sft"} {
		entries, err := checkpoint.List(filepath.Join(dir, "checkpoints", stage))
		if err != nil {
			t.Fatal(err)
		}
		var got, want []int64
		for _, e := range entries {
			got = append(got, e.Step)
		}
		for step := checked.Stages[i].Steps; step > 0; step-- {
			if step == checked.Stages[i].Steps || step%2 == 0 {
				want = append(want, step)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: saves of steps %v stay, want %v", stage, got, want)
		}
	}
	var used int64
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".safetensors") {
			return err
		}
		info, err := d.Info()
		used += info.Size()
		return err
	})
	if err != nil || used == 0 || used > checked.DiskBytes {
		t.Errorf("the run takes %d bytes of disk, %d were predicted at most, %v", used, checked.DiskBytes, err)
	}
}
