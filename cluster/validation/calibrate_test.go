package validation

import (
	"math"
	"strings"
	"testing"

	"github.com/temper-ml/temper/cluster/costmodel"
	"github.com/temper-ml/temper/cluster/validation/measured"
)

// site measures layouts of a 64-GPU machine whose products and links are not
// those of the constants: what the cost model itself says under other ones.
func site(t *testing.T, change map[string]float64) []measured.Case {
	t.Helper()
	k := costmodel.DefaultConstants()
	values := map[string]float64{}
	for name, f := range change {
		values[name] = f * k.Value(name, "")
	}
	k, err := k.With(values)
	if err != nil {
		t.Fatal(err)
	}
	var cases []measured.Case
	for _, l := range []struct{ tp, pp, mbs int }{{1, 1, 1}, {2, 1, 1}, {4, 1, 2}, {8, 1, 4}, {2, 2, 1}, {1, 4, 2}, {4, 4, 1}} {
		c := planned()
		c.Devices, c.GlobalBatch, c.System = 64, 256, "site"
		c.TP, c.PP, c.MicroBatch = l.tp, l.pp, l.mbs
		c.DP = c.Devices / (c.TP * c.PP)
		m, err := NewCostModel(k).Prepare(&c)
		if err != nil {
			t.Fatal(err)
		}
		c.Seconds = m.(*modelled).step.Seconds
		cases = append(cases, c)
	}
	return cases
}

func TestCalibrateFindsTheSite(t *testing.T) {
	base := costmodel.DefaultConstants()
	cases := site(t, map[string]float64{"product.energy": 1.12, "link.inner": 0.7, "overlap.tp": 0.8})
	held := cases[3]
	c, err := Calibrate(base, append(cases[:3:3], cases[4:]...))
	if err != nil {
		t.Fatal(err)
	}
	if c.Before.Mean < 0.03 || c.After.Mean > 0.01 || c.Out.Mean > 0.03 {
		t.Errorf("errors %v before, %v after, %v left out", c.Before.Mean, c.After.Mean, c.Out.Mean)
	}
	m, err := NewCostModel(c.Constants).Prepare(&held)
	if err != nil {
		t.Fatal(err)
	}
	step := m.(*modelled).step
	if was, err := NewCostModel(base).Prepare(&held); err != nil {
		t.Fatal(err)
	} else if before, after := math.Abs(was.(*modelled).step.Seconds/held.Seconds-1), math.Abs(step.Seconds/held.Seconds-1); after > before/2 {
		t.Errorf("a layout that was not measured is off by %v, before the calibration by %v", after, before)
	}
	if held.Seconds < step.Low || held.Seconds > step.High {
		t.Errorf("interval %v to %v misses %v", step.Low, step.High, held.Seconds)
	}
	low, high := base.Widths().Interval(1, costmodel.Novelty{})
	if l, h := c.Constants.Widths().Interval(1, costmodel.Novelty{}); l < low || h > high {
		t.Errorf("interval grew by calibration: %v to %v from %v to %v", l, h, low, high)
	}
	var text strings.Builder
	if err := c.Write(&text); err != nil || !strings.Contains(text.String(), "calibrated on 6 layouts") || !strings.Contains(text.String(), c.Moved[0].Name) {
		t.Errorf("%v\n%s", err, text.String())
	}
}

func TestCalibrateLeavesTheRestAlone(t *testing.T) {
	base := costmodel.DefaultConstants()
	c, err := Calibrate(base, site(t, map[string]float64{"product.share": 0.8})[:1])
	if err != nil {
		t.Fatal(err)
	}
	moved := map[string]bool{}
	for _, m := range c.Moved {
		moved[m.Name] = true
		if m.Learned < 0.05 {
			t.Errorf("%s moved, but only %v was learned", m.Name, m.Learned)
		}
	}
	for _, k := range base.All() {
		if v := c.Constants.Value(k.Name, ""); !moved[k.Name] && v != k.Value {
			t.Errorf("%s moved from %v to %v without being told", k.Name, k.Value, v)
		}
	}
	for _, name := range []string{"routing.natural", "product.blockwise", "overlap.ep", "attention.wide"} {
		if moved[name] {
			t.Errorf("a dense bf16 run is said to identify %s", name)
		}
	}
	if c.After.Mean > 0.02 || c.Confidence() != "single" || len(c.Remarks) == 0 {
		t.Errorf("one layout: error %v, confidence %s, remarks %q", c.After.Mean, c.Confidence(), c.Remarks)
	}
}

func TestCalibrateFromALog(t *testing.T) {
	c := planned()
	c.Seconds, c.Steps, c.Logged, c.Memory, c.MemoryKind = 2.05, 4, 402, 40<<30, measured.Allocated
	k, err := Calibrate(costmodel.DefaultConstants(), []measured.Case{c})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(strings.Join(k.Remarks, " "), "is it the same model") {
		t.Errorf("402 TFLOP/s in 2.05 s are another model's, but the remarks are %q", k.Remarks)
	}
	if !k.Constants.Calibrated("h100-sxm") || k.Memory.N != 1 {
		t.Errorf("calibrated devices %v, memory %+v", k.Constants.Measured(), k.Memory)
	}
}

func TestCalibrateRefusesNothing(t *testing.T) {
	if _, err := Calibrate(costmodel.DefaultConstants(), nil); err == nil {
		t.Error("nothing measured was accepted")
	}
	c := planned()
	c.Seconds, c.Model = 1, "llama9-8b"
	if _, err := Calibrate(costmodel.DefaultConstants(), []measured.Case{c}); err == nil || !strings.Contains(err.Error(), "llama9-8b") {
		t.Errorf("an unknown model: %v", err)
	}
}
