package deepseek

import (
	"slices"
	"testing"

	"github.com/temper-ml/temper/model/arch"
)

// A model initialised row by row, on disk, is the model initialised in memory.
func TestInitRowsEqualsInit(t *testing.T) {
	cfg := arch.TinyV4(96)
	m, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	m.Init(7)
	for _, p := range m.Params() {
		got := make([]float32, p.Len())
		for row := 0; row < p.Rows(); row += 5 {
			n := min(5, p.Rows()-row)
			InitRows(cfg, &p.Tensor, 7, row, n, got[row*p.Cols():(row+n)*p.Cols()])
		}
		if !slices.Equal(got, p.Data) {
			t.Errorf("%s differs", p.Name)
		}
	}
}
