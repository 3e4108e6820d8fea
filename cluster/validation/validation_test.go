package validation

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"github.com/temper-ml/temper/cluster/costmodel"
	"github.com/temper-ml/temper/cluster/validation/fit"
)

func fakeValidation(t *testing.T) *Validation {
	t.Helper()
	s, err := fakeSet()
	if err != nil {
		t.Fatal(err)
	}
	v, err := s.Validate()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestValidateRecoversTheTruth(t *testing.T) {
	v := fakeValidation(t)
	product := math.Exp(v.Fit.Theta[0] + v.Fit.Theta[1])
	if math.Abs(product-0.6) > 0.02 {
		t.Errorf("share x rate of a is %v, want 0.6", product)
	}
	if r := math.Exp(v.Fit.Theta[2] - v.Fit.Theta[1]); math.Abs(r-1/1.1) > 0.02 {
		t.Errorf("rate of b over a is %v, want %v", r, 1/1.1)
	}
	before, after := 0.0, 0.0
	for i, o := range v.Outcomes {
		before += math.Abs(v.Before[i])
		after += math.Abs(o.Residual)
		if math.Abs(o.Out) > 0.2 {
			t.Errorf("row %d left out: residual %v", i, o.Out)
		}
	}
	if after > before/3 {
		t.Errorf("sum of residuals %v before, %v after", before, after)
	}
}

func TestIntervalsHoldRowsLeftOut(t *testing.T) {
	v := fakeValidation(t)
	hits := 0
	for _, o := range v.Outcomes {
		if o.OutHit() {
			hits++
		}
		if o.Low >= o.Seconds || o.High <= o.Seconds || o.OutLow >= o.OutHigh {
			t.Fatalf("interval %v to %v around %v", o.Low, o.High, o.Seconds)
		}
	}
	if share := float64(hits) / float64(len(v.Outcomes)); share < 0.8 {
		t.Errorf("%v of the rows left out are in their intervals", share)
	}
}

// TestWidthsOfSimulatedSystems draws systems with a known spread and checks
// that intervals made from some of them hold rows of others as often as said.
func TestWidthsOfSimulatedSystems(t *testing.T) {
	normal := func(k int) float64 { // a fixed sequence with a Gaussian distribution: sums of twelve uniform parts
		sum := -6.0
		for j := 0; j < 12; j++ {
			_, part := math.Modf(math.Abs(math.Sin(float64(12*k+j)*12.9898) * 43758.5453))
			sum += part
		}
		return sum
	}
	hits, n, k := 0, 0, 0
	for trial := 0; trial < 40; trial++ {
		var train, test []sighting
		for system := 0; system < 9; system++ {
			k++
			shift := 0.08 * normal(k)
			for i := 0; i < 1+7*(system%3); i++ {
				k++
				s := sighting{residual: shift + float64(0.04*normal(k)), system: system}
				if system == 8 || system == 7 {
					test = append(test, s)
				} else {
					train = append(train, s)
				}
			}
		}
		w := newWidths(train)
		for _, s := range test {
			low, high := w.Interval(1, costmodel.Novelty{})
			if x := math.Exp(-s.residual); low <= x && x <= high {
				hits++
			}
			n++
		}
	}
	if share := float64(hits) / float64(n); share < 0.82 || share > 0.96 {
		t.Errorf("intervals hold %.3f of the rows of new systems, want 0.82 to 0.96: seven systems tell the spread of systems a little too small", share)
	}
}

func TestWidthsOfLittle(t *testing.T) {
	for _, all := range [][]sighting{nil, {{residual: 0.1}}, {{residual: 0}, {residual: 0}}} {
		w := newWidths(all)
		low, high := w.Interval(2, costmodel.Novelty{MoE: true, Device: true})
		if !(low > 0 && low < 2 && high > 2) || math.IsInf(high, 0) {
			t.Errorf("%v: interval %v to %v around 2", all, low, high)
		}
	}
}

func TestReportIsCompleteAndDeterministic(t *testing.T) {
	v := fakeValidation(t)
	text := v.Markdown("go test", "validation")
	if again := fakeValidation(t).Markdown("go test", "validation"); !bytes.Equal(text, again) {
		t.Error("two reports of the same rows differ")
	}
	lines := strings.Count(string(text), "| llama3-8b |")
	if want := len(v.Outcomes) + worstRows; lines != want {
		t.Errorf("%d lines with a row, want %d: every row once, and the worst", lines, want)
	}
	for name, svg := range v.Figures() {
		if !strings.Contains(string(text), name) {
			t.Errorf("the report does not show %s", name)
		}
		if !bytes.Equal(svg, fakeValidation(t).Figures()[name]) {
			t.Errorf("%s: two drawings differ", name)
		}
	}
	if strings.Contains(string(text), "NaN") || strings.Contains(string(text), "Inf") {
		t.Error("the report holds something that is not a number")
	}
}

func TestWriteResiduals(t *testing.T) {
	v := fakeValidation(t)
	for _, by := range append(GroupNames(), "device+tp") {
		var b bytes.Buffer
		if err := WriteResiduals(&b, v.Outcomes, by); err != nil {
			t.Errorf("%s: %v", by, err)
		}
		if n := strings.Count(b.String(), "\n"); n < 2 {
			t.Errorf("%s: %d lines", by, n)
		}
	}
	if err := WriteResiduals(&bytes.Buffer{}, v.Outcomes, "colour"); err == nil || !strings.Contains(err.Error(), "system") {
		t.Errorf("an unknown grouping: %v", err)
	}
}

func TestErrorsSummary(t *testing.T) {
	e := NewErrors([]float64{0.1, -0.3, math.NaN(), 0.2})
	if e.N != 3 || math.Abs(e.Bias) > 1e-12 || math.Abs(e.Mean-0.2) > 1e-12 || e.Max != 0.3 {
		t.Errorf("errors %+v", e)
	}
	if w := fit.Median(nil); w != 0 {
		t.Errorf("median of nothing is %v", w)
	}
}
