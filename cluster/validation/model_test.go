package validation

import (
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/temper-ml/temper/cluster/costmodel"
	"github.com/temper-ml/temper/cluster/validation/measured"
)

var (
	by    = flag.String("by", "", "print residuals by these groups: names joined by + for one table, by commas for several")
	depth = flag.String("depth", "fit", "with -by: constants (as they are), fit (to all rows) or cross (leave each system out, too)")
)

// realSet prepares every published row.
func realSet(t testing.TB) *Set {
	t.Helper()
	cases, err := measured.Load(dataDir(t))
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
//	go test ./cluster/validation -run TestResiduals -v -by constants,worst -depth cross
func TestResiduals(t *testing.T) {
	if *by == "" {
		t.Skip("give -by system,kind,model+tp to print errors by group")
	}
	start := time.Now()
	s := realSet(t)
	solve, ok := map[string]func() (*Validation, error){"constants": s.Predict, "fit": s.Fitted, "cross": s.Validate}[*depth]
	if !ok {
		t.Fatalf("-depth %q, want constants, fit or cross", *depth)
	}
	v, err := solve()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d cases in %v, loss %.1f from %.1f in %d iterations, widths %+v", len(s.Cases), time.Since(start).Round(time.Millisecond), v.Fit.Loss, v.Fit.Start, v.Fit.Iterations, v.Widths)
	hits, outs := 0, 0
	for i := range v.Outcomes {
		if v.Outcomes[i].Hit() {
			hits++
		}
		if v.Outcomes[i].OutHit() {
			outs++
		}
	}
	t.Logf("intervals hold %d, left out %d", hits, outs)
	for _, table := range strings.Split(*by, ",") {
		var b strings.Builder
		switch {
		case table == "worst":
			v.writeWorst(&b)
		case table == "rows":
			v.writeRows(&b)
		case table == "constants" && v.Fit.StdErr != nil:
			v.writeConstants(&b)
		default:
			if err := WriteResiduals(&b, v.Outcomes, table); err != nil {
				t.Fatal(err)
			}
		}
		fmt.Println(b.String())
	}
}
