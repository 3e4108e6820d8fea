package databench_test

import (
	"os"
	"testing"

	"github.com/temper-ml/temper/data/databench"
)

func TestEveryStageIsMeasured(t *testing.T) {
	results, err := databench.Run(t.Context(), databench.Options{Passes: 2})
	if err != nil {
		t.Fatal(err)
	}
	if len(results) != 5 {
		t.Fatalf("%d results, want 5", len(results))
	}
	for _, r := range results {
		if r.Value <= 0 || r.Min > r.Median || r.Median > r.Value || r.N != 2 {
			t.Errorf("%+v: want 0 < min <= median <= value", r)
		}
	}
	if err := databench.Write(os.Stderr, results); err != nil {
		t.Fatal(err)
	}
}
