package validation

import (
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/temper-ml/temper/cluster/costmodel"
)

var (
	by    = flag.String("by", "", "print residuals by these groups: names joined by + for one table, by commas for several")
	quick = flag.Bool("quick", false, "with -by: use the constants as they are, without a fit")
)

// realSet prepares every published row.
func realSet(t testing.TB) *Set {
	t.Helper()
	cases, err := Load(dataDir(t))
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewSet(cases, NewCostModel(costmodel.DefaultConstants()))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestResiduals prints tables of errors, to find structure in them:
//
//	go test ./cluster/validation -run TestResiduals -v -by system,model+tp
func TestResiduals(t *testing.T) {
	if *by == "" {
		t.Skip("give -by system,kind,model+tp to print errors by group")
	}
	start := time.Now()
	s := realSet(t)
	t.Logf("prepared %d cases in %v", len(s.Cases), time.Since(start))
	start = time.Now()
	var outcomes []Outcome
	if *quick {
		var err error
		if outcomes, err = s.Predict(); err != nil {
			t.Fatal(err)
		}
	} else {
		v, err := s.Validate()
		if err != nil {
			t.Fatal(err)
		}
		outcomes = v.Outcomes
		t.Logf("loss %.1f from %.1f in %d iterations, widths %+v", v.Fit.Loss, v.Fit.Start, v.Fit.Iterations, v.Widths)
	}
	t.Logf("predicted in %v", time.Since(start))
	for _, table := range strings.Split(*by, ",") {
		if err := WriteResiduals(os.Stdout, outcomes, table); err != nil {
			t.Fatal(err)
		}
	}
}
