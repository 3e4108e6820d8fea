package verify

import (
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/temper-ml/temper/report/record"
)

// FuzzSave gives whatever bytes as the files of a checkpoint.
func FuzzSave(f *testing.F) {
	header := `{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`
	data := append(binary.LittleEndian.AppendUint64(nil, uint64(len(header))), header...)
	data = append(data, 0, 0, 128, 63)
	f.Add(`{"format":"temper training state 1","step":3,"meta":{"updates":3},"tensors":[{"name":"a","shape":[1],"file":"d","sha256":"0"}]}`, data)
	f.Add(`{"format":"temper training state 1","step":3,"tensors":[{"name":"a","shape":[1],"file":"../d"}]}`, data)
	f.Add(`{}`, binary.LittleEndian.AppendUint64(nil, math.MaxUint64))
	f.Fuzz(func(t *testing.T, manifest string, data []byte) {
		dir := t.TempDir()
		sum := strings.TrimPrefix(string(record.SHA256([]byte(manifest))), "sha256:")
		for name, text := range map[string]string{"manifest.json": `{"sha256": "` + sum + `", "manifest": ` + manifest + "}\n", "d": string(data)} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		opened, err := os.OpenRoot(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer opened.Close()
		root := &directory{opened, t.Context()}
		k := &Checkpoint{}
		k.Checkpoint.Step, k.Parameters = 3, record.SHA256(nil)
		if _, _, err := checkSave(root, k, claims{step: &record.Step{Step: 2, Parameters: k.Parameters}, period: 2}); err == nil {
			t.Error("a checkpoint has whatever digest")
		}
	})
}

// FuzzRecipe gives whatever text as a recipe.
func FuzzRecipe(f *testing.F) {
	f.Add("name: a\nseed: 1\nstages:\n  - name: s\n    epochs: 1e300\n    data:\n      rows: 1\n")
	f.Add("stages: [{lr: {peak: .nan}}]")
	f.Add("a: &a\n  b: *a\n")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := readRecipe(text)
		if err != nil {
			return
		}
		for i := range r.Stages {
			s := &r.Stages[i]
			l := s.schedule()
			_ = s.contradicts(&record.Stage{Rows: 1 << 40})
			learningRate(&l, 5, s.stageSteps(7))
		}
	})
}
